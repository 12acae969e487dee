"""`coevol graph [MODE|RUN [ID]]`: draws a graph; that of a run with what happened on it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

import click
from langchain_core.runnables.graph import Graph

from graph.topology import CONVERSATION, depths, shortcuts, topology
from prompts.method import MODES
from reporting.graph_counts import GraphCounts, StepCounts, graph_counts
from reporting.graph_svg import graph_png, graph_svg
from reporting.labels import seconds
from reporting.run import open_run
from runners.folder import refuse_to_overwrite
from runners.options import MODE, PATH
from runners.terminal import is_terminal, say, say_bytes
from samples.files import whole_file
from samples.printable import printable

DrawingFormat = Literal["mermaid", "ascii", "svg", "png"]

_GRAPHS = (*MODES, CONVERSATION)

_ENDINGS: dict[str, DrawingFormat] = {
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".txt": "ascii",
    ".svg": "svg",
    ".png": "png",
}


@click.command()
@click.argument("what", default="evolve", metavar="[MODE|conversation|RUN]")
@click.argument("sample_id", required=False, metavar="[ID]")
@click.option("--mode", type=MODE, help="Of a run of several modes. Default: its last one.")
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(DrawingFormat)),
    help="Mermaid source, a drawing in letters, or a picture. Default: by the ending of FILE (.mmd, .txt, "
    ".svg, .png), or mermaid.",
)
@click.option("-o", "--output", "file", type=PATH, metavar="FILE", help="Where to write it.")
def graph(
    what: str, sample_id: str | None, mode: str | None, form: DrawingFormat | None, file: Path | None
) -> None:
    """Draw the graph of a mode, of conversations around mode evolve, or of a run.

    In that of a run, each node has its calls, tokens, latencies and failures, and each edge how often it was
    taken; with ID, those of one sample. Default: evolve. Needs no network.
    """
    form = form or _format(file)
    if form == "png" and file is None and is_terminal():
        raise click.UsageError("a PNG cannot be shown in a terminal: name a file with -o")
    if what not in _GRAPHS:
        counts, title = _of_run(Path(what), sample_id, mode, file)
    elif sample_id is not None or mode is not None:
        raise click.UsageError(f"ID and --mode need a run; {what} is a mode, ./{what} a folder")
    else:
        counts, title = GraphCounts(topology(what)), f"the graph of {what}"
    drawing = _drawn(counts, form, title)
    if file is None:
        say_bytes(drawing) if isinstance(drawing, bytes) else say(drawing, nl=form in ("mermaid", "ascii"))
        return
    with whole_file(file) as output:
        output.write(drawing if isinstance(drawing, bytes) else (drawing.rstrip() + "\n").encode())
    say(f"{file}: {title}", err=True)


def _format(file: Path | None) -> DrawingFormat:
    if file is None:
        return "mermaid"
    if file.suffix.lower() not in _ENDINGS:
        raise click.UsageError(f"the ending of {file} is none of {', '.join(_ENDINGS)}: give --format")
    return _ENDINGS[file.suffix.lower()]


def _of_run(
    folder: Path, sample_id: str | None, mode: str | None, file: Path | None
) -> tuple[GraphCounts, str]:
    if not folder.is_dir():
        names = ", ".join(map(repr, _GRAPHS))
        raise click.UsageError(f"{folder} is not the folder of a run, and none of {names}")
    run = open_run(folder)
    chosen = run.mode(mode)
    if file is not None:
        refuse_to_overwrite(file, run)
    if sample_id is not None:
        run.sample(sample_id)
    counts = graph_counts(run.ledger, chosen, lazy=run.lazy, sample=sample_id)
    return counts, f"the graph of mode {chosen} in {printable(str(folder))}"


def _drawn(counts: GraphCounts, form: DrawingFormat, title: str) -> str | bytes:
    match form:
        case "mermaid":
            return _labelled(counts).draw_mermaid()
        case "ascii":
            return "\n".join(_ascii(counts))
        case "svg":
            return graph_svg(counts, title)
        case "png":
            return graph_png(graph_svg(counts, title))


def _labelled(counts: GraphCounts) -> Graph:
    """Return the graph with its numbers where LangChain's Mermaid drawing expects them."""
    nodes = {
        name: node._replace(metadata=_numbers(counts.calls[name])) if name in counts.calls else node
        for name, node in counts.graph.nodes.items()
    }
    edges = [
        edge._replace(data=f"{counts.taken[edge.source, edge.target]:,}×") if counts.taken else edge
        for edge in counts.graph.edges
    ]
    return Graph(nodes, edges)


def _numbers(step: StepCounts) -> dict[str, str]:
    return {
        "calls": f"{step.calls:,}",
        "failed": f"{step.failed:,}",
        "tokens in": f"{step.input_tokens:,}",
        "tokens out": f"{step.output_tokens:,}",
        "median": seconds(step.median_latency),
        "p95": seconds(step.p95_latency),
    }


def _ascii(counts: GraphCounts) -> Iterable[str]:
    """Draw the graph from top to bottom, and list the other edges and all numbers below."""
    drawn = counts.graph
    depth = depths(drawn)
    past = [(e.source, e.target) for e in shortcuts(drawn)]
    left_out = past + [(e.source, e.target) for e in drawn.edges if depth[e.target] <= depth[e.source]]
    names = {node.id: node.id.rpartition(":")[2] for node in drawn.nodes.values()}
    forward = Graph(drawn.nodes, [e for e in drawn.edges if (e.source, e.target) not in left_out])
    yield from (line.rstrip() for line in forward.draw_ascii().splitlines())
    for title, way in (("and past:", 1), ("and sideways:", 0), ("and back:", -1)):
        targets: dict[str, list[str]] = {}
        for source, target in left_out:
            lower = (depth[target] > depth[source]) - (depth[target] < depth[source])
            if lower == way:
                targets.setdefault(names[source], []).append(names[target])
        if targets:
            yield from ("", title)
            yield from (f"  {source} ···> {' and '.join(those)}" for source, those in targets.items())
    if not counts.taken:
        return
    rows = {name: _numbers(counts.calls[name]) for name in drawn.nodes if name in counts.calls}
    if rows:
        head = next(iter(rows.values()))
        yield from ("", *_aligned([["", *head], *([name, *row.values()] for name, row in rows.items())]))
    order = list(drawn.nodes)
    edges = sorted(counts.taken, key=lambda edge: (order.index(edge[0]), order.index(edge[1])))
    yield from ("", *_aligned([[f"{s} ···> {t}", f"{counts.taken[s, t]:,}×"] for s, t in edges]))


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join([first.ljust(widths[0]), *cells])
