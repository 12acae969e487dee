"""The numbers of two sides of a comparison over the samples that both have a result for, and only these."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ledger.excerpt import excerpt
from ledger.ledger import Ledger
from reporting import chart_data
from reporting.comparison import Comparison
from reporting.run import Run
from reporting.statistics import ModeStatistics, statistics
from reporting.summary import summarize
from samples.fields import percent, plural, signed_points
from trials.judgments import TrialError
from trials.libraries import require_libraries


@dataclass(frozen=True, slots=True)
class SideNumbers:
    """A mode of a run over some of its samples."""

    summary: dict[str, Any]
    """As in `modes` of `reporting.summary`."""
    statistics: ModeStatistics
    lengths: tuple[list[int], list[int]]
    """The samples by the length of old and of new responses."""


@dataclass(frozen=True, slots=True)
class CommonNumbers:
    """Both sides over the samples that they have in common."""

    a: SideNumbers
    b: SideNumbers
    paired: dict[str, Any] | None
    """How many of these samples have a new response, with intervals (`trials.paired.PairedShares`); None
    without the extra `trial`, or with too few samples."""
    counted: float
    """Unix time."""


def common_numbers(a: tuple[Run, str], b: tuple[Run, str], compared: Comparison) -> CommonNumbers:
    """Count two sides, each a mode of a run, over their pairs.

    Raises:
        LedgerError: one of the ledgers cannot be read.
    """
    ones, others = compared.positions() if compared.alone_a or compared.alone_b else (None, None)
    return CommonNumbers(_side(*a, ones), _side(*b, others), paired(compared.kinds), time.time())


def _side(run: Run, mode: str, positions: list[int] | None) -> SideNumbers:
    if positions is None:  # all that it has, whose totals are known
        return _numbers(run, mode, run.ledger)
    with excerpt(run.ledger, mode, positions) as part:
        return _numbers(run, mode, part)


def _numbers(run: Run, mode: str, ledger: Ledger) -> SideNumbers:
    found = statistics(ledger, [mode])
    summary = summarize(run.manifest, found)["modes"][mode]
    return SideNumbers(summary, found.modes[mode], chart_data.lengths(ledger, mode))


def paired(kinds: Mapping[Any, int]) -> dict[str, Any] | None:
    """Compare the shares of new responses among the samples in both."""
    try:
        require_libraries()
        from trials.bootstrap import Bootstrap
        from trials.paired import paired_shares

        counts = kinds["both"], kinds["only_a"], kinds["only_b"], kinds["neither"]
        return asdict(paired_shares(*counts, Bootstrap()))
    except TrialError:
        return None


def paired_sentence(shares: Mapping[str, Any]) -> str:
    """Put what `paired` found into words."""
    from trials.sentences import p_value, settled_by  # with libraries that take a while to load

    both, by = plural(shares["samples"], "sample"), shares["difference"]
    a, b = (percent(shares[side], 1) for side in ("a", "b"))
    if not shares["different"]:
        return f"Of the {both} in both, A and B have a new response in {a}, and no sample differs in this."
    value, low, high = (signed_points(by[name], 1) for name in ("value", "low", "high"))
    if a == b:
        return (
            f"Of the {both} in both, A and B have a new response in {a}, though not in the same ones "
            f"[95 % interval of the difference: {low} to {high} points]."
        )
    noise = ""
    if shares["p"] >= 0.05 or by["low"] <= 0 <= by["high"]:
        test = "" if by["low"] <= 0 <= by["high"] else f" by the sign test ({p_value(shares['p'])})"
        noise = f", within noise{test}: {settled_by(shares['samples_needed'], shares['samples'])}"
    return (
        f"Of the {both} in both, A has a new response in {a} and B in {b}: "
        f"{value} points [95 % interval: {low} to {high}]{noise}."
    )
