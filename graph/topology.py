"""The graphs as nodes and edges, for drawings and counts."""

from functools import cache

from langchain_core.runnables.graph import Edge, Graph

from graph.build import conversation_graph, exchange_graph
from graph.settings import Settings
from models.call import Call
from prompts.method import MODES

CONVERSATION = "conversation"
"""What the graph of conversations is called."""


@cache
def topology(name: str) -> Graph:
    """Return the graph of a mode, or that of conversations around mode `evolve` with the exchange graph
    inside."""
    if name == CONVERSATION:
        return conversation_graph(MODES["evolve"], _speak).get_graph(xray=True)
    return exchange_graph(MODES[name], _speak).get_graph(xray=True)


def depths(graph: Graph) -> dict[str, int]:
    """Return how many edges lead from the start to each node, at least: an edge that does not go down goes
    back. The way of a refused draft past the judgments (`is_shortcut`) does not count."""
    depth, reached = {"__start__": 0}, ["__start__"]
    for node in reached:
        for edge in graph.edges:
            if edge.source == node and edge.target not in depth and not is_shortcut(edge):
                depth[edge.target] = depth[node] + 1
                reached.append(edge.target)
    return depth


def is_shortcut(edge: Edge) -> bool:
    """Whether an edge skips layers: from the guards past the judgments."""
    source, target = (name.rpartition(":")[2] for name in (edge.source, edge.target))
    return source == "guards" and target in ("decide", "finish")


async def _speak(call: Call, settings: Settings) -> str:
    raise NotImplementedError("a graph that is drawn makes no calls")
