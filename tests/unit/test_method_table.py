"""The table of the method's steps and modes is all that a new mode needs."""

import asyncio
from typing import Any

from graph.build import exchange_graph
from graph.settings import Settings
from graph.state import AlpacaRecord
from graph.topology import depths, topology
from models.call import Call
from nodes.settings import AgentSettings
from prompts.method import MODES, STEPS, TEMPLATES, Mode
from prompts.pack import BUILT_IN, load_pack

REFINE = Mode("refine", ("editor", "judge_forward", "judge_reversed"))
"""Editor and judge without a debate: a mode that is not there, from steps that are."""


def test_a_mode_of_existing_steps_takes_a_line_in_the_table() -> None:
    asked: list[Call] = []

    async def speak(call: Call, settings: Settings) -> str:
        asked.append(call)
        if call.purpose == "draft":
            return f"Draft {call.round}."
        wins = call.round < 2  # the first draft is accepted, the second is not
        return f"assistant {2 if (call.step == 'judge_forward') == wins else 1}\nBecause."

    record: AlpacaRecord = {"id": "fruit", "instruction": "Name a fruit.", "input": "", "output": "Apple."}
    graph = exchange_graph(REFINE, speak)

    async def work() -> Any:
        return await graph.ainvoke(record, context=Settings())

    result = asyncio.run(work())
    assert result["response"] == "Draft 1."
    assert result["ending"] == "not_accepted"
    assert [(call.mode, call.round, call.step) for call in sorted(asked, key=lambda call: call.round)] == [
        ("refine", round_, step) for round_ in (1, 2) for step in REFINE.steps
    ]
    # The editor sees the current response and no suggestions.
    assert REFINE.shown("editor") == ("response",)
    editor = [call for call in asked if call.step == "editor"]
    assert "Apple." in editor[0].messages[-1]["content"]
    assert "Draft 1." in editor[1].messages[-1]["content"]


def test_everything_follows_from_the_steps() -> None:
    assert set(TEMPLATES) == {template for step in STEPS.values() for template in step.templates}
    for name in BUILT_IN:
        load_pack(name)  # which renders every case of every template
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
