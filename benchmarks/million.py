"""A million records: time and memory of the steps that go through all of them.

The data set is generated, and deleted afterwards. The ledger of the run with all but a thousand samples done
is generated without calls (`benchmarks.finished`), which nothing here reads.
"""

import json
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import click
import pyarrow.json
import pyarrow.parquet

from benchmarks.endpoint import first_call
from benchmarks.finished import finished_run
from benchmarks.program import Usage, coevol
from benchmarks.records import records
from benchmarks.table import show

SHARDS = 16

Row = tuple[str, float, float, float]


@click.command()
@click.option("--records", "count", default=1_000_000)
@click.option("--left", default=1000, help="How many of them a resumed run finds unfinished.")
@click.option("--worked-on", default=20_000, help="How many samples are worked on to see memory over time.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the temporary files go.")
def main(count: int, left: int, worked_on: int, folder: Path | None) -> None:
    """Measure time and memory for a large data set."""
    with TemporaryDirectory(dir=folder) as temporary:
        here = Path(temporary)
        lines, array = _written(here, count)
        size = lines.stat().st_size
        rows = [
            _first_call("first call, JSON lines", here, lines),
            _first_call("first call, JSON array", here, array),
        ]
        array.unlink()
        shards = _shards(here, lines)
        rows.append(_first_call(f"first call, {SHARDS} Parquet shards", here, shards))
        rmtree(shards)
        used = coevol("evolve", lines, "-o", "working", "--stop", worked_on, "--max-rounds", 1, cwd=here)
        rows.append((f"rehearsal of the first {worked_on:,}", used.wall, used.cpu, used.peak))
        course = _course(used)
        run = finished_run(here, lines, count - left)
        ledger = (run / "ledger.sqlite").stat().st_size
        rows.append(_first_call(f"first call, {count - left:,} done", here, lines, run))
        for name, *options in ("export", "-o", here / "out.jsonl"), ("stats",):
            used = coevol(name, run, *options, cwd=here)
            rows.append((name, used.wall, used.cpu, used.peak))
    show(
        f"{count:,} records ({size / 2**20:,.0f} MiB; ledger {ledger / 2**20:,.0f} MiB)",
        ["what", "seconds", "CPU seconds", "peak MiB"],
        rows,
        f"Memory while working on {worked_on:,}: {course}.",
    )


def _written(folder: Path, count: int) -> tuple[Path, Path]:
    lines, array = folder / "data.jsonl", folder / "data.json"
    with lines.open("w", encoding="utf-8") as one, array.open("w", encoding="utf-8") as other:
        for number, record in enumerate(records(count)):
            line = json.dumps(record)
            one.write(line + "\n")
            other.write((",\n" if number else "[\n") + line)
        other.write("\n]\n")
    return lines, array


def _shards(folder: Path, lines: Path) -> Path:
    shards = folder / "shards"
    shards.mkdir()
    table = pyarrow.json.read_json(lines)
    size = -(-table.num_rows // SHARDS)
    for number in range(SHARDS):
        name = f"train-{number:05}-of-{SHARDS:05}.parquet"
        pyarrow.parquet.write_table(table.slice(number * size, size), shards / name)
    return shards


def _first_call(name: str, folder: Path, data: Path, run: Path | None = None) -> Row:
    used = first_call(data, run or folder / f"run{data.suffix}", cwd=folder)
    return name, used.wall, used.cpu, used.peak


def _course(used: Usage) -> str:
    """Describe the memory after each quarter."""
    if not used.memory:
        return "unknown on this system"
    marks = {"1/4": 0.25, "1/2": 0.5, "3/4": 0.75, "end": 1.0}
    last = len(used.memory) - 1
    return ", ".join(f"{used.memory[int(last * mark)]:,.0f} MiB at {name}" for name, mark in marks.items())


if __name__ == "__main__":
    main()
