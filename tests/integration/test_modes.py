"""The modes that debate has to beat, call by call: `refine`, and `best-of-n`."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import coevol
from ledger.ledger import Ledger, Result
from models.settings import ROLES
from tests.conftest import look
from tests.program import EXAMPLES
from tests.recorder import Messages, Recorder, Refused

HERE = Path()
RECORD = {"id": "a", "instruction": "ask#1#", "input": "", "output": "answer#1#"}
TALK = {
    "id": "a",
    "conversations": [
        {"from": speaker, "value": f"{'ask' if speaker == 'human' else 'answer'}#{turn}#"}
        for turn in (1, 2)
        for speaker in ("human", "gpt")
    ],
}


class Agents:
    """An editor whose drafts are given, the last one again and again, and a judge who prefers the text that
    comes later in `ranking`, in both orders, and cannot tell between others."""

    def __init__(self, *drafts: str, ranking: tuple[str, ...] = (), fails_at: int = 0) -> None:
        self._drafts, self._ranking, self._fails_at = drafts, ranking, fails_at
        self.written = 0

    def __call__(self, messages: Messages, model: str) -> str:
        if model == "editor":
            self.written += 1
            if self.written == self._fails_at:
                raise Refused("Incorrect API key provided", 401)
            return self._drafts[min(self.written, len(self._drafts)) - 1]
        first, second = (
            self._ranking.index(mark) if mark in self._ranking else -1
            for mark in marks(messages[-1]["content"])[-2:]
        )
        return "equal" if first == second else f"assistant {1 if first > second else 2}"


def marks(text: str) -> list[str]:
    return re.findall(r"[a-z]+#\d+#", text)


@pytest.fixture(autouse=True)
def _work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key")


def run(server: Recorder, mode: str, record: dict[str, Any] = RECORD, **settings: Any) -> Result:
    Path("data.json").write_text(json.dumps([record]))
    models = {role: f"openai:{role}" for role in ROLES}
    urls = dict.fromkeys(ROLES, server.base_url)
    given = coevol.Settings(role_models=models, role_base_urls=urls, judge_retries=0, **settings)
    coevol.run("data.json", "run", given, modes=[mode])
    found = Ledger.open(Path("run/ledger.sqlite")).sample("a")
    assert found
    return found[1][mode]


def seen(server: Recorder) -> list[tuple[str, list[str]]]:
    """Return who was asked what: the role and the marks in the prompt; a pair of judgments in one order."""
    asked = [(one.model, marks(" ".join(m["content"] for m in one.messages))) for one in server.asked]
    for at in range(len(asked) - 1):
        if asked[at][0] == asked[at + 1][0] == "judge":
            asked[at : at + 2] = sorted(asked[at : at + 2])
    return asked


def judged(*pair: str, ask: str = "ask#1#") -> list[tuple[str, list[str]]]:
    return sorted([("judge", [ask, *pair]), ("judge", [ask, *pair[::-1]])])


def test_refine_goes_on_from_each_draft_that_wins() -> None:
    agents = Agents("draft#1#", "draft#2#", "draft#3#", ranking=("answer#1#", "draft#1#", "draft#2#"))
    with Recorder(agents) as server:
        result = run(server, "refine")
    assert seen(server) == [
        ("editor", ["ask#1#", "answer#1#"]),
        *judged("answer#1#", "draft#1#"),
        ("editor", ["ask#1#", "draft#1#"]),
        *judged("draft#1#", "draft#2#"),
        ("editor", ["ask#1#", "draft#2#"]),
        *judged("draft#2#", "draft#3#"),
    ]
    assert {one.body["temperature"] for one in server.asked} == {0}
    assert not any("uggestion" in m["content"] for one in server.asked for m in one.messages)
    (done,) = result.outcome
    assert (done["response"], done["ending"], result.accepted_rounds) == ("draft#2#", "not_accepted", 2)
    assert [each["suggestions"] for each in done["rounds"]] == [None] * 3


def test_best_of_n_compares_each_draft_with_the_best_so_far() -> None:
    agents = Agents("draft#1#", "draft#2#", "draft#3#", ranking=("draft#1#", "answer#1#", "draft#2#"))
    with Recorder(agents) as server:
        result = run(server, "best-of-n", drafts=3, seed=7)
    assert seen(server) == [
        ("editor", ["ask#1#"]),
        *judged("answer#1#", "draft#1#"),
        ("editor", ["ask#1#"]),
        *judged("answer#1#", "draft#2#"),
        ("editor", ["ask#1#"]),
        *judged("draft#2#", "draft#3#"),
    ]
    # Drafts differ by chance, whatever the temperature of the judge.
    sampled = [(one.model, one.body["temperature"], one.body["seed"]) for one in server.asked]
    assert [each for each in sampled if each[0] == "editor"] == [("editor", 0.8, seed) for seed in (8, 9, 10)]
    assert {each for each in sampled if each[0] == "judge"} == {("judge", 0, 7)}
    (done,) = result.outcome
    assert (done["response"], done["ending"], result.accepted_rounds) == ("draft#2#", "all_drafts", 1)
    assert [each["accepted"] for each in done["rounds"]] == [False, True, False]


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({"temperature": 0.5}, 0.5),
        ({"temperature": "default"}, None),
        ({"temperature": 0.5, "draft_temperature": 1.2}, 1.2),
    ],
)
def test_the_temperature_of_drafts_is_that_of_the_run_unless_it_is_0(
    settings: dict[str, Any], sent: float | None
) -> None:
    with Recorder(Agents("draft#1#")) as server:
        run(server, "best-of-n", drafts=1, **settings)
    (editor,) = [one.body for one in server.asked if one.model == "editor"]
    assert (editor.get("temperature"), editor.get("seed")) == (sent, None)


def test_a_draft_that_is_not_judged_costs_no_judgment_and_the_next_one_is_written() -> None:
    """One that came before, one that a guard refuses, one without text (asked for twice)."""
    drafts = ("draft#1#", " draft#1#\n", "answer#1#", "", "", "draft#5#")
    with Recorder(Agents(*drafts, ranking=("answer#1#", "draft#5#"))) as server:
        result = run(server, "best-of-n", drafts=5)
    (done,) = result.outcome
    assert (done["response"], done["ending"], result.accepted_rounds) == ("draft#5#", "all_drafts", 1)
    assert [each.get("guard") for each in done["rounds"]] == [None, "repeated", "unchanged", None, None]
    assert [each["round"] for each in done["rounds"] if each["points"]] == [1, 5]
    assert Counter(one.model for one in server.asked) == {"editor": 6, "judge": 4}
    story = look("show", "run", "a", cwd=HERE).stdout
    assert story.count("── Round") == 5
    assert "Draft refused: it repeats an earlier one" in story and "No usable draft" in story
    taken = re.findall(
        r"^(\w+) ···> (\w+) +(\d+)×$", look("graph", "run", "--format", "ascii", cwd=HERE).stdout, re.M
    )
    assert {("guards", "decide", "3"), ("decide", "editor", "4")} <= set(taken)
    shown = look("graph", "run", "a", "--format", "ascii", cwd=HERE).stdout
    assert re.findall(r"^(\w+) ···> (\w+) +(\d+)×$", shown, re.M) == taken


@pytest.mark.parametrize(
    ("draft", "ending"), [("answer#1#", "guard_unchanged"), ("", "no_draft"), ("draft#1#", "judge_error")]
)
def test_where_no_draft_could_be_compared_the_ending_says_why(draft: str, ending: str) -> None:
    def reply(messages: Messages, model: str) -> str:
        return draft if model == "editor" else "Hm."

    with Recorder(reply) as server:
        result = run(server, "best-of-n", drafts=2)
    (done,) = result.outcome
    assert (done["ending"], done["response"], len(done["rounds"])) == (ending, "answer#1#", 2)


@pytest.mark.parametrize("mode", ["refine", "best-of-n"])
@pytest.mark.parametrize("record", [RECORD, TALK], ids=["record", "talk"])
def test_a_run_that_was_stopped_repeats_no_call(mode: str, record: dict[str, Any]) -> None:
    drafts = tuple(f"draft#{number}#" for number in range(1, 9))
    ranking = ("answer#1#", "answer#2#", *drafts)
    with Recorder(Agents(*drafts, ranking=ranking, fails_at=3)) as server, pytest.raises(coevol.RunStopped):
        run(server, mode, record, drafts=4)
    # What was written before is not written again: the next reply is that of the third draft.
    again = Agents(*drafts[2:], ranking=ranking)
    with Recorder(again) as other:
        result = run(other, mode, record, drafts=4)
    of_each = 3 if mode == "refine" else 4
    assert again.written == of_each * len(result.outcome) - 2
    written = [done["draft"] for exchange in result.outcome for done in exchange["rounds"]]
    assert written == list(drafts[: of_each * len(result.outcome)])
    asked = Counter(json.dumps(one.body) for one in (*server.asked, *other.asked) if one.model == "judge")
    assert set(asked.values()) == {1}


def test_drafts_with_one_sampling_are_refused() -> None:
    Path("data.json").write_text(json.dumps([RECORD]))
    for body, option in (('{"temperature": 0}', "--draft-temperature"), ('{"seed": 1}', "--seed")):
        words = ("evolve", "data.json", "-o", "run", "--mode=best-of-n", f"--extra-body=editor={body}")
        refused = look(*words, cwd=HERE, status=2).stderr
        assert f"give it by {option}" in refused and "Traceback" not in refused
    assert "--draft-temperature" in look(*words[:5], "--draft-temperature=0", cwd=HERE, status=2).stderr
    assert not Path("run").exists()


def test_a_forecast_counts_every_draft() -> None:
    shown = look(
        "evolve",
        EXAMPLES / "alpaca_en.json",
        "-o",
        "run",
        "--dry-run",
        "--mode=best-of-n",
        "--drafts=3",
        cwd=HERE,
    )
    # 12 records, 3 drafts each, 2 judgments of each, every second one asked for again at most.
    assert "Calls    108 to 180" in shown.stdout and "3 drafts (--drafts)" in shown.stdout
