"""LangGraph Studio: the real development server, used through its SDK as Studio does."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from graph.state import ExchangeResult
from models.settings import ROLES
from prompts.method import MODES, STEPS
from tests.program import ROOT
from tests.recorder import Messages, Recorder, Refused

ALPACA = {"instruction": "Name a prime number.", "input": "Below ten.", "output": "Seven."}
SHAREGPT = {
    "conversations": [
        {"from": "human", "value": "Name a prime number."},
        {"from": "gpt", "value": "Seven."},
        {"from": "human", "value": "And a square?"},
        {"from": "gpt", "value": "Nine."},
        {"from": "human", "value": "Thanks."},
        {"from": "gpt", "value": "You are welcome."},
    ]
}


class Studio:
    """The server, in a separate folder so that it leaves no files in the project."""

    def __init__(self, folder: Path, further: Mapping[str, str] | None = None) -> None:
        for entry in ROOT.iterdir():
            if not entry.name.startswith("."):
                (folder / entry.name).symlink_to(entry)
        (folder / ".env").write_text("OPENAI_API_KEY=sk-not-a-real-key\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log_file = folder / "server.log"
        program = Path(sys.executable).with_name("langgraph")
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "dev", "--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port)],
                cwd=folder,
                env=_environment() | dict(further or {}),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        until = time.monotonic() + 120
        while True:
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < until, self.log()
            try:
                urllib.request.urlopen(f"{self.url}/ok", timeout=5).close()
                return
            except (urllib.error.URLError, TimeoutError):
                time.sleep(0.2)

    def log(self) -> str:
        return self._log_file.read_text(encoding="utf-8")

    def end(self) -> None:
        for ending in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self._process.pid, ending)
            try:
                self._process.wait(timeout=15)
                return
            except subprocess.TimeoutExpired:
                continue


def _environment() -> dict[str, str]:
    """Return this process's environment without keys and without what would make the server call out."""
    private = ("LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(private) and not name.endswith("_API_KEY")
    }
    return kept | {
        "LANGSMITH_TRACING": "false",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGGRAPH_NO_VERSION_CHECK": "true",
        "LOG_JSON": "true",
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    studio = Studio(tmp_path_factory.mktemp("studio"))
    try:
        studio.wait()
        yield studio
    finally:
        studio.end()


@pytest.fixture
async def client(server: Studio) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=server.url) as client:
        yield client


@pytest.fixture
def quiet(server: Studio) -> Iterator[None]:
    """Check that the server logs no warning; its start counts for the first test."""
    yield
    log = server.log()
    assert "Traceback" not in log
    assert "BlockingError" not in log
    assert [line for line in _lines(log) if line["level"] not in ("info", "debug")] == []


def _lines(log: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    # On a busy machine the server's timer warns that loading took long; that is not about the graphs.
    return [line for line in lines if line["logger"] != "langgraph_api.timing.timer"]


async def run(client: LangGraphClient, assistant: str, record: Any, **context: Any) -> tuple[str, Any]:
    """Run a graph on a new thread; return the thread and the result."""
    thread = (await client.threads.create())["thread_id"]
    result = await client.runs.wait(thread, assistant, input=record, context=context, raise_error=False)
    return thread, result


def winning(graph: str, max_rounds: int) -> dict[str, Any]:
    """Return the settings with which every draft wins, where the graph has a judge."""
    mode = MODES.get(graph, MODES["evolve"])
    settings: dict[str, Any] = {"rehearsal_wins": 1.0} if mode.is_judged else {}
    return settings | ({"max_rounds": max_rounds} if mode.is_judged and not mode.is_best_of else {})


async def refusal(request: Awaitable[Any]) -> str:
    """Return why a request is refused."""
    with pytest.raises(httpx.HTTPStatusError) as refused:
        await request
    assert refused.value.response.status_code == 422
    detail: str = refused.value.response.json()["detail"]
    return detail


async def assistant_id(client: LangGraphClient, graph: str) -> str:
    (found,) = await client.assistants.search(graph_id=graph)
    return found["assistant_id"]


# --- what works; these tests come first, while the server's log must be free of warnings


@pytest.mark.usefixtures("quiet")
async def test_every_mode_and_the_conversation_are_offered(client: LangGraphClient) -> None:
    found = await client.assistants.search(limit=100)
    assert {one["graph_id"] for one in found} == {*MODES, "conversation"}
    assert all(one["description"] for one in found)


@pytest.mark.usefixtures("quiet")
async def test_each_mode_works_on_a_record_with_the_settings_of_the_context(client: LangGraphClient) -> None:
    # All at once: the server looks for new runs once a second.
    runs = await asyncio.gather(
        *(
            run(client, mode, ALPACA, editor_persona="You write in verse.", **winning(mode, max_rounds=2))
            for mode in MODES
        )
    )
    for mode, (thread, result) in zip(MODES, runs, strict=True):
        assert set(result) <= set(ExchangeResult.__annotations__), mode
        assert result["original"] == "Seven.", mode
        assert result["response"] != "Seven.", mode
        rounds, ending = {
            "evolve": (2, "max_rounds"),
            "refine": (2, "max_rounds"),
            "best-of-n": (4, "all_drafts"),
        }.get(mode, (1, "one_pass"))
        assert result["accepted_rounds"] == len(result["rounds"]) == rounds, mode
        assert result["ending"] == ending, mode
        state = await client.threads.get_state(thread)
        assert state["next"] == [], mode


@pytest.mark.usefixtures("quiet")
async def test_a_persona_reaches_its_agent(client: LangGraphClient) -> None:
    thread, _ = await run(client, "debate", ALPACA, critical_persona="You are a critic of critics.")
    state: Any = await client.threads.get_state(thread)
    memory = {side: json.dumps(state["values"][f"{side}_memory"]) for side in ("positive", "critical")}
    assert "a critic of critics" in memory["critical"]
    assert "a critic of critics" not in memory["positive"]


@pytest.mark.usefixtures("quiet")
async def test_a_conversation_is_worked_on(client: LangGraphClient) -> None:
    _, result = await run(client, "conversation", SHAREGPT, rehearsal_wins=1.0, max_rounds=1)
    assert [done["exchange"] for done in result["results"]] == [0, 1, 2]
    assert [done["original"] for done in result["results"]] == ["Seven.", "Nine.", "You are welcome."]
    assert all(done["accepted_rounds"] == 1 for done in result["results"])


@pytest.mark.usefixtures("quiet")
async def test_the_input_is_a_record(client: LangGraphClient) -> None:
    schemas: Any = await client.assistants.get_schemas(await assistant_id(client, "evolve"))
    record = {"instruction", "input", "output", "system", "references"}
    assert record <= set(schemas["input_schema"]["properties"])
    assert {"original", "response", "ending", "rounds"} <= set(schemas["output_schema"]["properties"])
    schemas = await client.assistants.get_schemas(await assistant_id(client, "conversation"))
    assert {"conversations", "messages", "system", "references"} <= set(schemas["input_schema"]["properties"])
    assert set(schemas["output_schema"]["properties"]) == {"id", "results"}
    for graph in (*MODES, "conversation"):
        schemas = await client.assistants.get_schemas(await assistant_id(client, graph))
        fields = schemas["input_schema"]["properties"]
        assert all(field["title"] and field["description"] for field in fields.values()), graph
        assert all("default" in field or field["examples"] for field in fields.values()), graph
        assert not {"exchange", "round"} & set(fields), graph


@pytest.mark.usefixtures("quiet")
async def test_a_graph_shows_the_settings_that_it_uses(client: LangGraphClient) -> None:
    shown = {}
    for graph in (*MODES, "conversation"):
        assistant = await assistant_id(client, graph)
        schemas: Any = await client.assistants.get_schemas(assistant)
        shown[graph] = schemas["context_schema"]["properties"]
        nodes = {str(node["id"]) for node in (await client.assistants.get_graph(assistant))["nodes"]}
        assert all(nodes >= set(field.get("langgraph_nodes", [])) for field in shown[graph].values()), graph
    assert "editor_persona" in shown["edit"]
    assert not {"judge_persona", "critical_persona", "max_rounds", "history_window"} & set(shown["edit"])
    assert {"judge_persona", "critical_persona", "max_rounds"} <= set(shown["evolve"])
    assert not {"history_window", "conversation_template"} & set(shown["evolve"])
    assert {"judge_persona", "history_window", "conversation_template"} <= set(shown["conversation"])
    for graph, of_mode in shown.items():
        mode = MODES.get(graph, MODES["evolve"])
        one_of_several, judged = mode.is_best_of, mode.is_judged
        assert ("drafts" in of_mode) == ("draft_temperature" in of_mode) == one_of_several, graph
        assert ("max_rounds" in of_mode) == (judged and not one_of_several), graph
        assert ("rehearsal_wins" in of_mode) == judged, graph
        assert "price" not in of_mode, graph
        for by_role in ("role_models", "role_base_urls", "role_extra_body"):
            roles = set(of_mode[by_role]["propertyNames"]["enum"])
            assert roles & set(ROLES) == {STEPS[step].role for step in mode.steps}, graph
            assert ("judge_2" in roles) == judged, graph
            assert "referee" not in roles, graph
    described = [shown["evolve"][f"{role}_persona"]["description"] for role in ROLES]
    assert len(set(described)) == len(ROLES)


@pytest.mark.usefixtures("quiet")
async def test_the_settings_have_bounds_descriptions_and_nodes(client: LangGraphClient) -> None:
    assistant = await assistant_id(client, "evolve")
    schemas: Any = await client.assistants.get_schemas(assistant)
    settings = schemas["context_schema"]["properties"]
    assert all(field["description"] for field in settings.values())
    assert settings["max_rounds"] == settings["max_rounds"] | {"minimum": 1, "default": 3}
    assert {"type": "number", "minimum": 0, "maximum": 2} in settings["temperature"]["anyOf"]
    assert settings["verdict"]["enum"] == ["compare", "score"]
    assert settings["model"]["default"] == "rehearsal:"

    nodes = {str(node["id"]) for node in (await client.assistants.get_graph(assistant))["nodes"]}
    placed = {name: set(field.get("langgraph_nodes", [])) for name, field in settings.items()}
    assert set().union(*placed.values()) <= nodes
    agents = {
        "positive": {"positive_opening", "positive_free"},
        "critical": {"critical_opening", "critical_free"},
        "advisor": {"advisor"},
        "editor": {"editor"},
        "judge": {"judge_forward", "judge_reversed"},
    }
    assert set(agents) == set(ROLES)
    for role, where in agents.items():
        persona = settings[f"{role}_persona"]
        assert placed[f"{role}_persona"] == where
        assert persona["langgraph_type"] == "prompt"
        assert persona["default"]


@pytest.mark.usefixtures("quiet")
async def test_the_drawing_shows_the_loop_inside_the_conversation(client: LangGraphClient) -> None:
    drawn = await client.assistants.get_graph(await assistant_id(client, "conversation"), xray=True)
    edges = {(edge["source"], edge["target"]) for edge in drawn["edges"]}
    inside = "exchange_graph:"
    for opening in ("positive_opening", "critical_opening"):
        assert (f"{inside}begin", f"{inside}{opening}") in edges
        assert (f"{inside}decide", f"{inside}{opening}") in edges
    assert (f"{inside}finish", f"{inside}begin") in edges


@pytest.mark.usefixtures("quiet")
async def test_stepping_back_and_forward_again(client: LangGraphClient) -> None:
    def answer(messages: Messages, model: str) -> str:
        if model == "judge":
            return "equal"
        if model == "editor":
            rhymes = "Make it rhyme." in messages[-1]["content"]
            return "Seven is prime, time after time." if rhymes else "Seven is a prime."
        return f"The {model} speaks."

    with Recorder(answer) as models:
        context: dict[str, Any] = {
            "role_models": {role: f"openai:{role}" for role in ROLES},
            "role_base_urls": dict.fromkeys(ROLES, models.base_url),
        }
        thread, result = await run(client, "evolve", ALPACA, **context)
        assert result["rounds"][0]["draft"] == "Seven is a prime."
        assert len(models.asked) == 8

        history: Any = await client.threads.get_history(thread, limit=50)
        (before,) = [state for state in history if state["next"] == ["editor"]]
        assert before["values"]["suggestions"] == "The advisor speaks."
        changed = await client.threads.update_state(
            thread, {"suggestions": "Make it rhyme."}, checkpoint=before["checkpoint"], as_node="advisor"
        )
        again: Any = await client.runs.wait(
            thread, "evolve", input=None, checkpoint=changed["checkpoint"], context=context
        )
        assert again["rounds"][0]["suggestions"] == "Make it rhyme."
        assert again["rounds"][0]["draft"] == "Seven is prime, time after time."
        # Forward from there: the editor and the two judgements, and no debate.
        assert [one.model for one in models.asked[8:]] == ["editor", "judge", "judge"]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("lazy", [False, True])
async def test_the_state_can_be_edited_after_every_step(client: LangGraphClient, lazy: bool) -> None:
    thread, _ = await run(client, "evolve", ALPACA, rehearsal_wins=1.0, max_rounds=2, lazy_judge=lazy)
    history: Any = (await client.threads.get_history(thread, limit=50))[::-1]
    edited = set()
    for before, after in pairwise(history):
        for node in before["next"]:
            if node == "__start__":
                continue
            assert after["next"] or node == "finish", node  # what comes next is known after every step
            changed = await client.threads.update_state(
                # All of the state is given back, as Studio does.
                thread,
                after["values"] | {"system": "Edited."},
                checkpoint=after["checkpoint"],
                as_node=node,
            )
            state: Any = await client.threads.get_state(thread, checkpoint=changed["checkpoint"])
            assert state["values"]["system"] == "Edited.", node
            assert set(state["next"]) == set(after["next"]), node
            edited.add(node)
    assert edited == {*MODES["evolve"].steps, "begin", "guards", "decide", "finish"}


@pytest.mark.usefixtures("quiet")
async def test_pausing_before_the_judges_and_editing_the_draft(client: LangGraphClient) -> None:
    def answer(messages: Messages, model: str) -> str:
        if model == "judge":
            return "assistant 2"
        return "Seven is a prime number." if model == "editor" else f"The {model} speaks."

    with Recorder(answer) as models:
        context: dict[str, Any] = {
            "role_models": {role: f"openai:{role}" for role in ROLES},
            "role_base_urls": dict.fromkeys(ROLES, models.base_url),
            "max_rounds": 1,
        }
        thread = (await client.threads.create())["thread_id"]
        judges = ["judge_forward", "judge_reversed"]
        await client.runs.wait(thread, "evolve", input=ALPACA, context=context, interrupt_before=judges)
        state: Any = await client.threads.get_state(thread)
        assert set(state["next"]) == set(judges)
        await client.threads.update_state(thread, {"draft": "An edited draft: seven."}, as_node="guards")
        result: Any = await client.runs.wait(thread, "evolve", input=None, context=context)
    (done,) = result["rounds"]
    assert done["draft"] == "An edited draft: seven."
    assert {one.model for one in models.asked[-2:]} == {"judge"}
    # The judge prefers what comes second in both orders.
    assert (done["forward"]["points"], done["reversed"]["points"]) == ([0.0, 1.0], [0.0, 1.0])
    # Another draft, after the decision: the loop follows what it now says.
    rounds = [done | {"accepted": True}]
    history: Any = await client.threads.get_history(thread, limit=50)
    decided = next(state for state in history if state["next"] == ["finish"])
    changed = await client.threads.update_state(
        thread, {"rounds": rounds, "round": 1}, checkpoint=decided["checkpoint"], as_node="decide"
    )
    state = await client.threads.get_state(thread, checkpoint=changed["checkpoint"])
    assert set(state["next"]) == {"positive_opening", "critical_opening"}


@pytest.mark.usefixtures("quiet")
async def test_stepping_into_the_debate_of_an_exchange(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    words: dict[tuple[int, str], Any] = {}
    number = -1
    context: dict[str, Any] = {"rehearsal_wins": 1.0, "max_rounds": 1}
    record: dict[str, Any] = dict(SHAREGPT)
    async for part in client.runs.stream(
        thread,
        "conversation",
        input=record,
        context=context,
        stream_mode="updates",
        stream_subgraphs=True,
    ):
        if part.event.startswith("updates|exchange_graph"):
            for node, update in part.data.items():
                number = update["exchange"] if node == "begin" else number
                words[number, str(node)] = update
    assert {exchange for exchange, _ in words} == {0, 1, 2}
    for exchange in range(3):
        for step in MODES["evolve"].steps:
            assert words[exchange, step], step
        assert words[exchange, "editor"]["draft"]


@pytest.mark.usefixtures("quiet")
async def test_a_draft_of_ones_own_can_win_a_rehearsal(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    context: dict[str, Any] = {"rehearsal_wins": 1.0, "max_rounds": 1}
    await client.runs.wait(thread, "refine", input=ALPACA, context=context, interrupt_after=["guards"])
    await client.threads.update_state(thread, {"draft": "Seven, a prime below ten."}, as_node="guards")
    result: Any = await client.runs.wait(thread, "refine", input=None, context=context)
    assert result["response"] == "Seven, a prime below ten."


def debate_of(models: Recorder) -> dict[str, Any]:
    """Return settings by which each role has a model of its name, and exchanges one round."""
    return {
        "role_models": {role: f"openai:{role}" for role in ROLES},
        "role_base_urls": dict.fromkeys(ROLES, models.base_url),
        "max_rounds": 1,
    }


def as_asked(messages: Messages, model: str) -> str:
    if model == "judge":
        return "assistant 2"
    return "A draft of the editor." if model == "editor" else f"The {model} speaks."


INSIDE: Any = {"checkpoint_ns": "exchange_graph"}


@pytest.mark.usefixtures("quiet")
async def test_going_on_inside_an_exchange_from_an_edited_state(client: LangGraphClient) -> None:
    with Recorder(as_asked) as models:
        context = debate_of(models)
        thread, _ = await run(client, "conversation", SHAREGPT, **context)
        # The debates of all exchanges are one history; from any step in it one goes on.
        history: Any = await client.threads.get_history(thread, limit=100, checkpoint=INSIDE)
        assert {state["values"]["exchange"] for state in history if state["next"] == ["editor"]} == {0, 1, 2}
        (before,) = [
            state for state in history if state["next"] == ["guards"] and state["values"]["exchange"] == 1
        ]
        before_that = len(models.asked)
        edited = await client.threads.update_state(
            thread, {"draft": "A square of mine: nine."}, checkpoint=before["checkpoint"], as_node="editor"
        )
        again: Any = await client.runs.wait(
            thread, "conversation", input=None, checkpoint=edited["checkpoint"], context=context
        )
        # Of exchange 1 the judges alone are asked, of exchange 2 all.
        assert [one.model for one in models.asked[before_that:][:2]] == ["judge", "judge"]
        assert len(models.asked) - before_that == 2 + 8
    drafts = [done["rounds"][0]["draft"] for done in again["results"]]
    assert drafts == ["A draft of the editor.", "A square of mine: nine.", "A draft of the editor."]


@pytest.mark.usefixtures("quiet")
async def test_pausing_inside_an_exchange(client: LangGraphClient) -> None:
    with Recorder(as_asked) as models:
        context = debate_of(models)
        thread = (await client.threads.create())["thread_id"]
        record: dict[str, Any] | None = dict(SHAREGPT)
        for number, name in enumerate(["editor", "exchange_graph:editor", "editor"]):
            await client.runs.wait(
                thread, "conversation", input=record, context=context, interrupt_before=[name]
            )
            state: Any = await client.threads.get_state(thread, subgraphs=True)
            inside = state["tasks"][0]["state"]
            assert (inside["next"], inside["values"]["exchange"]) == (["editor"], number)
            await client.threads.update_state(
                thread, {"suggestions": f"Of {number}."}, checkpoint=inside["checkpoint"], as_node="advisor"
            )
            record = None
        result: Any = await client.runs.wait(thread, "conversation", input=None, context=context)
        assert len(models.asked) == 3 * 8  # nothing was asked twice
    assert [done["rounds"][0]["suggestions"] for done in result["results"]] == ["Of 0.", "Of 1.", "Of 2."]


@pytest.mark.usefixtures("quiet")
async def test_nothing_of_an_earlier_record_is_left_in_the_next(client: LangGraphClient) -> None:
    conversation = SHAREGPT | {"references": [["Seven"], [], []]}
    _, result = await run(client, "conversation", conversation, max_rounds=1, check="exact", guards="off")
    assert [done.get("reference") for done in result["results"]] == ["Seven", None, None]
    assert ["agrees" in done for done in result["results"]] == [True, False, False]
    thread, _ = await run(client, "edit", ALPACA | {"references": ["Seven"]})
    again: Any = await client.runs.wait(thread, "edit", input=ALPACA | {"references": []})
    assert again["reference"] is None


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("lazy", [False, True])
async def test_the_lazy_judge_can_be_switched_before_the_judges(client: LangGraphClient, lazy: bool) -> None:
    thread = (await client.threads.create())["thread_id"]
    context: dict[str, Any] = {"rehearsal_wins": 1.0, "max_rounds": 1}
    await client.runs.wait(
        thread,
        "evolve",
        input=ALPACA,
        context=context | {"lazy_judge": lazy},
        interrupt_before=["judge_forward"],
    )
    result: Any = await client.runs.wait(
        thread, "evolve", input=None, context=context | {"lazy_judge": not lazy}
    )
    assert result["rounds"][0]["accepted"]


@pytest.mark.usefixtures("quiet")
async def test_the_words_of_the_judge_can_be_edited(client: LangGraphClient) -> None:
    thread, first = await run(client, "evolve", ALPACA, rehearsal_wins=1.0, max_rounds=1)
    assert first["rounds"][0]["accepted"]
    history: Any = await client.threads.get_history(thread, limit=50)
    (before,) = [state for state in history if state["next"] == ["decide"]]
    judged = before["values"]

    async def decided(**edits: Any) -> Any:
        changed = await client.threads.update_state(
            thread, edits, checkpoint=before["checkpoint"], as_node="judge_reversed"
        )
        return await client.runs.wait(
            thread, "evolve", input=None, checkpoint=changed["checkpoint"], context={"max_rounds": 1}
        )

    forward, reverse = "assistant 1\nThe old one.", "assistant 2\nThe old one."
    result = await decided(
        forward=judged["forward"] | {"reply": forward}, reversed=judged["reversed"] | {"reply": reverse}
    )
    (done,) = result["rounds"]
    assert not done["accepted"]
    assert done["forward"] == {"reply": forward, "points": [1.0, 0.0]}
    assert done["reversed"] == {"reply": reverse, "points": [0.0, 1.0]}
    result = await decided(forward={"reply": forward}, reversed={"reply": "assistant 2"})
    assert not result["rounds"][0]["accepted"]
    result = await decided(forward=judged["forward"] | {"points": [1, 0]})
    assert result["rounds"][0]["forward"] == judged["forward"] | {"points": [1.0, 0.0]}
    # What was not edited is not read again, whatever the settings say by now.
    assert (await decided(system="Edited."))["rounds"] == first["rounds"]


@pytest.mark.usefixtures("quiet")
async def test_stepping_back_in_a_conversation(client: LangGraphClient) -> None:
    thread, first = await run(client, "conversation", SHAREGPT, rehearsal_wins=1.0, max_rounds=1)
    history: Any = await client.threads.get_history(thread, limit=50)
    (before,) = [state for state in history if state["values"].get("exchange") == 1]
    assert before["next"] == ["exchange_graph"]
    again: Any = await client.runs.wait(
        thread,
        "conversation",
        input=None,
        checkpoint=before["checkpoint"],
        context={"rehearsal_wins": 1.0, "max_rounds": 2},
    )
    assert again["results"][0] == first["results"][0]
    assert [done["accepted_rounds"] for done in again["results"]] == [1, 2, 2]


@pytest.mark.usefixtures("quiet")
async def test_a_failing_exchange_does_not_end_the_conversation(client: LangGraphClient) -> None:
    def answer(messages: Messages, model: str) -> str:
        if "And a square?" in messages[-1]["content"] and "Thanks." not in messages[-1]["content"]:
            raise Refused("this text cannot be answered")
        return "equal"

    with Recorder(answer) as models:
        context = {"model": "openai:any", "base_url": models.base_url}
        _, result = await run(client, "conversation", SHAREGPT, **context)
    assert [done["ending"] for done in result["results"]] == ["not_accepted", "failed", "not_accepted"]
    assert "this text cannot be answered" in result["results"][1]["failure"]["message"]


WORDS = {
    "positive_opening": "positive_memory",
    "critical_opening": "critical_memory",
    "positive_free": "positive_weighed",
    "critical_free": "critical_weighed",
    "advisor": "suggestions",
    "editor": "draft",
    "judge_forward": "forward",
    "judge_reversed": "reversed",
}


async def test_updates_show_what_each_agent_says_in_every_mode(client: LangGraphClient) -> None:
    async def updates_of(graph: str, stateful: bool, subgraphs: bool) -> dict[str, Any]:
        thread = (await client.threads.create())["thread_id"] if stateful else None
        said: dict[str, Any] = {}
        output: Any = None
        record: Any = ALPACA if graph in MODES else SHAREGPT
        async for part in client.runs.stream(
            thread,  # type: ignore[arg-type]
            graph,
            input=record,
            context=winning(graph, max_rounds=1) | ({} if graph in MODES else {"max_exchanges": 1}),
            stream_mode=["updates", "values"],
            stream_subgraphs=subgraphs,
        ):
            if part.event.startswith("updates"):
                said |= part.data
            elif part.event == "values":
                output = part.data
        if graph in MODES:
            assert set(output) <= set(ExchangeResult.__annotations__), graph
        else:
            assert set(output) == {"id", "results"}
        return said

    cases = [(mode, stateful, stateful) for mode in MODES for stateful in (True, False)]
    cases += [("conversation", True, True), ("conversation", False, True)]
    for (graph, *_), said in zip(
        cases, await asyncio.gather(*(updates_of(*case) for case in cases)), strict=True
    ):
        mode = MODES.get(graph, MODES["evolve"])
        for step in mode.steps:
            assert said[step][WORDS[step]], (graph, step)


# --- errors


async def test_errors_are_explained(client: LangGraphClient) -> None:
    cases: list[tuple[str, Any, dict[str, Any], str]] = [
        ("evolve", {"output": "Seven."}, {}, "no `instruction`"),
        ("evolve", {}, {}, "no `instruction`"),
        ("evolve", SHAREGPT, {}, "use the graph `conversation`"),
        ("evolve", {"instruction": " ", "output": "Seven."}, {}, "request"),
        ("edit", ALPACA | {"history": [["I am Bo.", "Hi."]]}, {}, "use the graph `conversation`"),
        ("conversation", SHAREGPT | {"messages": [{"role": "user", "content": "Hi."}]}, {}, "one of the two"),
        ("edit", {"instruction": "Name it.", "output": {"a": 7}}, {}, '"output"'),
        ("conversation", ALPACA, {}, "use the graph `evolve`"),
        ("conversation", {}, {}, "conversations"),
        ("conversation", {"conversations": []}, {}, "an empty conversation"),
        ("evolve", ALPACA, {"max_rounds": 0}, "max_rounds"),
        ("evolve", ALPACA, {"model": "glm:glm-5"}, "ZHIPUAI_API_KEY"),
        ("evolve", ALPACA, {"prompts": "/nowhere/at/all"}, "/nowhere/at/all"),
    ]
    runs = await asyncio.gather(
        *(run(client, graph, record, **context) for graph, record, context, _ in cases)
    )
    for (*case, says), (_, result) in zip(cases, runs, strict=True):
        assert says in result["__error__"]["message"], case
        assert "pydantic" not in result["__error__"]["message"], case


async def test_fields_that_are_empty_are_as_good_as_absent(client: LangGraphClient) -> None:
    cases: list[tuple[str, Any]] = [
        ("conversation", SHAREGPT | {"messages": [], "instruction": None}),
        ("conversation", {"conversations": [], "messages": [
            {"role": "user", "content": "Name it."}, {"role": "assistant", "content": "Seven."},
        ]}),
        ("edit", ALPACA | {"conversations": [], "messages": None, "history": []}),
    ]  # fmt: skip
    for graph, record in cases:
        _, result = await run(client, graph, record)
        assert "__error__" not in result, record


async def test_words_that_are_missing_are_named(client: LangGraphClient) -> None:
    thread, _ = await run(client, "evolve", ALPACA, rehearsal_wins=1.0, max_rounds=2)
    history: Any = await client.threads.get_history(thread, limit=50)
    values = history[0]["values"]
    cases = {
        "positive_opening": ("critical_opening", {"positive_memory": values["positive_memory"]}),
        "critical_free": ("positive_free", {"critical_weighed": "It is short."}),
        "judge_forward": ("judge_reversed", {"forward": values["forward"]}),
    }
    for node, (other, words) in cases.items():
        both = [state for state in history if {node, other} == set(state["next"])]
        assert len(both) == 2  # in both rounds: words of the round before do not count
        for state in both:
            changed = await client.threads.update_state(
                thread, words, checkpoint=state["checkpoint"], as_node=node
            )
            result: Any = await client.runs.wait(
                thread, "evolve", input=None, checkpoint=changed["checkpoint"], raise_error=False
            )
            assert f"`{other}` did not run" in result["__error__"]["message"]


async def test_edits_of_another_shape_are_explained(client: LangGraphClient) -> None:
    thread, _ = await run(client, "evolve", ALPACA, max_rounds=1)
    history: Any = await client.threads.get_history(thread, limit=50)
    (before,) = [state for state in history if state["next"] == ["decide"]]
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"forward": "assistant 1"}, "judge_forward", "`forward` takes an object, not"),
        ({"forward": {"reply": 7}}, "judge_forward", "`forward.reply` takes a text, not 7"),
        (
            {"forward": {"reply": "assistant 1", "points": "1"}},
            "judge_forward",
            "`forward.points` takes a list",
        ),
        ({"forward": {"reply": "assistant 1", "point": [1, 0]}}, "judge_forward", "no field 'point'"),
        ({"draft": 5}, "editor", "`draft` takes a text, not 5"),
        ({"draft": None}, "editor", "`draft` takes a text, not null"),
        ({"round": "2"}, "decide", "`round` takes a whole number"),
        ({"rounds": 5}, "decide", "`rounds` takes a list, not 5"),
        ({"rounds": [{"x": 1}]}, "decide", "`rounds[0].round` is missing"),
        ({"drafft": "x"}, "editor", "'drafft' is not a field of the state; did you mean 'draft'?"),
        ({"positive_memory": "x"}, "positive_opening", "`positive_memory` takes a list"),
        ({"positive_memory": ["text"]}, "positive_opening", "`positive_memory[0]` takes an object"),
        ({"positive_memory": []}, "positive_opening", "`positive_memory`: List should have at least 1 item"),
        ({"request": 5}, "begin", "'request' is not a field"),
        ({"references": "a"}, "begin", "`references` takes a list"),
        ({"draft": "x"}, "editr", "there is no node 'editr' to edit as; did you mean 'editor'?"),
    ]
    for edit, node, says in cases:
        request = client.threads.update_state(thread, edit, checkpoint=before["checkpoint"], as_node=node)
        assert says in await refusal(request), edit
    changed = await client.threads.update_state(
        thread, {"forward": {"reply": "I like it."}}, checkpoint=before["checkpoint"], as_node="judge_forward"
    )
    result: Any = await client.runs.wait(
        thread, "evolve", input=None, checkpoint=changed["checkpoint"], raise_error=False
    )
    assert "no verdict can be read in the edited `forward.reply`" in result["__error__"]["message"]
    # The first state has nothing that an edge could read.
    for node, missing in (("guards", "routing"), ("decide", "rounds")):
        request = client.threads.update_state(
            thread, {"draft": "Mine."}, checkpoint=history[-1]["checkpoint"], as_node=node
        )
        assert f"what comes next needs `{missing}`" in await refusal(request)
    # Without a round nothing was accepted, and the exchange ends.
    decided = next(state for state in history if state["next"] == ["finish"])
    for edit in ({"rounds": []}, {"rounds": [], "round": 2}):
        changed = await client.threads.update_state(
            thread, edit, checkpoint=decided["checkpoint"], as_node="decide"
        )
        state: Any = await client.threads.get_state(thread, checkpoint=changed["checkpoint"])
        assert state["next"] == ["finish"]
    # The other ways to edit a state.
    superstep: dict[str, Any] = {"updates": [{"values": {"draft": 5}, "as_node": "editor"}]}
    for other in (
        client.threads.create(graph_id="evolve", supersteps=[superstep]),
        client.runs.wait(thread, "evolve", command={"update": {"draft": 5}}),
    ):
        assert "`draft` takes a text" in await refusal(other)


async def test_edits_of_a_conversation_are_explained_inside_and_outside(client: LangGraphClient) -> None:
    thread, _ = await run(client, "conversation", SHAREGPT, max_exchanges=1, max_rounds=1)
    inside: Any = await client.threads.get_history(thread, limit=50, checkpoint=INSIDE)
    (editing,) = [state for state in inside if state["next"] == ["guards"]]
    outside: Any = await client.threads.get_history(thread, limit=50)
    cases: list[tuple[Any, dict[str, Any], str, str]] = [
        (editing, {"turns": []}, "editor", "'turns' is not a field"),
        (editing, {"suggestions": ["a"]}, "editor", "`suggestions` takes a text, not a list"),
        (editing, {"draft": "x"}, "read", "there is no node 'read' to edit as"),
        (outside[0], {"turns": [{"request": "x"}]}, "read", "`turns[0].response` is missing"),
        (outside[0], {"exchange": -1}, "read", "`exchange`: should be greater than or equal to 0"),
        (outside[0], {"results": [{}]}, "exchange_graph", "`results[0].exchange` is missing"),
        (outside[0], {"draft": "x"}, "read", "edit inside `exchange_graph`"),
        (outside[0], {"ended": 1}, "editor", "there is no node 'editor' to edit as"),
    ]
    for state, edit, node, says in cases:
        request = client.threads.update_state(thread, edit, checkpoint=state["checkpoint"], as_node=node)
        assert says in await refusal(request), edit


async def test_what_another_graph_has_is_refused(client: LangGraphClient) -> None:
    own = await client.assistants.create("refine", context={"max_rounds": 1})
    referenced: Any = ALPACA | {"references": []}
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("refine", {"context": {"advisor_persona": "x"}}, "'advisor_persona' is not a setting of 'refine'"),
        (own["assistant_id"], {"context": {"drafts": 2}}, "'drafts' is not a setting of 'refine'"),
        ("edit", {"config": {"configurable": {"max_rounds": 2}}}, "'max_rounds' is not a setting of 'edit'"),
        ("evolve", {"context": {"max_exchanges": 2}}, "'max_exchanges' is not a setting of 'evolve'"),
        ("refine", {"context": {"role_models": {"advisor": "x:y"}}}, "'advisor' is not a role of 'refine'"),
        ("refine", {"interrupt_before": ["advisor"]}, "there is no node 'advisor' to pause at in 'refine'"),
        ("edit", {"interrupt_after": ["decide"]}, "there is no node 'decide' to pause at in 'edit'"),
        ("evolve", {"interrupt_after": ["exchange_graph"]}, "there is no node 'exchange_graph'"),
        ("edit", {"command": {"goto": "judge_forward"}}, "there is no node 'judge_forward' to go to"),
        ("edit", {"context": {"check": "math"}}, "`check` compares with `references`"),
        ("edit", {"context": {"check": "exact"}, "input": referenced}, "`check` compares with `references`"),
        ("conversation", {"input": SHAREGPT["conversations"]}, "`input` takes a record"),
        ("evolve", {"input": "Name a prime number."}, "`input` takes a record"),
    ]
    for graph, given, says in cases:
        request: dict[str, Any] = {"input": ALPACA if graph != "conversation" else SHAREGPT} | given
        assert says in await refusal(client.runs.wait(None, graph, **request)), given
    params = {"assistant_id": "edit", "input": ALPACA, "config": {"configurable": {"max_rounds": 2}}}
    thread = (await client.threads.create())["thread_id"]
    command = {"id": 1, "method": "run.start", "params": params}
    newer = client.http.post(f"/threads/{thread}/commands", json=command)
    assert "'max_rounds' is not a setting of 'edit'" in await refusal(newer)
    changed = client.assistants.update(own["assistant_id"], context={"drafts": 2})
    assert "'drafts' is not a setting of 'refine'" in await refusal(changed)


async def test_a_setting_that_there_is_not_is_refused_by_name(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"max_round": 2}, "'max_round' is not a setting; did you mean 'max_rounds'?"),
        ({"colour": "blue", "max_rounds": 1}, "'colour' is not a setting"),
    ]
    for context, says in cases:
        with pytest.raises(httpx.HTTPStatusError) as refused:
            await client.runs.wait(thread, "evolve", input=ALPACA, context=context)
        assert refused.value.response.status_code == 422
        assert says in refused.value.response.json()["detail"]
    assert await client.runs.list(thread) == []
    config: Any = {"configurable": {"max_round": 2}}
    one: dict[str, Any] = {"assistant_id": "edit", "input": ALPACA}
    batch: Any = [one, one | {"context": {"max_round": 2}}]
    for request in (
        client.runs.wait(thread, "evolve", input=ALPACA, config=config),
        client.assistants.create("evolve", config=config),
        client.runs.create_batch(batch),
    ):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            await request
        assert refused.value.response.status_code == 422
        assert "'max_round' is not a setting" in refused.value.response.json()["detail"]
    with pytest.raises(httpx.HTTPStatusError) as refused:
        await client.runs.wait(thread, "evolve", input=ALPACA, interrupt_before=["judge_forwards"])
    assert "there is no node 'judge_forwards'" in refused.value.response.json()["detail"]
    assert "did you mean 'judge_forward'?" in refused.value.response.json()["detail"]
    config = {"configurable": {"thread_id": thread, "max_rounds": 1, "rehearsal_wins": 1.0}}
    result: Any = await client.runs.wait(thread, "evolve", input=ALPACA, config=config)
    assert len(result["rounds"]) == 1


async def test_after_a_refused_key_the_next_run_tries_again(client: LangGraphClient) -> None:
    refusing = True

    def answer(messages: Messages, model: str) -> str:
        if refusing:
            raise Refused("this key is no good", status=401)
        return "Seven is a prime."

    with Recorder(answer) as models:
        context = {"model": "openai:any", "base_url": models.base_url}
        _, result = await run(client, "edit", ALPACA, **context)
        assert "OPENAI_API_KEY" in result["__error__"]["message"]
        assert "sk-not-a-real-key" not in result["__error__"]["message"]
        refusing = False
        _, result = await run(client, "edit", ALPACA, **context)
        assert result["response"] == "Seven is a prime."


async def test_nothing_blocked_the_event_loop_and_no_key_was_logged(server: Studio) -> None:
    assert "BlockingError" not in server.log()
    assert "Blocking call" not in server.log()
    assert "sk-not-a-real-key" not in server.log()
