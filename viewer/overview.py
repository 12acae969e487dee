"""The run at a glance: how far it is, what came out of it, whether the judge can be trusted, what it cost."""

import time
from collections.abc import Mapping
from html import escape
from typing import Any

from nicegui import ui

from ledger import charts
from ledger.statistics import Judging, ModeStatistics
from viewer.frame import ROLE_COLOURS, address, frame, seconds, tile
from viewer.numbers import Counting, Numbers
from viewer.run import Run

REFRESH = 2.0
"""Seconds between two looks at a run that is going on."""

PATIENCE = 0.5
"""Seconds a page waits for numbers before it is shown without them."""

BLUE, GREEN, ORANGE, RED, GREY = "#2f7fd1", "#2e9e6b", "#d9a13a", "#d2603a", "#8590a0"


def add(run: Run, counting: Counting) -> None:
    """Adds the page."""

    @ui.page("/", title=f"Overview · {run.name}")
    async def overview() -> None:
        shown: list[Numbers] = []

        async def refresh() -> None:
            numbers = await counting.latest(PATIENCE)
            if numbers is None or numbers in shown:
                return
            shown[:] = [numbers]
            panel.clear()
            with panel:
                _overview(run, numbers)

        with frame(run, "/"):
            panel = ui.column().classes("w-full gap-4 overview")
            with panel:
                ui.label("Counting …").classes("faint")
        await refresh()
        ui.timer(REFRESH, refresh)


def _overview(run: Run, numbers: Numbers) -> None:
    _progress(run, numbers)
    for mode, found in numbers.statistics.modes.items():
        _mode(mode, found, numbers)
    ui.html("<h2>Calls</h2>", sanitize=False)
    with ui.element("div").classes("two"):
        with ui.column().classes("panel"):
            ui.html(_bill(numbers.report["calls"]), sanitize=False).classes("w-full overflow-x-auto bill")
        _pace(numbers)
    with ui.expansion("What made this run").classes("w-full panel"):
        ui.html(_made_by(numbers.report["run"]), sanitize=False).classes("w-full")


def _progress(run: Run, numbers: Numbers) -> None:
    finished, skipped = numbers.finished, numbers.results.get("skipped", 0)
    # A skipped sample has one result, whatever the number of modes.
    expected = run.expected - skipped * (len(run.modes) - 1)
    share = min(finished / expected, 1.0) if expected else 1.0
    total = numbers.report["calls"]["total"]
    with ui.column().classes("w-full gap-1"):
        with ui.row().classes("w-full items-center"):
            ui.label(f"{finished:,} of {expected:,} results").classes("font-semibold progress")
            ui.space()
            at = time.strftime("%H:%M:%S", time.localtime(numbers.counted))
            ui.label(f"counted at {at}").classes("faint small")
        ui.linear_progress(share, show_value=False, size="6px").props("rounded instant-feedback")
    with ui.row().classes("tiles"):
        tile(f"{numbers.statistics.samples:,}", "samples")
        failed = numbers.results.get("failed", 0)
        with ui.link(target=address("/samples", {"status": "failed"})).classes("plain-link"):
            tile(f"{failed:,}", "failed")
        if skipped:
            with ui.link(target=address("/samples", {"status": "skipped"})).classes("plain-link"):
                tile(f"{skipped:,}", "skipped")
        tile(f"{total['calls']:,}", "calls")
        tile(f"{total['input_tokens']:,}", "input tokens")
        tile(f"{total['output_tokens']:,}", "output tokens")
        tile(_dollars(total), "cost", "List prices, where they are known.")


def _mode(mode: str, found: ModeStatistics, numbers: Numbers) -> None:
    lengths, judging = found.lengths, found.judging
    ui.html(f"<h2>Mode {escape(mode)}</h2>", sanitize=False)
    if not found.finished:
        ui.label("nothing finished yet").classes("faint")
        return
    with ui.row().classes("tiles"):
        tile(f"{found.changed / found.finished:.0%}", "of responses changed")
        if lengths.ratio_of_averages is not None:
            growth = "New tokens over old tokens, of all samples that did not fail."
            tile(f"{lengths.ratio_of_averages:.2f}×", "length, new to old", growth)
        if lengths.doubled is not None:
            with ui.link(target=address("/samples", {"mode": mode, "grew": 1})).classes("plain-link"):
                tile(f"{lengths.doubled:.0%}", "grew more than 2×")
        if judging and judging.agreement is not None:
            hint = "Rounds in which both orders name the same winner, of those where both can be read."
            tile(f"{judging.agreement:.0%}", "judge agrees with itself", hint)
    with ui.element("div").classes("three"):
        if judging:
            _accepted(mode, found)
        _lengths(numbers.lengths[mode])
        if judging:
            _judging(mode, judging)
    if found.failures:
        with ui.column().classes("panel"):
            ui.label("Failures by reason").classes("faint small")
            ui.html(_failures(mode, found.failures), sanitize=False).classes("w-full failures")


def _accepted(mode: str, found: ModeStatistics) -> None:
    rounds = list(range(max(found.accepted_rounds, default=0) + 1))
    with ui.column().classes("panel accepted"):
        ui.label("Exchanges by accepted rounds").classes("faint small")
        chart = _chart(
            {
                "xAxis": _axis(type="category", data=rounds),
                "yAxis": _axis(type="value", minInterval=1),
                "series": [
                    _bars([found.accepted_rounds.get(number, 0) for number in rounds], GREEN, label=True)
                ],
            }
        )
        chart.on_point_click(
            lambda event: ui.navigate.to(address("/samples", {"mode": mode, "accepted": event.name}))
        )


def _lengths(lengths: tuple[list[int], list[int]]) -> None:
    old, new = lengths
    with ui.column().classes("panel lengths"):
        ui.label("Samples by length of responses, in tokens").classes("faint small")
        _chart(
            {
                "legend": {"top": 0, "textStyle": {"color": GREY}},
                "xAxis": _axis(
                    type="category", data=charts.classes(), axisLabel={"rotate": 40, "color": GREY}
                ),
                "yAxis": _axis(type="value", minInterval=1),
                "series": [_bars(old, GREY, "old"), _bars(new, BLUE, "new")],
            }
        )


def _judging(mode: str, judging: Judging) -> None:
    parts = {
        "same verdict": (judging.agreed, GREEN),
        "one sees a tie": (judging.one_tie, ORANGE),
        "both prefer the first shown": (judging.favoured_first, RED),
        "both prefer the second shown": (judging.favoured_second, "#a33e8a"),
        "one cannot be read": (judging.one_unreadable, GREY),
        "neither can be read": (judging.both_unreadable, "#5b6472"),
    }
    if judging.calls_saved:
        parts["the first decided: a call saved"] = (judging.calls_saved, BLUE)
    with ui.column().classes("panel judging"):
        ui.label("Rounds by how the judge's two orders agree").classes("faint small")
        _chart(
            {
                "xAxis": _axis(type="value", minInterval=1),
                "yAxis": _axis(type="category", data=list(parts), inverse=True),
                "series": [
                    {
                        "type": "bar",
                        "data": [
                            {"value": number, "itemStyle": {"color": colour}}
                            for number, colour in parts.values()
                        ],
                        "label": {"show": True, "position": "right", "color": GREY},
                    }
                ],
            }
        )
        if judging.contradicted:
            link = address("/samples", {"mode": mode, "contradict": 1})
            ui.link("samples whose verdicts contradict each other", link).classes("small")


def _pace(numbers: Numbers) -> None:
    pace = numbers.pace
    with ui.column().classes("panel pace"):
        ui.label("Calls a second over time").classes("faint small")
        if pace is None:
            ui.label("no calls yet").classes("faint")
            return
        day = len(pace.calls) * pace.width > 86_400
        form = "%m-%d %H:%M" if day else "%H:%M:%S"
        times = [
            time.strftime(form, time.localtime(pace.begin + place * pace.width))
            for place in range(len(pace.calls))
        ]
        _chart(
            {
                "xAxis": _axis(type="category", data=times, boundaryGap=False),
                "yAxis": _axis(type="value"),
                "series": [
                    {
                        "type": "line",
                        "data": [round(number / pace.width, 2) for number in pace.calls],
                        "showSymbol": False,
                        "color": BLUE,
                        "areaStyle": {"opacity": 0.25},
                    }
                ],
            }
        )


def _chart(options: dict[str, Any]) -> ui.echart:
    common = {
        "animation": False,
        "backgroundColor": "transparent",
        "tooltip": {"trigger": "axis", "confine": True},
        "grid": {"left": 8, "right": 36, "top": 28, "bottom": 8, "containLabel": True},
    }
    return ui.echart(common | options).classes("w-full h-56")


def _axis(**more: Any) -> dict[str, Any]:
    lines = {"lineStyle": {"color": GREY, "opacity": 0.25}}
    return {"axisLabel": {"color": GREY}, "splitLine": lines} | more


def _bars(data: list[int], colour: str, name: str = "", *, label: bool = False) -> dict[str, Any]:
    shown = {"show": label, "position": "top", "color": GREY}
    return {"type": "bar", "name": name, "data": data, "color": colour, "label": shown}


def _failures(mode: str, failures: Mapping[str, int]) -> str:
    rows = "".join(
        f'<tr><td><a href="{escape(address("/samples", {"mode": mode, "reason": reason}))}">'
        f"{escape(reason)}</a></td><td class=number>{number:,}</td></tr>"
        for reason, number in failures.items()
    )
    return f"<table class=data>{rows}</table>"


def _bill(calls: Mapping[str, Any]) -> str:
    names = ("", "calls", "failed", "input", "cached", "output", "mean", "p95", "cost")
    head = "".join(f"<th class=number>{name}</th>" for name in names)
    rows = [
        _bill_row(role, numbers, ROLE_COLOURS.get(role, "")) for role, numbers in calls["by_role"].items()
    ]
    if len(calls["by_model"]) > 1:
        rows += [_bill_row(model, numbers, "") for model, numbers in calls["by_model"].items()]
    rows.append(_bill_row("all", calls["total"], ""))
    return f"<table class=data><tr>{head}</tr>{''.join(rows)}</table>"


def _bill_row(name: str, numbers: Mapping[str, Any], colour: str) -> str:
    times = [
        seconds(numbers[key]) if numbers[key] is not None else "–" for key in ("mean_latency", "p95_latency")
    ]
    counts = [f"{numbers[key]:,}" for key in _COUNTS]
    cells = "".join(f"<td class=number>{cell}</td>" for cell in (*counts, *times, _dollars(numbers)))
    style = f' style="color: {colour}; font-weight: 600"' if colour else ""
    return f"<tr><td{style}>{escape(name)}</td>{cells}</tr>"


_COUNTS = ("calls", "failed", "input_tokens", "cached_tokens", "output_tokens")


def _dollars(numbers: Mapping[str, Any]) -> str:
    known = numbers["cost_usd"]
    if known is None:
        return "not known"
    return f"{'' if numbers['cost_complete'] else 'over '}${known:,.2f}"


def _made_by(facts: Mapping[str, Any]) -> str:
    data = facts["data"]
    about = {
        "data": f"{data['path']}: {data['records']:,} {data['format']} records, {data['layout']}",
        "created": facts["created"],
        "modes": ", ".join(facts["modes"]),
        "models": ", ".join(f"{role}: {model}" for role, model in facts["models"].items()),
        "prompts": facts["prompts"]["pack"],
        **{name: value for name, value in facts["settings"].items() if not name.endswith("_persona")},
        **facts["versions"],
    }
    rows = "".join(
        f"<tr><td class=faint>{escape(name)}</td><td>{escape(str(value))}</td></tr>"
        for name, value in about.items()
        if value not in (None, {}, "")
    )
    return f"<table class=data>{rows}</table>"
