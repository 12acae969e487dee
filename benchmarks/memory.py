"""Memory over a long run, to show leaks.

Samples are rehearsed, one round each. All take about the same time, so a tenth of the time is a tenth of
them.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.program import coevol
from benchmarks.records import write_lines
from benchmarks.table import show

PARTS = 10


@click.command()
@click.option("--samples", default=100_000)
def main(samples: int) -> None:
    """Measure the memory after each tenth of a run."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = write_lines(folder / "data.jsonl", samples)
        used = coevol("evolve", data, "-o", "run", "--max-rounds", 1, cwd=folder)
    last = len(used.memory) - 1
    held = [used.memory[last * part // PARTS] for part in range(1, PARTS + 1)]
    show(
        f"Memory: {samples:,} samples of one round, rehearsed",
        ["samples", "MiB", "× the first tenth"],
        [(samples * part // PARTS, mib, mib / held[0]) for part, mib in enumerate(held, start=1)],
        f"{used.wall:,.0f} s, {used.cpu:,.0f} s of CPU; {used.peak:,.0f} MiB at most.",
    )


if __name__ == "__main__":
    main()
