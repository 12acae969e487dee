"""The graphs as nodes and edges, for drawings and counts."""

from functools import cache

from langchain_core.runnables.graph import Edge, Graph

from graph.build import exchange_graph
from graph.conversation import conversation_graph
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
    back. The way of a refused draft past the judgments (`shortcuts`) does not count."""
    depth, reached = {"__start__": 0}, ["__start__"]
    edges = [edge for edge in graph.edges if edge not in shortcuts(graph)]
    for node in reached:
        for edge in edges:
            if edge.source == node and edge.target not in depth:
                depth[edge.target] = depth[node] + 1
                reached.append(edge.target)
    return depth


def shortcuts(graph: Graph) -> list[Edge]:
    """Return the edges that skip layers: from the guards past the judgments, where there are any."""
    onward = [edge for edge in graph.edges if edge.source.rpartition(":")[2] == "guards"]
    past = [edge for edge in onward if edge.target.rpartition(":")[2] in ("decide", "finish")]
    return past if len(onward) > len(past) else []


async def _speak(call: Call, settings: Settings) -> str:
    raise NotImplementedError("a graph that is drawn makes no calls")
