"""The whole job: a small data set from the command to the last result, against the floor."""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from benchmarks.endpoint import Endpoint
from benchmarks.floor import floor, write_job
from benchmarks.program import coevol
from benchmarks.records import write_lines
from benchmarks.table import show


@click.command()
@click.option("--samples", default=200)
@click.option("--latency", default=0.2)
@click.option("--concurrency", default=100)
@click.option("--repeat", default=3)
def main(samples: int, latency: float, concurrency: int, repeat: int) -> None:
    """Measure the wall time of records of three rounds."""
    program, least = [], []
    with TemporaryDirectory() as temporary, Endpoint(latency=latency, wins=1.0) as endpoint:
        folder = Path(temporary)
        data, job = write_lines(folder / "data.jsonl", samples), folder / "job.json"
        for turn in range(repeat):
            run = folder / f"run-{turn}"
            arguments = ("evolve", data, "-o", run, "--concurrency", concurrency, *endpoint.options)
            program.append(coevol(*arguments, cwd=folder, env=endpoint.environment).wall)
            calls = write_job(run, job)
            least.append(floor("aiohttp", job, endpoint, concurrency)["wall"])
    bound = calls * latency / concurrency
    show(
        f"The whole job: {samples} records of three rounds, {calls:,} calls, {latency:g} s latency, "
        f"{concurrency} in flight, median of {repeat}",
        ["what", "seconds", "least", "most", "× floor"],
        [
            ("calls × latency ÷ in flight", bound, bound, bound, bound / median(least)),
            ("floor (bare aiohttp)", median(least), min(least), max(least), 1.0),
            ("program, start to end", median(program), min(program), max(program),
             median(p / f for p, f in zip(program, least, strict=True))),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
