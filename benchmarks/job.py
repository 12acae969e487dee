"""The whole job: a small data set from the command to the last result, against the floor.

Once with many calls a sample, three rounds of debate, and once with a single one, mode `edit`.
"""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click

from benchmarks.endpoint import Endpoint
from benchmarks.floor import floor, write_job
from benchmarks.program import coevol
from benchmarks.records import write_lines
from benchmarks.table import show


class Work(NamedTuple):
    """What is to be done."""

    mode: str
    samples: int


@click.command()
@click.option("--samples", default=200, help="Records of three rounds.")
@click.option("--edited", default=2000, help="Records that are only edited.")
@click.option("--latency", default=0.2)
@click.option("--concurrency", default=100)
@click.option("--repeat", default=3)
def main(samples: int, edited: int, latency: float, concurrency: int, repeat: int) -> None:
    """Measure the wall time of whole runs."""
    rows = [
        row
        for work in (Work("evolve", samples), Work("edit", edited))
        for row in _rows(work, latency, concurrency, repeat)
    ]
    show(
        f"The whole job: {latency:g} s latency, {concurrency} in flight, median of {repeat}",
        ["what", "seconds", "least", "most", "× floor", "CPU seconds", "CPU ms a sample, started"],
        rows,
    )


def _rows(work: Work, latency: float, concurrency: int, repeat: int) -> list[tuple[object, ...]]:
    program, cpu, started, least = [], [], [], []
    with TemporaryDirectory() as temporary, Endpoint(latency=latency, wins=1.0) as endpoint:
        folder = Path(temporary)
        data, job = write_lines(folder / "data.jsonl", work.samples), folder / "job.json"
        options = ("--mode", work.mode, "--concurrency", concurrency, *endpoint.options)
        for turn in range(repeat):
            run = folder / f"run-{turn}"
            words, env = ("evolve", data, *options), endpoint.environment
            one = coevol(*words, "-o", f"{run}-1", "--stop", 1, cwd=folder, env=env)
            used = coevol(*words, "-o", run, cwd=folder, env=env)
            program.append(used.wall)
            cpu.append(used.cpu)
            started.append(1000 * (used.cpu - one.cpu) / max(1, work.samples - 1))
            calls = write_job(run, job)
            least.append(floor("aiohttp", job, endpoint, concurrency)["wall"])
    bound = calls * latency / concurrency
    return [
        (f"{work.mode}, {work.samples:,} records: {calls:,} calls × latency ÷ in flight", bound, bound, bound,
         bound / median(least), "", ""),
        (f"{work.mode}: floor (bare aiohttp)", median(least), min(least), max(least), 1.0, "", ""),
        (f"{work.mode}: program, start to end", median(program), min(program), max(program),
         median(p / f for p, f in zip(program, least, strict=True)), median(cpu), median(started)),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
