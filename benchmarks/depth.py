"""Depth: how long a round of one sample takes when nothing limits the calls in flight.

A round is five calls deep, not eight. It lasts from the start of its first call to that of the next round, or
until the result is on disk.
"""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from benchmarks.endpoint import Endpoint
from benchmarks.program import coevol
from benchmarks.records import write_lines
from benchmarks.table import show
from ledger.ledger import Ledger


@click.command()
@click.option("--latency", default=1.0)
@click.option("--repeat", default=3)
def main(latency: float, repeat: int) -> None:
    """Measure the seconds of a round."""
    rounds: dict[int, list[float]] = {}
    with TemporaryDirectory() as temporary, Endpoint(latency=latency, wins=1.0) as endpoint:
        folder = Path(temporary)
        data = write_lines(folder / "data.jsonl", 1)
        for turn in range(repeat):
            run = folder / f"run-{turn}"
            arguments = ("evolve", data, "-o", run, "--concurrency", 1000, *endpoint.options)
            coevol(*arguments, cwd=folder, env=endpoint.environment)
            ledger = Ledger.open(run / "ledger.sqlite")
            ((sample, by_mode),) = ledger.samples()
            calls = ledger.calls(sample.id)
            numbers = sorted({call["round"] for call in calls})
            starts = [min(call["started"] for call in calls if call["round"] == n) for n in numbers]
            ends = [*starts[1:], by_mode["evolve"].finished]
            for number, start, end in zip(numbers, starts, ends, strict=True):
                rounds.setdefault(number, []).append(end - start)
    show(
        f"Depth: one sample, {latency:g} s latency, median of {repeat}",
        ["round", "seconds", "least", "most", "seconds ÷ latency"],
        [(n, median(took), min(took), max(took), median(took) / latency) for n, took in rounds.items()],
        "The first round opens the connections.",
    )


if __name__ == "__main__":
    main()
