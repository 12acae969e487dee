"""`--lazy-judge`: the same decisions as with both judgements, for fewer calls."""

import json
import re
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ledger.ledger import Ledger
from models.settings import ROLES
from nodes.decision import settled
from tests.conftest import look
from tests.recorder import Messages, Recorder

UNREADABLE = "Both have their merits."
SAVED = "the second was not asked for"
"""What `coevol show` says of a judgement that was saved."""


def verdict(text: str, form: str) -> str:
    """Return the judge's reply to a prompt: any of its replies, drawn from the prompt."""
    replies = [UNREADABLE, "assistant 1", "assistant 2", "assistant 2", "equal"]
    if form == "score":
        replies = [UNREADABLE, "10 1", "1 10", "2 10", "10, 1.5", "7 7", "3 9"]
    return replies[blake2b(text.encode(), digest_size=4).digest()[0] % len(replies)]


class Agents:
    """Agents whose replies depend on the request alone."""

    def __init__(self, form: str) -> None:
        self._form = form

    def __call__(self, messages: Messages, model: str) -> str:
        text = json.dumps(messages)
        if model == "judge":
            return f"{verdict(text, self._form)}\nSo it seems."
        return f"{model} {blake2b(text.encode(), digest_size=6).hexdigest()}"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key")


def evolve(server: Recorder, data: Path, run: str, *options: str, cwd: Path) -> list[Any]:
    """Run the command; return each exchange's ending, accepted rounds and rounds."""
    words = [f"--model={role}=openai:{role}" for role in ROLES]
    words += [f"--base-url={role}={server.base_url}" for role in ROLES]
    look("evolve", data, "-o", run, *words, *options, cwd=cwd)
    look("export", run, "-o", f"{run}.json", cwd=cwd)
    return [
        (done["ending"], done["accepted_rounds"], done["rounds"])
        for _, by_mode in Ledger.open(cwd / run / "ledger.sqlite").samples()
        for done in by_mode["evolve"].outcome
    ]


def write_data(folder: Path, records: list[dict[str, Any]]) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def decisions(rounds: list[Any]) -> list[tuple[bool, str]]:
    return [(round_["accepted"], round_["forward"]["reply"]) for round_ in rounds]


@pytest.mark.parametrize("form", ["compare", "score"])
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
    data = write_data(tmp_path, talks)
    requests, found = {}, {}
    for run in ("full", "lazy"):
        options = (f"--verdict={form}", "--judge-retries=0", f"--{'' if run == 'lazy' else 'no-'}lazy-judge")
        with Recorder(Agents(form)) as server:
            found[run] = evolve(server, data, run, *options, cwd=tmp_path)
        requests[run] = sorted(json.dumps(one.body, sort_keys=True) for one in server.asked)
    assert (tmp_path / "lazy.json").read_bytes() == (tmp_path / "full.json").read_bytes()
    saved = 0
    for (ending, accepted, full), (lazy_ending, lazy_accepted, lazy) in zip(
        found["full"], found["lazy"], strict=True
    ):
        assert (lazy_ending, lazy_accepted) == (ending, accepted)
        assert decisions(lazy) == decisions(full)
        for one, other in zip(full, lazy, strict=True):
            assert other["reversed"] in (one["reversed"], None)
            assert (other["reversed"] is None) == settled(
                one["forward"], "score" if form == "score" else "compare"
            )
            saved += other["reversed"] is None
    assert saved >= 3
    assert set(requests["lazy"]) < set(requests["full"])
    assert len(requests["lazy"]) == len(requests["full"]) - saved
    # What is printed agrees.
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
    shown = [look("show", "lazy", talk["id"], cwd=tmp_path).stdout for talk in talks[:8]]
    assert sum(text.count(SAVED) for text in shown) == sum(
        round_["reversed"] is None for _, _, rounds in found["lazy"][: 2 * len(shown)] for round_ in rounds
    )


def test_the_second_judgement_waits_for_the_first_in_every_round(tmp_path: Path) -> None:
    def always_better(messages: Messages, model: str) -> str:
        drafts = [int(number) for number in re.findall(r"text#(\d+)", messages[-1]["content"])]
        if model == "judge":
            return f"assistant {2 if drafts[-1] > drafts[-2] else 1}"
        return f"text#{max(drafts) + 1}" if model == "editor" else "Yes."

    data = write_data(tmp_path, [{"id": "a", "instruction": "Count.", "output": "text#1"}])
    with Recorder(always_better, latency=0.02) as server:
        ((ending, accepted, _),) = evolve(
            server, data, "run", "--lazy-judge", "--max-rounds=12", cwd=tmp_path
        )
    assert (ending, accepted) == ("max_rounds", 12)
    judged = [one for one in server.asked if one.model == "judge"]
    assert len(judged) == 24
    assert all(one.arrived >= before.answered for before, one in pairwise(judged))


def test_it_is_a_setting_like_any_other(tmp_path: Path) -> None:
    data = write_data(tmp_path, [{"instruction": "Count.", "output": "1"}])
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
