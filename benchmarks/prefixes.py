"""Shared prefixes: how many prompt tokens a vLLM server computes for a sample, by its own count.

The default prompt pack puts first what calls share; the pack `classic` puts the persona first. Both work on
the same records in mode `evolve`, with every draft accepted, at the same server, which counts the tokens it
looked up in its prefix cache and those it found; it computed the rest. The runs share no cache
(`benchmarks.relay`), so their order does not matter and the server need not be restarted.

This needs a vLLM server with metrics and prefix cache, both on by default:

    vllm serve MODEL --port 8100
    python -m benchmarks.prefixes --vllm http://127.0.0.1:8100/v1
"""

import json
import re
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.program import ROOT, coevol
from benchmarks.relay import Relay
from benchmarks.table import show

DATA = ROOT / "tests" / "data" / "alpaca_en_40.json"
COUNTED = (
    "prefix_cache_queries_total",
    "prefix_cache_hits_total",
    "generation_tokens_total",
    "request_success_total",
)


@click.command()
@click.option(
    "--vllm", required=True, help="The base URL of a vLLM server, such as http://127.0.0.1:8100/v1."
)
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="Alpaca records, a JSON array.")
@click.option("--samples", default=40)
@click.option("--rounds", "depths", multiple=True, default=(1, 3), help="The rounds of each sample.")
@click.option("--concurrency", default=16)
@click.option("--max-tokens", default=16, help="The length of computed replies.")
def main(
    vllm: str, data: Path, samples: int, depths: tuple[int, ...], concurrency: int, max_tokens: int
) -> None:
    """Compare computed tokens a sample: default pack against `classic`."""
    server = vllm.rstrip("/")
    model = json.loads(_get(f"{server}/models"))["data"][0]["id"]
    rows: list[tuple[object, ...]] = []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for rounds in depths:
            classic = 0.0
            for pack in ("classic", "default"):
                with Relay(server) as relay:
                    before = _counted(server)
                    coevol(
                        *("evolve", data, "-o", folder / f"{pack}-{rounds}", "--stop", samples),
                        *("--prompts", pack, "--max-rounds", rounds, "--max-tokens", max_tokens),
                        *("--concurrency", concurrency, "--model", f"vllm:{model}"),
                        *("--base-url", relay.base_url),
                        cwd=folder,
                    )
                    asked, hit, generated, calls = (
                        (now - then) / samples for now, then in zip(_counted(server), before, strict=True)
                    )
                classic = classic or asked - hit
                ratio = (asked - hit) / classic
                rows.append((f"{pack}, rounds: {rounds}", calls, asked, hit, asked - hit, generated, ratio))
    show(
        f"Shared prefixes: {samples} records, {concurrency} in flight, model {model}",
        [
            "sample, by pack",
            "calls",
            "prompt tokens",
            "found in cache",
            "computed",
            "generated",
            "× classic",
        ],
        rows,
    )


def _counted(server: str) -> list[float]:
    metrics = _get(server.removesuffix("/v1") + "/metrics")
    sums = []
    for name in COUNTED:
        values = re.findall(rf"^vllm:{name}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE)
        if not values:
            raise click.ClickException(f"{server} is not a vLLM server with metrics: it has no vllm:{name}")
        sums.append(sum(map(float, values)))
    return sums


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            text: str = answer.read().decode()
            return text
    except OSError as error:
        raise click.ClickException(f"no vLLM server answers at {url}: {error}") from None


if __name__ == "__main__":
    main()
