"""A small server for tests: speaks OpenAI's chat completions on 127.0.0.1 and keeps the requests."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Self, cast

from standin.app import App
from standin.server import Server, listen

Messages = list[dict[str, str]]
Reply = Callable[[Messages, str], str]
"""Returns the reply to messages to a model, or raises `Refused`."""


class Refused(Exception):
    """The server answers this request with an error."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Asked:
    """A request."""

    body: dict[str, Any]
    arrived: float
    """Monotonic seconds, like `answered`."""
    answered: float

    @property
    def messages(self) -> Messages:
        return list(self.body["messages"])

    @property
    def model(self) -> str:
        return str(self.body["model"])


class Recorder:
    """A context manager that runs the server in a thread.

    Each reply takes at least `latency` seconds.
    """

    def __init__(self, reply: Reply, latency: float = 0.0) -> None:
        self.asked: list[Asked] = []
        self.connections: Collection[Any] = ()  # set by the server
        self._reply = reply
        self._latency = latency
        self._socket = listen(0)
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._server = Server(cast(App, self))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._server.ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()
        self._thread.join()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/v1/chat/completions":
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        arrived = time.monotonic()
        text, more = b"", True
        while more:
            event = await receive()
            text, more = text + event["body"], event.get("more_body", False)
        body = json.loads(text)
        try:
            status, reply = 200, _completion(self._reply(body["messages"], body["model"]))
        except Refused as refusal:
            status = refusal.status
            reply = {"error": {"message": str(refusal), "code": "invalid_request_error"}}
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
