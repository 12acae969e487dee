"""`--lazy-judge`: the same decisions as with both judgements, for fewer calls."""

import json
import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise, product
from pathlib import Path
from typing import Any, get_args

import pytest

from ledger.ledger import Ledger
from models.call import VerdictForm
from models.settings import ROLES
from nodes.decision import Judged, decide, settled
from nodes.judge import Judgement, read_verdict
from tests.conftest import look
from tests.recorder import Messages, Recorder

UNREADABLE = "Both have their merits."
SCORES = [f"{half / 2:g}" for half in range(2, 21)]
REPLIES: dict[VerdictForm, list[str]] = {
    "compare": ["assistant 1", "assistant 2", "equal", UNREADABLE],
    "score": [*(f"{one} {other}" for one, other in product(SCORES, repeat=2)), UNREADABLE],
}
"""All that a judge can say; scores in steps of a half, both ends included."""

FORMS: tuple[VerdictForm, ...] = get_args(VerdictForm)


def judgements(form: VerdictForm) -> list[Judgement]:
    return [Judgement(reply=reply, points=read_verdict(reply, form)) for reply in REPLIES[form]]


def decided(forward: Judgement, reverse: Judgement | None) -> tuple[str, int, str]:
    """The response that is left, the number of the next round, and why the loop would end here."""
    state = Judged(
        id="a",
        exchange=0,
        round=1,
        system="",
        instruction="ask",
        input="",
        response="old",
        suggestions="do better",
        draft="new",
        forward=forward,
        reversed=reverse,
        rounds=[],
    )
    update = decide(state)
    return update.get("response", "old"), update.get("round", 1), update["ending"]


@pytest.mark.parametrize("form", FORMS)
def test_one_judgement_decides_exactly_where_every_other_one_would_lead_to_the_same(
    form: VerdictForm,
) -> None:
    alone = []
    for forward in judgements(form):
        possible = {decided(forward, reverse) for reverse in judgements(form)}
        assert settled(forward, form) == (len(possible) == 1)
        if settled(forward, form):
            assert possible == {decided(forward, None)}
            alone.append(forward["reply"])
    assert alone == (["assistant 1"] if form == "compare" else ["10 1"])


def verdict(text: str, form: str) -> str:
    """What the judge of the tests says to a prompt: any of its replies, drawn from the prompt."""
    replies = [UNREADABLE, "assistant 1", "assistant 2", "assistant 2", "equal"]
    if form == "score":
        replies = [UNREADABLE, "10 1", "1 10", "2 10", "10, 1.5", "7 7", "3 9"]
    return replies[blake2b(text.encode(), digest_size=4).digest()[0] % len(replies)]


class Agents:
    """Answers that follow from the request alone."""

    def __init__(self, form: str) -> None:
        self._form = form

    def __call__(self, messages: Messages, model: str) -> str:
        text = json.dumps(messages)
        if model == "judge":
            return f"{verdict(text, self._form)}\nSo it seems."
        return f"{model} {blake2b(text.encode(), digest_size=6).hexdigest()}"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key")


def evolve(server: Recorder, data: Path, run: str, *options: str, cwd: Path) -> list[Any]:
    """Runs the command; gives each exchange's ending, accepted rounds and rounds."""
    words = [f"--model={role}=openai:{role}" for role in ROLES]
    words += [f"--base-url={role}={server.base_url}" for role in ROLES]
    look("evolve", data, "-o", run, *words, *options, cwd=cwd)
    look("export", run, "-o", f"{run}.json", cwd=cwd)
    return [
        (done["ending"], done["accepted_rounds"], done["rounds"])
        for _, by_mode in Ledger.open(cwd / run / "ledger.sqlite").samples()
        for done in by_mode["evolve"].outcome
    ]


def written(folder: Path, records: list[dict[str, Any]]) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def mixed(rounds: list[Any]) -> Iterator[tuple[bool, str]]:
    for round_ in rounds:
        yield round_["accepted"], round_["forward"]["reply"]


@pytest.mark.parametrize("form", FORMS)
def test_a_lazy_run_decides_the_same_and_saves_calls(form: str, tmp_path: Path) -> None:
    talks = [
        {
            "id": f"talk {number}",
            "conversations": [
                {"from": speaker, "value": f"{speaker} says {turn} in {number}."}
                for turn in range(2)
                for speaker in ("human", "gpt")
            ],
        }
        for number in range(25)
    ]
    data = written(tmp_path, talks)
    asked, found = {}, {}
    for run in ("full", "lazy"):
        options = (f"--verdict={form}", "--judge-retries=0", f"--{'' if run == 'lazy' else 'no-'}lazy-judge")
        with Recorder(Agents(form)) as server:
            found[run] = evolve(server, data, run, *options, cwd=tmp_path)
        asked[run] = sorted(json.dumps(one.body, sort_keys=True) for one in server.asked)
    assert (tmp_path / "lazy.json").read_bytes() == (tmp_path / "full.json").read_bytes()
    saved = 0
    for (ending, accepted, full), (lazy_ending, lazy_accepted, lazy) in zip(
        found["full"], found["lazy"], strict=True
    ):
        assert (lazy_ending, lazy_accepted) == (ending, accepted)
        assert list(mixed(lazy)) == list(mixed(full))
        for one, other in zip(full, lazy, strict=True):
            assert other["reversed"] in (one["reversed"], None)
            assert (other["reversed"] is None) == settled(
                one["forward"], "score" if form == "score" else "compare"
            )
            saved += other["reversed"] is None
    assert saved >= 3
    assert set(asked["lazy"]) < set(asked["full"])
    assert len(asked["lazy"]) == len(asked["full"]) - saved
    # … and what is printed says so.
    reports = {
        run: json.loads(look("stats", run, "--json", cwd=tmp_path).stdout)["modes"]["evolve"]["judging"]
        for run in ("full", "lazy")
    }
    assert (reports["full"]["calls_saved"], reports["lazy"]["calls_saved"]) == (0, saved)
    assert reports["lazy"]["rounds"] == reports["full"]["rounds"]
    assert reports["lazy"]["accepted"] == reports["full"]["accepted"]
    both = ("agreed", "one_tie", "contradicted", "one_unreadable", "both_unreadable")
    assert sum(reports["lazy"][name] for name in both) == reports["lazy"]["rounds"] - saved
    assert "a call saved" in look("stats", "lazy", cwd=tmp_path).stdout
    assert "a call saved" not in look("stats", "full", cwd=tmp_path).stdout
    told = [look("show", "lazy", talk["id"], cwd=tmp_path).stdout for talk in talks[:8]]
    told_of = sum(text.count("whatever a second judgement would say") for text in told)
    assert told_of == sum(
        round_["reversed"] is None for _, _, rounds in found["lazy"][: 2 * len(told)] for round_ in rounds
    )


def test_the_second_judgement_waits_for_the_first_in_round_after_round(tmp_path: Path) -> None:
    def always_better(messages: Messages, model: str) -> str:
        drafts = [int(number) for number in re.findall(r"text#(\d+)", messages[-1]["content"])]
        if model == "judge":
            return f"assistant {2 if drafts[-1] > drafts[-2] else 1}"
        return f"text#{max(drafts) + 1}" if model == "editor" else "Go on."

    data = written(tmp_path, [{"id": "a", "instruction": "Count.", "output": "text#1"}])
    with Recorder(always_better, latency=0.05) as server:
        ((ending, accepted, _),) = evolve(
            server, data, "run", "--lazy-judge", "--max-rounds=12", cwd=tmp_path
        )
    assert (ending, accepted) == ("max_rounds", 12)
    judged = [one for one in server.asked if one.model == "judge"]
    assert len(judged) == 24
    assert all(one.arrived >= before.answered for before, one in pairwise(judged))


def test_it_is_a_setting_like_the_others(tmp_path: Path) -> None:
    data = written(tmp_path, [{"instruction": "Count.", "output": "1"}])
    (tmp_path / "mine.toml").write_text("lazy_judge = true\n")
    for name, words, value in (
        ("a", (), False),
        ("b", ("--settings", "mine.toml"), True),
        ("c", ("--settings", "mine.toml", "--no-lazy-judge"), False),
    ):
        look("evolve", data, "-o", name, *words, cwd=tmp_path)
        assert json.loads((tmp_path / name / "run.json").read_text())["settings"]["lazy_judge"] is value
    refused = look("evolve", data, "-o", "a", "--lazy-judge", cwd=tmp_path, status=2)
    assert "lazy_judge: false there, true here" in refused.stderr
