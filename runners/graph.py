"""`coevol graph [MODE|RUN [ID]]`: draws a graph, that of a run with what happened on it."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

import click
from langchain_core.runnables.graph import Graph

from graph.topology import depths, drawing
from prompts.method import MODES, Mode
from reporting.graph_counts import Walk, walked
from reporting.graph_svg import png, svg
from reporting.step_counts import StepCalls
from reporting.theme import seconds
from runners.folder import RunError, made_by, open_run, refuse_to_overwrite
from runners.show import the_sample
from runners.terminal import printable
from samples.files import whole_file

Format = Literal["mermaid", "ascii", "svg", "png"]

_DRAWN: tuple[Mode | Literal["conversation"], ...] = (*MODES, "conversation")

_ENDINGS: dict[str, Format] = {
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".txt": "ascii",
    ".svg": "svg",
    ".png": "png",
}


@click.command()
@click.argument("what", default="evolve", metavar="[MODE|conversation|RUN]")
@click.argument("sample_id", required=False, metavar="[ID]")
@click.option("--mode", type=click.Choice(MODES), help="Of a run of several modes. Default: its last one.")
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(Format)),
    help="Mermaid source, a drawing in letters, or a picture. Default: what the ending of FILE says "
    "(.mmd, .txt, .svg, .png), or mermaid.",
)
@click.option(
    "-o", "--output", "file", type=click.Path(path_type=Path), metavar="FILE", help="Where to write it."
)
def graph(what: str, sample_id: str | None, mode: str | None, form: Format | None, file: Path | None) -> None:
    """Draw the graph of a mode, of conversations around mode evolve, or of a run.

    Of a run, each node has its calls, tokens, latencies and failures, and each edge how often it was taken;
    with ID, those of one sample. Without MODE or RUN: evolve. Nothing is asked of the network.
    """
    form = form or _format(file)
    if form == "png" and file is None and sys.stdout.isatty():
        raise click.UsageError("a PNG is nothing for a terminal: name a file with -o")
    drawn = next((name for name in _DRAWN if name == what), None)
    if drawn is None:
        walk, title = _of_run(Path(what), sample_id, mode, file)
    elif sample_id is not None or mode is not None:
        raise click.UsageError(f"ID and --mode go with a run; {what} is a mode, ./{what} a folder")
    else:
        walk, title = Walk(drawing(drawn)), f"the graph of {drawn}"
    picture = _drawn(walk, form, title)
    if file is None:
        click.echo(picture, nl=form in ("mermaid", "ascii"))
        return
    with whole_file(file) as output:
        output.write(picture if isinstance(picture, bytes) else (picture.rstrip() + "\n").encode())
    click.echo(f"{file}: {title}", err=True)


def _format(file: Path | None) -> Format:
    if file is None:
        return "mermaid"
    if file.suffix.lower() not in _ENDINGS:
        raise click.UsageError(f"the ending of {file} says no format ({', '.join(_ENDINGS)}): give --format")
    return _ENDINGS[file.suffix.lower()]


def _of_run(run: Path, sample_id: str | None, mode: str | None, file: Path | None) -> tuple[Walk, str]:
    if not run.is_dir():
        names = ", ".join(map(repr, _DRAWN))
        raise click.UsageError(f"{run} is no folder with a run, and none of {names}")
    ledger, made = open_run(run), made_by(run)
    if mode is not None and mode not in made["modes"]:
        raise RunError(f"{run} has no results of mode {mode}; its modes: {', '.join(made['modes'])}")
    if file is not None:
        refuse_to_overwrite(file, run, made)
    if sample_id is not None:
        the_sample(ledger, run, sample_id)
    chosen = mode or made["modes"][-1]
    walk = walked(ledger, chosen, lazy=bool(made["settings"].get("lazy_judge")), sample=sample_id)
    return walk, f"the graph of mode {chosen} in {printable(str(run))}"


def _drawn(walk: Walk, form: Format, title: str) -> str | bytes:
    match form:
        case "mermaid":
            return _labelled(walk).draw_mermaid()
        case "ascii":
            return "\n".join(_in_letters(walk))
        case "svg":
            return svg(walk, title)
        case "png":
            return png(svg(walk, title))


def _labelled(walk: Walk) -> Graph:
    """The graph with its numbers where LangChain's drawing in Mermaid takes them from."""
    nodes = {
        name: node._replace(metadata=_named(walk.calls[name])) if name in walk.calls else node
        for name, node in walk.graph.nodes.items()
    }
    edges = [
        edge._replace(data=f"{walk.taken[edge.source, edge.target]:,}×") if walk.taken else edge
        for edge in walk.graph.edges
    ]
    return Graph(nodes, edges)


def _named(step: StepCalls) -> dict[str, str]:
    return {
        "calls": f"{step.calls:,}",
        "failed": f"{step.failed:,}",
        "tokens in": f"{step.input_tokens:,}",
        "tokens out": f"{step.output_tokens:,}",
        "median": seconds(step.median_latency),
        "p95": seconds(step.p95_latency),
    }


def _in_letters(walk: Walk) -> Iterable[str]:
    """The graph from top to bottom; below it what would tangle the drawing: edges aside and back, numbers."""
    drawn = walk.graph
    depth = depths(drawn)
    left_out = [(e.source, e.target) for e in drawn.edges if depth[e.target] <= depth[e.source]]
    names = {node.id: node.id.rpartition(":")[2] for node in drawn.nodes.values()}
    forward = Graph(drawn.nodes, [e for e in drawn.edges if (e.source, e.target) not in left_out])
    yield from (line.rstrip() for line in forward.draw_ascii().splitlines())
    for title, higher in (("and aside:", False), ("and back:", True)):
        targets: dict[str, list[str]] = {}
        for source, target in left_out:
            if (depth[target] < depth[source]) == higher:
                targets.setdefault(names[source], []).append(names[target])
        if targets:
            yield from ("", title)
            yield from (f"  {source} ···> {' and '.join(those)}" for source, those in targets.items())
    if not walk.taken:
        return
    rows = {name: _named(walk.calls[name]) for name in drawn.nodes if name in walk.calls}
    if rows:
        head = next(iter(rows.values()))
        yield from ("", *_aligned([["", *head], *([name, *row.values()] for name, row in rows.items())]))
    order = list(drawn.nodes)
    edges = sorted(walk.taken, key=lambda edge: (order.index(edge[0]), order.index(edge[1])))
    yield from ("", *_aligned([[f"{s} ···> {t}", f"{walk.taken[s, t]:,}×"] for s, t in edges]))


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  ".join([first.ljust(widths[0]), *cells])
