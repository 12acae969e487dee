"""False alarms of the guards: `python -m benchmarks.guards FILE…`.

Every response of the data is taken as a draft, with the request it answers and four current responses: none,
another one of the data, and itself with the draft edited a little or cut. Nearly all that is refused is a
false alarm; each is printed, to be read.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from nodes.guards.instructions import Instructions, instructions_of
from nodes.guards.language import is_other_language
from nodes.guards.order import refused_by
from nodes.settings import AgentSettings
from prompts.method import MODES
from prompts.pack import load_pack, request_text
from samples.reader import open_data

Case = tuple[str, str, str, str]
"""The kind of the current response, the draft, its request, and the current response."""


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--prompts", default="default", help="The prompt pack.")
def guards(files: tuple[Path, ...], prompts: str) -> None:
    """Count the good responses in FILES that a guard refuses."""
    cases = [case for file in files for case in _cases(file)]
    instructions = instructions_of(load_pack(prompts), AgentSettings(prompts=prompts), MODES["evolve"])
    drafts, refused = Counter(kind for kind, *_ in cases), Counter[tuple[str, str]]()
    found, seconds = asyncio.run(_guard(cases, instructions))
    for (kind, draft, request, _), guard in zip(cases, found, strict=True):
        if guard:
            refused[guard, kind] += 1
            click.echo(f"{guard}, {kind}: {request[:60]!r}: {draft[:80]!r} … {draft[-80:]!r}")
    click.echo(f"\n{len(cases):,} drafts, {1000 * seconds / len(cases):.2f} ms each")
    for (guard, kind), number in sorted(refused.items()):
        click.echo(f"{guard}, {kind}: {number} of {drafts[kind]:,}")


async def _guard(cases: list[Case], instructions: Instructions) -> tuple[list[str | None], float]:
    """Return the guard that refuses each case, and the seconds of CPU for all, loading left out."""
    await is_other_language("Der Fluss ist lang. " * 9, "A long river. " * 9, "")
    began = time.process_time()
    found = [
        await refused_by(draft, request, response, instructions) for _, draft, request, response in cases
    ]
    return [*found], time.process_time() - began


def _cases(file: Path) -> Iterator[Case]:
    pairs = [
        (request_text(exchange.instruction, exchange.input), exchange.response)
        for sample in open_data(file).samples()
        for exchange in sample.exchanges
        if exchange.response.strip()
    ]
    drawn = random.Random(0)
    for request, response in pairs:
        yield "none", response, request, ""
        other = drawn.choice(pairs)[1]
        yield "another", response, request, other if other != response else ""
        yield "edited", response.replace(".", ";", 1) + " That is all.", request, response
        yield "cut", response[: len(response) * 9 // 10], request, response


if __name__ == "__main__":
    guards()
