"""Two modes beside each other, of one run or of two: the numbers of both, and by how much they differ."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text

from ledger.ledger import Ledger
from reporting.comparison import Comparison, Kind, Side, is_comparable
from runners.folder import RunError, differences, made_by, open_run
from runners.terminal import Page, printable

Value = float | None


class Opened(NamedTuple):
    """A run: its ledger, and what made it."""

    ledger: Ledger
    made: dict[str, Any]


def open_both(run: Path, other: Path) -> tuple[Opened, Opened]:
    """Two runs to be compared.

    Raises:
        RunError: they are one, or have no sample in common; the message says what to do.
        LedgerError: one of them cannot be read.
    """
    a, b = (Opened(open_run(folder), made_by(folder)) for folder in (run, other))
    if run.samefile(other):
        raise RunError(f"{run} and {other} are one run: name another")
    if a.made["data"]["sha256"] != b.made["data"]["sha256"] and not is_comparable(a.ledger, b.ledger):
        raise RunError(
            f"{run} and {other} cannot be compared: they read different data "
            f"({a.made['data']['path']} and {b.made['data']['path']}), and no finished sample of one "
            "has the id and the requests of one of the other"
        )
    return a, b


def beside(a: Opened, b: Opened, reports: tuple[Mapping[str, Any], Mapping[str, Any]]) -> dict[str, Any]:
    """The object of `coevol stats RUN OTHER_RUN --json`, from that of each of them.

    `differences` says what they were made with where that is not the same; `samples` counts, for each mode
    that both have, the samples in both by the kinds of `reporting.comparison.Kind`, and those that are in one
    alone (`alone_a`, `alone_b`).
    """
    samples: dict[str, dict[str, int]] = {}
    for mode in a.made["modes"]:
        if mode in b.made["modes"]:
            compared = Comparison(*(Side(run.ledger, mode, run.made["data"]["sha256"]) for run in (a, b)))
            samples[mode] = {"alone_a": compared.alone_a, "alone_b": compared.alone_b}
            samples[mode].update(compared.kinds.items())
    different = [{"name": n, "a": one, "b": other} for n, one, other in differences(a.made, b.made)]
    return {"a": reports[0], "b": reports[1], "differences": different, "samples": samples}


def show(a: Path, b: Path, compared: Mapping[str, Any]) -> None:
    """Print what `beside` gives."""
    page = Page()
    page.text(f"A {a}\nB {b}", "bold")
    page.heading("What was different")
    table = _table("", "A", "B")
    for each in compared["differences"]:
        table.add_row(*(Text(printable(each[key])) for key in ("name", "a", "b")))
    page.table(table) if table.row_count else page.text("nothing")
    for mode, kinds in compared["samples"].items():
        page.heading(f"Mode {mode}")
        table = _table("", "A", "B", "B − A")
        for row in rows(compared["a"]["modes"][mode], compared["b"]["modes"][mode]):
            table.add_row(*row)
        page.table(table)
        words = ", ".join(f"{kinds[kind]:,} {name}" for kind, name in KIND_NAMES.items() if kind != "all")
        page.text(f"\n{kinds['all']:,} samples in both: {words}")
    if not compared["samples"]:
        page.text("\nThey have no mode in common: `coevol stats` of each, or `coevol view` of both.")


KIND_NAMES: dict[Kind, str] = {
    "all": "in both",
    "differ": "responses differ",
    "both": "changed in both",
    "only_a": "changed in A only",
    "only_b": "changed in B only",
    "neither": "changed in neither",
    "failed": "failed in one",
}
"""How the kinds of pairs are called."""


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        numbers = bool(name) and "B − A" in names
        table.add_column(name, justify="right" if numbers else "left", no_wrap=numbers)
    return table


class Row(NamedTuple):
    """A number of both sides and its difference, B less A, for people to read."""

    name: str
    a: str
    b: str
    difference: str


def rows(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Row]:
    """What came of two modes, each from `modes` of the object of `coevol stats --json`."""
    for name, value, form in _NUMBERS:
        one, other = value(a), value(b)
        if one is None and other is None:
            continue
        if one is None or other is None:
            texts = ["–" if each is None else _written(each, form) for each in (one, other)]
            yield Row(name, texts[0], texts[1], "")
        else:
            yield Row(name, *subtracted(one, other, form))


class Form(NamedTuple):
    """How a number is written: with so many decimals, and what stands around it and around a difference."""

    digits: int
    unit: str = ""
    unit_of_difference: str = ""
    currency: str = ""
    times: int = 1


def subtracted(a: float, b: float, form: Form) -> tuple[str, str, str]:
    """A, B and B less A for people to read, as the two numbers say that stand there.

    Rounded one by one, 6.4 and 6.6 would be 6, 7, and 0 the difference. Such rows have one decimal more.
    """
    for digits in (form.digits, form.digits + 1):
        one, other, between = (round(form.times * each, digits) for each in (a, b, b - a))
        difference = round(other - one, digits)
        if difference == between:
            break
    form = form._replace(digits=digits)
    sign = "−" if difference < 0 else "+"
    more = f"{sign}{form.currency}{abs(difference):,.{digits}f}{form.unit_of_difference}"
    return _written(a, form), _written(b, form), more if difference else "="


def _written(value: float, form: Form) -> str:
    return f"{form.currency}{form.times * value:,.{form.digits}f}{form.unit}"


_COUNT = Form(0)
PERCENT = Form(0, " %", " points", times=100)
_DECIMAL = Form(2)
GROWTH = Form(2, "×")
_SECONDS = Form(2, " s", " s")
_DOLLARS = Form(2, currency="$")


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
    ("samples worked on", lambda mode: mode["finished"], _COUNT),
    ("  with a new response", _share("changed", "finished"), PERCENT),
    ("  with a failure", lambda mode: mode["failed"], _COUNT),
    ("exchanges worked on", lambda mode: mode["exchanges"], _COUNT),
    ("  with a new response", _share("changed_exchanges", "exchanges"), PERCENT),
    ("accepted rounds of an exchange, on average", _accepted, _DECIMAL),
    ("length of all responses, new to old", _length("ratio_of_averages"), GROWTH),
    ("  of the median sample", _length("median_ratio"), GROWTH),
    ("  samples that grew more than 2×", _length("doubled"), PERCENT),
    ("judged rounds", _judged("rounds"), _COUNT),
    ("  both orders agree, where both can be read", _judged("agreement"), PERCENT),
    ("  the orders contradict each other", _contradicted, PERCENT),
    ("calls", _calls("calls"), _COUNT),
    ("  failed", _calls("failed"), _COUNT),
    ("  input tokens", _calls("input_tokens"), _COUNT),
    ("  output tokens", _calls("output_tokens"), _COUNT),
    ("  seconds of one, on average", _calls("mean_latency"), _SECONDS),
    ("  known cost", lambda mode: mode["cost_usd"], _DOLLARS),
)
"""Name, the number, and how it is written."""
