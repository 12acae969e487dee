"""Prints results as a Markdown table, with the machine they were measured on."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *remarks: str) -> None:
    """Print a table. Numbers are rounded to three digits; the first column is left-aligned."""
    cells = [[_cell(value) for value in row] for row in rows]
    wide = [max(len(row[n]) for row in [list(columns), *cells]) for n in range(len(columns))]
    right = [n > 0 for n in range(len(columns))]
    print(f"**{title}** ({machine()})\n")
    for row in [
        list(columns),
        [("-" * (w - 1) + ":") if r else "-" * w for w, r in zip(wide, right, strict=True)],
    ]:
        print("| " + " | ".join(c.ljust(w) for c, w in zip(row, wide, strict=True)) + " |")
    for row in cells:
        padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, wide, right, strict=True))
        print("| " + " | ".join(padded) + " |")
    for remark in remarks:
        print(f"\n{remark}")
    print(flush=True)


def machine() -> str:
    """Describe the machine and its load."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {processor}, {gib:.0f} GiB, Python {platform.python_version()}, "
        f"load {load:.1f} at the end"
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        if value and abs(value) < 100:
            digits = 2 if abs(value) < 10 else 1
            return f"{value:.{digits}f}"
        return f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
