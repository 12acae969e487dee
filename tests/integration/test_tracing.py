"""Tracing with LangSmith: what a server that accepts traces receives, and what it must not receive."""

import json
import re
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
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
from prompts.method import MODES
from standin import StandIn
from tests.gateways import gateway_to, until
from tests.integration.test_studio import ALPACA, Studio
from tests.program import EXAMPLES, start

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
"""What LangSmith reports about itself, without compression."""


class LangSmith:
    """Accepts traces, which it answers with `status`, or not at all if it `hangs`."""

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
        """Return the runs of all traces by their ids, in their final state."""
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


def start_evolve(
    server: StandIn, folder: Path, environment: dict[str, str], *words: str
) -> subprocess.Popen[str]:
    return start(
        "evolve", EXAMPLES / "alpaca_en.json", "-o", folder, "--stop=2", "--max-rounds=1",
        "--model=openai:gpt-4o-mini", "--base-url", server.base_url("openai"), *words,
        cwd=folder.parent, env=server.environment() | environment,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], status: int = 0) -> str:
    """Wait for the end of a process and return its error output."""
    _, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    assert "Traceback" not in err, err
    return err


def test_calls_are_found_by_run_sample_role_and_step(langsmith: LangSmith, tmp_path: Path) -> None:
    with StandIn() as server:
        ended(start_evolve(server, tmp_path / "my-run", langsmith.environment))
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
    # The default key of a local server is a common word, which is not redacted.
    assert not [body for body in langsmith.bodies if b"[VLLM_API_KEY]" in body]


def test_a_key_that_the_server_echoes_is_not_traced(langsmith: LangSmith, tmp_path: Path) -> None:
    with StandIn("echo_key") as server:
        ended(start_evolve(server, tmp_path / "run", langsmith.environment, "--max-failures=1"), status=1)
        key = server.key("openai").encode()
    errors = [str(run["error"]) for run in langsmith.runs().values() if run.get("error")]
    assert any("[OPENAI_API_KEY]" in error for error in errors)
    assert not [body for body in langsmith.bodies if key in body or KEY.encode() in body]


def test_a_run_finishes_whatever_becomes_of_its_traces(tmp_path: Path) -> None:
    tracers = {"refuses": LangSmith(status=403), "hangs": LangSmith(hangs=True), "is gone": LangSmith()}
    tracers["is gone"].end()
    with ExitStack() as running:
        servers = {name: running.enter_context(StandIn()) for name in tracers}
        running.callback(tracers["refuses"].end)
        running.callback(tracers["hangs"].end)
        began = time.monotonic()
        # All at once: each waits ten seconds for the delivery of the last traces.
        runs = {
            name: start_evolve(servers[name], tmp_path / name, tracer.environment)
            for name, tracer in tracers.items()
        }
        for name, run in runs.items():
            err = ended(run)
            assert err.count("LangSmith does not accept the traces") == 1, name
            assert KEY not in err
            assert len(servers[name].chats()) >= 16
            assert not [file for file in (tmp_path / name).rglob("*") if KEY.encode() in file.read_bytes()]
        assert time.monotonic() - began < 90


def test_nothing_is_sent_without_the_variables(langsmith: LangSmith, tmp_path: Path) -> None:
    with StandIn() as server:
        words = ("--model=openai:gpt-4o-mini", "--base-url", server.base_url("openai"))
        traced = langsmith.environment
        runs = [
            start_evolve(server, tmp_path / "run", traced | {"LANGSMITH_TRACING": "false"}),
            start_evolve(server, tmp_path / "dry", traced, "--dry-run"),
            start("check", *words, cwd=tmp_path, env=server.environment() | traced),
        ]
        for run in runs:
            ended(run)
    assert langsmith.asked == []


async def test_calls_made_in_studio_are_traced_too(langsmith: LangSmith, tmp_path: Path) -> None:
    with StandIn() as server:
        key = server.key("openai")
        studio = Studio(tmp_path, langsmith.environment | {"OPENAI_API_KEY": key})
        try:
            studio.wait()
            async with get_client(url=studio.url) as client:
                context: dict[str, Any] = {"model": "openai:gpt-4o-mini"}
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
    """Counts the calls that it is notified of."""

    def __init__(self) -> None:
        self.calls = 0

    async def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self.calls += 1


async def test_callbacks_are_skipped_only_without_a_listener(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generated: list[object] = []
    theirs = BaseChatModel.agenerate

    async def counted(self: BaseChatModel, *given: Any, **named: Any) -> LLMResult:
        generated.append(self)
        return await theirs(self, *given, **named)

    monkeypatch.setattr(BaseChatModel, "agenerate", counted)
    listener = Listener()
    with StandIn() as server:
        settings = Settings(model="openai:gpt-4o-mini", base_url=server.base_url("openai"))
        async with gateway_to(server) as client:
            graph = exchange_graph(MODES["advise"], lambda call, _: client.gateway.ask(call))
            record = AlpacaRecord(id="a", instruction="Name a prime number.", output="Seven.")
            unheard = await graph.ainvoke(record, context=settings)
            assert generated == []
            heard = await graph.ainvoke(record, {"callbacks": [listener]}, context=settings)
            assert len(generated) == listener.calls == 2
    assert unheard == heard
    assert [again.body for again in server.chats()[2:]] == [first.body for first in server.chats()[:2]]
