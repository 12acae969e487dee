"""Several workers: samples a second, what the process that writes for them spends on a call, and its bound.

With `rehearsal`, and over HTTP to servers in processes of their own. Times are the ledger's, from the first
call to the last result, so starting up does not count. The CPU time of the writing process, all its threads
and none of its workers', is that of a whole run less that of a run of a few samples.
"""

import asyncio
import gc
import json
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click

from benchmarks.endpoint import Endpoint
from benchmarks.program import python
from benchmarks.records import write_lines
from benchmarks.table import show
from ledger.encoding import Encoder
from ledger.ledger import Ledger
from ledger.writer import Writer
from models.call import Call, CallRecord, Message
from runners.exchange import encode, rows
from runners.worker import GC_THRESHOLD

FEW = 8
"""Samples of the run that is subtracted."""

RUN = """
import gc, json, sys, time
import coevol
from runners.worker import GC_THRESHOLD
gc.set_threshold(GC_THRESHOLD)  # as the command does
data, folder, settings, stop, workers, concurrency = json.loads(sys.argv[1])
limits = coevol.Limits(concurrency=concurrency)
run = coevol.run(data, folder, coevol.Settings(**settings), limits, stop=stop, workers=workers)
cpu = time.process_time()
calls = list(run.calls())
began, ended = min(row["started"] for row in calls), max(row["finished"] for row in run.samples())
print(json.dumps([cpu, len(calls), stop / (ended - began)]))
"""


class Measured(NamedTuple):
    """What one run took."""

    cpu: float
    calls: int
    samples_a_second: float


def measured(folder: Path, env: dict[str, str], *given: Any) -> Measured:
    """Run once, in a process of its own."""
    return Measured(*json.loads(python("-c", RUN, json.dumps(given), cwd=folder, env=env).output))


@click.command()
@click.option("--samples", default=400)
@click.option("--workers", "numbers", default="0,1,2,4", help="Numbers of workers; 0 is one process.")
@click.option("--concurrency", default=64)
@click.option("--servers", default=2, help="Servers over HTTP; none leaves that out.")
@click.option("--repeat", default=3)
@click.option("--written", default=5000, help="Calls by which the bound of the writer is measured.")
def main(samples: int, numbers: str, concurrency: int, servers: int, repeat: int, written: int) -> None:
    """Measure samples a second, and milliseconds a call."""
    table: list[tuple[object, ...]] = []
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        data = str(write_lines(folder / "data.jsonl", samples))
        found = [stack.enter_context(Endpoint(wins=1.0)) for _ in range(servers)]
        urls = [endpoint.base_url for endpoint in found]
        ways: dict[str, tuple[dict[str, Any], dict[str, str]]] = {"rehearsal": ({"model": "rehearsal"}, {})}
        if found:
            http = {"model": "openai:gpt-4o-mini", "base_url": urls}
            ways["HTTP"] = (http, found[0].environment)
        for way, (settings, env) in ways.items():
            for number in map(int, numbers.split(",")):
                rates, cpu = [], []
                for turn in range(repeat):
                    whole, few = (
                        measured(folder, env, data, run, settings, stop, number or None, concurrency)
                        for stop in (samples, FEW)
                        for run in [f"{way}-{number}-{turn}-{stop}"]
                    )
                    rates.append(whole.samples_a_second)
                    cpu.append(1000 * (whole.cpu - few.cpu) / (whole.calls - few.calls))
                table.append((f"{way}, {number or 'no'} workers", median(rates), median(cpu)))
        bound, cost = asyncio.run(_bound(folder / "bound.sqlite", written))
    show(
        f"Workers: {samples} samples, {concurrency} in flight, median of {repeat}",
        ["way", "samples a second", "CPU ms a call, writing process"],
        table,
        f"What workers send is written at {bound:,.0f} calls a second, by {cost:.3f} ms of CPU a call, if "
        "nothing else is done.",
    )


async def _bound(path: Path, calls: int) -> tuple[float, float]:
    """Return how many calls that were encoded elsewhere are written in a second, 20 a batch and 20 batches at
    a time, and the milliseconds of CPU that one takes."""
    gc.set_threshold(GC_THRESHOLD)
    text = "It is a sentence of some length, as replies are made of them. " * 12
    async with Writer(Ledger.create(path)) as writer:
        encoder = Encoder(iter(range(writer.text_ids.block(), 2**40)))
        sent = []
        for number in range(calls):
            about = f"Request {number // 8}. {text}"
            messages: list[Message] = [{"role": "user", "content": f"{about}\nSay {number % 8}."}]
            call = Call(str(number // 8), "evolve", 0, 1, "editor", "editor", messages, parts=(about,))
            reply = f"{number} {text}"
            record = CallRecord(call, "hash", "m", messages, reply, "stop", 400, 100, 0, 1.0, 1.0, 1)
            sent.append(encode(encoder.call(record)))
        began, cpu = time.perf_counter(), time.process_time()
        for first in range(0, calls, 400):
            batches = [sent[at : at + 20] for at in range(first, min(first + 400, calls), 20)]
            await asyncio.gather(*(writer.add_all([rows.decode(each) for each in few]) for few in batches))
        return calls / (time.perf_counter() - began), 1000 * (time.process_time() - cpu) / calls


if __name__ == "__main__":
    main()
