"""Compares two modes, of one run or of two: the numbers of both, and by how much they differ."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reporting.common_samples import common_numbers
from reporting.comparison import Comparison, mode_results
from reporting.labels import AGREEMENT, JUDGING
from reporting.manifest import RunError, differences
from reporting.result_pairs import PairFilter, is_comparable
from reporting.run import Run, open_run
from reporting.summary import summary

Value = float | None


def open_both(folder: Path, other: Path) -> tuple[Run, Run]:
    """Open two runs to be compared.

    Raises:
        RunError: they are the same, or have no sample in common; the message says what to do.
        LedgerError: one of them cannot be read.
    """
    a, b = open_run(folder), open_run(other)
    if folder.samefile(other):
        raise RunError(f"{folder} and {other} are the same run; choose another one")
    data_a, data_b = a.manifest["data"], b.manifest["data"]
    if data_a["sha256"] != data_b["sha256"] and not is_comparable(a.ledger, b.ledger):
        raise RunError(
            f"{folder} and {other} cannot be compared: they read different data ({data_a['path']} and "
            f"{data_b['path']}), and no finished sample has the same id and requests in both"
        )
    return a, b


def compare(a: Run, b: Run) -> dict[str, Any]:
    """Return the object of `coevol stats RUN OTHER_RUN --json`.

    `a` and `b` are their summaries, `differences` is how they were made differently; `samples` counts, for
    each mode that both have, the samples in both by `reporting.result_pairs.PairFilter`, and those in one
    alone (`alone_a`, `alone_b`). On the samples in both, `common` has the numbers of each, as in `modes` of a
    summary, and `paired` compares how many have a new response, with a 95 % interval
    (`trials.paired.PairedShares`); None without the extra `trial` or with too few samples.
    """
    samples: dict[str, dict[str, int]] = {}
    common: dict[str, dict[str, Any]] = {}
    shares: dict[str, dict[str, Any] | None] = {}
    for mode in a.modes:
        if mode in b.modes:
            compared = Comparison(mode_results(a, mode), mode_results(b, mode))
            samples[mode] = {"alone_a": compared.alone_a, "alone_b": compared.alone_b}
            samples[mode].update(compared.kinds.items())
            numbers = common_numbers((a, mode), (b, mode), compared)
            common[mode] = {"a": numbers.a.summary, "b": numbers.b.summary}
            shares[mode] = numbers.paired
    different = [{"name": n, "a": one, "b": other} for n, one, other in differences(a.manifest, b.manifest)]
    return {
        "a": summary(a),
        "b": summary(b),
        "differences": different,
        "samples": samples,
        "common": common,
        "paired": shares,
    }


PAIR_LABELS: dict[PairFilter, str] = {
    "all": "in both",
    "differ": "responses differ",
    "both": "changed in both",
    "only_a": "changed in A only",
    "only_b": "changed in B only",
    "neither": "changed in neither",
    "failed": "failed in one",
}
"""The labels of the filters of pairs."""


class Row(NamedTuple):
    """A number of both sides and its difference, B − A, as text."""

    name: str
    a: str
    b: str
    difference: str


def rows(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Row]:
    """Compare two modes, each from `modes` of a summary."""
    for name, value, form in _NUMBERS:
        one, other = value(a), value(b)
        if one is None and other is None:
            continue
        if one is None or other is None:
            yield Row(name, form.text(one), form.text(other), "")
        else:
            yield Row(name, *subtracted(one, other, form))


class Form(NamedTuple):
    """How a number is written."""

    digits: int
    unit: str = ""
    unit_of_difference: str = ""
    currency: str = ""
    times: int = 1

    def text(self, value: float | None) -> str:
        """Format a number; None is a dash."""
        return "–" if value is None else f"{self.currency}{self.times * value:,.{self.digits}f}{self.unit}"


def subtracted(a: float, b: float, form: Form) -> tuple[str, str, str]:
    """Return A, B and B − A as text, the difference being that of the rounded numbers, so that it adds up."""
    one, other = (round(form.times * each, form.digits) for each in (a, b))
    difference = round(other - one, form.digits)
    sign = "−" if difference < 0 else "+"
    more = f"{sign}{form.currency}{abs(difference):,.{form.digits}f}{form.unit_of_difference}"
    return form.text(a), form.text(b), more if difference else "="


COUNT = Form(0)
PERCENT = Form(0, " %", times=100)
DECIMAL = Form(2)
GROWTH = Form(2, "×")
_SECONDS = Form(2, " s", " s")
_DOLLARS = Form(4, currency="$")
_SHARE = Form(1, " %", " points", times=100)


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
    return accepted / exchanges if exchanges and mode["judging"] else None


def _contradicted(mode: Mapping[str, Any]) -> Value:
    judging = mode["judging"]
    return judging["contradicted"] / judging["rounds"] if judging else None


_NUMBERS: tuple[tuple[str, Callable[[Mapping[str, Any]], Value], Form], ...] = (
    ("samples worked on", lambda mode: mode["finished"], COUNT),
    ("  with a new response", _share("changed", "finished"), _SHARE),
    ("  with a failure", lambda mode: mode["failed"], COUNT),
    ("exchanges worked on", lambda mode: mode["exchanges"], COUNT),
    ("  with a new response", _share("changed_exchanges", "exchanges"), _SHARE),
    ("accepted rounds of an exchange, on average", _accepted, DECIMAL),
    ("length of all responses, new to old", _length("ratio_of_averages"), GROWTH),
    ("  of the median sample", _length("median_ratio"), GROWTH),
    ("  samples that grew more than 2×", _length("doubled"), _SHARE),
    ("judged rounds", _judged("rounds"), COUNT),
    (f"  {AGREEMENT}", _judged("agreement"), _SHARE),
    (f"  {JUDGING['contradicted']}", _contradicted, _SHARE),
    ("calls", _calls("calls"), COUNT),
    ("  failed", _calls("failed"), COUNT),
    ("  input tokens", _calls("input_tokens"), COUNT),
    ("  output tokens", _calls("output_tokens"), COUNT),
    ("  seconds of one, on average", _calls("mean_latency"), _SECONDS),
    ("  known cost", lambda mode: mode["cost_usd"], _DOLLARS),
)
"""The name of each row, its number, and how it is written."""
