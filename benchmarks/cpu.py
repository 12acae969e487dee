"""CPU per call: what a call costs this machine when the endpoint answers immediately.

The CPU time of starting up, measured by a run of one sample, is subtracted. The other clients make the same
calls with less around them, see `benchmarks.floor`.
"""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from benchmarks.endpoint import Endpoint
from benchmarks.floor import WAYS, floor, write_job
from benchmarks.program import coevol
from benchmarks.records import write_lines
from benchmarks.table import show


@click.command()
@click.option("--samples", default=60)
@click.option("--concurrency", default=64)
@click.option("--repeat", default=3)
def main(samples: int, concurrency: int, repeat: int) -> None:
    """Measure CPU milliseconds a call, of the program and of simpler clients."""
    spent: dict[str, list[float]] = {way: [] for way in (*WAYS, "coevol")}
    starts, rates = [], []
    with TemporaryDirectory() as temporary, Endpoint(wins=1.0) as endpoint:
        folder = Path(temporary)
        data, job = write_lines(folder / "data.jsonl", samples + 1), folder / "job.json"
        for turn in range(repeat):
            run = folder / f"run-{turn}"
            arguments = ("evolve", data, "-o", run, "--concurrency", concurrency, *endpoint.options)
            start = coevol(*arguments, "--stop", 1, cwd=folder, env=endpoint.environment)
            first = write_job(run, job)
            # The same folder, so that recorded calls are looked up too.
            whole = coevol(*arguments, cwd=folder, env=endpoint.environment)
            calls = write_job(run, job) - first
            starts.append(start.cpu)
            rates.append(calls / (whole.wall - start.wall))
            spent["coevol"].append((whole.cpu - start.cpu) / calls)
            for way in WAYS:
                spent[way].append(floor(way, job, endpoint, concurrency)["cpu"] / (calls + first))
    middle = {way: median(values) * 1000 for way, values in spent.items()}
    show(
        f"CPU per call: {samples} samples of 3 rounds, {calls:,} calls, latency 0, {concurrency} in flight, "
        f"median of {repeat}",
        ["client", "CPU ms a call", "least", "most", "× aiohttp", "× chat-aiohttp"],
        [
            (way, ms, min(spent[way]) * 1000, max(spent[way]) * 1000, ms / middle["aiohttp"],
             ms / middle["chat-aiohttp"])
            for way, ms in middle.items()
        ],
        f"Starting up takes the program {median(starts):.1f} s of CPU once. With the server on the same "
        f"machine it made {median(rates):.0f} calls a second.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
