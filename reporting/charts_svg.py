"""Draws the charts of a run as SVG, for reports, which run no script.

Colors of text and lines come from the style sheet.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from reporting.charts import MAX_LABELED, Chart, Series, is_rotated

WIDTH, HEIGHT = 460, 230
LEFT, RIGHT, TOP = 44, 14, 28
NAME = 12
"""Where the name of the values and the legend are: above the number of a bar of full height."""

LETTER = 6.2
"""Approximate width of a letter in pixels, at the charts' font size."""

TITLE = 14
"""The height of an axis title."""

LINES = 4
"""Approximate number of grid lines."""

NAMES = 6
"""Approximate number of names below a line: those of all points would overlap."""


def chart_svg(chart: Chart) -> str:
    """Draw a chart that is as wide as its container."""
    draw = {"columns": _columns, "rows": _rows, "line": _line}[chart.kind]
    titles = [label(2, NAME, chart.counted, "start"), label(WIDTH / 2, HEIGHT - 3, chart.of)]
    titles = [] if chart.kind == "rows" else titles
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}">'
        f"{''.join([*_legend(chart), *titles, *draw(chart)])}</svg>"
    )


def _legend(chart: Chart) -> Iterator[str]:
    x = float(LEFT + 40)
    for series in chart.series if len(chart.series) > 1 else ():
        yield f'<rect x="{x:g}" y="{NAME - 9}" width="10" height="10" rx="2" fill="{_color(series, 0)}"/>'
        yield label(x + 14, NAME, series.name, "start")
        x += 34 + LETTER * len(series.name)


def _columns(chart: Chart) -> Iterator[str]:
    rotated = is_rotated(chart)
    bottom = HEIGHT - (62 if rotated else 22) - TITLE
    steps = scale((each for series in chart.series for each in series.values), whole=True)
    yield from _across(steps, bottom)
    pitch = (WIDTH - LEFT - RIGHT) / max(len(chart.categories), 1)
    width = min(pitch * 0.76 / len(chart.series), 48)
    labeled = len(chart.series) * len(chart.categories) <= MAX_LABELED
    for index, category in enumerate(chart.categories):
        middle = LEFT + pitch * (index + 0.5)
        if rotated:
            yield label(middle + 4, bottom + 12, category, "end", f"rotate(-40 {middle + 4:g} {bottom + 12})")
        else:
            yield label(middle, bottom + 16, category)
        for number, series in enumerate(chart.series):
            value = series.values[index]
            x = middle + (number - len(chart.series) / 2) * width
            height = value / steps[-1] * (bottom - TOP)
            yield _bar(x + 0.5, bottom - height, width - 1, height, series, index, category)
            if labeled:
                yield label(x + width / 2, bottom - height - 4, f"{value:,}")


def _rows(chart: Chart) -> Iterator[str]:
    (series,) = chart.series
    left = 12 + LETTER * max(map(len, chart.categories))
    most = max(*series.values, 1)
    # The longest bar leaves room for its number.
    room = WIDTH - left - RIGHT - LETTER * (len(f"{most:,}") + 1)
    pitch = (HEIGHT - 16) / len(chart.categories)
    height = min(pitch * 0.66, 22)
    for index, (category, value) in enumerate(zip(chart.categories, series.values, strict=True)):
        middle = 8 + pitch * (index + 0.5)
        length = value / most * room
        yield label(left - 8, middle + 4, category, "end")
        yield _bar(left, middle - height / 2, length, height, series, index, category)
        yield label(left + length + 5, middle + 4, f"{value:,}", "start")


def _line(chart: Chart) -> Iterator[str]:
    bottom = HEIGHT - 22 - TITLE
    steps = scale((each for series in chart.series for each in series.values), whole=False)
    yield from _across(steps, bottom)
    points = len(chart.categories)
    step = (WIDTH - LEFT - RIGHT) / max(points - 1, 1)
    for series in chart.series:
        path = " ".join(
            f"{LEFT + index * step:.1f},{bottom - value / steps[-1] * (bottom - TOP):.1f}"
            for index, value in enumerate(series.values)
        )
        color = _color(series, 0)
        end = LEFT + (points - 1) * step
        yield f'<polygon points="{LEFT},{bottom} {path} {end:.1f},{bottom}" fill="{color}" opacity="0.25"/>'
        yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>'
        if points == 1:  # no line leads to it
            x, _, y = path.partition(",")
            yield f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>'
    every = max(math.ceil((points - 1) / (NAMES - 1)), 1)
    for index in range(0, points, every):
        anchor = "start" if index == 0 else "end" if index == points - 1 else "middle"
        yield label(LEFT + index * step, bottom + 16, chart.categories[index], anchor)


def scale(values: Iterable[float], *, whole: bool) -> list[float]:
    """Return round numbers from 0 to at least the largest value."""
    most = max(values, default=0) or 1
    rough = most / LINES
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * by for by in (1, 2, 5, 10) if power * by >= rough)
    if whole:
        step = max(step, 1)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


def _across(steps: Sequence[float], bottom: float) -> Iterator[str]:
    for value in steps:
        y = bottom - value / steps[-1] * (bottom - TOP)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield label(LEFT - 6, y + 4, brief(value), "end")


def brief(value: float) -> str:
    """Return a number of an axis in few characters."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= 10 * size:
            return f"{value / size:,.6g}{letter}"
    return f"{value:,.6g}"


def _bar(x: float, y: float, width: float, height: float, series: Series, index: int, category: str) -> str:
    title = f"{category}{', ' if series.name else ''}{series.name}: {series.values[index]:,}"
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{_color(series, index)}"><title>{escape(title)}</title></rect>'
    )


def _color(series: Series, index: int) -> str:
    return series.colors if isinstance(series.colors, str) else series.colors[index]


def label(x: float, y: float, text: str, anchor: str = "middle", transform: str = "") -> str:
    """Return a text of a chart."""
    turn = f' transform="{transform}"' if transform else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{escape(text)}</text>'
