"""Drawn graphs: offline, and with what makes each graph what it is."""

import json
import math
import os
import re
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import resvg_py

from ledger.ledger import Ledger
from prompts.method import MODES
from tests.conftest import look
from tests.program import EXAMPLES


def test_mermaid_has_the_fan_outs_and_the_loop(tmp_path: Path) -> None:
    drawn = look("graph", cwd=tmp_path).stdout
    assert drawn == look("graph", "evolve", cwd=tmp_path).stdout
    for edge in (
        "begin --> positive_opening",
        "begin --> critical_opening",
        "editor --> guards",
        "guards -.-> judge_forward",
        "guards -.-> judge_reversed",
        "guards -.-> finish",
        "decide -.-> positive_opening",
        "decide -.-> critical_opening",
        "decide -.-> finish",
    ):
        assert edge in drawn


def test_the_conversation_graph_shows_the_exchange_graph_inside(tmp_path: Path) -> None:
    drawn = look("graph", "conversation", cwd=tmp_path).stdout
    inner = drawn.partition("subgraph exchange_graph")[2].partition("end\n")[0]
    assert "judge_forward" in inner
    assert re.search(r"finish -\.-> exchange_graph\S*begin", inner)


@pytest.mark.parametrize("what", [*MODES, "conversation"])
def test_letters_show_every_node_once_and_fit_a_terminal(what: str, tmp_path: Path) -> None:
    drawn = look("graph", what, "--format", "ascii", "-o", "graph.txt", cwd=tmp_path)
    assert drawn.stdout == ""
    text = (tmp_path / "graph.txt").read_text(encoding="utf-8")
    mermaid = look("graph", what, cwd=tmp_path).stdout
    picture, _, back = text.partition("and back:")
    nodes = set(re.findall(r"\(\[?(?:<p>)?(\w+)(?:</p>)?\]?\)", mermaid))
    assert sorted(re.findall(r"\| (\w+) \|", picture)) == sorted(nodes)
    assert max(map(len, text.splitlines())) < 80
    assert ("decide ···> critical_opening and positive_opening" in back) == (
        what in ("evolve", "conversation")
    )


def test_an_unknown_graph_or_format_is_refused(tmp_path: Path) -> None:
    assert "'edit', 'advise-blind'" in look("graph", "nonsense", cwd=tmp_path, status=2).stderr
    (tmp_path / "file").touch()
    ended = look("graph", "-o", "file/graph.mmd", cwd=tmp_path, status=2)
    assert "file/graph.mmd cannot be written" in ended.stderr
    assert (
        "the ending of graph.jpg is none of"
        in look("graph", "-o", "graph.jpg", cwd=tmp_path, status=2).stderr
    )
    assert "ID and --mode need a run" in look("graph", "evolve", "3", cwd=tmp_path, status=2).stderr


def walk(
    run: Path, mode: str, sample: str | None = None
) -> tuple[dict[str, Any], dict[tuple[str, str], int]]:
    """The calls of each step, and how often each edge was taken, counted here call by call."""
    ledger = Ledger.open(run / "ledger.sqlite")
    ended = [r[mode] for s, r in ledger.samples() if mode in r and sample in (None, s.id)]
    exchanges = [e for result in ended for e in result.outcome if e["ending"] != "failed"]
    calls = [c for c in ledger.all_calls() if c["mode"] == mode and sample in (None, c["sample"])]
    steps: dict[str, Any] = {}
    for step in {c["step"] for c in calls}:
        some = [c for c in calls if c["step"] == step]
        # The totals of a run keep a latency to three significant digits; a sample's calls are read whole.
        times = sorted(c["latency"] if sample else float(f"{c['latency']:.2e}") for c in some)
        steps[step] = {
            "calls": len(some),
            "failed": sum(c["failure"] is not None for c in some),
            "tokens": [sum(c[name] or 0 for c in some) for name in ("input_tokens", "output_tokens")],
            "median": times[(len(times) + 1) // 2 - 1],
            "p95": times[math.ceil(0.95 * len(times)) - 1],
            "visits": len({(c["sample"], c["exchange"], c["round"]) for c in some}),
        }
    rounds = sum(len(exchange["rounds"]) for exchange in exchanges)
    if mode == "evolve":
        edges = {
            ("decide", "finish"): len(exchanges),
            ("finish", "__end__"): len(exchanges),
            ("judge_forward", "decide"): rounds,
            ("decide", "positive_opening"): rounds - len(exchanges),
        }
    else:
        edges = {("__start__", "begin"): len(exchanges), ("guards", "__end__"): len(exchanges)}
    return steps, edges


def seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


@pytest.mark.parametrize(("mode", "sample"), [("edit", None), ("evolve", None), ("evolve", "train-sum")])
def test_every_format_has_the_numbers_of_a_run(
    mode: str, sample: str | None, modes_run: Path, tmp_path: Path
) -> None:
    steps, edges = walk(modes_run, mode, sample)
    words = ("graph", modes_run, *([sample] if sample else []), "--mode", mode)
    mermaid = look(*words, cwd=tmp_path).stdout
    letters = look(*words, "--format", "ascii", cwd=tmp_path).stdout
    look(*words, "-o", "graph.svg", cwd=tmp_path)
    drawn = ElementTree.parse(tmp_path / "graph.svg").getroot()
    texts = ["|".join(node.itertext()) for node in drawn.iter() if node.get("class") == "node"]
    assert steps
    for step, found in steps.items():
        given, made = (f"{number:,}" for number in found["tokens"])
        median, p95, calls = seconds(found["median"]), seconds(found["p95"]), f"{found['calls']:,}"
        lines = [f"calls = {calls}", f"failed = {found['failed']}", f"tokens in = {given}"]
        lines += [f"tokens out = {made}", f"median = {median}", f"p95 = {p95}"]
        assert f"{step}({step}<hr/><small><em>" + "\n".join(lines) + "</em>" in mermaid
        row = next(
            line.split() for line in letters.splitlines() if line.startswith(f"{step} ") and "s" in line
        )
        assert row[1:] == [calls, str(found["failed"]), given, made, *median.split(), *p95.split()]
        box = next(text for text in texts if text.startswith(step.replace("_", " ") + "|"))
        assert re.search(
            rf"\|{calls} calls?\|{re.escape(given)} \+ {made} tokens\|median {median}, p95 {p95}", box
        )
    for (source, target), times in edges.items():
        assert re.search(rf"{source} -[-.] &nbsp;{times}×&nbsp; [-.]-> {target};", mermaid)
        assert re.search(rf"{source} ···> {target} +{times}×$", letters, re.MULTILINE)
    times_drawn = ["".join(node.itertext()) for node in drawn.iter() if node.get("class") == "times"]
    assert len(times_drawn) == letters.count("···>") - 3 * (mode == "evolve")
    assert Counter(f"{times:,}×" for times in edges.values()) <= Counter(times_drawn)
    assert max(map(len, letters.splitlines())) < 80


def test_a_lazy_judge_takes_the_edge_that_skips_the_second_order(tmp_path: Path) -> None:
    look("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", "--lazy-judge", cwd=tmp_path)
    saved = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)["modes"]["evolve"]["judging"]
    letters = look("graph", "run", "--format", "ascii", cwd=tmp_path).stdout
    taken = {
        (source, target): int(times)
        for source, target, times in re.findall(r"^(\w+) ···> (\w+) +(\d+)×$", letters, re.MULTILINE)
    }
    assert saved["calls_saved"] == taken["judge_forward", "decide"] > 0
    asked = saved["rounds"] - saved["calls_saved"]
    assert taken["judge_forward", "judge_reversed"] == taken["judge_reversed", "decide"] == asked
    assert taken["guards", "judge_reversed"] == 0


def test_failed_calls_are_shown_at_their_node(failing_run: Path, tmp_path: Path) -> None:
    drawn = look("graph", failing_run, "middle", "--format", "svg", cwd=tmp_path).stdout
    assert re.search(r"positive opening</text>.*?>\d+ calls, 1 failed</text>", drawn)


def test_png_is_the_same_picture_without_fonts(modes_run: Path, tmp_path: Path) -> None:
    look("graph", modes_run, "-o", "graph.PNG", cwd=tmp_path)
    look("graph", "edit", "-o", "edit.png", cwd=tmp_path)
    # No text at all is drawn where no font is found: so the letters are what the picture has more than this.
    image = (tmp_path / "graph.PNG").read_bytes()
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", image[16:24])
    picture = look("graph", modes_run, "--format", "svg", cwd=tmp_path).stdout
    svg = ElementTree.fromstring(picture)
    assert [width, height] == [2 * int(float(svg.attrib[side])) for side in ("width", "height")]
    wordless = re.sub(r"<text.*?</text>", "", picture)
    assert len(image) > 1.5 * len(resvg_py.svg_to_bytes(svg_string=wordless, zoom=2))


def test_a_picture_of_a_run_with_an_odd_name(odd_run: Path, tmp_path: Path) -> None:
    for name in (odd_run.name, os.fsdecode(b"no \xff letter")):
        if not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(odd_run)
        look("graph", name, "-o", "graph.svg", cwd=tmp_path)
        look("graph", name, "-o", "graph.png", cwd=tmp_path)
        label = ElementTree.parse(tmp_path / "graph.svg").getroot().attrib["aria-label"]
        assert label.startswith("the graph of mode evolve in ")
        assert label.endswith((odd_run.name, "no \\udcff letter"))


def test_png_is_not_printed_to_a_terminal(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-c", "from runners.cli import main; main()", "graph", "--format", "png"]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, cwd=EXAMPLES.parent)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert "name a file with -o" in done.stderr


def test_pictures_do_not_need_the_pages(tmp_path: Path) -> None:
    """Without the extra all formats work but PNG, whose error says what to install."""
    blocked = "import sys; sys.modules.update(dict.fromkeys(('nicegui', 'nh3', 'resvg_py', 'font_lato')))"
    command = [sys.executable, "-c", f"{blocked}; from runners.cli import main; main()", "graph", "-o"]
    for name, status in (("graph.svg", 0), ("graph.png", 2)):
        done = subprocess.run(
            [*command, tmp_path / name], capture_output=True, text=True, cwd=EXAMPLES.parent
        )
        assert done.returncode == status, done.stderr
    assert (
        done.stderr == "coevol: PNG needs resvg_py, which is not installed: run "
        "`pip install -e '.[view]'` in the folder of coevol\n"
    )


@pytest.mark.parametrize("name", ["run.json", "ledger.sqlite"])
def test_the_files_of_a_run_are_not_overwritten(name: str, modes_run: Path, tmp_path: Path) -> None:
    before = (modes_run / name).read_bytes()
    ended = look("graph", modes_run, "--format", "svg", "-o", modes_run / name, cwd=tmp_path, status=2)
    assert "belongs to the run itself" in ended.stderr
    assert (modes_run / name).read_bytes() == before
