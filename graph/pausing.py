"""Pausing inside an exchange of a conversation: LangGraph tells a graph inside another one nothing of where a
run is to pause."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig

from graph.streaming import Streaming

_PAUSES = "pauses_inside"
_INSIDE = "exchange_graph:"
"""How drawings name the nodes inside."""


class PausingInside(Streaming):
    """A graph that hands on, to the graphs inside it, before and after which nodes a run pauses."""

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **options: Any
    ) -> AsyncIterator[Any]:
        """Stream the steps, as any graph does."""
        pauses = {
            name: options[name] for name in ("interrupt_before", "interrupt_after") if options.get(name)
        }
        if pauses:
            given: RunnableConfig = config or {}
            config = {**given, "configurable": {**given.get("configurable", {}), _PAUSES: pauses}}
        async for part in super().astream(input, config, **options):
            yield part


def pauses_inside(config: RunnableConfig) -> dict[str, Any]:
    """Return where a graph inside pauses, as options of its run."""
    pauses: dict[str, Sequence[str] | str] = config.get("configurable", {}).get(_PAUSES, {})
    return {
        name: nodes if isinstance(nodes, str) else [node.removeprefix(_INSIDE) for node in nodes]
        for name, nodes in pauses.items()
    }
