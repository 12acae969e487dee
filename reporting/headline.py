"""The headline metrics of a run."""

from collections.abc import Mapping
from dataclasses import dataclass

from reporting.labels import AGREEMENT, CHECKING, REVIEWERS_AGREE, REVIEWERS_ALPHA, USER_AGREES, dollars
from reporting.run import Run
from reporting.snapshot import Snapshot
from reporting.statistics import ModeStatistics
from samples.fields import percent, plural


@dataclass(frozen=True, slots=True)
class Metric:
    """A number with its name."""

    value: str
    name: str
    hint: str = ""
    """What it means, if that is not obvious."""
    samples: Mapping[str, object] | None = None
    """The query of the samples that it counts or, of a share of agreement, of the rest; None without any."""


def progress(snapshot: Snapshot, run: Run) -> tuple[int, int]:
    """Return how many results there are of the records that the last command works on, and will be."""
    part = snapshot.part
    expected = (part["stop"] - part["start"]) * len(run.modes) if part else run.expected
    # A skipped sample has one result, whatever the number of modes.
    expected -= snapshot.part_results.get("skipped", 0) * (len(run.modes) - 1)
    return sum(snapshot.part_results.values()), expected


def records(snapshot: Snapshot, run: Run) -> str:
    """Describe the records that the last command works on."""
    all_records = run.manifest["data"]["records"]
    modes = f" in {len(run.modes)} modes" if len(run.modes) > 1 else ""
    if not snapshot.part:
        return f"of {plural(all_records, 'record')}{modes}"
    start, stop = snapshot.part["start"], snapshot.part["stop"]
    return f"of records {start + 1:,} to {stop:,} of {all_records:,}{modes}"


def of_run(snapshot: Snapshot) -> list[Metric]:
    """Return the metrics of the whole run."""
    total = snapshot.summary["calls"]["total"]
    skipped, failed = snapshot.results.get("skipped", 0), snapshot.results.get("failed", 0)
    metrics = [
        Metric(f"{snapshot.statistics.samples:,}", "samples", samples={}),
        Metric(f"{failed:,}", "failed", samples={"status": "failed"} if failed else None),
    ]
    if skipped:
        metrics.append(Metric(f"{skipped:,}", "skipped", samples={"status": "skipped"}))
    return [
        *metrics,
        Metric(f"{total['calls']:,}", "calls"),
        Metric(f"{total['input_tokens']:,}", "input tokens"),
        Metric(f"{total['output_tokens']:,}", "output tokens"),
        Metric(dollars(total), "cost", "List prices, where they are known."),
    ]


def of_mode(mode: str, found: ModeStatistics) -> list[Metric]:
    """Return the metrics of a mode in which some sample is finished."""
    lengths, judging, deciding = found.lengths, found.judging, found.deciding
    changed = {"mode": mode, "changed": 1} if found.changed else None
    metrics = [
        Metric(
            percent(found.changed_exchanges / found.exchanges),
            "of responses changed",
            f"{found.changed_exchanges:,} of the {found.exchanges:,} that were worked on.",
            changed,
        )
    ]
    if found.exchanges != found.finished:
        hint = f"{found.changed:,} of {found.finished:,} have at least one changed response."
        metrics.append(Metric(percent(found.changed / found.finished), "of samples changed", hint, changed))
    if lengths.ratio_of_averages is not None:
        growth = "New tokens over old tokens; what failed counts as unchanged."
        metrics.append(Metric(f"{lengths.ratio_of_averages:.2f}×", "length, new to old", growth))
    if lengths.doubled is not None:
        grew = {"mode": mode, "grew": 1} if lengths.doubled else None
        metrics.append(Metric(percent(lengths.doubled), "grew more than 2×", samples=grew))
    if judging and judging.agreement is not None:
        hint = "Rounds in which both orders agree, of those where both can be read."
        contradict = {"mode": mode, "contradict": 1} if judging.contradicted else None
        metrics.append(Metric(percent(judging.agreement), AGREEMENT, hint, contradict))
    if panel := found.panel:
        said = "; ".join(
            f"{model}: {judge.draft:,} for the draft, {judge.current:,} for the current one, "
            f"{judge.neither:,} for neither, {judge.unreadable:,} unreadable"
            for model, judge in panel.judges.items()
        )
        metrics.append(Metric(percent(1 - panel.disagreed / panel.rounds), "the judges agree", said))
    if (checking := found.checking) and checking.checked:
        agree = percent(checking.final_agrees / checking.checked)
        hint = (
            f"{checking.final_agrees:,} of {checking.checked:,} that were checked; of the original responses "
            f"{checking.original_agrees:,}."
        )
        metrics.append(Metric(agree, CHECKING["final_agrees"], hint))
    if deciding and deciding.agreement is not None:
        hint = (
            f"The share of accepted results, of {deciding.compared:,} that the judge decided and a user "
            "accepted, rejected or replaced by another draft."
        )
        disagree = {"mode": mode, "decided": "disagree"} if deciding.agreement < 1 else None
        metrics.append(Metric(percent(deciding.agreement), USER_AGREES, hint, samples=disagree))
    if reviewing := found.reviewing:
        hint = (
            f"{reviewing.agreed:,} of {plural(reviewing.exchanges, 'response')} on which several of "
            f"{reviewing.reviewers:,} reviewers decided: all want the same text. Krippendorff's alpha: 1 is "
            "full agreement, 0 that of chance."
        )
        disputed = {"mode": mode, "decided": "disputed"} if reviewing.agreement < 1 else None
        metrics.append(Metric(percent(reviewing.agreement), REVIEWERS_AGREE, hint, samples=disputed))
        if reviewing.alpha is not None:
            metrics.append(
                Metric(f"{reviewing.alpha:.2f}".replace("-", "−"), REVIEWERS_ALPHA, hint, samples=disputed)
            )
    return metrics
