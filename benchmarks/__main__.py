"""`python -m benchmarks [NAME …]`: run all benchmarks, or some, one after the other.

`memory` takes a quarter of an hour, `coverage` some minutes: they only run when named. With --write the
tables replace those in RESULTS.md.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

import click

from benchmarks.program import ROOT

NAMES = (
    "startup", "endpoint_use", "cpu", "job", "depth", "prefixes", "million", "pages", "ledger", "workers",
)  # fmt: skip
LONG = ("memory", "coverage")
RESULTS = Path(__file__).with_name("RESULTS.md")


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(NAMES + LONG))
@click.option(
    "--server", help="The base URL of a vLLM or llama.cpp server; without one, `prefixes` is skipped."
)
@click.option("--write", is_flag=True, help="Put the tables into RESULTS.md.")
def main(names: tuple[str, ...], server: str | None, write: bool) -> None:
    """Run benchmarks."""
    failed = []
    for name in names or NAMES:
        options = ["--server", server] if name == "prefixes" and server else []
        if name == "prefixes" and not server:
            print("prefixes: skipped, it needs a server (--server http://127.0.0.1:8100/v1)\n")
            continue
        began = time.monotonic()
        command = [sys.executable, "-m", f"benchmarks.{name}", *options]
        # Only tables are captured; errors go to standard error.
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        click.echo(f"{name}: {time.monotonic() - began:.0f} s\n", err=True)
        if done.returncode:
            failed.append(name)
        elif write:
            put(name, done.stdout)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def put(name: str, table: str) -> None:
    """Put a table into RESULTS.md, between the comments with its name."""
    before = RESULTS.read_text(encoding="utf-8")
    section = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    after, count = section.subn(lambda marks: f"{marks[1]}{table.strip()}\n{marks[2]}", before)
    if count != 1:
        raise click.ClickException(f"{RESULTS} has no section for {name}: <!-- {name} --> … <!-- end -->")
    RESULTS.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
