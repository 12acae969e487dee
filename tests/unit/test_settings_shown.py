"""Settings that Studio shows: those that a mode uses, and no others."""

from typing import Any

import pytest

from graph.build import exchange_graph
from graph.settings import OF_CONVERSATIONS, Settings, settings_of
from models.call import Call
from models.settings import ModelSettings
from prompts.method import MODES

ROUTING = {"max_rounds", "drafts", "lazy_judge", "verdict"}
"""What the state holds in all modes, whether or not an edge reads it."""


@pytest.mark.parametrize("mode", MODES)
async def test_a_mode_shows_the_settings_that_its_nodes_read(mode: str) -> None:
    read: set[str] = set()

    class Noting(Settings):
        def __getattribute__(self, name: str) -> Any:
            read.add(name)
            return super().__getattribute__(name)

    async def speak(call: Call, settings: Settings) -> str:
        return (
            "assistant 2" if call.purpose == "verdict" else f"The {call.role} speaks in round {call.round}."
        )

    graph = exchange_graph(MODES[mode], speak)
    record: Any = {"instruction": "Name a prime number.", "output": "Seven."}
    await graph.ainvoke(record, context=Noting())
    of_agents = Settings.model_fields.keys() - ModelSettings.model_fields - OF_CONVERSATIONS - ROUTING
    shown = settings_of(MODES[mode]).model_json_schema()["properties"].keys()
    assert shown & of_agents == read & of_agents
    assert not shown & OF_CONVERSATIONS
