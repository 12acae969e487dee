"""Runs whose server begins to refuse all calls, and runs that come to nothing."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from graph.settings import Settings
from ledger.ledger import Ledger
from models.settings import Limits
from standin import Fault, StandIn
from tests.conftest import look
from tests.gateways import Ended, evolve, variables
from tests.program import records, write
from tests.recorder import Recorder

FROZEN = "Account {id} cannot be used at the moment."
FOUR = Limits(concurrency=4)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, key in variables(StandIn()).items():
        monkeypatch.setenv(name, key)


def run(server: StandIn, folder: Path, number: int, limits: Limits = FOUR, **more: Any) -> Ended:
    """Evolve so many records at the server."""
    data = write(folder / "data.json", records(number))
    settings = Settings(model="openai:gpt-4o-mini", base_url=server.base_url("openai"), max_rounds=1)
    return evolve(data, folder / "run", settings, limits, **more)


def statuses(folder: Path) -> Counter[str]:
    """The results by status."""
    found = Ledger.open(folder / "run" / "ledger.sqlite").samples()
    return Counter(result.status for _, results in found for result in results.values())


def paid(server: StandIn) -> Counter[str]:
    """The requests that had a reply, by content."""
    return Counter(request.digest for request in server.chats() if request.status == 200)


@pytest.mark.parametrize(("concurrency", "status"), [(1, 400), (4, 451), (32, 403)])
def test_a_server_that_begins_to_refuse_all_stops_the_run(
    concurrency: int, status: int, tmp_path: Path
) -> None:
    limits = Limits(concurrency=concurrency)
    with StandIn(Fault("bad_request", nth="161-", code="E77", message=FROZEN, status=status)) as server:
        stopped = run(server, tmp_path, 44, limits)
        assert "cannot be used at the moment" in stopped.message
        # Among so many at once, these may be the first calls of a role.
        expected = "failed like this" if concurrency == 32 else "samples in a row failed like this"
        assert expected in stopped.message
        assert statuses(tmp_path).keys() <= {"done"}
        # It stops again while this is so.
        asked = len(server.chats())
        assert run(server, tmp_path, 44, limits).error
        assert len(server.chats()) <= asked + 2 * concurrency + 16
        server.order()
        assert not run(server, tmp_path, 44, limits).error
        assert statuses(tmp_path) == {"done": 44}
        assert set(paid(server).values()) == {1}


def test_a_content_policy_for_everything_stops_the_run(tmp_path: Path) -> None:
    with StandIn("content_filter:nth=71-") as server:
        assert "flagged by the content filter" in run(server, tmp_path, 140, modes=["edit"]).message
        assert statuses(tmp_path) == {"done": 70}
        server.order()
        assert not run(server, tmp_path, 140, modes=["edit"]).error
        assert statuses(tmp_path) == {"done": 140}
        assert set(paid(server).values()) == {1}


def test_neighbors_that_are_really_refused_do_not_stop_it(tmp_path: Path) -> None:
    nth = "/".join(map(str, range(51, 91)))
    with StandIn(f"content_filter:nth={nth}") as server:
        assert not run(server, tmp_path, 120, modes=["edit"]).error
    assert statuses(tmp_path) == {"done": 80, "failed": 40}


def test_samples_that_failed_before_may_all_fail_again(tmp_path: Path) -> None:
    refused = Fault("bad_request", word="number 1")
    with StandIn(refused) as server:
        all_may_fail = Limits(concurrency=1, max_failures=1)
        assert not run(server, tmp_path, 20, all_may_fail, modes=["edit"], retry_failed=True).error
        failed = statuses(tmp_path)["failed"]
        assert failed == 11
        assert not run(server, tmp_path, 20, all_may_fail, modes=["edit"], retry_failed=True).error
    assert statuses(tmp_path)["failed"] == failed


def test_samples_refused_from_the_start_are_worked_on_again(tmp_path: Path) -> None:
    with StandIn("bad_request") as server:
        stopped = run(server, tmp_path, 8, Limits(concurrency=1), modes=["edit"])
        assert "Each of the first calls in the role editor failed like this." in stopped.message
        assert not statuses(tmp_path)
        server.order()
        assert not run(server, tmp_path, 8, modes=["edit"]).error
    assert statuses(tmp_path) == {"done": 8}


def test_many_refusals_at_the_end_are_the_servers_too(tmp_path: Path) -> None:
    with StandIn(Fault("bad_request", nth="21-", message=FROZEN)) as server:
        assert "9 samples in a row failed like this" in run(server, tmp_path, 29, modes=["edit"]).message
        assert statuses(tmp_path) == {"done": 20}
        server.order()
        assert not run(server, tmp_path, 29, modes=["edit"]).error
    assert statuses(tmp_path) == {"done": 29}


def test_failures_at_the_end_are_results(tmp_path: Path) -> None:
    with StandIn("bad_request:nth=6-") as server:
        assert not run(server, tmp_path, 8, Limits(concurrency=1), modes=["edit"]).error
        assert statuses(tmp_path) == {"done": 5, "failed": 3}
        asked = len(server.chats())
        assert not run(server, tmp_path, 8, modes=["edit"]).error
        assert len(server.chats()) == asked


def test_a_replica_that_begins_to_refuse_all_is_left_out(tmp_path: Path) -> None:
    data = write(tmp_path / "data.json", records(200))
    with StandIn(Fault("bad_request", nth="21-", message=FROZEN)) as one, StandIn() as other:
        urls = one.base_url("openai"), other.base_url("openai")
        settings = Settings(model="openai:gpt-4o-mini", base_url=urls)
        stopped = evolve(data, tmp_path / "run", settings, FOUR, modes=["edit"])
        # All others are done, and it is said why some are not.
        assert "cannot be used at the moment" in stopped.message
        assert statuses(tmp_path).keys() == {"done"}
        assert statuses(tmp_path)["done"] >= 180
        one.order()
        assert not evolve(data, tmp_path / "run", settings, FOUR, modes=["edit"]).error
    assert statuses(tmp_path) == {"done": 200}


# --- verdicts


def test_a_run_stops_where_none_of_the_first_verdicts_can_be_read(tmp_path: Path) -> None:
    with StandIn("no_verdict") as server:
        stopped = run(server, tmp_path, 60)
        assert "in none of the 2" in stopped.message
        assert (
            "openai:gpt-4o-mini wrote, for example: Let me see what each of them gets right."
            in stopped.message
        )
        assert "coevol check" in stopped.message
        assert "the same command works on the rest" in stopped.message
        done = statuses(tmp_path)["done"]
        assert 20 <= done < 30
        (shown,) = [
            line for line in look("stats", "run", cwd=tmp_path).stdout.splitlines() if "no verdict" in line
        ]
        assert shown.split() == ["no", "verdict", "could", "be", "read", str(done), "100", "%"]
        judging = json.loads(look("stats", "run", "--json", cwd=tmp_path).stdout)["modes"]["evolve"][
            "judging"
        ]
        assert judging["both_unreadable"] == judging["rounds"] == done
        # A resumed run stops with its next rounds, or carries on if they can be read.
        assert run(server, tmp_path, 60).error
        assert statuses(tmp_path)["done"] <= done + 4
        server.order()
        assert not run(server, tmp_path, 60, stop=34).error
        # One that could be read is enough.
        server.order("no_verdict")
        assert not run(server, tmp_path, 60).error
        assert statuses(tmp_path)["done"] == 60


def test_a_finished_run_without_a_verdict_stops_once(tmp_path: Path) -> None:
    with StandIn("no_verdict") as server:
        stopped = run(server, tmp_path, 8, stop=5)
        assert "in none of the 5" in stopped.message
        assert stopped.message.endswith("In this one these samples keep their responses.")
        asked = len(server.chats())
        server.order()
        assert not run(server, tmp_path, 8, stop=5).error
        assert len(server.chats()) == asked
        # What is left is worked on.
        assert not run(server, tmp_path, 8).error
    assert statuses(tmp_path) == {"done": 8}


# --- drafts


@pytest.mark.parametrize("mode", ["evolve", "edit"])
@pytest.mark.parametrize("fault", ["empty", "framed:code=reasoning_only", "framed:code=chatml_runs_on"])
def test_a_run_stops_where_none_of_the_first_exchanges_has_a_draft(
    fault: str, mode: str, tmp_path: Path
) -> None:
    kind = "control tokens" if "chatml" in fault else "empty reply"
    step = "Editor" if mode == "edit" else "Debaters"
    advice = "the server sends tokens" if "chatml" in fault else "try --thinking off"
    with StandIn(fault) as server:
        stopped = run(server, tmp_path, 60, modes=[mode])
        expected = rf"none of the 2\d exchanges so far has a usable draft\. {step}: {kind}: .* — {advice}"
        assert re.match(expected, stopped.message), stopped.message
        done = statuses(tmp_path)["done"]
        assert 20 <= done < 30
        # A resumed run stops with its next exchanges, or carries on if they have drafts.
        assert run(server, tmp_path, 60, modes=[mode]).error
        assert statuses(tmp_path)["done"] <= done + 8
        server.order()
        assert not run(server, tmp_path, 60, modes=[mode]).error
    assert statuses(tmp_path) == {"done": 60}
    assert set(paid(server).values()) <= {1, 2}  # an unusable reply is asked for once more


def test_a_finished_run_without_a_draft_stops_once(tmp_path: Path) -> None:
    with StandIn("empty") as server:
        assert "none of the 5 exchanges" in run(server, tmp_path, 5, modes=["edit"]).message
        asked = len(server.chats())
        assert not run(server, tmp_path, 5, modes=["edit"]).error
        assert len(server.chats()) == asked


# --- the last line


def last_line(server: StandIn, folder: Path, *options: object, status: int) -> str:
    """Run `coevol evolve` on 12 records and return the last line that it writes."""
    data = write(folder / "data.json", records(12))
    model = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"), "--concurrency", 4)
    done = look("evolve", data, "-o", folder / "run", *model, *options, cwd=folder, status=status)
    return done.stderr.splitlines()[-1]


def test_the_last_line_names_the_commonest_reasons_and_what_to_do(tmp_path: Path) -> None:
    faults = [
        Fault("truncated", nth="2/4/6/8"),
        Fault(
            "bad_request", nth="3/7/11", code="E77", message="Input \x1b[31m{id} is odd: " + "words " * 200
        ),
        Fault("too_long", nth="5/9"),
        Fault("content_filter", nth="10"),
    ]
    with StandIn(*faults) as server:
        line = last_line(server, tmp_path, "--mode=edit", "--max-failures=1", "--concurrency=1", status=1)
        expected = [
            "10 failed: 4 × truncated: the draft was cut off at the limit for replies — raise --max-tokens; ",
            r"3 × refused: openai:gpt-4o-mini at \S+ answered 400 \(E77\): "
            r"Input \\x1b\[31mreq-\w+ is odd: .{,150}… — ",
            r"; 2 × too long: .* — pass --max-input-tokens, or a model with a longer context; ",
            r"1 for other reasons\. They keep their responses; --retry-failed tries them again",
        ]
        assert re.fullmatch(".*".join(expected), line), line
        # The run counts, not the command.
        assert last_line(server, tmp_path, "--mode=edit", "--max-failures=1", status=1) == line
        server.order()
        assert "failed:" not in last_line(server, tmp_path, "--mode=edit", "--retry-failed", status=0)


def test_failures_of_one_kind_are_counted_together(tmp_path: Path) -> None:
    faults = [
        Fault("bad_request", nth="3/6/9", message="This text is odd."),
        Fault("bad_request", nth="4", message="What is asked for is strange."),
        Fault("truncated", nth="11"),
    ]
    with StandIn(*faults) as server:
        line = last_line(server, tmp_path, "--mode=edit", "--max-failures=1", "--concurrency=1", status=1)
    assert re.match("5 failed: 4 × refused, for example: .*This text is odd.*; 1 × truncated: ", line), line


def test_what_failed_is_also_said_where_a_run_stops(tmp_path: Path) -> None:
    with StandIn("truncated:nth=2/3", "no_balance:nth=6-") as server:
        model = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"), "--concurrency", 1)
        data = write(tmp_path / "data.json", records(12))
        done = look("evolve", data, "-o", "run", "--mode=edit", *model, cwd=tmp_path, status=3)
    assert "\n2 failed: 2 × truncated: " in done.stderr
    assert done.stderr.index("2 failed: ") < done.stderr.index("coevol: stopped: ")


def test_verdicts_that_cannot_be_read_are_reported_where_they_are_many(tmp_path: Path) -> None:
    with StandIn("no_verdict:word=number 1") as server:
        line = last_line(server, tmp_path, "--max-rounds=1", status=0)
    assert line.startswith("3 of 12 judged rounds: no verdict could be read")


def test_exchanges_without_a_draft_are_reported_where_they_are_many(tmp_path: Path) -> None:
    with StandIn("empty:word=number 1") as server:
        line = last_line(server, tmp_path, "--mode=edit", status=0)
    expected = (
        r"3 of 12 exchanges: no usable draft, so the response was kept\. Editor: empty reply: "
        r"openai:gpt-4o-mini at \S+ gave an empty reply — try --thinking off or another model"
    )
    assert re.fullmatch(expected, line), line


def test_exchanges_without_suggestions_and_those_without_a_draft_are_told_apart(tmp_path: Path) -> None:
    faults = [Fault("empty", word="number 1"), Fault("empty", word="Now be the assistant", nth="1/2")]
    with StandIn(*faults) as server:
        line = last_line(server, tmp_path, "--max-rounds=1", "--concurrency=1", status=0)
    expected = (
        "4 of 12 exchanges: no usable suggestions (3) or no usable draft (1), so the response was kept. "
    )
    assert line.startswith(expected), line


@pytest.mark.parametrize(
    ("verdict", "said", "place", "other"),
    [("compare", "assistant 1", "first", "score"), ("score", "3 8", "second", "compare")],
)
def test_a_judge_that_always_prefers_one_place_is_reported(
    verdict: str, said: str, place: str, other: str, tmp_path: Path
) -> None:
    def reply(messages: list[dict[str, str]], model: str) -> str:
        return said if "Response 2" in str(messages) else "A number says how many there are of a thing."

    with Recorder(reply) as server:
        data = write(tmp_path / "data.json", records(21))
        model = ("--model", "vllm:m", "--base-url", server.base_url, "--mode=refine", "--verdict", verdict)
        shown = look("evolve", data, "-o", "run", *model, "--stop=19", cwd=tmp_path, status=0)
        assert "judged rounds:" not in shown.stderr
        done = look("evolve", data, "-o", "run", *model, cwd=tmp_path, status=0)
    assert done.stderr.splitlines()[-1] == (
        f"21 of 21 judged rounds: the judge preferred what it was shown {place} in both orders, so the "
        f"response was kept; another judge model or --verdict {other} may do better"
    )


def test_a_judge_of_a_panel_that_is_never_read_is_reported(tmp_path: Path) -> None:
    def reply(messages: list[dict[str, str]], model: str) -> str:
        return {"a": "equal", "b": "Let me see."}.get(model, "A number says how many there are of a thing.")

    with Recorder(reply) as server:
        data = write(tmp_path / "data.json", records(20))
        models = ("--model", "vllm:m", "--model", "judge=vllm:a", "--model", "judge=vllm:b")
        urls = (f"--base-url={role}{server.base_url}" for role in ("", "judge=", "judge_2="))
        done = look("evolve", data, "-o", "run", *models, *urls, "--mode=refine", cwd=tmp_path, status=0)
    assert done.stderr.splitlines()[-1] == (
        "in none of 20 judged rounds could a verdict of vllm:b be read, so the other judges decided; "
        "`coevol check` shows how each replies"
    )


def test_what_one_guard_refuses_is_reported_where_it_is_most(tmp_path: Path) -> None:
    def reply(messages: list[dict[str, str]], model: str) -> str:
        return "I'm sorry, but I can't help with that."

    with Recorder(reply) as server:
        data = write(tmp_path / "data.json", records(12))
        model = ("--model", "vllm:m", "--base-url", server.base_url, "--mode=edit")
        done = look("evolve", data, "-o", "run", *model, cwd=tmp_path, status=0)
    assert done.stderr.splitlines()[-1] == (
        "12 of 12 exchanges: draft refused: it refuses the request, so the response was kept; `coevol show` "
        "has the drafts"
    )
