"""Several workers: samples a second, what the process that writes for them spends on a call, and its bound.

With `rehearsal`, and over HTTP to servers in processes of their own. Times are the ledger's, from the first
call to the last result, and CPU times those of all threads from the first call to the last, so starting up
does not count. The floor is as many processes without Ray that share the work and the machine at the same
time. Nodes are those of a cluster on this machine, each with a server with latency that is the bound.
"""

import asyncio
import gc
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click

from benchmarks.endpoint import MODEL, Endpoint
from benchmarks.program import python
from benchmarks.records import write_lines
from benchmarks.table import show
from ledger.encoding import Encoder
from ledger.ledger import Ledger
from ledger.writer import Writer
from models.call import Call, CallRecord, Message
from runners import GC_THRESHOLD
from runners.exchange import encode, rows

LATENCY, AT_A_SERVER, SAMPLES_A_SERVER = 0.2, 24, 72
"""Of the runs on nodes: seconds a reply, calls in flight, samples."""

RUN = """
import gc, json, os, sys, time
from pathlib import Path
import coevol
from runners import GC_THRESHOLD
from runners.engine import Engine
gc.set_threshold(GC_THRESHOLD)  # as the command does
data, folder, settings, start, stop, workers, concurrency, nodes = json.loads(sys.argv[1])

def of_ray():  # CPU seconds of what this process started, without its workers
    processes = {}
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = each.read_text().partition("(")[2].rsplit(")", 1)
        except OSError:
            continue
        fields = rest.split()
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        processes[int(each.parent.name)] = int(fields[1]), name, cpu
    known = {os.getpid()}
    while more := {pid for pid, found in processes.items() if found[0] in known} - known:
        known |= more
    found = (processes[pid] for pid in known - {os.getpid()})
    return sum(cpu for _, name, cpu in found if not name.startswith("ray::RemoteWork"))

marks, run, called = [], Engine.run, Engine.called

def first_called(*given):
    Engine.called = called
    called(*given)
    marks.append((time.process_time(), of_ray()))

async def measured(engine):
    await run(engine)
    marks.append((time.process_time(), of_ray()))

Engine.called, Engine.run = first_called, measured
given = {"workers": workers}
if nodes:
    from ray.cluster_utils import Cluster
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    for _ in range(nodes - 1):
        cluster.add_node(**node)
    given = {"workers": nodes, "ray": cluster.address}
limits = coevol.Limits(concurrency=concurrency)
found = coevol.run(data, folder, coevol.Settings(**settings), limits, start=start, stop=stop, **given)
calls = list(found.calls())
began, ended = min(row["started"] for row in calls), max(row["finished"] for row in found.samples())
own, ray = (1000 * (after - before) / len(calls) for before, after in zip(*marks))
print()
print(json.dumps([(stop - start) / (ended - began), own, ray]))
if nodes:
    import ray
    ray.shutdown()
    cluster.shutdown()
"""


class Measured(NamedTuple):
    """What one run took."""

    rate: float
    """Samples a second."""
    cpu: float
    """Milliseconds of CPU a call of the process that writes."""
    of_ray: float
    """The same of Ray's own processes."""


class _Way(NamedTuple):
    """What is worked on, and where."""

    folder: Path
    data: str
    settings: dict[str, Any]
    env: dict[str, str]

    def run(
        self, name: str, samples: tuple[int, int], workers: int | None, concurrency: int, nodes: int = 0
    ) -> Measured:
        """Run once, in a process of its own."""
        given = (self.data, name, self.settings, *samples, workers, concurrency, nodes)
        used = python("-c", RUN, json.dumps(given), cwd=self.folder, env=self.env)
        line = next(line for line in reversed(used.output.splitlines()) if line.startswith("["))
        return Measured(*json.loads(line))

    def side_by_side(self, name: str, samples: int, processes: int, concurrency: int) -> float:
        """Return the samples a second of so many processes that know nothing of each other."""
        part = samples // processes
        with ThreadPoolExecutor() as pool:
            runs = [
                pool.submit(
                    self.run, f"{name}-{n}", (n * part, n * part + part), None, concurrency // processes
                )
                for n in range(processes)
            ]
            return sum(run.result().rate for run in runs)


@click.command()
@click.option("--samples", default=800)
@click.option("--workers", "numbers", default="0,1,2,4", help="Numbers of workers; 0 is one process.")
@click.option("--concurrency", default=256)
@click.option("--servers", default=2, help="Servers over HTTP; none leaves that out.")
@click.option("--nodes", default=2, help="Nodes of a cluster, against one of them; none leaves that out.")
@click.option("--repeat", default=1)
@click.option("--written", default=5000, help="Calls by which the bound of the writer is measured.")
def main(
    samples: int, numbers: str, concurrency: int, servers: int, nodes: int, repeat: int, written: int
) -> None:
    """Measure samples a second, and milliseconds a call."""
    table: list[tuple[object, ...]] = []
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        data = str(write_lines(folder / "data.jsonl", samples))
        found = [stack.enter_context(Endpoint(wins=1.0)) for _ in range(servers)]
        ways = {"rehearsal": _Way(folder, data, {"model": "rehearsal"}, {})}
        if found:
            ways["HTTP"] = _Way(folder, data, _at(found), found[0].environment)
        for kind, way in ways.items():
            for number in map(int, numbers.split(",")):
                runs, floors = [], []
                for turn in range(repeat):
                    name = f"{kind}-{number}-{turn}"
                    runs.append(way.run(name, (0, samples), number or None, concurrency))
                    if number > 1:
                        floors.append(way.side_by_side(f"{name}-floor", samples, number, concurrency))
                rate, cpu, of_ray = map(median, zip(*runs, strict=True))
                share = f"{rate / median(floors):.0%}" if floors else ""
                table.append((f"{kind}, {number or 'no'} workers", rate, share, cpu, of_ray))
        for number in sorted({1, nodes} - {0}) if nodes else ():
            at = [stack.enter_context(Endpoint(wins=1.0, latency=LATENCY)) for _ in range(number)]
            whole = number * SAMPLES_A_SERVER
            given = str(write_lines(folder / f"nodes-{number}.jsonl", whole))
            way = _Way(folder, given, _at(at), at[0].environment)
            run = way.run(f"nodes-{number}", (0, whole), number, number * AT_A_SERVER, number)
            table.append((f"servers of {LATENCY} s, {number} nodes", run.rate, "", run.cpu, run.of_ray))
        bound, cost = asyncio.run(_bound(folder / "bound.sqlite", written))
    show(
        f"Workers: {samples} samples, {concurrency} in flight, median of {repeat}",
        ["way", "samples a second", "of the floor", "CPU ms a call, writing process", "Ray's own"],
        table,
        f"What workers send is written at {bound:,.0f} calls a second, by {cost:.3f} ms of CPU a call, if "
        "nothing else is done.",
    )


def _at(endpoints: list[Endpoint]) -> dict[str, Any]:
    return {"model": MODEL, "base_url": [endpoint.base_url for endpoint in endpoints]}


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
