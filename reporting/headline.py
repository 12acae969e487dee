"""The numbers by which a run is known at a glance."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reporting.snapshot import Numbers
from reporting.statistics import ModeStatistics
from reporting.theme import dollars
from viewer.run import Run


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, its name, what it means where that is not plain, and which samples it counts, if some."""

    value: str
    name: str
    hint: str = ""
    samples: Mapping[str, object] = field(default_factory=dict)


def progress(numbers: Numbers, run: Run) -> tuple[int, int]:
    """How many results there are, and how many there will be."""
    # A skipped sample has one result, whatever the number of modes.
    return numbers.finished, run.expected - numbers.results.get("skipped", 0) * (len(run.modes) - 1)


def of_run(numbers: Numbers) -> list[Figure]:
    """The figures of the whole run."""
    total = numbers.report["calls"]["total"]
    skipped = numbers.results.get("skipped", 0)
    figures = [
        Figure(f"{numbers.statistics.samples:,}", "samples"),
        Figure(f"{numbers.results.get('failed', 0):,}", "failed", samples={"status": "failed"}),
    ]
    if skipped:
        figures.append(Figure(f"{skipped:,}", "skipped", samples={"status": "skipped"}))
    return [
        *figures,
        Figure(f"{total['calls']:,}", "calls"),
        Figure(f"{total['input_tokens']:,}", "input tokens"),
        Figure(f"{total['output_tokens']:,}", "output tokens"),
        Figure(dollars(total), "cost", "List prices, where they are known."),
    ]


def of_mode(mode: str, found: ModeStatistics) -> list[Figure]:
    """The figures of a mode in which some sample is finished."""
    lengths, judging, deciding = found.lengths, found.judging, found.deciding
    figures = [
        Figure(
            f"{found.changed_exchanges / found.exchanges:.0%}",
            "of responses changed",
            f"{found.changed_exchanges:,} of the {found.exchanges:,} that were worked on.",
        )
    ]
    if found.exchanges != found.finished:
        hint = f"{found.changed:,} of {found.finished:,} have at least one changed response."
        figures.append(Figure(f"{found.changed / found.finished:.0%}", "of samples changed", hint))
    if lengths.ratio_of_averages is not None:
        growth = "New tokens over old tokens, of all samples that did not fail."
        figures.append(Figure(f"{lengths.ratio_of_averages:.2f}×", "length, new to old", growth))
    if lengths.doubled is not None:
        grew = {"mode": mode, "grew": 1}
        figures.append(Figure(f"{lengths.doubled:.0%}", "grew more than 2×", samples=grew))
    if judging and judging.agreement is not None:
        hint = "Rounds in which both orders name the same winner, of those where both can be read."
        figures.append(Figure(f"{judging.agreement:.0%}", "judge agrees with itself", hint))
    if deciding and deciding.agreement is not None:
        hint = (
            f"The share of accepted results, of {deciding.compared:,} that the judge decided and a person "
            "accepted, rejected or gave up for another draft."
        )
        disagree = {"mode": mode, "decided": "disagree"}
        figures.append(Figure(f"{deciding.agreement:.0%}", "person and judge agree", hint, samples=disagree))
    return figures
