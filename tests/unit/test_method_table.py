"""The table of the method's steps and modes is all that a new mode needs."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from graph.build import exchange_graph
from graph.settings import Settings
from graph.state import AlpacaRecord
from graph.topology import depths, topology
from ledger.ledger import Ledger
from models.call import Call
from nodes.settings import AgentSettings
from prompts.method import MODES, STEPS, TEMPLATES, Mode
from prompts.pack import BUILT_IN, load_pack
from reporting.html_tables import OF_JUDGING
from reporting.labels import AGREEMENT
from runners.options import MODE
from tests.conftest import look
from tests.program import EXAMPLES

ADVISE = Mode("advise-and-judge", ("advisor", "editor", "judge_forward", "judge_reversed"))
"""A mode that is not there, from steps that are."""


def test_a_mode_of_existing_steps_takes_a_line_in_the_table() -> None:
    asked: list[Call] = []

    async def speak(call: Call, settings: Settings) -> str:
        asked.append(call)
        if call.purpose != "verdict":
            return f"Draft {call.round}." if call.purpose == "draft" else "Say which."
        wins = call.round < 2  # the first draft is accepted, the second is not
        return f"assistant {2 if (call.step == 'judge_forward') == wins else 1}\nBecause."

    record: AlpacaRecord = {"id": "fruit", "instruction": "Name a fruit.", "input": "", "output": "Apple."}
    graph = exchange_graph(ADVISE, speak)

    async def work() -> Any:
        return await graph.ainvoke(record, context=Settings())

    result = asyncio.run(work())
    assert result["response"] == "Draft 1."
    assert result["ending"] == "not_accepted"
    assert [(call.mode, call.round, call.step) for call in sorted(asked, key=lambda call: call.round)] == [
        (ADVISE.name, round_, step) for round_ in (1, 2) for step in ADVISE.steps
    ]
    assert ADVISE.shown("advisor") == ("response",)
    editor = [call for call in asked if call.step == "editor"]
    assert "Apple." in editor[0].messages[-1]["content"]
    assert "Draft 1." in editor[1].messages[-1]["content"]


@pytest.mark.parametrize("mode", [ADVISE.name, "refine", "best-of-n"])
def test_commands_take_a_new_mode_as_it_is(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODES, ADVISE.name, ADVISE)
    monkeypatch.setattr(MODE, "choices", [*MODES])
    look("evolve", EXAMPLES / "alpaca_en.json", "--mode", mode, "-o", "run", cwd=tmp_path)
    ((sample, results), *_) = [
        found
        for found in Ledger.open(tmp_path / "run/ledger.sqlite").samples()
        if mode in found[1] and found[1][mode].accepted_rounds
    ]
    assert "judged rounds" in look("stats", "run", cwd=tmp_path).stdout
    story = look("show", "run", sample.id, "--calls", cwd=tmp_path).stdout
    assert "Draft accepted" in story and f"{results[mode].accepted_rounds} draft" in story
    look("report", "run", "-o", "report.html", "--sample", sample.id, cwd=tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(name in html for name in (*OF_JUDGING, "draft accepted", AGREEMENT))
    look("graph", "run", "-o", "graph.svg", cwd=tmp_path)
    look("export", "run", "-o", "data.json", cwd=tmp_path)
    look("export", "run", "-o", "pairs.jsonl", "--to", "trl-dpo", "--pairs", "all", cwd=tmp_path)
    assert "judged rounds" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_everything_follows_from_the_steps() -> None:
    templates = {template for step in STEPS.values() for template in step.templates}
    again = {f"{name}_again" for name in STEPS["judge_forward"].templates}
    assert set(TEMPLATES) == templates | again | {"editor_refine"}
    for name in BUILT_IN:
        load_pack(name, MODES)  # which renders every case of every template
    for role in {step.role for step in STEPS.values()}:
        shown = AgentSettings.model_fields[f"{role}_persona"].json_schema_extra
        assert isinstance(shown, dict)
        assert shown["langgraph_nodes"] == [step.name for step in STEPS.values() if step.role == role]


def test_the_graph_has_the_steps_of_its_mode_in_their_order() -> None:
    for mode in MODES.values():
        depth = depths(topology(mode.name))
        steps = [step for step in STEPS if step in depth]
        assert set(steps) == set(mode.steps)
        assert [depth[step] for step in steps] == sorted(depth[step] for step in steps)
