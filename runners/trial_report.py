"""`coevol report TRIAL -o report.html`: what a trial found, in one file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from reporting.manifest import RunError
from reporting.recorded_trial import RecordedTrial
from reporting.trial_report import select, trial_report
from reporting.trial_snapshot import JudgedSample, trial_snapshot


def trial_report_parts(
    folder: Path, file: Path, ids: Sequence[str], number: int
) -> tuple[Iterator[str], int]:
    """Return the parts of the report of a trial, and how many samples it shows: those with these ids, and
    so many others.

    Raises:
        RunError: the file is one of the trial's own, or a sample is not one that all arms have finished.
        LedgerError: a ledger cannot be read.
    """
    trial = RecordedTrial(folder)
    data = Path(trial.manifest["run"]["data"]["path"])
    if file.exists() and (
        folder.resolve() in file.resolve().parents or (data.exists() and file.samefile(data))
    ):
        raise RunError(f"{file} belongs to the trial or is its data; choose another file")
    snapshot = trial_snapshot(trial)
    by_id = {each.id: each for each in snapshot.samples}
    for sample_id in ids:
        if sample_id not in by_id:
            some = ", ".join([*by_id][:5]) or "none yet"
            raise RunError(
                f"sample {sample_id} is not among those that all arms of {folder} finished ({some} …)"
            )
    chosen: list[JudgedSample] = [by_id[sample_id] for sample_id in ids]
    chosen += select(snapshot.samples, number, exclude=ids)
    return trial_report(snapshot, chosen), len(chosen)
