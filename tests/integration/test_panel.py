"""Several judges: all readable judgments of both orders are averaged."""

import json
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import coevol
from ledger.ledger import Ledger, Result
from models.settings import PANEL, ROLES
from nodes.decision import merge, settled
from nodes.judge import averaged
from nodes.views import Judgment
from tests.conftest import look
from tests.program import EXAMPLES
from tests.recorder import Messages, Recorder, Refused

HERE = Path()
RECORD = {"id": "a", "instruction": "Ask.", "input": "", "output": "old"}
A, B, C = "assistant 1", "assistant 2", "equal"
HM = "Both have their merits."


class Agents:
    """Agents who draft "new", and judges who say, by model, one thing in each order."""

    def __init__(self, said: dict[str, tuple[str, str]], refuses: str = "") -> None:
        self._said, self._refuses = said, refuses

    def __call__(self, messages: Messages, model: str) -> str:
        if model not in self._said:
            return "new" if model == "editor" else "Yes."
        if model == self._refuses:
            raise Refused("Incorrect API key provided", 401)
        text = messages[-1]["content"]
        return self._said[model][text.index(">\nold\n<") > text.index(">\nnew\n<")]


@pytest.fixture(autouse=True)
def _work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key")
    Path("data.json").write_text(json.dumps([RECORD]))


def run(server: Recorder, judges: list[str], **settings: Any) -> Result:
    models: dict[str, Any] = {role: f"openai:{role}" for role in ROLES}
    models["judge"] = [f"openai:{name}" for name in judges]
    roles = (*ROLES[:-1], *PANEL[: len(judges)])
    given = {"max_rounds": 1, "judge_retries": 0, "role_base_urls": dict.fromkeys(roles, server.base_url)}
    coevol.run("data.json", "run", coevol.Settings(role_models=models, **{**given, **settings}))
    found = Ledger.open(Path("run/ledger.sqlite")).sample("a")
    assert found
    return found[1]["evolve"]


@pytest.mark.parametrize(
    ("said", "points", "disagree"),
    [
        ({"x": (B, A), "y": (B, A), "z": (A, B)}, (1 / 3, 2 / 3), True),  # two of three for the draft
        ({"x": (B, A), "y": (A, B), "z": (C, C)}, (2 / 3, 2 / 3), True),  # a tie keeps the response
        ({"x": (HM, A), "y": (C, HM), "z": (HM, HM)}, (1 / 2, 2 / 2), True),  # two of six can be read
        ({"x": (B, A), "y": (B, A), "z": (HM, HM)}, (0, 1), False),
    ],
)
def test_all_readable_judgments_count_alike(
    said: dict[str, tuple[str, str]], points: tuple[float, float], *, disagree: bool
) -> None:
    with Recorder(Agents(said)) as server:
        result = run(server, list(said))
    (done,) = result.outcome[0]["rounds"]
    assert (done["points"]["current"], done["points"]["draft"]) == pytest.approx(points)
    assert done["accepted"] == (points[1] > points[0])
    assert Counter(one.model for one in server.asked if one.model in said) == dict.fromkeys(said, 2)
    for order, place in (("forward", 0), ("reversed", 1)):
        judged = {model: one["reply"] for model, one in done[order]["panel"].items()}
        assert judged == {f"openai:{model}": replies[place] for model, replies in said.items()}
    story = look("show", "run", "a", cwd=HERE).stdout
    for model in said:
        assert f"Judge, current response first (openai:{model}): " in story
        assert f"Judge, draft first (openai:{model}): " in story
    assert ("judges disagree: openai:x " in story) == disagree
    look("report", "run", "-o", "report.html", "--sample", "a", cwd=HERE)
    html = Path("report.html").read_text(encoding="utf-8")
    assert all(f"Judge, draft first (openai:{model})" in html for model in said)
    (mode,) = json.loads(look("stats", "run", "--json", cwd=HERE).stdout)["modes"].values()
    assert (mode["panel"]["rounds"], mode["panel"]["disagreed"]) == (1, int(disagree))
    words = {model: [word for word, n in one.items() if n] for model, one in mode["panel"]["judges"].items()}
    of = {
        B + A: "draft",
        A + B: "current",
        C + C: "neither",
        HM + HM: "unreadable",
        HM + A: "draft",
        C + HM: "neither",
    }
    assert words == {f"openai:{model}": [of["".join(replies)]] for model, replies in said.items()}
    assert "the judges disagree" in look("stats", "run", cwd=HERE).stdout


def test_one_judge_in_a_list_is_one_judge() -> None:
    with Recorder(Agents({"x": (B, A)})) as server:
        result = run(server, ["x"])
    (done,) = result.outcome[0]["rounds"]
    assert done["forward"] == {"reply": B, "points": [0, 1]}
    assert "panel" not in json.loads(look("stats", "run", "--json", cwd=HERE).stdout)["modes"]["evolve"]


def test_a_panel_that_was_stopped_repeats_no_call() -> None:
    said = {"x": (B, A), "y": (A, B), "z": (B, A)}
    with Recorder(Agents(said, refuses="z")) as server, pytest.raises(coevol.RunStopped):
        run(server, list(said))
    with Recorder(Agents(said)) as other:
        result = run(other, list(said))
    assert result.accepted_rounds == 1
    answered = Counter(json.dumps(one.body) for one in (*server.asked, *other.asked) if one.model != "z")
    assert set(answered.values()) == {1}
    assert {one.model for one in other.asked} == {"z"}


def test_a_lazy_panel_decides_as_all_its_judgments_would() -> None:
    verdicts: list[list[float] | None] = [None, [1, 0], [0, 1], [1, 1]]

    def judgments(points: tuple[Any, ...]) -> Judgment:
        return averaged({str(n): Judgment(reply="", points=each) for n, each in enumerate(points)})

    for forward in map(judgments, product(verdicts, repeat=2)):
        decisions = set()
        for reverse in map(judgments, product(verdicts, repeat=2)):
            points = merge(forward, reverse)
            decisions.add((points is not None, points is not None and points["draft"] > points["current"]))
        assert settled(forward, "compare") == (decisions == {(True, False)})
    # A tie is one however the points are added up.
    scores = ([1.1, 2.2], [3.3, 1.1], [2.2, 3.3])
    assert (tie := merge(judgments(scores), None)) and tie["current"] == tie["draft"]
    said = {"x": (A, B), "y": (A, A)}
    with Recorder(Agents(said)) as server:
        assert run(server, list(said), lazy_judge=True).accepted_rounds == 0
    assert sum(one.model in said for one in server.asked) == 2


def test_judges_are_named_on_the_command_line_or_in_a_file() -> None:
    words = ("evolve", EXAMPLES / "alpaca_en.json", "--max-rounds=1")
    judges = ("--model=judge=rehearsal:a", "--model=judge=rehearsal:b", "--model=judge=rehearsal:c")
    look(*words, *judges, "-o", "one", cwd=HERE)
    Path("mine.toml").write_text('[role_models]\njudge = ["rehearsal:a", "rehearsal:b", "rehearsal:c"]\n')
    look(*words, "--settings=mine.toml", "-o", "two", cwd=HERE)
    one, two = (json.loads((HERE / name / "run.json").read_text())["settings"] for name in ("one", "two"))
    assert one["role_models"] == {
        f"judge{n}": f"rehearsal:{x}" for n, x in (("", "a"), ("_2", "b"), ("_3", "c"))
    }
    assert one == two
    # Options override the panel of a file as a whole.
    look(*words, "--settings=mine.toml", *judges[1:], "-o", "three", cwd=HERE)
    three = json.loads((HERE / "three/run.json").read_text())["settings"]["role_models"]
    assert three == {"judge": "rehearsal:b", "judge_2": "rehearsal:c"}
    assert "role_models" in look(*words, *judges[1:], "-o", "one", cwd=HERE, status=2).stderr
    stats = json.loads(look("stats", "one", "--json", cwd=HERE).stdout)
    panel = stats["modes"]["evolve"]["panel"]
    assert panel["rounds"] == 12 and panel["disagreed"] > 0
    assert stats["calls"]["by_role"]["judge"]["calls"] >= 72
    forecast = look(*words, *judges, "-o", "four", "--dry-run", cwd=HERE).stdout
    assert "Calls    144 to 216" in forecast  # 6 calls before it, and 6 judgments that may be asked for twice


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--model=judge=rehearsal:a",) * 2, "rehearsal:a is named twice as a judge"),
        (tuple(f"--model=judge=rehearsal:{n}" for n in range(6)), "names 6 judges: a panel has at most 5"),
        (("--extra-body=judge_2={}",), "there is no judge_2"),
        (("--base-url=judge_2=http://127.0.0.1:9/v1",), "no model of its own"),
        (("--model=judge_6=rehearsal:a",), "unknown role 'judge_6'"),
    ],
)
def test_a_panel_that_cannot_be_is_refused(words: tuple[str, ...], complaint: str) -> None:
    refused = look("evolve", "data.json", "-o", "run", *words, cwd=HERE, status=2).stderr
    assert complaint in refused and "Traceback" not in refused
    assert not Path("run").exists()
