"""Runs with a reference: who sees it, what a check refuses, what is counted, and how such a run goes on."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import coevol
from ledger.ledger import Ledger
from models.settings import ROLES
from nodes.checks import CheckUnusable
from runners.api import arun
from runners.cli import coevol as command
from tests.recorder import Messages, Recorder

PROBLEM = {"question": "Ana packs 48 jars in April and half as many in May. How many in all?"}
RIGHT = {
    "id": "right",
    **PROBLEM,
    "solution": "48 + 24 = 72, so 72 jars.",
    "answer": "It is seventy-two: #### 72",
}
WRONG = {
    "id": "wrong",
    **PROBLEM,
    "solution": "48 + 23 = 71, so 71 jars.",
    "answer": "It is seventy-two: #### 72",
}
WITHOUT = {"id": "without", **PROBLEM, "solution": "So 70 jars."}
COLUMNS = {"request": "question", "response": "solution"}


def agents(draft: str) -> Callable[[Messages, str], str]:
    """Agents whose judge prefers every draft, in both orders."""

    def reply(messages: Messages, model: str) -> str:
        if model == "judge":
            return f"assistant {1 if draft in messages[-1]['content'].split('Response 2')[0] else 2}"
        return draft if model == "editor" else f"The {model} has a look at it."

    return reply


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key")


async def evolved(
    server: Recorder, folder: Path, *records: dict[str, Any], data: Any = None, **settings: Any
) -> Any:
    file = folder / "data.jsonl"
    file.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    models = {role: f"openai:{role}" for role in ROLES}
    made = coevol.Settings(
        role_models=models, role_base_urls=dict.fromkeys(ROLES, server.base_url), max_rounds=1, **settings
    )
    given = {"columns": COLUMNS, "reference": "answer"} if data is None else data
    return await arun(file, folder / "run", made, **given)


def outcomes(folder: Path) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for _, by_mode in Ledger.open(folder / "run" / "ledger.sqlite").samples():
        for mode, result in by_mode.items():
            found.setdefault(mode, []).extend(result.outcome)
    return found


async def test_the_judge_sees_the_reference_and_nobody_else(tmp_path: Path) -> None:
    prompts: list[set[tuple[str, str]]] = []
    for data in (None, {"columns": COLUMNS}):
        folder = tmp_path / str(len(prompts))
        folder.mkdir()
        with Recorder(agents("All in all, 72 jars.")) as server:
            await evolved(server, folder, RIGHT, data=data)
        prompts.append({(asked.model, json.dumps(asked.messages)) for asked in server.asked})
    with_it, without = prompts
    assert {model for model, _ in with_it - without} == {"judge"}
    assert all("seventy-two" in text for _, text in with_it - without)
    assert not any("seventy-two" in text for _, text in without)


async def test_a_draft_that_disagrees_is_not_judged(tmp_path: Path) -> None:
    with Recorder(agents("All in all, 71 jars.")) as server:
        run = await evolved(server, tmp_path, RIGHT, WRONG, WITHOUT, check="exact", guards="off")
        asked = len(server.asked)
        await evolved(server, tmp_path, RIGHT, WRONG, WITHOUT, check="exact", guards="off")
    assert asked == len(server.asked) == 3 * 6 + 2
    right, wrong, without = outcomes(tmp_path)["evolve"]
    assert (right["ending"], right["response"]) == ("guard_disagrees", RIGHT["solution"])
    assert right["rounds"][0]["guard"] == "disagrees"
    assert right["rounds"][0]["remark"] == "“All in all, 71 jars.”, not “72”"
    assert (wrong["ending"], wrong["agrees"]) == ("guard_disagrees", {"original": False, "final": False})
    assert (without["response"], without.get("agrees")) == ("All in all, 71 jars.", None)
    mode = run.stats()["modes"]["evolve"]
    assert mode["refused"] == {"disagrees": 2}
    assert mode["checking"] == {
        "with_reference": 2,
        "checked": 2,
        "original_agrees": 1,
        "final_agrees": 1,
        "no_result": 0,
    }


async def test_a_draft_that_agrees_is_judged_in_the_end(tmp_path: Path) -> None:
    with Recorder(agents("All in all, 72 jars.")) as server:
        run = await evolved(server, tmp_path, RIGHT, WRONG, check="exact")
    assert [done["response"] for done in outcomes(tmp_path)["evolve"]] == ["All in all, 72 jars."] * 2
    checking = run.stats()["modes"]["evolve"]["checking"]
    assert (checking["original_agrees"], checking["final_agrees"]) == (1, 2)
    for words in (["stats"], ["show"]):
        text = CliRunner().invoke(
            command, [*words, str(tmp_path / "run"), *(["right"] if "show" in words else [])]
        )
        assert ("seventy-two" if "show" in words else "pass the check") in text.output
    file = tmp_path / "out.jsonl"
    done = CliRunner().invoke(command, ["export", str(tmp_path / "run"), "-o", str(file), "--to", "trl-sft"])
    assert done.exit_code == 0, done.output
    assert "| final responses that pass the check | 2 of 2 |" in (tmp_path / "README.md").read_text()


async def test_modes_without_a_judge_keep_a_response(tmp_path: Path) -> None:
    with Recorder(agents("All in all, 71 jars.")) as server:
        data = {"columns": COLUMNS, "reference": "answer", "modes": ["edit", "advise"]}
        await evolved(server, tmp_path, RIGHT, data=data, check="exact")
    assert [done["ending"] for mode in outcomes(tmp_path).values() for done in mode] == [
        "guard_disagrees"
    ] * 2
    assert not any("seventy-two" in json.dumps(asked.messages) for asked in server.asked)


async def test_each_exchange_has_its_own_reference(tmp_path: Path) -> None:
    def turns(*each: tuple[str, str, Any]) -> list[dict[str, Any]]:
        pairs = [
            ({"role": "user", "content": ask}, {"role": "assistant", "content": said, "answer": right})
            for ask, said, right in each
        ]
        return [turn for pair in pairs for turn in pair]

    record = {"messages": turns(("1 + 2?", "It is 4.", 3), ("And doubled?", "It is 8.", None)), "answer": "6"}
    with Recorder(agents("That makes 6.")) as server:
        await evolved(server, tmp_path, record, data={"reference": "answer"}, check="exact")
    first, second = outcomes(tmp_path)["evolve"]
    assert (first["reference"], first["ending"], first["response"]) == ("3", "guard_disagrees", "It is 4.")
    assert (second["reference"], second["response"]) == ("6", "That makes 6.")
    assert second["agrees"] == {"original": False, "final": True}


CHECK = """
import json, sys
record = json.load(sys.stdin)
print(record["exchange"], file=open(record["log"], "a"))
if "broken" in record["response"]: sys.exit(2)
sys.exit(0 if record["response"].endswith(record["unit"]) else 1)
"""


async def test_a_command_decides(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text(CHECK, encoding="utf-8")
    check = f"{sys.executable} -S {tmp_path / 'check.py'}"
    records = [
        {**RIGHT, "unit": "jars.", "log": str(tmp_path / "log")},
        {**WRONG, "unit": "boxes.", "log": str(tmp_path / "log")},
    ]
    with Recorder(agents("All in all, 72 jars.")) as server:
        await evolved(server, tmp_path, *records, data={"columns": COLUMNS}, check=check)
    agreeing, other = outcomes(tmp_path)["evolve"]
    assert (agreeing["response"], other["ending"]) == ("All in all, 72 jars.", "guard_disagrees")
    # The first response before the run, the originals and the drafts.
    assert (tmp_path / "log").read_text().split() == ["0"] * 5
    file = tmp_path / "out.jsonl"
    CliRunner().invoke(command, ["export", str(tmp_path / "run"), "-o", str(file), "--to", "trl-sft"])
    card = (tmp_path / "README.md").read_text()
    assert "-S check.py` |" in card
    assert str(tmp_path) not in card


async def test_a_check_without_a_result_refuses_with_its_own_reason(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text(CHECK, encoding="utf-8")
    check = f"{sys.executable} -S {tmp_path / 'check.py'}"
    record = {**RIGHT, "unit": "jars.", "log": str(tmp_path / "log")}
    with Recorder(agents("All is broken, 72 jars.")) as server:
        await evolved(server, tmp_path, record, check=check)
    (done,) = outcomes(tmp_path)["evolve"]
    assert (done["ending"], done["rounds"][0]["remark"]) == ("guard_check_failed", "status 2")


async def test_nothing_is_spent_where_the_check_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text("import nosuch_module, os; os.abort()", encoding="utf-8")
    broken = f"{sys.executable} -c 'raise SystemExit(2)'"
    with Recorder(agents("72")) as server:
        with pytest.raises(CheckUnusable, match="record right with its own response: status 2"):
            await evolved(server, tmp_path, RIGHT, check=broken)
        with pytest.raises(CheckUnusable, match="'nosuch' is not found"):
            await evolved(server, tmp_path, RIGHT, check="nosuch")
        with pytest.raises(coevol.RunError, match="--check exact needs the field"):
            await evolved(server, tmp_path, RIGHT, data={"columns": COLUMNS}, check="exact")
    assert not server.asked
    assert not (tmp_path / "run").exists()


async def test_another_reference_or_check_is_another_run(tmp_path: Path) -> None:
    with Recorder(agents("All in all, 72 jars.")) as server:
        await evolved(server, tmp_path, RIGHT, check="exact")
        with pytest.raises(coevol.RunError, match=r'check: "exact" there, null here'):
            await evolved(server, tmp_path, RIGHT)
        with pytest.raises(coevol.RunError, match='reference: "answer" there, "id" here'):
            await evolved(
                server, tmp_path, RIGHT, data={"columns": COLUMNS, "reference": "id"}, check="exact"
            )


async def test_a_pack_that_does_not_show_it_is_used_and_reported(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    ask = '{% call user_message() %}{{ fence("request", request) }}'
    both = '{{ fence("response", response_1) }} {{ fence("response", response_2) }}'
    for file in (Path(coevol.__file__).parent / "prompts" / "default").glob("[!j]*.jinja"):
        (own / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    verdicts = "assistant 1, assistant 2 or equal?{% endcall %}"
    for name in ("judge_compare", "judge_score"):
        (own / f"{name}.jinja").write_text(f"{ask} {both} {verdicts}", encoding="utf-8")
    notices: list[str] = []
    with Recorder(agents("All in all, 72 jars.")) as server:
        data = {"columns": COLUMNS, "reference": "answer", "notify": notices.append}
        await evolved(server, tmp_path, RIGHT, data=data, prompts=str(own))
    assert any("does not show the reference to the judge" in notice for notice in notices)
    assert not any("seventy-two" in json.dumps(asked.messages) for asked in server.asked)
