"""The charts of a run: what is drawn, whoever draws it.

`options` gives a chart in the terms of ECharts, which draws those of the pages; `reporting.charts_svg` draws those of
reports.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reporting import chart_data as charts
from reporting.statistics import Deciding, Judging
from reporting.theme import BLUE, GREEN, GREY, ORANGE, RED


@dataclass(frozen=True, slots=True)
class Series:
    """A number for each category. One colour for all of them, or one for each."""

    values: Sequence[float]
    colours: str | Sequence[str]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: `columns` from left to right, `rows` from top to bottom, or a `line`.

    `name` is short, for programs; `title` says what is counted by what.
    """

    name: str
    title: str
    kind: Literal["columns", "rows", "line"]
    categories: Sequence[str]
    series: Sequence[Series]


def accepted(rounds: dict[int, int]) -> Chart:
    """How many exchanges had so many rounds accepted."""
    numbers = range(max(rounds, default=0) + 1)
    series = Series([rounds.get(number, 0) for number in numbers], GREEN)
    return Chart("accepted", "Exchanges by accepted rounds", "columns", [*map(str, numbers)], [series])


def lengths(old: Sequence[int], new: Sequence[int]) -> Chart:
    """How many samples have old and new responses in each class of length."""
    title = "Samples by length of responses, in tokens"
    series = [Series(old, GREY, "old"), Series(new, BLUE, "new")]
    return Chart("lengths", title, "columns", charts.classes(), series)


def judging(judging: Judging) -> Chart:
    """How the two orders of judgement went together."""
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
    numbers, colours = zip(*parts.values(), strict=True)
    title = "Rounds by how the judge's two orders agree"
    return Chart("judging", title, "rows", list(parts), [Series(numbers, colours)])


def deciding(deciding: Deciding) -> Chart:
    """What people decided."""
    parts = {
        "accepted": (deciding.accepted, GREEN),
        "rejected: the original kept": (deciding.rejected, RED),
        "another draft chosen": (deciding.chosen, ORANGE),
        "edited": (deciding.edited, BLUE),
        "on an earlier result": (deciding.outdated, GREY),
    }
    numbers, colours = zip(*parts.values(), strict=True)
    return Chart(
        "deciding", "Results by what a person decided", "rows", list(parts), [Series(numbers, colours)]
    )


def pace(pace: charts.Pace) -> Chart:
    """Calls a second over time."""
    day = len(pace.calls) * pace.width > 86_400
    form = "%m-%d %H:%M" if day else "%H:%M:%S"
    times = [
        time.strftime(form, time.localtime(pace.begin + place * pace.width))
        for place in range(len(pace.calls))
    ]
    series = Series([round(number / pace.width, 2) for number in pace.calls], BLUE)
    return Chart("pace", "Calls a second over time", "line", times, [series])


MOST_UPRIGHT = 8
"""Categories from left to right whose names find room; those of more are turned."""

MOST_LABELLED = 16
"""Bars that have their numbers at them; those of more would stand on each other."""


def options(chart: Chart) -> dict[str, Any]:
    """The chart in the terms of ECharts."""
    several = len(chart.series) > 1
    labelled = len(chart.series) * len(chart.categories) <= MOST_LABELLED
    names = _axis(type="category", data=list(chart.categories))
    values = _axis(type="value")
    if chart.kind != "line":
        values["minInterval"] = 1
    if chart.kind == "rows":
        names["inverse"] = True
    elif chart.kind == "line":
        names["boundaryGap"] = False
    elif len(chart.categories) > MOST_UPRIGHT:
        names["axisLabel"] = {"rotate": 40, "color": GREY}
    across, along = (values, names) if chart.kind == "rows" else (names, values)
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "tooltip": {"trigger": "axis", "confine": True},
        "grid": {"left": 8, "right": 36, "top": 40 if several else 28, "bottom": 8, "containLabel": True},
        "xAxis": across,
        "yAxis": along,
        "series": [
            _line(s) if chart.kind == "line" else _bars(s, chart.kind, labelled) for s in chart.series
        ],
    } | ({"legend": {"top": 0, "textStyle": {"color": GREY}}} if several else {})


def _axis(**more: Any) -> dict[str, Any]:
    lines = {"lineStyle": {"color": GREY, "opacity": 0.25}}
    return {"axisLabel": {"color": GREY}, "splitLine": lines} | more


def _bars(series: Series, kind: str, labelled: bool) -> dict[str, Any]:
    label: dict[str, Any] = {
        "show": labelled,
        "fontSize": 11,
        "position": "right" if kind == "rows" else "top",
        "color": GREY,
    }
    data: list[Any] = list(series.values)
    if isinstance(series.colours, str):
        return {"type": "bar", "name": series.name, "data": data, "color": series.colours, "label": label}
    coloured = [
        {"value": value, "itemStyle": {"color": colour}}
        for value, colour in zip(data, series.colours, strict=True)
    ]
    return {"type": "bar", "name": series.name, "data": coloured, "label": label}


def _line(series: Series) -> dict[str, Any]:
    return {
        "type": "line",
        "name": series.name,
        "data": list(series.values),
        "showSymbol": len(series.values) == 1,  # no line leads to it
        "color": series.colours,
        "areaStyle": {"opacity": 0.25},
    }
