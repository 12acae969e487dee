"""Shared prefixes: how many prompt tokens a server computes for a sample, by its own count, pack by pack.

The default prompt pack puts first what calls share; the pack `classic` puts the persona first. Packs work on
the same records in mode `evolve`, with every draft accepted, at the same server, which counts the tokens that
it found in its prefix cache and those that it computed. The runs share no cache (`benchmarks.relay`), so
their order does not matter and the server need not be restarted.

This needs a server with metrics and prefix cache, vLLM or llama.cpp; with the latter, as many calls in flight
as it has slots:

    vllm serve MODEL --port 8100
    python -m benchmarks.prefixes --server http://127.0.0.1:8100/v1

    coevol serve FILE.gguf --port 8100
    python -m benchmarks.prefixes --server http://127.0.0.1:8100/v1 --concurrency 2 --rounds 1 \\
      --pack classic --pack default --pack FOLDER
"""

import json
import re
import sqlite3
import urllib.request
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.program import ROOT, coevol
from benchmarks.relay import Relay
from benchmarks.table import show

DATA = ROOT / "tests" / "data" / "alpaca_en_40.json"
COUNTED = {
    "vllm": ("prefix_cache_queries_total", "prefix_cache_hits_total", "generation_tokens_total"),
    "llamacpp": ("prompt_tokens_total", "prompt_tokens_cached_total", "tokens_predicted_total"),
}
"""The counters of each server: tokens of prompts, those of them found in the cache, and generated tokens.
llama.cpp's first one leaves out what it found."""


@click.command()
@click.option("--server", required=True, help="Its base URL, such as http://127.0.0.1:8100/v1.")
@click.option(
    "--pack",
    "packs",
    multiple=True,
    default=("classic", "default"),
    help="A prompt pack, built in or a folder. The first is what others are compared with.",
)
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="Alpaca records, a JSON array.")
@click.option("--samples", default=40)
@click.option("--rounds", "depths", multiple=True, default=(1, 3), help="The rounds of each sample.")
@click.option("--concurrency", default=16)
@click.option("--max-tokens", default=16, help="The length of computed replies.")
def main(
    server: str,
    packs: tuple[str, ...],
    data: Path,
    samples: int,
    depths: tuple[int, ...],
    concurrency: int,
    max_tokens: int,
) -> None:
    """Compare packs by the tokens that a server computes for a sample."""
    server = server.rstrip("/")
    model = json.loads(_get(f"{server}/models"))["data"][0]["id"]
    packs = tuple(str(Path(pack).resolve()) if Path(pack).is_dir() else pack for pack in packs)
    rows: list[tuple[object, ...]] = []
    with TemporaryDirectory() as temporary:
        for rounds in depths:
            first = 0.0
            for number, pack in enumerate(packs):
                run = Path(temporary) / f"{number}-{rounds}"
                with Relay(server) as relay:
                    before = _counted(server)
                    coevol(
                        *("evolve", data.resolve(), "-o", run, "--stop", samples),
                        *("--prompts", pack, "--max-rounds", rounds, "--max-tokens", max_tokens),
                        # A protocol without key; llama.cpp ignores what it does not know.
                        *("--concurrency", concurrency, "--model", f"vllm:{model}"),
                        *("--base-url", relay.base_url, "--timeout", 1200),
                        cwd=Path(temporary),
                    )
                    asked, hit, generated = (
                        (now - then) / samples for now, then in zip(_counted(server), before, strict=True)
                    )
                first = first or asked - hit
                named = f"{Path(pack).name}, rounds: {rounds}"
                rows.append(
                    (named, _calls(run) / samples, asked, hit, asked - hit, generated, (asked - hit) / first)
                )
    show(
        f"Shared prefixes: {samples} records, {concurrency} in flight, model {model}",
        [
            "sample, by pack",
            "calls",
            "prompt tokens",
            "found in cache",
            "computed",
            "generated",
            f"× {Path(packs[0]).name}",
        ],
        rows,
    )


def _calls(run: Path) -> int:
    with closing(sqlite3.connect(run / "ledger.sqlite")) as ledger:
        count: int = ledger.execute("SELECT count(*) FROM calls").fetchone()[0]
    return count


def _counted(server: str) -> tuple[float, float, float]:
    metrics = _get(server.removesuffix("/v1") + "/metrics")
    for engine, names in COUNTED.items():
        found = [re.findall(rf"^{engine}:{name}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE) for name in names]
        if all(found):
            asked, hit, generated = (sum(map(float, values)) for values in found)
            return (asked + hit if engine == "llamacpp" else asked), hit, generated
    raise click.ClickException(f"{server} is neither vLLM nor llama.cpp with metrics and a prefix cache")


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            text: str = answer.read().decode()
            return text
    except OSError as error:
        raise click.ClickException(f"no server answers at {url}: {error}") from None


if __name__ == "__main__":
    main()
