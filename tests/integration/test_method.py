"""The method, call by call: what the agents are asked, what each sees, and when the loop ends.

Every text has a mark (`ask#1#`, `answer#1#`, `editor#2#` for the second draft), so that a request shows
which texts it holds, in order. Each role's model has the role's name.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from graph.build import exchange_graph
from graph.settings import Settings
from ledger.ledger import Ledger, Result
from models.call import Call
from models.settings import ROLES
from prompts.method import MODES
from reporting.transcript import transcript
from runners.cli import coevol
from tests.recorder import Asked, Messages, Recorder, Refused

Shape = list[tuple[str, list[str]]]
"""The messages of a request: each one's role and the marks in its text."""

WINS = ("assistant 2", "assistant 1")
"""The judge's replies, forward and reversed, if the draft is better."""
LOSES = ("assistant 1", "assistant 2")

STEPS = (
    ["positive_opening", "critical_opening"],
    ["positive_free", "critical_free"],
    ["advisor"],
    ["editor"],
    ["judge_forward", "judge_reversed"],
)
"""The calls of a round; those of one group run at the same time."""

RECORD = {"id": "a", "instruction": "ask#1#", "input": "input#1#", "output": "answer#1#"}


class Agents:
    """Answers for all roles: the step's name and how often it was asked, as a mark.

    `verdicts` are the judge's replies, a pair for each draft; the last one is repeated. `refused` names a
    reply that the server refuses to give.
    """

    def __init__(self, *verdicts: tuple[str, str], refused: str = "", draft: str = "{}") -> None:
        self._verdicts = verdicts or (WINS,)
        self._times: Counter[str] = Counter()
        self._refused = refused
        self._draft = draft

    def __call__(self, messages: Messages, model: str) -> str:
        step = step_of(messages, model)
        self._times[step] += 1
        times = self._times[step]
        mark = f"{step}#{times}#"
        if mark == self._refused:
            raise Refused("this text cannot be answered")
        if model == "judge":
            forward, reverse = self._verdicts[min(times, len(self._verdicts)) - 1]
            return f"{forward if step == 'judge_forward' else reverse}\nBecause of {mark}"
        return self._draft.format(mark) if model == "editor" else mark


def step_of(messages: Messages, model: str) -> str:
    """Return the step that a request belongs to."""
    seen = marks(" ".join(message["content"] for message in messages))
    if model in ("positive", "critical"):
        return f"{model}_free" if any("_opening" in mark for mark in seen) else f"{model}_opening"
    if model == "judge":
        # The two responses come last; the newer one is the draft.
        first, second = (int(mark.split("#")[1]) if "editor" in mark else 0 for mark in seen[-2:])
        return "judge_forward" if first < second else "judge_reversed"
    return model


def marks(text: str) -> list[str]:
    return re.findall(r"[a-z_]+#\d+#", text)


def shape(asked: Asked) -> Shape:
    return [(message["role"], marks(message["content"])) for message in asked.messages]


def by_step(asked: list[Asked]) -> dict[str, list[Shape]]:
    """Return the requests of each step, in the order of their replies."""
    found: dict[str, list[Shape]] = {}
    for one in asked:
        found.setdefault(step_of(one.messages, one.model), []).append(shape(one))
    return found


def a_round(number: int, request: list[str], current: str) -> dict[str, Shape]:
    """Return what the agents see in a round; `number` counts the rounds of a sample."""
    n = f"#{number}#"
    draft, suggestions = f"editor{n}", f"advisor{n}"
    opened = [("system", []), ("user", [*request, current])]
    debate = [f"{step}{n}" for step in (*STEPS[0], *STEPS[1])]
    return {
        "positive_opening": opened,
        "critical_opening": opened,
        "positive_free": [*opened, ("assistant", [debate[0]]), ("user", [debate[1]])],
        "critical_free": [*opened, ("assistant", [debate[1]]), ("user", [debate[0]])],
        "advisor": [("system", []), ("user", [*request, current, *debate])],
        "editor": [("system", []), ("user", [*request, current, suggestions])],
        "judge_forward": [("system", []), ("user", [*request, current, draft])],
        "judge_reversed": [("system", []), ("user", [*request, draft, current])],
    }


def rounds(*each: tuple[list[str], str]) -> dict[str, list[Shape]]:
    """Return the requests of several rounds by step, each round given by its request and current response."""
    found: dict[str, list[Shape]] = {}
    for number, (request, current) in enumerate(each, 1):
        for step, seen in a_round(number, request, current).items():
            found.setdefault(step, []).append(seen)
    return found


Evolve = Callable[..., dict[str, Result]]


@pytest.fixture
def evolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evolve:
    """Run `coevol evolve` over one record and return its results by mode."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key")
    runs = iter(range(100))

    def run(server: Recorder, record: dict[str, Any], *options: str, status: int = 0) -> dict[str, Result]:
        folder = tmp_path / f"run{next(runs)}"
        assert (
            coevol.main(command(server, record, folder, "--judge-retries=0", *options), standalone_mode=False)
            == status
        )
        found = Ledger.open(folder / "ledger.sqlite").sample(record["id"])
        assert found
        return found[1]

    return run


def command(server: Recorder, record: dict[str, Any], folder: Path, *options: str) -> list[str]:
    data = folder.with_suffix(".json")
    data.write_text(json.dumps([record]), encoding="utf-8")
    models = [f"--model={role}=openai:{role}" for role in ROLES]
    urls = [f"--base-url={role}={server.base_url}" for role in ROLES]
    return ["evolve", str(data), "-o", str(folder), *models, *urls, *options]


def conversation(exchanges: int, system: str | None = None) -> dict[str, Any]:
    turns = [{"from": "system", "value": system}] if system else []
    for number in range(1, exchanges + 1):
        turns.append({"from": "human", "value": f"ask#{number}#"})
        turns.append({"from": "gpt", "value": f"answer#{number}#"})
    return {"id": "a", "conversations": turns}


def responses(result: Result) -> list[str]:
    return [exchange["response"] for exchange in result.outcome]


# --- rounds


@pytest.mark.parametrize("pack", ["default", "classic"])
@pytest.mark.parametrize(
    ("form", "verdict", "points"),
    [("compare", LOSES, (1, 0)), ("score", ("7 5", "4, 8"), (7.5, 4.5))],
)
def test_one_round(
    evolve: Evolve, pack: str, form: str, verdict: tuple[str, str], points: tuple[float, float]
) -> None:
    with Recorder(Agents(verdict)) as server:
        result = evolve(server, RECORD, f"--prompts={pack}", f"--verdict={form}")["evolve"]
    assert by_step(server.asked) == rounds((["ask#1#", "input#1#"], "answer#1#"))
    (outcome,) = result.outcome
    (done,) = outcome.pop("rounds")
    assert outcome == {
        "exchange": 0,
        "original": "answer#1#",
        "response": "answer#1#",
        "ending": "not_accepted",
        "accepted_rounds": 0,
    }
    assert done["draft"] == "editor#1#"
    assert done["suggestions"] == "advisor#1#"
    assert done["forward"]["reply"] == f"{verdict[0]}\nBecause of judge_forward#1#"
    assert done["reversed"]["reply"] == f"{verdict[1]}\nBecause of judge_reversed#1#"
    assert (done["points"]["current"], done["points"]["draft"]) == points
    assert done["accepted"] is False


def test_the_judge_is_asked_for_the_chosen_verdict_form(evolve: Evolve) -> None:
    asked = {}
    for form in ("compare", "score"):
        with Recorder(Agents(LOSES)) as server:
            evolve(server, RECORD, f"--verdict={form}")
        asked[form] = next(one.messages[-1]["content"] for one in server.asked if one.model == "judge")
    assert "assistant 1\nassistant 2\nequal" in asked["compare"]
    assert "assistant 1\nassistant 2\nequal" not in asked["score"]
    assert "two numbers" in asked["score"]


def test_a_round_through_the_real_command(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("coevol")
    with Recorder(Agents(LOSES)) as server:
        subprocess.run(
            [program, *command(server, RECORD, tmp_path / "run")],
            env={"OPENAI_API_KEY": "sk-not-a-real-key", "PYTHONPATH": ":".join(sys.path)},
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
    assert by_step(server.asked) == rounds((["ask#1#", "input#1#"], "answer#1#"))


def test_a_round_is_five_calls_deep(evolve: Evolve) -> None:
    with Recorder(Agents(LOSES), latency=0.3) as server:
        evolve(server, RECORD)
    found = {step_of(one.messages, one.model): one for one in server.asked}
    for side_by_side, following in zip(STEPS, [*STEPS[1:], []], strict=True):
        group = [found[step] for step in side_by_side]
        assert max(one.arrived for one in group) < min(one.answered for one in group)
        for step in following:
            assert found[step].arrived >= max(one.answered for one in group)


@pytest.mark.parametrize("pack", ["default", "classic"])
def test_three_rounds(evolve: Evolve, pack: str) -> None:
    with Recorder(Agents(WINS)) as server:
        result = evolve(server, RECORD, f"--prompts={pack}")["evolve"]
    request = ["ask#1#", "input#1#"]
    # An accepted draft is what the next round starts from; agents see nothing else of earlier rounds.
    assert by_step(server.asked) == rounds(
        (request, "answer#1#"), (request, "editor#1#"), (request, "editor#2#")
    )
    assert responses(result) == ["editor#3#"]
    assert result.outcome[0]["ending"] == "max_rounds"
    assert result.accepted_rounds == 3
    assert [done["draft"] for done in result.outcome[0]["rounds"]] == ["editor#1#", "editor#2#", "editor#3#"]


@pytest.mark.parametrize("most", [1, 2, 4])
def test_max_rounds(evolve: Evolve, most: int) -> None:
    with Recorder(Agents(WINS)) as server:
        result = evolve(server, RECORD, f"--max-rounds={most}")["evolve"]
    assert len(server.asked) == 8 * most
    assert responses(result) == [f"editor#{most}#"]


@pytest.mark.parametrize(
    ("verdict", "ending", "contradictions"),
    [
        (("equal", "equal"), "not_accepted", 0),
        (("assistant 1", "assistant 2"), "not_accepted", 0),
        (("assistant 1", "assistant 1"), "not_accepted", 1),
        (("assistant 2", "assistant 2"), "not_accepted", 1),
        (("assistant 1", "equal"), "not_accepted", 0),
        (("I cannot say", "assistant 2"), "not_accepted", 0),
        (("I cannot say", "I cannot say"), "judge_error", 0),
    ],
)
def test_what_ends_the_loop(
    evolve: Evolve, verdict: tuple[str, str], ending: str, contradictions: int
) -> None:
    with Recorder(Agents(WINS, verdict)) as server:
        result = evolve(server, RECORD)["evolve"]
    assert len(server.asked) == 16
    assert responses(result) == ["editor#1#"]
    assert result.outcome[0]["ending"] == ending
    assert result.accepted_rounds == 1
    assert result.contradictions == contradictions


@pytest.mark.parametrize("verdict", [("equal", "assistant 1"), ("?", "assistant 1"), ("assistant 2", "?")])
def test_what_leads_to_another_round(evolve: Evolve, verdict: tuple[str, str]) -> None:
    with Recorder(Agents(verdict, LOSES)) as server:
        result = evolve(server, RECORD)["evolve"]
    assert len(server.asked) == 16
    assert responses(result) == ["editor#1#"]


# --- modes

REQUEST = ["ask#1#", "input#1#"]
A_ROUND = a_round(1, REQUEST, "answer#1#")
BY_MODE: dict[str, dict[str, Shape]] = {
    "edit": {"editor": [("system", []), ("user", REQUEST)]},
    "advise-blind": {
        "advisor": [("system", []), ("user", REQUEST)],
        "editor": [("system", []), ("user", [*REQUEST, "advisor#1#"])],
    },
    "advise": {
        "advisor": [("system", []), ("user", [*REQUEST, "answer#1#"])],
        "editor": [("system", []), ("user", [*REQUEST, "answer#1#", "advisor#1#"])],
    },
    "debate": {step: A_ROUND[step] for group in STEPS[:4] for step in group},
    "evolve": A_ROUND,
}


@pytest.mark.parametrize("pack", ["default", "classic"])
@pytest.mark.parametrize("mode", [mode for mode in BY_MODE if mode != "evolve"])
def test_modes_of_one_pass(evolve: Evolve, mode: str, pack: str) -> None:
    with Recorder(Agents()) as server:
        results = evolve(server, RECORD, f"--mode={mode}", f"--prompts={pack}")
    assert by_step(server.asked) == {step: [seen] for step, seen in BY_MODE[mode].items()}
    (outcome,) = results[mode].outcome
    assert (outcome["original"], outcome["response"]) == ("answer#1#", "editor#1#")
    assert outcome["ending"] == "one_pass"
    (done,) = outcome["rounds"]
    assert done["suggestions"] == (None if mode == "edit" else "advisor#1#")
    assert (done["forward"], done["reversed"], done["points"]) == (None, None, None)


def test_several_modes_in_one_run_keep_their_own_results(evolve: Evolve) -> None:
    with Recorder(Agents(LOSES)) as server:
        results = evolve(server, RECORD, *(f"--mode={mode}" for mode in BY_MODE))
    assert set(results) == set(BY_MODE)
    assert len(server.asked) == 1 + 2 + 2 + 6 + 8
    assert responses(results["evolve"]) == ["answer#1#"]
    drafts = [responses(results[mode])[0] for mode in BY_MODE if mode != "evolve"]
    assert len(set(drafts)) == 4


# --- what a request is


def request_texts(evolve: Evolve, record: dict[str, Any], *options: str) -> dict[str, Messages]:
    with Recorder(Agents(LOSES)) as server:
        evolve(server, record, *options)
    return {step_of(one.messages, one.model): one.messages for one in server.asked}


@pytest.mark.parametrize("pack", ["default", "classic"])
def test_an_empty_input_is_left_out(evolve: Evolve, pack: str) -> None:
    plain = {"id": "a", "instruction": "ask#1#", "output": "answer#1#"}
    without = request_texts(evolve, plain, f"--prompts={pack}")
    assert all(marks(messages[1]["content"])[0] == "ask#1#" for messages in without.values())
    for nothing in ("", "<no input>", "<noinput>", "  \n", None):
        assert request_texts(evolve, {**plain, "input": nothing}, f"--prompts={pack}") == without
    assert request_texts(evolve, {**plain, "input": "No input."}, f"--prompts={pack}") != without


@pytest.mark.parametrize("pack", ["default", "classic"])
def test_a_conversation_of_one_exchange_is_plain_text(evolve: Evolve, pack: str) -> None:
    for system in (None, "system#1#"):
        alpaca = {"id": "a", "instruction": "ask#1#", "output": "answer#1#", "system": system}
        options = (f"--prompts={pack}", "--max-rounds=1")
        assert request_texts(evolve, conversation(1, system), *options) == request_texts(
            evolve, alpaca, *options
        )


@pytest.mark.parametrize("pack", ["default", "classic"])
def test_a_system_prompt_is_shown_to_every_agent(evolve: Evolve, pack: str) -> None:
    with Recorder(Agents(LOSES)) as server:
        evolve(server, {**RECORD, "system": "system#1#"}, f"--prompts={pack}")
    assert by_step(server.asked) == rounds((["system#1#", "ask#1#", "input#1#"], "answer#1#"))


@pytest.mark.parametrize("pack", ["default", "classic"])
def test_each_agent_gets_its_own_persona(evolve: Evolve, pack: str) -> None:
    options = [f"--{role}-persona=I am {role}_persona#1#" for role in ROLES]
    texts = request_texts(evolve, RECORD, f"--prompts={pack}", *options)
    for step, messages in texts.items():
        seen = {mark for message in messages for mark in marks(message["content"]) if "_persona" in mark}
        assert seen == {f"{step.partition('_')[0]}_persona#1#"}
        where = messages[0] if pack == "classic" else messages[1]
        assert seen <= set(marks(where["content"]))


@pytest.mark.parametrize("pack", ["default", "classic"])
@pytest.mark.parametrize("window", [0, 1, 2, 3, 4])
def test_memory_window(evolve: Evolve, pack: str, window: int) -> None:
    with Recorder(Agents(LOSES)) as server:
        evolve(server, RECORD, f"--memory-window={window}", f"--prompts={pack}")
    expected = rounds((REQUEST, "answer#1#"))
    for own, other in (("positive", "critical"), ("critical", "positive")):
        # The prompt of the free debate is one of the messages. No conversation may begin with the assistant,
        # so where its own reply is the first that is left, the user's message that follows begins with it.
        kept = [f"{other}_opening#1#"] if window == 1 else [f"{own}_opening#1#", f"{other}_opening#1#"]
        if window in (1, 2):
            expected[f"{own}_free"] = [[("system", []), ("user", kept)]]
    assert by_step(server.asked) == expected


# --- conversations


@pytest.mark.parametrize(
    ("window", "requests"),
    [
        (1, [["ask#1#"], ["ask#2#"], ["ask#3#"]]),
        (2, [["ask#1#"], ["ask#1#", "editor#1#", "ask#2#"], ["ask#2#", "answer#2#", "ask#3#"]]),
        (
            3,
            [
                ["ask#1#"],
                ["ask#1#", "editor#1#", "ask#2#"],
                ["ask#1#", "editor#1#", "ask#2#", "answer#2#", "ask#3#"],
            ],
        ),
    ],
)
def test_a_conversation_of_three_exchanges(evolve: Evolve, window: int, requests: list[list[str]]) -> None:
    # The drafts of the first and the third exchange win: what follows sees the evolved response where
    # there is one and the original where there is none.
    with Recorder(Agents(WINS, LOSES, WINS)) as server:
        options = ("--max-rounds=1", f"--history-window={window}")
        result = evolve(server, conversation(3), *options)["evolve"]
    answers = ["answer#1#", "answer#2#", "answer#3#"]
    assert by_step(server.asked) == rounds(*zip(requests, answers, strict=True))
    assert responses(result) == ["editor#1#", "answer#2#", "editor#3#"]
    assert result.exchanges == 3


def editor_prompts(asked: list[Asked]) -> list[str]:
    return [one.messages[-1]["content"] for one in asked if one.model == "editor"]


@pytest.mark.parametrize(
    ("template", "second"),
    [
        (
            "vicuna_v1.1",
            "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
            "helpful, detailed, and polite answers to the user's questions. "
            "USER: ask#1# ASSISTANT: editor#1#</s>USER: ask#2# ASSISTANT:",
        ),
        (
            "chatml",
            "<|im_start|>user\nask#1#<|im_end|>\n<|im_start|>assistant\neditor#1#<|im_end|>\n"
            "<|im_start|>user\nask#2#<|im_end|>\n<|im_start|>assistant\n",
        ),
    ],
)
def test_the_request_is_written_with_the_template(evolve: Evolve, template: str, second: str) -> None:
    name = {"chatml": "Yi-34b-chat"}.get(template, template)
    with Recorder(Agents()) as server:
        evolve(server, conversation(2), "--mode=advise", f"--conversation-template={name}")
    assert f"<request>\n{second}\n</request>" in editor_prompts(server.asked)[1]


@pytest.mark.parametrize("template", ["vicuna_v1.1", "zero_shot", "llama-2", "yuan"])
def test_a_conversations_system_prompt_is_shown_whatever_the_template(evolve: Evolve, template: str) -> None:
    with Recorder(Agents()) as server:
        options = ("--mode=advise", f"--conversation-template={template}")
        evolve(server, conversation(2, "system#1#"), *options)
    assert [marks(text)[0] for text in editor_prompts(server.asked)] == ["system#1#", "system#1#"]
    assert all(text.count("system#1#") == 1 for text in editor_prompts(server.asked))


@pytest.mark.parametrize(
    ("options", "worked_on"),
    [
        ([], 4),
        (["--max-exchanges=2"], 2),
        (["--max-exchanges=9"], 4),
        (["--max-conversation-tokens=1"], 1),
        # The originals are a dozen tokens each; the drafts about two hundred.
        (["--max-conversation-tokens=300"], 2),
        (["--max-conversation-tokens=300", "--max-exchanges=3"], 3),
    ],
)
def test_how_many_exchanges_are_worked_on(evolve: Evolve, options: list[str], worked_on: int) -> None:
    with Recorder(Agents(draft="{} " + "many words " * 100)) as server:
        options = [*options, "--mode=advise", "--guards=off"]  # the draft is a loop
        result = evolve(server, conversation(4), *options)["advise"]
    assert len(result.outcome) == worked_on
    assert len(server.asked) == 2 * worked_on


def test_a_failed_exchange_keeps_the_results_of_the_others(evolve: Evolve, tmp_path: Path) -> None:
    with Recorder(Agents(refused="critical_opening#2#")) as server:
        options = ("--max-rounds=1", "--history-window=3")
        result = evolve(server, conversation(3), *options, status=1)["evolve"]
    assert result.status == "failed"
    assert responses(result) == ["editor#1#", "answer#2#", "editor#2#"]
    failure = result.outcome[1]["failure"]
    assert (failure["step"], failure["round"], failure["reason"]) == ("critical_opening", 1, "refused")
    assert "this text cannot be answered" in failure["message"]
    # The third exchange is worked on, with the second one's original response in its history.
    assert "answer#2#" in editor_prompts(server.asked)[1]
    assert len(server.asked) == 8 + 2 + 8
    # The other opening was paid for, so it is recorded.
    calls = Ledger.open(tmp_path / "run0" / "ledger.sqlite").calls("a")
    assert len(calls) == 18
    assert [call["step"] for call in calls if call["failure"]] == ["critical_opening"]


@pytest.mark.parametrize("step", [step for group in STEPS for step in group])
def test_a_call_that_fails_ends_the_exchange_with_its_original_response(evolve: Evolve, step: str) -> None:
    # Even if an earlier round was accepted: unfinished work is not a result.
    with Recorder(Agents(refused=f"{step}#2#")) as server:
        result = evolve(server, RECORD, status=1)["evolve"]
    assert responses(result) == ["answer#1#"]
    assert result.outcome[0]["failure"]["step"] == step
    assert result.outcome[0]["failure"]["round"] == 2


# --- the graph


def edges() -> Iterator[tuple[str, str, bool]]:
    async def speak(call: Call, settings: Settings) -> str:
        raise AssertionError

    drawn = exchange_graph(MODES["evolve"], speak).get_graph(xray=True)
    return ((edge.source, edge.target, edge.conditional) for edge in drawn.edges)


def test_the_graph_is_that_of_the_method() -> None:
    groups = [["begin"], *STEPS[:-1], ["guards"], STEPS[-1], ["decide"]]
    expected = {
        (before, after, False)
        for group, following in pairwise(groups)
        for before in group
        for after in following
    }
    expected |= {("__start__", "begin", False), ("finish", "__end__", False)}
    expected |= {("decide", after, True) for after in (*STEPS[0], "finish")}
    # A draft that is refused is not judged.
    expected -= {("guards", judge, False) for judge in STEPS[-1]}
    expected |= {("guards", after, True) for after in (*STEPS[-1], "finish")}
    # With `lazy_judge` the second judgement comes after the first, or not at all.
    expected -= {("judge_forward", "decide", False)}
    expected |= {("judge_forward", after, True) for after in ("judge_reversed", "decide")}
    assert set(edges()) == expected


# --- drafts that are not judged, and agents without a word

WITHOUT_A_JUDGE = [mode for mode in BY_MODE if mode != "evolve"]


class Speaking(Agents):
    """Agents of whom some say something else: `said` has their replies by step, one for each time it is
    asked; the last one is repeated."""

    def __init__(self, *verdicts: tuple[str, str], **said: list[str]) -> None:
        super().__init__(*verdicts)
        self._said = said
        self._asked: Counter[str] = Counter()

    def __call__(self, messages: Messages, model: str) -> str:
        step = step_of(messages, model)
        if step not in self._said:
            return super().__call__(messages, model)
        self._asked[step] += 1
        return self._said[step][min(self._asked[step], len(self._said[step])) - 1]


def steps(asked: list[Asked]) -> Counter[str]:
    return Counter(step_of(one.messages, one.model) for one in asked)


def test_a_refused_draft_is_not_judged(evolve: Evolve) -> None:
    # The first draft is accepted, the second one is the first, word for word.
    with Recorder(Speaking(WINS, editor=["A new editor#1#", " A new\neditor#1# "])) as server:
        (done,) = evolve(server, RECORD)["evolve"].outcome
    assert steps(server.asked)["judge_forward"] == steps(server.asked)["judge_reversed"] == 1
    assert len(server.asked) == 8 + 6
    assert (done["response"], done["ending"], done["accepted_rounds"]) == (
        "A new editor#1#",
        "guard_unchanged",
        1,
    )
    first, second = done["rounds"]
    assert "guard" not in first
    assert (second["guard"], second["accepted"], second["forward"]) == ("unchanged", False, None)


def test_the_paper_has_no_guards(evolve: Evolve) -> None:
    with Recorder(Speaking(LOSES, editor=["answer#1#"])) as server:
        (done,) = evolve(server, RECORD, "--guards=off")["evolve"].outcome
    assert len(server.asked) == 8
    assert done["ending"] == "not_accepted"


@pytest.mark.parametrize("mode", WITHOUT_A_JUDGE)
def test_a_refused_draft_rewrites_nothing(evolve: Evolve, mode: str) -> None:
    with Recorder(Speaking(editor=["I'm sorry, but I can't help with that."])) as server:
        result = evolve(server, RECORD, f"--mode={mode}")[mode]
    (done,) = result.outcome
    assert (done["response"], done["ending"], result.accepted_rounds) == ("answer#1#", "guard_refusal", 0)
    (refused,) = done["rounds"]
    assert (refused["draft"][:9], refused["guard"], refused["accepted"]) == ("I'm sorry", "refusal", False)


@pytest.mark.parametrize("step", ["positive_opening", "critical_opening", "positive_free", "critical_free"])
def test_the_round_goes_on_without_a_speech(evolve: Evolve, step: str) -> None:
    with Recorder(Speaking(LOSES, **{step: [""]})) as server:
        (done,) = evolve(server, RECORD)["evolve"].outcome
    assert done["ending"] == "not_accepted"
    made = steps(server.asked)
    assert made.pop(step) == 2  # the same messages, once more
    same = [one.messages for one in server.asked if step_of(one.messages, one.model) == step]
    assert same[0] == same[1]
    (advised,) = [one.messages for one in server.asked if one.model == "advisor"]
    # What there was to weigh is gone with an opening; an empty fence or message never appears.
    missing = {"positive_opening": ["critical_free"], "critical_opening": ["positive_free"]}.get(step, [])
    assert set(made) == {name for group in STEPS for name in group} - {step, *missing}
    text = advised[-1]["content"]
    assert text.count("(This debater wrote nothing.)") == 1 + len(missing)
    assert f"{step}#" not in text
    for one in server.asked:
        assert all(message["content"].strip() for message in one.messages)
        assert not re.search(r"<(\w+)>\s*</\1>", one.messages[-1]["content"])
        assert all(a["role"] != b["role"] for a, b in pairwise(one.messages))


def test_an_empty_reply_is_asked_for_once_more(evolve: Evolve) -> None:
    said = {step: ["", f"{step}#1#"] for step in ("positive_opening", "advisor", "editor")}
    with Recorder(Speaking(WINS, **said)) as server:
        (done,) = evolve(server, RECORD, "--max-rounds=1")["evolve"].outcome
    assert (done["response"], done["ending"]) == ("editor#1#", "max_rounds")
    assert steps(server.asked) == {**{step: 1 for group in STEPS for step in group}, **dict.fromkeys(said, 2)}


@pytest.mark.parametrize(
    ("silent", "ending", "calls"),
    [
        (("positive_opening", "critical_opening"), "no_suggestions", 4),
        (("advisor",), "no_suggestions", 6),
        (("editor",), "no_draft", 7),
    ],
)
def test_without_a_text_the_exchange_ends_with_its_current_response(
    evolve: Evolve, tmp_path: Path, silent: tuple[str, ...], ending: str, calls: int
) -> None:
    # In the second round, after an accepted draft.
    said = {step: [f"{step}#1#", ""] for step in silent}
    with Recorder(Speaking(WINS, **said)) as server:
        result = evolve(server, RECORD)["evolve"]
    (done,) = result.outcome
    assert (result.status, done["ending"], done["response"]) == ("done", ending, "editor#1#")
    assert len(done["rounds"]) == 1
    assert len(server.asked) == 8 + calls
    # What was asked in the round without a draft belongs to the result.
    calls_made = Ledger.open(tmp_path / "run0" / "ledger.sqlite").calls("a")
    debate = transcript(calls_made, done, "evolve")
    assert all(step.counted for step in debate[2].values())


@pytest.mark.parametrize("order", ["judge_forward", "judge_reversed"])
@pytest.mark.parametrize("retries", [0, 1])
def test_an_empty_verdict_cannot_be_read(evolve: Evolve, order: str, retries: int) -> None:
    with Recorder(Speaking(WINS, **{order: [""]})) as server:
        options = ("--max-rounds=1", f"--judge-retries={retries}")
        (done,) = evolve(server, RECORD, *options)["evolve"].outcome
    # The other order alone counts.
    assert (done["response"], done["ending"]) == ("editor#1#", "max_rounds")
    assert done["rounds"][0][order.removeprefix("judge_")] == {"reply": "", "points": None}
    asked = [one.messages for one in server.asked if step_of(one.messages, one.model) == order]
    assert len(asked) == 1 + retries
    if retries:
        assert [message["role"] for message in asked[1]] == ["system", "user"]
        assert asked[1][-1]["content"].startswith(asked[0][-1]["content"])
        assert asked[1] != asked[0]


def test_two_empty_verdicts_keep_the_current_response(evolve: Evolve) -> None:
    silent = {"judge_forward": [WINS[0], ""], "judge_reversed": [WINS[1], ""]}
    with Recorder(Speaking(WINS, **silent)) as server:
        result = evolve(server, RECORD)["evolve"]
    (done,) = result.outcome
    assert (result.status, done["ending"], done["response"]) == ("done", "judge_error", "editor#1#")
