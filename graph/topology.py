"""The graphs as nodes and edges, for whoever draws them."""

from typing import Literal

from langchain_core.runnables.graph import Graph

from graph.build import conversation_graph, exchange_graph
from graph.settings import Settings
from models.call import Call
from prompts.method import Mode


def drawing(what: Mode | Literal["conversation"]) -> Graph:
    """The graph of a mode, or that of conversations around mode `evolve`, the exchange graph shown inside."""
    made = conversation_graph("evolve", _nobody) if what == "conversation" else exchange_graph(what, _nobody)
    return made.get_graph(xray=True)


def depths(graph: Graph) -> dict[str, int]:
    """How many edges lead to each node from the start, at least: an edge that does not go down goes back."""
    depth, reached = {"__start__": 0}, ["__start__"]
    for node in reached:
        for edge in graph.edges:
            if edge.source == node and edge.target not in depth:
                depth[edge.target] = depth[node] + 1
                reached.append(edge.target)
    return depth


async def _nobody(call: Call, settings: Settings) -> str:
    raise NotImplementedError("a graph that is drawn makes no calls")
