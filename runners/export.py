"""`coevol export RUN -o FILE`: the data set with the responses of a run."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click

from graph.build import MODES
from ledger.ledger import SKIPPED, Ledger, Result
from models.rehearsal import NOTICE
from runners.folder import RunError, endpoints, made_by, open_run
from runners.terminal import printable
from samples.files import layout_to_write, write_records
from samples.formats import FORMATS, with_responses
from samples.sample import DataError, Format, Sample


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "file",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where to write: .json, .jsonl or .parquet. A run of several modes gives a file for each, "
    "such as FILE.edit.json.",
)
@click.option(
    "--to", "form", type=click.Choice(FORMATS), help="The format of the records. Default: that of the data."
)
@click.option("--mode", type=click.Choice(MODES), help="Only the results of this mode, in FILE itself.")
@click.option("--only-accepted", is_flag=True, help="Leave out samples that no draft was accepted for.")
def export(run: Path, file: Path, form: Format | None, mode: str | None, only_accepted: bool) -> None:
    """Write the data set with its evolved responses.

    Records keep their order and their other fields. What failed keeps its response, and skipped records
    stay as they were; in another format (--to) the few that it cannot express are left out. Of a run that
    is going on, what is finished is written.
    """
    ledger, made = open_run(run), made_by(run)
    layout_to_write(file)
    _refuse_to_overwrite_data(file, made)
    modes: list[str] = made["modes"]
    if mode is not None and mode not in modes:
        raise RunError(f"{run} has no results of mode {mode}; its modes: {', '.join(modes)}")
    if any(endpoint.provider == "rehearsal" for endpoint in endpoints(made).values()):
        click.echo(NOTICE, err=True)
    for chosen in [mode] if mode else modes:
        several = mode is None and len(modes) > 1
        target = file.with_suffix(f".{chosen}{file.suffix}") if several else file
        work = Export(ledger, chosen, form, only_accepted)
        records = work.records()
        first = next(records, None)
        if first is None:
            raise RunError(f"nothing to write to {target}: {work.summary(made['data']['records'])}")
        write_records(target, chain([first], records))
        click.echo(f"{target}: {work.summary(made['data']['records'])}", err=True)


class Export:
    """The records of one mode, and a count of what became of them."""

    def __init__(self, ledger: Ledger, mode: str, to: Format | None, only_accepted: bool) -> None:
        self._ledger = ledger
        self._mode = mode
        self._to = to
        self._only_accepted = only_accepted
        self._count: Counter[str] = Counter()
        self._inexpressible = ""

    def records(self) -> Iterator[dict[str, Any]]:
        """The finished records with their responses, in the data's order, as a stream."""
        for sample, results in self._ledger.samples():
            result = results.get(SKIPPED) or results.get(self._mode)
            if result is None:
                continue
            self._count["finished"] += 1
            if self._only_accepted and not result.accepted_rounds:
                self._count["not accepted"] += 1
                continue
            try:
                record = with_responses(sample, responses(sample, result), self._to)
            except DataError as error:
                self._count["inexpressible"] += 1
                self._inexpressible = self._inexpressible or printable(str(error))
                continue
            self._count["written"] += 1
            self._count["changed"] += result.accepted_rounds > 0
            self._count[result.status] += 1
            yield record

    def summary(self, of: int) -> str:
        """What is in the file and what is not, for a person; `of` is the number of records in the data."""
        count = self._count
        parts = [f"{count['written']:,} of {of:,} records, {count['changed']:,} with new responses"]
        if count["failed"]:
            parts.append(f"{count['failed']:,} with a failure, where the response is the old one")
        if count["skipped"]:
            parts.append(f"{count['skipped']:,} skipped and as they were")
        if count["not accepted"]:
            parts.append(f"{count['not accepted']:,} left out because no draft was accepted")
        if count["inexpressible"]:
            parts.append(
                f"{count['inexpressible']:,} left out because {self._to} cannot express them "
                f"(the first: {self._inexpressible})"
            )
        if count["finished"] < of:
            parts.append(f"{of - count['finished']:,} not finished in this run")
        return "; ".join(parts)


def responses(sample: Sample, result: Result) -> list[str]:
    """The response of each exchange after a run: the evolved one where it was worked on, or the old one."""
    texts = [exchange.response for exchange in sample.exchanges]
    for done in result.outcome:
        texts[done["exchange"]] = done["response"]
    return texts


def _refuse_to_overwrite_data(file: Path, made: dict[str, Any]) -> None:
    data = Path(made["data"]["path"])
    if file.exists() and data.exists() and file.samefile(data):
        raise RunError(f"{file} is the data that this run works on: name another file")
