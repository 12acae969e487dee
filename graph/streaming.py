"""Streams that show what each agent says: LangGraph's server streams only what the output of a graph has."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph

_Graph = TypeVar("_Graph", bound=CompiledStateGraph[Any, Any, Any, Any])


class Streaming(CompiledStateGraph[Any, Any, Any, Any]):
    """A graph whose `updates` have all that a node wrote; `values` and the result are its output."""

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **options: Any
    ) -> AsyncIterator[Any]:
        """Stream the steps, as any graph does."""
        modes = options.get("stream_mode")
        if not isinstance(modes, list) or options.get("output_keys") != self.output_channels:
            async for part in super().astream(input, config, **options):
                yield part
            return
        async for part in super().astream(input, config, **{**options, "output_keys": None}):
            if isinstance(part, tuple) and part[-2] == "values" and (len(part) == 2 or not part[0]):
                part = (*part[:-1], self._output_of(part[-1]))
            yield part

    def _output_of(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return what the output has of these values, and what LangGraph adds."""
        return {
            name: value
            for name, value in values.items()
            if name in self.output_channels or name.startswith("__")
        }


def streaming(graph: _Graph, kind: type[Streaming] = Streaming) -> _Graph:
    """Let a graph stream so; LangGraph's `compile` makes no such graph."""
    graph.__class__ = kind  # type: ignore[assignment]
    return graph
