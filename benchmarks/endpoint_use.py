"""Endpoint use: how long a run takes at an endpoint with a fixed latency and no limit but `--concurrency`.

The bound is calls x latency / concurrency: every slot is busy all the time. No program reaches it: at the
beginning Python has to load, and at the end the last samples leave slots empty while they wait for calls that
depend on each other. The floor, the same calls in the same order on bare aiohttp, has the empty slots but
starts with everything loaded.
"""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.endpoint import Endpoint
from benchmarks.floor import floor, write_job
from benchmarks.program import coevol
from benchmarks.records import write_lines
from benchmarks.table import show

SIGMA = 0.5
"""Spread of the lognormal latency: one reply in twenty takes over 2.3 times the median."""


@click.command()
@click.option("--samples", default=1000)
@click.option("--rounds", default=1, help="The rounds of each sample.")
@click.option("--latency", "latencies", multiple=True, default=(0.5, 2.0))
@click.option("--concurrency", "widths", multiple=True, default=(64, 256))
@click.option("--spread/--no-spread", default=True, help="Whether to measure a lognormal latency too.")
def main(
    samples: int, rounds: int, latencies: tuple[float, ...], widths: tuple[int, ...], spread: bool
) -> None:
    """Measure wall time against calls x latency / concurrency."""
    cases = [(latency, 0.0, width) for latency in latencies for width in widths]
    if spread:  # once, where the bound is closest to the capacity of the program
        cases.append((min(latencies), SIGMA, max(widths)))
    with TemporaryDirectory() as folder:
        data = write_lines(Path(folder) / "data.jsonl", samples)
        rows = [_row(data, rounds, *case) for case in cases]
    show(
        f"Endpoint use: {samples:,} samples of {rounds} round(s)",
        ["latency (s)", "in flight", "calls", "bound (s)", "floor (s)", "program (s)", "floor ÷ bound",
         "program ÷ bound", "program ÷ floor", "CPU ms a call"],
        rows,
        f"“~” is a lognormal latency with this median and sigma {SIGMA}; its bound counts with the mean.",
    )  # fmt: skip


def _row(data: Path, rounds: int, latency: float, sigma: float, width: int) -> tuple[object, ...]:
    run = data.parent / f"run-{latency}-{sigma}-{width}"
    job = data.parent / "job.json"
    with Endpoint(latency=latency, latency_sigma=sigma, wins=1.0) as endpoint:
        arguments = ("evolve", data, "-o", run, "--concurrency", width, "--max-rounds", rounds)
        program = coevol(*arguments, *endpoint.options, cwd=data.parent, env=endpoint.environment)
        calls = write_job(run, job)
        least = floor("aiohttp", job, endpoint, width)["wall"]
    bound = calls * latency * math.exp(sigma**2 / 2) / width
    return (
        f"{'~' if sigma else ''}{latency:g}",
        width,
        calls,
        bound,
        least,
        program.wall,
        least / bound,
        program.wall / bound,
        program.wall / least,
        program.cpu / calls * 1000,
    )


if __name__ == "__main__":
    main()
