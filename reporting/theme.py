"""How roles and numbers look: the same on pages, in reports and in pictures."""

from collections.abc import Mapping
from typing import Any

ROLE_COLOURS = {
    "positive": "#2e9e6b",
    "critical": "#d2603a",
    "advisor": "#8a63d2",
    "editor": "#2f7fd1",
    "judge": "#b08a1e",
}
"""One for each role, readable on light and on dark, the same in charts and debates."""

BLUE, GREEN, ORANGE, RED, GREY = "#2f7fd1", "#2e9e6b", "#d9a13a", "#d2603a", "#8590a0"


def seconds(value: float) -> str:
    """A latency for the screen."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def dollars(numbers: Mapping[str, Any]) -> str:
    """What calls cost, as `coevol stats --json` says it, for the screen."""
    known = numbers["cost_usd"]
    if known is None:
        return "not known"
    return f"{'' if numbers['cost_complete'] else 'over '}${known:,.2f}"
