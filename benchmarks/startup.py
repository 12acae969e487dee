"""Start-up: the CPU seconds that commands take before they do anything, least of several."""

from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.endpoint import first_call
from benchmarks.program import Usage, coevol
from benchmarks.records import write_lines
from benchmarks.table import show

Row = tuple[str, float, float, float]


@click.command()
@click.option("--repeat", default=7)
def main(repeat: int) -> None:
    """Measure what commands take to start."""
    rows: list[Row] = []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data, run = write_lines(folder / "data.jsonl", 2), folder / "run"
        coevol("evolve", data, "-o", run, "--max-rounds", 1, cwd=folder)

        def measure(name: str, aim: float, *arguments: object) -> None:
            used = [coevol(*arguments, cwd=folder) for _ in range(repeat)]
            rows.append(_row(name, aim, used))

        for words in (("--help",), ("evolve", "--help"), ("check", "--help")):
            measure(f"`{' '.join(words)}`", 0.3, *words)
        measure("`stats`", 0.5, "stats", run)
        measure("`show`", 0.5, "show", run, "0")
        began = [first_call(data, folder / f"first-{turn}", cwd=folder) for turn in range(repeat)]
        rows.append(_row("`evolve`, to its first call", 1.2, began))
    show(f"Start-up, least of {repeat}", ["what", "CPU seconds", "seconds", "aim"], rows)


def _row(name: str, aim: float, used: list[Usage]) -> Row:
    return name, min(each.cpu for each in used), min(each.wall for each in used), aim


if __name__ == "__main__":
    main()
