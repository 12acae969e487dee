"""Drawn graphs: offline, and with what makes each graph what it is."""

import re
from pathlib import Path

import pytest

from graph.build import MODES
from tests.conftest import look


def test_mermaid_has_the_fan_outs_and_the_loop(tmp_path: Path) -> None:
    drawn = look("graph", cwd=tmp_path).stdout
    assert drawn == look("graph", "evolve", cwd=tmp_path).stdout
    for edge in (
        "begin --> positive_opening",
        "begin --> critical_opening",
        "editor --> judge_forward",
        "editor -.-> judge_reversed",
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


def test_a_graph_that_there_is_not_is_refused(tmp_path: Path) -> None:
    assert "'edit', 'advise-blind'" in look("graph", "nonsense", cwd=tmp_path, status=2).stderr
    ended = look("graph", "-o", "missing/graph.md", cwd=tmp_path, status=2)
    assert "missing/graph.md cannot be written" in ended.stderr
