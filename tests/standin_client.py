"""A stand-in server and a plain HTTP client for its tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import httpx2

from standin import StandIn

CHAT = {"openai": "gpt-4.1-mini", "glm": "glm-4.6", "ernie": "ernie-4.5-turbo-128k", "vllm": "standin"}
"""A model for each provider with an OpenAI-style API."""

EDIT: dict[str, Any] = {"role": "user", "content": "<response>\nIt is blue.\n</response>\n\nWrite it better."}
"""A message that the editor answers."""


@contextmanager
def running() -> Iterator[StandIn]:
    """Run a server, with an HTTP client for `Client` to use."""
    with StandIn() as server, httpx2.Client(timeout=10) as Client.http:
        yield server


class Client:
    """Plain HTTP requests to one provider, with its key."""

    http: ClassVar[httpx2.Client]

    def __init__(self, server: StandIn, provider: str, key: str | None = None) -> None:
        self._url, self._provider = server.base_url(provider), provider
        self._headers = {"Authorization": f"Bearer {server.key(provider) if key is None else key}"}

    def post(self, path: str, body: Any) -> httpx2.Response:
        return self.http.post(self._url + path, json=body, headers=self._headers)

    def get(self, path: str) -> httpx2.Response:
        return self.http.get(self._url + path, headers=self._headers)

    def chat(self, *messages: Any, **fields: Any) -> httpx2.Response:
        body = {"model": CHAT[self._provider], "messages": list(messages) or [EDIT], **fields}
        return self.post("/chat/completions", body)


def content(response: httpx2.Response) -> str:
    """Return the reply text of a successful chat request."""
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def refusal(response: httpx2.Response) -> tuple[int, Any]:
    """Return the status and the error code of a refused request."""
    return response.status_code, response.json()["error"]["code"]
