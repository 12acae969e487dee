"""Two modes beside each other, of one run or of two: the numbers of both, and by how much they differ."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Value = float | None


class Row(NamedTuple):
    """A number of both sides and its difference, B less A, for people to read."""

    name: str
    a: str
    b: str
    difference: str


def rows(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Row]:
    """What came of two modes, each from `modes` of the object of `coevol stats --json`."""
    for name, value, shown, more in _NUMBERS:
        one, other = value(a), value(b)
        if one is None and other is None:
            continue
        difference = ""
        if one is not None and other is not None:
            difference = more(other - one).replace("-", "−") if other != one else "="
        texts = ["–" if each is None else shown(each) for each in (one, other)]
        yield Row(name, texts[0], texts[1], difference)


def _count(value: float) -> str:
    return f"{value:,}"


def _more(value: float) -> str:
    return f"{value:+,}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.0f} points"


def _times(value: float) -> str:
    return f"{value:.2f}×"


def _decimal(value: float) -> str:
    return f"{value:.2f}"


def _more_decimal(value: float) -> str:
    return f"{value:+.2f}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _more_seconds(value: float) -> str:
    return f"{value:+.2f} s"


def _dollars(value: float) -> str:
    return f"${value:,.2f}"


def _more_dollars(value: float) -> str:
    return f"{'-' if value < 0 else '+'}${abs(value):,.2f}"


def _share(part: str, whole: str) -> Callable[[Mapping[str, Any]], Value]:
    return lambda mode: mode[part] / mode[whole] if mode[whole] else None


def _length(name: str) -> Callable[[Mapping[str, Any]], Value]:
    return lambda mode: mode["lengths"][name]


def _judged(name: str) -> Callable[[Mapping[str, Any]], Value]:
    return lambda mode: mode["judging"] and mode["judging"][name]


def _calls(name: str) -> Callable[[Mapping[str, Any]], Value]:
    return lambda mode: mode["calls"][name]


def _accepted(mode: Mapping[str, Any]) -> Value:
    exchanges = sum(mode["accepted_rounds"].values())
    accepted = sum(int(rounds) * number for rounds, number in mode["accepted_rounds"].items())
    return accepted / exchanges if exchanges else None


def _contradicted(mode: Mapping[str, Any]) -> Value:
    judging = mode["judging"]
    return judging["contradicted"] / judging["rounds"] if judging else None


_NUMBERS: tuple[
    tuple[str, Callable[[Mapping[str, Any]], Value], Callable[[float], str], Callable[[float], str]], ...
] = (
    ("samples worked on", lambda mode: mode["finished"], _count, _more),
    ("  with a new response", _share("changed", "finished"), _percent, _points),
    ("  with a failure", lambda mode: mode["failed"], _count, _more),
    ("accepted rounds of an exchange, on average", _accepted, _decimal, _more_decimal),
    ("length of all responses, new to old", _length("ratio_of_averages"), _times, _more_decimal),
    ("  of the median sample", _length("median_ratio"), _times, _more_decimal),
    ("  samples that grew more than 2×", _length("doubled"), _percent, _points),
    ("judged rounds", _judged("rounds"), _count, _more),
    ("  both orders agree", _judged("agreement"), _percent, _points),
    ("  the orders contradict each other", _contradicted, _percent, _points),
    ("calls", _calls("calls"), _count, _more),
    ("  failed", _calls("failed"), _count, _more),
    ("  input tokens", _calls("input_tokens"), _count, _more),
    ("  output tokens", _calls("output_tokens"), _count, _more),
    ("  seconds of one, on average", _calls("mean_latency"), _seconds, _more_seconds),
    ("  known cost", lambda mode: mode["cost_usd"], _dollars, _more_dollars),
)
"""Name, the number, and how it and a difference of two are written."""
