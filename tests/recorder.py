"""A small server for tests: speaks OpenAI's chat completions on 127.0.0.1 and keeps what it was asked."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import uvicorn

Messages = list[dict[str, str]]
Answer = Callable[[Messages, str], str]
"""The reply to some messages from a model of this name; `Refused` is raised for an error."""


class Refused(Exception):
    """The server shall answer this request with an error."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Asked:
    """A request as it came: the whole body, and when it arrived and was answered (monotonic seconds)."""

    body: dict[str, Any]
    arrived: float
    answered: float

    @property
    def messages(self) -> Messages:
        return list(self.body["messages"])

    @property
    def model(self) -> str:
        return str(self.body["model"])


class Recorder:
    """The server, in a thread of its own; use it as a context manager.

    Each answer takes at least `latency` seconds.
    """

    def __init__(self, answer: Answer, latency: float = 0.0) -> None:
        self.asked: list[Asked] = []
        self._answer = answer
        self._latency = latency
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        config = uvicorn.Config(self._serve, interface="asgi3", lifespan="off", log_level="warning")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["path"] == "/v1/chat/completions", scope["path"]
        arrived = time.monotonic()
        text, more = b"", True
        while more:
            event = await receive()
            text, more = text + event["body"], event.get("more_body", False)
        body = json.loads(text)
        try:
            status, reply = 200, _completion(self._answer(body["messages"], body["model"]))
        except Refused as refusal:
            status, reply = (
                refusal.status,
                {"error": {"message": str(refusal), "code": "invalid_request_error"}},
            )
        await asyncio.sleep(self._latency)
        self.asked.append(Asked(body, arrived, time.monotonic()))
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(reply).encode()})


def _completion(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "reply",
        "object": "chat.completion",
        "created": 0,
        "model": "recorder",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }
