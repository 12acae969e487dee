"""The charts of a run, as data.

`echarts` turns a chart into options for ECharts, which draws the pages; `reporting.charts_svg` draws reports.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from reporting import chart_data
from reporting.judging import Judging
from reporting.labels import DECISIONS, JUDGING, OUTDATED
from reporting.reviewing import Deciding
from reporting.theme import BLUE, GRAY, GREEN, ORANGE, RED


@dataclass(frozen=True, slots=True)
class Series:
    """A number for each category."""

    values: Sequence[float]
    colors: str | Sequence[str]
    """One for all categories, or one for each."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart."""

    name: str
    """A short name for style sheets."""
    title: str
    """What is counted by what."""
    kind: Literal["columns", "rows", "line"]
    """Columns from left to right, rows from top to bottom, or a line."""
    categories: Sequence[str]
    series: Sequence[Series]
    of: str = ""
    """What the categories are, with their unit; empty where their names say it."""
    counted: str = ""
    """What the values are, with their unit."""


def accepted(rounds: dict[int, int]) -> Chart:
    """Return the chart of exchanges by accepted rounds."""
    numbers = range(max(rounds, default=0) + 1)
    series = Series([rounds.get(number, 0) for number in numbers], GREEN)
    return Chart(
        "accepted",
        "Exchanges by accepted rounds",
        "columns",
        [*map(str, numbers)],
        [series],
        "accepted rounds",
        "exchanges",
    )


def lengths(old: Sequence[int], new: Sequence[int]) -> Chart:
    """Return the chart of samples by the length of old and new responses."""
    return lengths_of([Series(old, GRAY, "old"), Series(new, BLUE, "new")])


def lengths_of(series: Sequence[Series]) -> Chart:
    """Return the chart of samples by length, without the classes at its ends that no series has."""
    title = "Samples by length of responses, in tokens"
    used = [index for index in range(len(chart_data.classes())) if any(each.values[index] for each in series)]
    shown = slice(min(used, default=0), max(used, default=0) + 1)
    cut = [replace(each, values=each.values[shown]) for each in series]
    return Chart("lengths", title, "columns", chart_data.classes()[shown], cut, "tokens", "samples")


def judging(judging: Judging) -> Chart:
    """Return the chart of rounds by how the two orders of judgment compare."""
    colors = {
        "agreed": GREEN,
        "one_tie": ORANGE,
        "favoured_first": RED,
        "favoured_second": "#a33e8a",
        "one_unreadable": GRAY,
        "both_unreadable": "#5b6472",
    }
    if judging.calls_saved:
        colors["calls_saved"] = BLUE
    names = [JUDGING[field] for field in colors]
    series = Series([getattr(judging, field) for field in colors], list(colors.values()))
    return Chart(
        "judging", "Rounds by how the judge's two orders compare", "rows", names, [series], counted="rounds"
    )


def deciding(deciding: Deciding) -> Chart:
    """Return the chart of what users decided."""
    names = [*DECISIONS.values(), OUTDATED]
    numbers = [getattr(deciding, kind) for kind in (*DECISIONS, "outdated")]
    series = Series(numbers, [GREEN, RED, ORANGE, BLUE, GRAY])
    return Chart("deciding", "Results by what a user decided", "rows", names, [series], counted="results")


def throughput(found: chart_data.Throughput) -> Chart:
    """Return the chart of calls a second over time."""
    day = len(found.calls) * found.width > 86_400
    form = "%m-%d %H:%M" if day else "%H:%M:%S"
    times = [
        time.strftime(form, time.localtime(found.begin + index * found.width))
        for index in range(len(found.calls))
    ]
    series = Series([round(number / found.width, 2) for number in found.calls], BLUE)
    return Chart("throughput", "Calls a second over time", "line", times, [series], "time", "calls a second")


MAX_UPRIGHT = 36
"""Characters of the names of categories from left to right that fit upright; longer ones are rotated."""

MAX_LABELED = 16
"""Bars that show their numbers; those of more would overlap."""


def is_rotated(chart: Chart) -> bool:
    """Whether the names below the columns of a chart are rotated."""
    return chart.kind == "columns" and sum(len(name) + 2 for name in chart.categories) > MAX_UPRIGHT


def echarts(chart: Chart) -> dict[str, Any]:
    """Return a chart as options for ECharts."""
    several = len(chart.series) > 1
    labeled = len(chart.series) * len(chart.categories) <= MAX_LABELED
    rotated = is_rotated(chart)
    # Rotated names reach as far down as the longest is long.
    gap = 22 + 4 * max(map(len, chart.categories)) if rotated else 26
    below = {"nameLocation": "middle", "nameGap": gap}
    # Above the number of a bar of full height.
    above = {"nameLocation": "end", "nameGap": 22, "nameTextStyle": {"color": GRAY, "align": "left"}}
    names = _axis(type="category", data=list(chart.categories), name=chart.of, **below)
    values = _axis(type="value", name=chart.counted, **(below if chart.kind == "rows" else above))
    if chart.kind != "line":
        values["minInterval"] = 1
    if chart.kind == "rows":
        names["inverse"] = True
        # Names take much of the width: numbers would run together on a phone.
        values |= {"splitNumber": 3, "axisLabel": {"color": GRAY, "hideOverlap": True}}
    elif chart.kind == "line":
        names["boundaryGap"] = False
    elif rotated:
        names["axisLabel"] = {"rotate": 40, "color": GRAY, "interval": 0}
    across, along = (values, names) if chart.kind == "rows" else (names, values)
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "tooltip": {"trigger": "axis", "confine": True},
        "grid": {"left": 8, "right": 36, "top": 54 if several else 38, "bottom": 24, "containLabel": True},
        "xAxis": across,
        "yAxis": along,
        "series": [_line(s) if chart.kind == "line" else _bars(s, chart.kind, labeled) for s in chart.series],
    } | ({"legend": {"top": 0, "textStyle": {"color": GRAY}}} if several else {})


def _axis(**more: Any) -> dict[str, Any]:
    lines = {"lineStyle": {"color": GRAY, "opacity": 0.25}}
    return {"axisLabel": {"color": GRAY}, "splitLine": lines, "nameTextStyle": {"color": GRAY}} | more


def _bars(series: Series, kind: str, labeled: bool) -> dict[str, Any]:
    label: dict[str, Any] = {
        "show": labeled,
        "fontSize": 11,
        "position": "right" if kind == "rows" else "top",
        "color": GRAY,
    }
    data: list[Any] = list(series.values)
    if isinstance(series.colors, str):
        return {"type": "bar", "name": series.name, "data": data, "color": series.colors, "label": label}
    colored = [
        {"value": value, "itemStyle": {"color": color}}
        for value, color in zip(data, series.colors, strict=True)
    ]
    return {"type": "bar", "name": series.name, "data": colored, "label": label}


def _line(series: Series) -> dict[str, Any]:
    return {
        "type": "line",
        "name": series.name,
        "data": list(series.values),
        "showSymbol": len(series.values) == 1,  # a single point has no line
        "color": series.colors,
        "areaStyle": {"opacity": 0.25},
    }
