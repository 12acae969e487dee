"""The charts of a trial as SVG, the same on its page and in its report: they need no script.

Colors of text and lines come from the style sheet. Each has all of its numbers in its alternative text.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from reporting.charts_svg import brief, label, scale
from reporting.theme import BLUE, GRAY, GREEN, ORANGE, RED
from reporting.trial_snapshot import TrialSnapshot

if TYPE_CHECKING:
    from trials.bootstrap import Estimate

WIDTH = 480
LETTER = 7.5
"""Approximate width of a letter in pixels; style sheets may take a size larger than on paper."""

NAME = 12
"""Characters of an arm's name that are shown; modes have shorter ones."""

LINE = 20
"""The height of an interval's line in a forest plot, in pixels."""

TICKS = (0, 25, 50, 75, 100)
"""Percent."""


class Figure(NamedTuple):
    """A way to measure an arm against the baseline."""

    name: str
    color: str
    mark: str
    """An SVG path around its middle."""


FIGURES = {
    "won": Figure("win rate", BLUE, "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0"),
    "length": Figure("at equal length", ORANGE, "M0,-5.5L5.5,0L0,5.5L-5.5,0z"),
    "strength": Figure("Bradley–Terry, from all comparisons", GREEN, "M-4,-4h8v8h-8z"),
    "people": Figure("corrected by people", RED, "M0,-5L5,4.5H-5z"),
}


def rates(snapshot: TrialSnapshot) -> dict[str, dict[str, "Estimate"]]:
    """Return what is known of each arm against the baseline, by arm and by `FIGURES`.

    A Bradley-Terry strength is shown as the win rate against the baseline that it stands for.
    """
    report = snapshot.report
    if report is None:
        return {}
    strengths, corrected = report.strengths, getattr(report.corrected, "rates", {})
    found: dict[str, dict[str, Estimate]] = {}
    for each in report.arms:
        given = {
            "won": getattr(each.win_rate, "rate", None),
            "length": getattr(each.length_controlled, "rate", None),
            "strength": _share(strengths.get(each.arm)) if isinstance(strengths, dict) else None,
            "people": corrected.get(each.arm),
        }
        found[each.arm] = {name: figure for name, figure in given.items() if figure}
    return found


def _share(strength: "Estimate | None") -> "Estimate | None":
    if strength is None:
        return None
    low, value, high = (1 / (1 + math.exp(-odds)) for odds in (strength.low, strength.value, strength.high))
    return type(strength)(value, low, high)


def forest(snapshot: TrialSnapshot) -> str:
    """Draw each arm against the baseline, with intervals; empty if there is nothing to draw."""
    found = {arm: figures for arm, figures in rates(snapshot).items() if figures}
    if not found:
        return ""
    baseline = snapshot.trial.arms[0]
    left = LETTER * (min(max(map(len, found)), NAME) + 1)
    right = WIDTH - 14 * LETTER
    top, lines = 6, sum(map(len, found.values()))
    bottom = top + LINE * lines + 8 * len(found)

    def x(share: float) -> float:
        return left + share * (right - left)

    def rows() -> Iterator[str]:
        y = float(top)
        for arm, figures in found.items():
            yield label(left - 8, y + LINE * len(figures) / 2 + 8, _name(arm), "end")
            for name, figure in figures.items():
                y += LINE
                yield _interval(
                    FIGURES[name], figure, (x(figure.low), y), (x(figure.high), y), x(figure.value), y
                )
                yield label(right + 10, y + 4, figure.in_percent, "start")
            y += 8
            yield f'<line x1="0" x2="{WIDTH}" y1="{y + 6:g}" y2="{y + 6:g}"/>' if arm != [*found][-1] else ""

    axis = [
        _grid(tick, x(tick / 100), top, x(tick / 100), bottom + 4)
        + label(x(tick / 100), bottom + 18, str(tick))
        for tick in TICKS
    ]
    title = f"Win rate against {baseline}, in %, with 95 % intervals"
    axis.append(label((left + right) / 2, bottom + 38, title))
    alt = "; ".join(
        f"{arm}: {', '.join(f'{FIGURES[name].name} {each.in_percent}' for name, each in figures.items())}"
        for arm, figures in found.items()
    )
    used = {name for figures in found.values() for name in figures}
    return _legend(used) + _svg([*axis, *rows()], bottom + 46, f"{title}. {alt}.")


def cost_chart(snapshot: TrialSnapshot) -> str:
    """Draw the arms by cost and win rate; empty if there is nothing to draw."""
    costs = {arm: cost.per_sample for arm, cost in snapshot.costs.items()}
    if not any(costs.values()):
        return ""
    costs[snapshot.trial.arms[0]] = 0.0
    unit = "US dollars a sample" if snapshot.trial.unit == "dollars" else "tokens a sample"
    form = _dollars if snapshot.trial.unit == "dollars" else brief
    return _scatter(snapshot, costs, f"cost, in {unit}", form)


def length_chart(snapshot: TrialSnapshot) -> str:
    """Draw the arms by the length of their responses and win rate; empty if there is nothing to draw."""
    return _scatter(snapshot, snapshot.lengths, "mean length of responses, in characters", brief)


def _dollars(value: float) -> str:
    return f"${value:,.4g}"


def _scatter(snapshot: TrialSnapshot, at: Mapping[str, float], of: str, form: Callable[[float], str]) -> str:
    baseline = snapshot.trial.arms[0]
    won = {arm: figures["won"] for arm, figures in rates(snapshot).items() if "won" in figures and arm in at}
    if not won or baseline not in at:
        return ""
    left, right, top, bottom = 44.0, WIDTH - 24.0, 26.0, 214.0
    steps = scale(at.values(), whole=False)

    def place(arm: str, share: float) -> tuple[float, float]:
        return left + at[arm] / steps[-1] * (right - left), bottom - share * (bottom - top)

    parts = []
    for tick in TICKS:
        y = bottom - tick / 100 * (bottom - top)
        parts += [_grid(tick, left, y, right, y), label(left - 6, y + 4, str(tick), "end")]
    every = 1 if len(steps) <= 6 else 2
    parts += [
        label(left + step / steps[-1] * (right - left), bottom + 18, form(step)) for step in steps[::every]
    ]
    parts += [
        label(2, 12, f"win rate against {baseline}, in %", "start"),
        label((left + right) / 2, bottom + 38, of),
    ]
    points = {baseline: place(baseline, 0.5)}
    color = {arm: _COLORS[number % len(_COLORS)] for number, arm in enumerate(won)}
    for arm, figure in won.items():
        points[arm] = place(arm, figure.value)
        shown = FIGURES["won"]._replace(color=color[arm])
        ends = place(arm, figure.low), place(arm, figure.high)
        parts.append(_interval(shown, figure, *ends, *points[arm]))
    parts.append(
        f'<circle class="baseline" cx="{points[baseline][0]:.1f}" cy="{points[baseline][1]:.1f}" r="4.5"/>'
    )
    parts += _names(points, right)
    alt = "; ".join(f"{arm}: {form(at[arm])}, {figure.in_percent}" for arm, figure in won.items())
    title = f"Win rate against {baseline} by {of}"
    return _svg(parts, bottom + 46, f"{title}. {baseline}: {form(at[baseline])}, 50 %; {alt}.")


_COLORS = (BLUE, GREEN, ORANGE, "#a33e8a", RED, GRAY)


def _names(points: Mapping[str, tuple[float, float]], right: float) -> Iterator[str]:
    """Yield a name next to each point, where neither another name nor a point is."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in points.values()]
    for arm, (x, y) in points.items():
        width = LETTER * len(_name(arm))
        boxes = []
        for up in (0, -14, 14, -28, 28, -42, 42):
            boxes.append((x + 9, y + up - 7, x + 9 + width, y + up + 7))
            boxes.append((x - 9 - width, y + up - 7, x - 9, y + up + 7))
        inside = [box for box in boxes if box[0] >= 0 and box[2] <= right + 22]
        free = (box for box in inside if not any(_overlap(box, other) for other in taken))
        box = next(free, (inside or boxes)[0])
        taken.append(box)
        is_left = box[0] < x
        yield label(box[2] if is_left else box[0], box[3] - 3, _name(arm), "end" if is_left else "start")


Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _interval(
    shown: Figure, figure: "Estimate", low: tuple[float, float], high: tuple[float, float], x: float, y: float
) -> str:
    line = f"M{low[0]:.1f},{low[1]:.1f}L{high[0]:.1f},{high[1]:.1f}"
    return (
        f'<g fill="{shown.color}"><title>{escape(shown.name)}: {figure.in_percent}</title>'
        f'<path class="interval" stroke="{shown.color}" d="{line}"/>'
        f'<path d="{shown.mark}" transform="translate({x:.1f} {y:.1f})"/></g>'
    )


def _grid(tick: int, x1: float, y1: float, x2: float, y2: float) -> str:
    style = "middle" if tick == 50 else "grid"
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _legend(used: Iterable[str]) -> str:
    used = {*used}
    marks = (
        f'<span><svg width="12" height="12" viewBox="-6 -6 12 12" aria-hidden="true">'
        f'<path d="{figure.mark}" fill="{figure.color}"/></svg> {escape(figure.name)}</span>'
        for name, figure in FIGURES.items()
        if name in used
    )
    return f'<div class="legend small faint">{"".join(marks)}</div>'


def _name(arm: str) -> str:
    return arm if len(arm) <= NAME else f"{arm[: NAME - 1]}…"


def _svg(parts: Sequence[str], height: float, alt: str) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(alt)}">'
        f"{''.join(parts)}</svg>"
    )
