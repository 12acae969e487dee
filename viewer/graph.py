"""The graph of a mode as it was walked: by all samples, or by one."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from langchain_core.runnables.graph import Graph
from nicegui import ui

from graph.build import MODES
from graph.drawing import drawing
from ledger.ledger import Result
from ledger.steps import StepCalls, steps
from models.call import ROLE_OF_STEP
from viewer.frame import address, frame
from viewer.look import ROLE_COLOURS, seconds
from viewer.numbers import Counting
from viewer.run import Run

_ROLES = {str(step): role for step, role in ROLE_OF_STEP.items()}


def add(run: Run, counting: Counting) -> None:
    """Adds the page."""

    @ui.page("/graph", title=f"Graph · {run.name}", response_timeout=30)
    async def graph(request: Request) -> None:
        wanted, place = request.query_params.get("mode"), request.query_params.get("sample", "")
        mode = wanted if wanted in run.modes else run.modes[-1]
        sample_id, rounds, exchanges = None, 0, 0
        if place.isdecimal():
            found = await asyncio.to_thread(run.ledger.at, [int(place)])
            if found and mode in found[0][1]:
                sample_id = found[0][0].id
                rounds, exchanges = _walked(found[0][1][mode])
        with frame(run, "/graph"):
            with ui.row().classes("items-center gap-3"):
                for name in run.modes:
                    link = address("/graph", {"mode": name, "sample": place if sample_id else ""})
                    ui.link(name, link).classes("tag good" if name == mode else "tag")
                if sample_id is not None:
                    ui.label("The way of sample").classes("faint")
                    ui.link(sample_id, address(f"/sample/{place}", {"of": mode}))
                    ui.link("all samples", address("/graph", {"mode": mode})).classes("faint")
            drawing = ui.column().classes("w-full items-center drawing")
            with drawing:
                ui.label("Counting …").classes("faint")

        async def draw() -> None:
            nonlocal rounds, exchanges
            taken = await asyncio.to_thread(steps, run.ledger, mode, sample_id)
            if sample_id is None:
                numbers = await counting.latest(30)
                if numbers:
                    counted = numbers.statistics.modes[mode]
                    exchanges = counted.exchanges - counted.endings.get("failed", 0)
                    rounds = counted.judging.rounds if counted.judging else exchanges
            drawing.clear()
            with drawing:
                config = {"securityLevel": "strict", "theme": "neutral", "flowchart": {"useMaxWidth": True}}
                ui.mermaid(mermaid(drawn(mode), taken, rounds, exchanges), config=config).classes("w-full")

        ui.timer(0, draw, once=True)


def drawn(mode: str) -> Graph:
    """The nodes and edges of a mode's graph."""
    return drawing(next(known for known in MODES if known == mode))


def mermaid(graph: Graph, taken: Mapping[str, StepCalls], rounds: int, exchanges: int) -> str:
    """The drawing, in Mermaid's language, with the numbers of the calls at its nodes and edges.

    `rounds` were decided and `exchanges` finished. Nothing in it comes from a model or a data set.
    """
    lines = ["flowchart TD"]
    for name in graph.nodes:
        step = taken.get(name)
        role = _ROLES.get(name)
        lines.append(f'  n_{name}["{_label(name, step)}"]' + (f":::{role}" if role else ""))
        if role and not step:
            lines.append(f"  style n_{name} opacity:0.4")
    # In the order in which the nodes stand: the drawing then runs from top to bottom.
    order = list(graph.nodes)
    edges = sorted(graph.edges, key=lambda edge: (order.index(edge.source), order.index(edge.target)))
    back = ""
    sources = Counter(edge.target for edge in graph.edges if edge.conditional)
    for edge in edges:
        number = _times(edge.source, edge.target, taken, rounds, exchanges)
        if order.index(edge.target) < order.index(edge.source):
            # An edge back to the beginning would turn the whole drawing upside down.
            if f"  n_{edge.source} -->" not in back:
                back = f'  n_{edge.source} -->|"{number or 0:,}×"| n_again(["next round"])'
                lines.append(back)
            continue
        if number is None or (edge.conditional and sources[edge.target] > 1 and edge.source != "decide"):
            lines.append(f"  n_{edge.source} --> n_{edge.target}")
        else:
            lines.append(f'  n_{edge.source} -->|"{number:,}×"| n_{edge.target}')
    lines += [f"  classDef {role} stroke:{colour},stroke-width:2px" for role, colour in ROLE_COLOURS.items()]
    return "\n".join(lines)


def _label(name: str, step: StepCalls | None) -> str:
    title = f"<b>{name.strip('_').replace('_', ' ')}</b>"
    if step is None:
        return title
    tokens = f"{step.input_tokens:,} + {step.output_tokens:,} tokens"
    times = f"median {seconds(step.median_latency)}, p95 {seconds(step.p95_latency)}"
    failed = f", {step.failed:,} failed" if step.failed else ""
    return f"{title}<br/>{step.calls:,} calls{failed}<br/>{tokens}<br/>{times}"


def _times(
    source: str, target: str, taken: Mapping[str, StepCalls], rounds: int, exchanges: int
) -> int | None:
    if target in taken:
        step = taken[target]
        # A round begins where an exchange does, or where a draft was accepted.
        later = step.visits - step.first
        return later if source == "decide" else step.first if source == "begin" else step.visits
    if target in ("decide", "adopt"):
        return rounds
    return exchanges if target == "finish" else None


def _walked(result: Result) -> tuple[int, int]:
    """The rounds that were decided in a sample, and the exchanges that were finished."""
    done: list[dict[str, Any]] = [each for each in result.outcome if "failure" not in each]
    return sum(len(each["rounds"]) for each in done), len(done)
