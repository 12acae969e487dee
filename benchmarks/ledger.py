"""The ledger: bytes on disk, writes a second, and its share of the CPU.

Prompts and graphs are real; replies of about the given length are generated, and so are responses. Then the
records of these calls are written again with nothing else running, and the graphs run again without a ledger.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import fields
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.records import text, write_lines
from benchmarks.table import show
from graph.build import exchange_graph
from graph.conversation import conversation_graph
from graph.settings import Settings
from ledger.ledger import Ledger, Result
from ledger.writer import Writer
from models.call import Call, CallRecord
from prompts.method import MODES
from runners.worker import evolve_sample
from samples.reader import open_data
from samples.sample import Sample
from samples.tokens import estimate_tokens

Keep = Callable[[CallRecord], Awaitable[None]]
WORDS_A_TOKEN = 1.18
"""For the generator's vocabulary, by the program's own estimate of tokens."""


@click.command()
@click.option("--samples", default=200)
@click.option("--tokens", default=400, help="The length of each reply and response.")
@click.option("--concurrency", default=64)
@click.option("--repeat", default=5)
def main(samples: int, tokens: int, concurrency: int, repeat: int) -> None:
    """Measure what a call and a sample take in the ledger."""
    words = round(tokens * WORDS_A_TOKEN)
    without, rates, writing = [], [], []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = open_data(write_lines(folder / "data.jsonl", samples, words))
        plain = sum(len(str(sample.record)) for sample in data.samples())
        for turn in range(repeat):
            path = folder / f"{turn}.sqlite"
            without.append(asyncio.run(_without(data.samples(), words, concurrency)))
            records = asyncio.run(_with(path, data.samples(), words, concurrency))
            rate, cpu = asyncio.run(_written(folder / f"{turn}-again.sqlite", records, concurrency))
            rates.append(rate)
            writing.append(cpu)
        size, calls = path.stat().st_size, len(records)
        raw = sum(len(m["content"]) for r in records for m in r.messages) + sum(len(r.reply) for r in records)
        prompt = median(estimate_tokens("".join(m["content"] for m in r.messages)) for r in records)
        reply = median(estimate_tokens(r.reply) for r in records)
    shares = [w / (w + o) for w, o in zip(writing, without, strict=True)]
    show(
        f"Ledger: {samples} samples, {calls:,} calls, prompts of {prompt:.0f} tokens (median), replies of "
        f"{reply:.0f}, median of {repeat}",
        ["what", "value"],
        [
            ("KiB on disk a call", size / calls / 1024),
            ("KiB of text a call, as sent and received", raw / calls / 1024),
            ("KiB on disk a sample", size / samples / 1024),
            ("KiB of a sample's own record", plain / samples / 1024),
            (f"calls written a second, {concurrency} waiting", median(rates)),
            ("CPU ms a call, writing", median(writing) / calls * 1000),
            ("CPU ms a call, graphs and prompts", median(without) / calls * 1000),
            ("share of writing in the two (%)", median(shares) * 100),
        ],
    )


async def _with(path: Path, samples: Any, words: int, concurrency: int) -> list[CallRecord]:
    """Work with a ledger; return the records of the calls."""
    kept: list[CallRecord] = []
    async with Writer(Ledger.create(path)) as writer:

        async def keep(record: CallRecord) -> None:
            await writer.add_call(record)
            kept.append(record)

        await _work(samples, words, concurrency, keep, writer.add_result)
    return kept


async def _without(samples: Any, words: int, concurrency: int) -> float:
    """Do the same work without a ledger; return the CPU seconds."""

    async def nothing(*_: object) -> None:
        await asyncio.sleep(0)

    began = time.process_time()
    await _work(samples, words, concurrency, nothing, nothing)
    return time.process_time() - began


async def _written(path: Path, records: list[CallRecord], concurrency: int) -> tuple[float, float]:
    """Only write the records; return how many a second, and the CPU seconds."""
    left = iter(records)
    cpu, began = time.process_time(), time.perf_counter()
    async with Writer(Ledger.create(path)) as writer:

        async def worker() -> None:
            for record in left:
                await writer.add_call(record)

        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(worker())
    return len(records) / (time.perf_counter() - began), time.process_time() - cpu


async def _work(
    samples: Any,
    words: int,
    concurrency: int,
    keep: Keep,
    finish: Callable[[Sample, Result], Awaitable[None]],
) -> None:
    chance, settings = Random(1), Settings.model_validate({})

    async def speak(call: Call, settings: Settings) -> str:
        reply = text(chance, words)
        if call.role == "judge":
            reply = f"assistant {2 if call.step == 'judge_forward' else 1}\n{reply}"
        record = CallRecord(
            call, f"{chance.getrandbits(96):024x}", "openai:some-model", call.messages, reply, "stop",
            1500, 400, 1024, time.time(), 1.0, 1,
        )  # fmt: skip
        await keep(record)
        return reply

    evolve = MODES["evolve"]
    graphs = exchange_graph(evolve, speak), conversation_graph(evolve, speak)

    async def worker() -> None:
        for sample in samples:
            outcome = await evolve_sample(sample, *graphs, settings)
            values: dict[str, Any] = dict.fromkeys((field.name for field in fields(Result)), 0)
            values |= {"mode": "evolve", "status": "done", "outcome": [{**done} for done in outcome]}
            await finish(sample, Result(**values))  # its counts do not matter here

    async with asyncio.TaskGroup() as workers:
        for _ in range(concurrency):
            workers.create_task(worker())


if __name__ == "__main__":
    main()
