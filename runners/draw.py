"""`coevol graph [MODE|conversation]`: draws a graph."""

from pathlib import Path
from typing import Literal

import click
from langchain_core.runnables.graph import Graph

from graph.build import MODES, Mode
from graph.drawing import drawing
from runners.folder import RunError

Format = Literal["mermaid", "ascii"]


@click.command()
@click.argument(
    "what", type=click.Choice([*MODES, "conversation"]), default="evolve", metavar="[MODE|conversation]"
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "ascii"]),
    default="mermaid",
    help="Mermaid source, or a drawing in letters. Default: mermaid.",
)
@click.option(
    "-o", "--output", "file", type=click.Path(path_type=Path), metavar="FILE", help="Where to write it."
)
def graph(what: Mode | Literal["conversation"], form: Format, file: Path | None) -> None:
    """Draw the graph of a mode, or that of conversations around mode evolve.

    Without MODE: evolve. Nothing is asked of the network.
    """
    drawn = drawing(what)
    text = drawn.draw_mermaid() if form == "mermaid" else _in_letters(drawn)
    if file is None:
        click.echo(text)
        return
    try:
        file.write_text(text.rstrip() + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{file} cannot be written: {error.strerror}") from None


def _in_letters(drawn: Graph) -> str:
    """The graph from top to bottom; below it the edges aside and back, which would tangle the drawing."""
    depth = _depths(drawn)
    left_out = [(e.source, e.target) for e in drawn.edges if depth[e.target] <= depth[e.source]]
    names = {node.id: node.id.rpartition(":")[2] for node in drawn.nodes.values()}
    forward = Graph(drawn.nodes, [e for e in drawn.edges if (e.source, e.target) not in left_out])
    lines = [line.rstrip() for line in forward.draw_ascii().splitlines()]
    for title, higher in (("and aside:", False), ("and back:", True)):
        targets: dict[str, list[str]] = {}
        for source, target in left_out:
            if (depth[target] < depth[source]) == higher:
                targets.setdefault(names[source], []).append(names[target])
        if targets:
            lines += ["", title]
            lines += [f"  {source} ···> {' and '.join(those)}" for source, those in targets.items()]
    return "\n".join(lines)


def _depths(drawn: Graph) -> dict[str, int]:
    """How many edges lead to each node from the start, at least."""
    depth, reached = {"__start__": 0}, ["__start__"]
    for node in reached:
        for edge in drawn.edges:
            if edge.source == node and edge.target not in depth:
                depth[edge.target] = depth[node] + 1
                reached.append(edge.target)
    return depth
