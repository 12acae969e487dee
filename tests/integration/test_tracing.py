"""Tracing with LangSmith: what a server gets that takes traces as LangSmith does, and what it must not."""

import json
import re
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import LLMResult
from langgraph_sdk import get_client

from graph.build import exchange_graph
from graph.settings import Settings
from graph.state import AlpacaRecord
from standin import StandIn
from tests.gateways import asking, until
from tests.program import EXAMPLES, coevol
from tests.test_studio import ALPACA, Studio

KEY = "lsv2_pt_not_a_real_key_0123456789"

INFO = {
    "version": "0.10.0",
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "scale_up_qsize_trigger": 1000,
        "scale_up_nthreads_limit": 16,
        "scale_down_nempty_trigger": 4,
        "size_limit": 100,
        "size_limit_bytes": 20_971_520,
    },
}
"""What LangSmith says of itself, without the compression that it may also know."""


class LangSmith:
    """Takes traces. `status` is what it answers them with; with `hangs`, nothing."""

    def __init__(self, status: int = 202, hangs: bool = False) -> None:
        self.bodies: list[bytes] = []
        self.keys: set[str | None] = set()
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self.answer(200, json.dumps(INFO).encode())

            def do_POST(self) -> None:
                outer.asked.append(self.path)
                outer.keys.add(self.headers["x-api-key"])
                body = self.rfile.read(int(self.headers["content-length"] or 0))
                if self.headers["content-encoding"] == "gzip":
                    body = zlib.decompress(body, 47)
                if "/runs/" in self.path:  # LangGraph's server also reports to it, with its key
                    outer.bodies.append(body)
                if hangs:
                    outer.over.wait(60)
                self.answer(status, b"{}")

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def end(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_ENDPOINT": self.url,
            "LANGSMITH_API_KEY": KEY,
            "LANGSMITH_PROJECT": "coevol-tests",
        }

    def runs(self) -> dict[str, dict[str, Any]]:
        """The runs of all traces by their ids, as they were when they ended."""
        runs: dict[str, dict[str, Any]] = {}
        for body in self.bodies:
            boundary = body.split(b"\r\n", 1)[0]
            for part in body.split(boundary):
                head, _, content = part.partition(b"\r\n\r\n")
                if not (name := re.search(rb'name="(?:post|patch)\.([\w-]+)(?:\.(\w+))?"', head)):
                    continue
                run = runs.setdefault(name[1].decode(), {})
                value = json.loads(content)
                run.update({name[2].decode(): value} if name[2] else value)
        return runs


@pytest.fixture
def langsmith() -> Iterator[LangSmith]:
    server = LangSmith()
    yield server
    server.end()


def evolve(server: StandIn, folder: Path, environment: dict[str, str], *words: str, status: int = 0) -> str:
    return coevol(
        "evolve", EXAMPLES / "alpaca_en.json", "-o", folder, "--stop=2", "--max-rounds=1",
        "--model=openai:gpt-4o-mini", "--base-url", server.base_url("openai"), *words,
        cwd=folder.parent, env=server.environment() | environment, status=status,
    ).stderr  # fmt: skip


def test_calls_are_found_by_run_sample_role_and_place(langsmith: LangSmith, tmp_path: Path) -> None:
    with StandIn() as server:
        evolve(server, tmp_path / "my-run", langsmith.environment)
        keys = [server.key("openai"), KEY]
    assert langsmith.keys == {KEY}
    runs = langsmith.runs()
    samples = [run for run in runs.values() if not run.get("parent_run_id")]
    assert len(samples) == 2
    calls = [run for run in runs.values() if run["run_type"] == "llm"]
    assert len(calls) == len(server.chats()) >= 16
    for run in samples:
        assert run["name"].startswith("evolve ")
        assert run["session_name"] == "coevol-tests"
        metadata = run["extra"]["metadata"]
        assert {"run:my-run", f"sample:{metadata['sample']}"} <= set(run["tags"])
        assert (metadata["run"], metadata["mode"]) == ("my-run", "evolve")
    for run in calls:
        metadata = run["extra"]["metadata"]
        assert run["name"] == metadata["step"]
        assert (metadata["exchange"], metadata["round"], metadata["mode"]) == (0, 1, "evolve")
        assert {"run:my-run", f"sample:{metadata['sample']}", f"role:{metadata['role']}"} <= set(run["tags"])
        node = runs[run["parent_run_id"]]
        assert node["name"] == metadata["step"]
        assert runs[run["trace_id"]] in samples
        assert runs[run["trace_id"]]["extra"]["metadata"]["sample"] == metadata["sample"]
        assert run["outputs"]
        assert not run.get("error")
    assert {run["extra"]["metadata"]["role"] for run in calls} == {
        "positive", "critical", "advisor", "editor", "judge"
    }  # fmt: skip
    assert not [key for key in keys if any(key.encode() in body for body in langsmith.bodies)]
    # A local server's key that is a common word is left where it is one.
    assert not [body for body in langsmith.bodies if b"[VLLM_API_KEY]" in body]


def test_no_key_is_traced_that_comes_back(langsmith: LangSmith, tmp_path: Path) -> None:
    with StandIn("echo_key") as server:
        evolve(server, tmp_path / "run", langsmith.environment, "--max-failures=1", status=1)
        key = server.key("openai").encode()
    errors = [str(run["error"]) for run in langsmith.runs().values() if run.get("error")]
    assert any("[OPENAI_API_KEY]" in error for error in errors)
    assert not [body for body in langsmith.bodies if key in body or KEY.encode() in body]


@pytest.mark.parametrize("what", ["refuses", "hangs", "is gone"])
def test_a_run_is_done_whatever_becomes_of_its_traces(what: str, tmp_path: Path) -> None:
    langsmith = LangSmith(status=403, hangs=what == "hangs")
    if what == "is gone":
        langsmith.end()
    try:
        with StandIn() as server:
            began = time.monotonic()
            said = evolve(server, tmp_path / "run", langsmith.environment)
            assert time.monotonic() - began < 90
            assert len(server.chats()) >= 16
    finally:
        if what != "is gone":
            langsmith.end()
    assert said.count("LangSmith does not take the traces") == 1
    assert KEY not in said
    assert not [file for file in (tmp_path / "run").rglob("*") if KEY.encode() in file.read_bytes()]


def test_nobody_is_told_without_the_variables(langsmith: LangSmith, tmp_path: Path) -> None:
    with StandIn() as server:
        evolve(server, tmp_path / "run", langsmith.environment | {"LANGSMITH_TRACING": "false"})
        evolve(server, tmp_path / "dry", langsmith.environment, "--dry-run")
        words = ("--model=openai:gpt-4o-mini", "--base-url", server.base_url("openai"))
        coevol("check", *words, cwd=tmp_path, env=server.environment() | langsmith.environment)
    assert langsmith.asked == []


async def test_calls_made_in_studio_are_traced_too(langsmith: LangSmith, tmp_path: Path) -> None:
    with StandIn() as server:
        key = server.key("openai")
        studio = Studio(tmp_path, langsmith.environment | {"OPENAI_API_KEY": key})
        try:
            studio.wait()
            async with get_client(url=studio.url) as client:
                context: dict[str, Any] = {"model": "openai:gpt-4o-mini", "max_rounds": 1}
                context["base_url"] = server.base_url("openai")
                await client.runs.wait(None, "advise", input={**ALPACA, "id": "seven"}, context=context)
                server.order("echo_key")
                with pytest.raises(Exception, match="credential"):
                    await client.runs.wait(None, "edit", input={**ALPACA, "id": "eight"}, context=context)
            await until(lambda: len([run for run in langsmith.runs().values() if run.get("end_time")]) > 9)
        finally:
            studio.end()
    calls = [run for run in langsmith.runs().values() if run["run_type"] == "llm"]
    places = {(run["extra"]["metadata"]["sample"], run["extra"]["metadata"]["role"]) for run in calls}
    assert places == {("seven", "advisor"), ("seven", "editor"), ("eight", "editor")}
    assert not [body for body in langsmith.bodies if key.encode() in body or KEY.encode() in body]


class Listener(AsyncCallbackHandler):
    """Counts the calls that it is told of."""

    def __init__(self) -> None:
        self.told = 0

    async def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self.told += 1


async def test_langchain_is_gone_round_only_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    whole: list[object] = []
    theirs = BaseChatModel.agenerate

    async def counted(self: BaseChatModel, *given: Any, **named: Any) -> LLMResult:
        whole.append(self)
        return await theirs(self, *given, **named)

    monkeypatch.setattr(BaseChatModel, "agenerate", counted)
    listener = Listener()
    with StandIn() as server:
        settings = Settings(model="openai:gpt-4o-mini", base_url=server.base_url("openai"))
        async with asking(server) as to:
            graph = exchange_graph("advise", lambda call, _: to.door.ask(call))
            record = AlpacaRecord(id="a", instruction="Name a prime number.", output="Seven.")
            unheard = await graph.ainvoke(record, context=settings)
            assert whole == []
            heard = await graph.ainvoke(record, {"callbacks": [listener]}, context=settings)
            assert len(whole) == listener.told == 2
    assert unheard == heard
    assert [again.body for again in server.chats()[2:]] == [first.body for first in server.chats()[:2]]
