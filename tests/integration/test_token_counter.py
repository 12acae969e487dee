"""How far a conversation is worked on: by tokens that the model's tokenizer counts, or by an estimate."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

import coevol
from coevol import RunError
from models.errors.exceptions import MissingExtra
from reporting.recorded_run import RecordedRun
from samples.tokens import estimate_tokens
from tests.gateways import QUICK
from tests.recorder import Recorder

DRAFT = "A better answer, in eight words or so."
MOST = 100
RECORD = {
    "id": "a",
    "conversations": [
        {"from": sender, "value": f"{sender} number {n}"} for n in range(4) for sender in ("human", "gpt")
    ],
}
EXCHANGES = 4


class Server(Recorder):
    """Also counts tokens at `/tokenize`, if `count` returns something to answer with."""

    def __init__(self, count: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__(lambda messages, model: DRAFT)
        self.counted: list[dict[str, Any]] = []
        self._count = count

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/tokenize":
            return await super().__call__(scope, receive, send)
        text, more = b"", True
        while more:
            event = await receive()
            text, more = text + event["body"], event.get("more_body", False)
        self.counted.append(json.loads(text))
        answer = self._count(self.counted[-1])
        status = 404 if answer is None else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def no_service(body: dict[str, Any]) -> None:
    return None


@pytest.fixture(autouse=True)
def work_in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key")
    Path("data.json").write_text(json.dumps([RECORD]), encoding="utf-8")


async def evolve(server: Recorder, provider: str = "openai", folder: str = "run", **more: Any) -> list[str]:
    """Run the record through mode `edit` and return the notices."""
    notices: list[str] = []
    settings = coevol.Settings(
        model=f"{provider}:m", base_url=server.base_url, **{"max_conversation_tokens": MOST} | more
    )
    await coevol.arun("data.json", folder, settings, modes=["edit"], notify=notices.append, policy=QUICK)
    return notices


def exchanges(folder: str = "run") -> int:
    (row,) = RecordedRun(Path(folder)).samples()
    return int(row["exchanges"])


def a_tokenizer(folder: Path) -> Path:
    """Write a tokenizer that counts characters, and would cut what is longer than three."""
    characters = {chr(code): code for code in range(128)}
    tokenizer = Tokenizer(models.WordLevel(characters, unk_token="\0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.enable_truncation(3)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_the_drafts_are_short_by_the_estimate() -> None:
    exchange = f"human number 0\n{DRAFT}"
    assert EXCHANGES * estimate_tokens(exchange) < MOST < 2 * len(exchange)


@pytest.mark.parametrize("given", ["words", "words/tokenizer.json"])
async def test_a_given_tokenizer_counts(tmp_path: Path, given: str) -> None:
    a_tokenizer(tmp_path / "words")
    with Server(no_service) as server:
        assert await evolve(server, tokenizer=given) == []
        assert exchanges() == 2
        assert server.counted == []


@pytest.mark.parametrize(
    ("provider", "count"),
    [
        ("vllm", lambda body: {"count": len(body["prompt"]), "max_model_len": 1000, "tokens": []}),
        ("openai", lambda body: {"tokens": [0] * len(body["content"])}),
    ],
)
async def test_the_server_counts(provider: str, count: Callable[[dict[str, Any]], Any]) -> None:
    with Server(count) as server:
        assert await evolve(server, provider) == []
        assert exchanges() == 2
        # The conversation so far, with the evolved responses, once an exchange.
        first, second = (body["prompt"] for body in server.counted)
    assert first == f"human number 0\n{DRAFT}"
    assert second == f"{first}\nhuman number 1\n{DRAFT}"


async def test_no_count_is_asked_for_where_it_decides_nothing() -> None:
    with Server(no_service) as server:
        assert await evolve(server, max_exchanges=3) == []
        assert await evolve(server, folder="other", tokenizer="estimate") != []
        assert server.counted == []
    assert exchanges() == 3


@pytest.mark.parametrize("answer", [None, {}, [1, 2], {"count": "many"}, "words"])
async def test_a_server_that_does_not_count_is_reported_once_and_asked_once(answer: Any) -> None:
    with Server(lambda body: answer) as server:
        (notice,) = await evolve(server)
        assert len(server.counted) == 1
    assert "counts no tokens" in notice
    assert "--tokenizer" in notice
    assert exchanges() == EXCHANGES


async def test_a_resumed_run_decides_the_same() -> None:
    with Server(lambda body: {"count": len(body["prompt"])}) as server:
        await evolve(server)
        asked = len(server.asked)
        await evolve(server)
        assert len(server.asked) == asked


def test_an_estimate_is_said_before_the_run(tmp_path: Path) -> None:
    notices: list[str] = []
    settings = coevol.Settings()
    coevol.run("data.json", "run", settings, modes=["edit"], notify=notices.append)
    assert "goes by estimated tokens" in notices[-1]
    notices.clear()
    Path("one.json").write_text(json.dumps([{"instruction": "Say it.", "output": "It."}]))
    coevol.run("one.json", "other", settings, modes=["edit"], notify=notices.append)
    assert not any("estimated" in notice for notice in notices)


@pytest.mark.parametrize("name", ["/no/such/tokenizer.json", "empty", "broken.json"])
def test_a_tokenizer_that_cannot_be_used_starts_nothing(name: str) -> None:
    Path("empty").mkdir()
    Path("broken.json").write_text("{}")
    with pytest.raises(RunError, match=name):
        coevol.run("data.json", "run", coevol.Settings(tokenizer=name))
    assert not Path("run").exists()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"\[tokenizer\]"):
        coevol.run("data.json", "run", coevol.Settings(tokenizer="some/name"))
