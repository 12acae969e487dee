"""`python -m benchmarks [NAME …]`: all benchmarks, or some, one after the other.

`memory` takes a quarter of an hour and is run only where it is named. With --write the tables go into
RESULTS.md too, each in the place of the one that stands there.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

import click

from benchmarks.program import ROOT

NAMES = ("endpoint_use", "cpu", "job", "depth", "prefixes", "million", "pages", "ledger")
LONG = ("memory",)
RESULTS = Path(__file__).with_name("RESULTS.md")


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(NAMES + LONG))
@click.option("--vllm", help="The base URL of a vLLM server; without one, `prefixes` is left out.")
@click.option("--write", is_flag=True, help="Put the tables into RESULTS.md.")
def main(names: tuple[str, ...], vllm: str | None, write: bool) -> None:
    """Run benchmarks."""
    failed = []
    for name in names or NAMES:
        words = ["--vllm", vllm] if name == "prefixes" and vllm else []
        if name == "prefixes" and not vllm:
            print("prefixes: left out, it needs a vLLM server (--vllm http://127.0.0.1:8100/v1)\n")
            continue
        began = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}", *words]
        # Tables come here; what goes wrong goes to standard error as it is.
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        click.echo(f"{name}: {time.monotonic() - began:.0f} s\n", err=True)
        if done.returncode:
            failed.append(name)
        elif write:
            put(name, done.stdout)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def put(name: str, table: str) -> None:
    """Put a table into RESULTS.md, between the marks that bear its name."""
    before = RESULTS.read_text(encoding="utf-8")
    place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    after, count = place.subn(lambda marks: f"{marks[1]}{table.strip()}\n{marks[2]}", before)
    if count != 1:
        raise click.ClickException(f"{RESULTS} has no place for {name}: <!-- {name} --> … <!-- end -->")
    RESULTS.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
