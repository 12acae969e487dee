"""A run over records of which every third is hostile, against a server that is hostile to some of them."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from graph.settings import Settings
from models.call import Message, Purpose
from models.errors.exceptions import CallFailed
from models.limits.context_window import ModelCard, model_card
from models.providers.http_client import http_client
from models.settings import Endpoint
from runners.api import arun, load_run
from runners.cli import coevol
from samples.bounds import MAX_DEPTH
from standin import StandIn
from tests.gateways import QUICK, call, gateway_to
from tests.hostile import REPLIES, hostile_server, nested, records

POLICY = replace(QUICK, max_attempts=2)


def evolve(folder: Path, lines: list[str]) -> list[str]:
    """Evolve lines of a data set; return those of the export."""
    folder.mkdir()
    data = folder / "data.jsonl"
    data.write_bytes("".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"))

    async def run() -> list[str]:
        notices: list[str] = []
        with StandIn(wins=1.0) as server, pytest.MonkeyPatch.context() as environment:
            environment.setenv("OPENAI_API_KEY", server.key("openai"))
            async with hostile_server(server.base_url("openai")) as url:
                settings = Settings(model="openai:gpt-4o-mini", base_url=url, max_rounds=1, timeout=60)
                await arun(
                    data, folder / "run", settings, skip_bad=True, policy=POLICY, notify=notices.append
                )
        return notices

    assert not [notice for notice in asyncio.run(run()) if "no result" in notice]
    export("export", folder / "run", "-o", folder / "out.jsonl")
    return (folder / "out.jsonl").read_text().split("\n")[:-1]


def export(*arguments: object) -> None:
    coevol([str(each) for each in arguments], standalone_mode=False)


@pytest.fixture(scope="module")
def given() -> list[tuple[bool, str]]:
    return list(records(200))


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, given: list[tuple[bool, str]]
) -> tuple[Path, list[str], list[str]]:
    folder = tmp_path_factory.mktemp("hostile")
    mixed = evolve(folder / "mixed", [line for _, line in given])
    honest = evolve(folder / "honest", [line for is_hostile, line in given if not is_hostile])
    return folder, mixed, honest


def test_honest_records_come_out_as_without_the_hostile_ones(
    runs: tuple[Path, list[str], list[str]], given: list[tuple[bool, str]]
) -> None:
    _, mixed, honest = runs
    assert len(mixed) == len(given)
    assert [line for (is_hostile, _), line in zip(given, mixed, strict=True) if not is_hostile] == honest
    before = [line for is_hostile, line in given if not is_hostile]
    assert sum(old != new for old, new in zip(before, honest, strict=True)) > 100  # they were worked on


def test_records_that_cannot_be_read_come_out_as_they_were(
    runs: tuple[Path, list[str], list[str]], given: list[tuple[bool, str]]
) -> None:
    _, mixed, _ = runs
    for (_, line), out in zip(given, mixed, strict=True):
        if nested(500) in line or "9" * 4500 in line:
            assert out == line


def test_hostile_records_and_replies_fail_alone_and_say_why(runs: tuple[Path, list[str], list[str]]) -> None:
    run = load_run(runs[0] / "mixed" / "run")
    failed = [row for row in run.samples() if row["status"] == "failed"]
    kinds = {row["failure_kind"] for row in failed}
    assert failed
    assert kinds <= {"bad reply", "truncated", "empty reply"}
    skipped = [row["reason"] for row in run.samples() if row["status"] == "skipped"]
    assert any(f"nested more than {MAX_DEPTH} levels deep" in reason for reason in skipped)


@pytest.mark.parametrize("purpose", ["speech", "draft", "verdict"])
async def test_any_response_is_a_reply_or_a_failure_of_its_call(purpose: Purpose) -> None:
    with StandIn() as server:
        async with (
            hostile_server(server.base_url("openai")) as url,
            gateway_to(server, policy=replace(QUICK, max_attempts=1), base_url=url, timeout=5) as client,
        ):
            assert await client.ask(call()) == ["Ready."]
            kinds = {}
            for name in REPLIES:
                (reply,) = await client.ask(replace(call(purpose=purpose), messages=[_asking(name)]))
                # A server that does reply is not down.
                assert await client.ask(call()) == ["Ready."]
                assert isinstance(reply, str | CallFailed), (name, reply)
                kinds[name] = reply.kind if isinstance(reply, CallFailed) else ""
                assert len(str(reply)) < 2000 or not kinds[name]
            for record in client.records:
                for count in (record.input_tokens, record.output_tokens):
                    assert count is None or 0 <= count < 10**13
            assert "mistake of the program" not in kinds.values()
            for name in ("bomb", "bomb_twice", "large", "endless", "endless_stream", "nested_body"):
                assert kinds[name] == "bad reply", name
            assert kinds["dripping"] == "timeout"


async def test_a_list_of_models_may_be_anything() -> None:
    for name in ("endless", "nested_body", "huge_header", "bomb"):
        async with hostile_server("", always=name) as url, http_client() as client:
            endpoint = Endpoint("vllm", "x", url)
            assert await model_card(endpoint, "key", client) == ModelCard()


def _asking(name: str) -> Message:
    return Message(role="user", content=f"Say it: HOSTILE {name}")
