"""Counts the tokens of a text as a model does: with a tokenizer that is given, or by asking its server.

vLLM, llama.cpp and others that follow them count at `/tokenize`, next to their API. Where nothing can count,
callers estimate (`samples.tokens`), and the user sees one notice.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import httpx2

from models.addresses import server_address
from models.errors.exceptions import MissingExtra
from models.keys import Keys
from models.providers.http_client import NO_RESPONSE, http_client, json_in
from models.settings import AUTO, ESTIMATE, Endpoint, ModelSettings, located

COUNT_TIMEOUT = 10.0
"""Seconds to wait for a server's count."""

_HINT = "name its tokenizer with --tokenizer"


def estimate_notice(settings: ModelSettings, tokenizer: str) -> str | None:
    """Return what to say before a run whose conversations are measured by an estimate; None if they are
    counted."""
    if tokenizer == ESTIMATE or (tokenizer == AUTO and not _servers(settings)):
        why = (
            "" if tokenizer == ESTIMATE else f": {settings.endpoint('editor').model} cannot be asked, {_HINT}"
        )
        return f"--max-conversation-tokens goes by estimated tokens{why}"
    return None


async def count_tokens(text: str, tokenizer: str) -> int | None:
    """Count the tokens of a text; None where it has to be estimated.

    `tokenizer` is that of the settings: a tokenizer, or `AUTO` for the server that `asking_server` set.

    Raises:
        MissingExtra, ValueError: as `load_tokenizer`.
    """
    text = text.encode("utf-8", "replace").decode(
        "utf-8"
    )  # half a surrogate pair can be neither sent nor counted
    if tokenizer == ESTIMATE:
        return None
    if tokenizer == AUTO:
        server = _asked.get()
        return await server.count(text) if server else None
    return await asyncio.to_thread(
        lambda: len(load_tokenizer(tokenizer).encode(text, add_special_tokens=False))
    )


@cache
def load_tokenizer(name: str) -> Any:
    """Load a `tokenizer.json`, a folder with one, or a tokenizer of the Hugging Face hub by its name.

    Raises:
        MissingExtra: the package `tokenizers` is not installed.
        ValueError: there is none of this name, or it cannot be used; the message says why.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtra("--tokenizer", "tokenizers", "tokenizer") from None
    path = Path(name)
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        if file.is_file():
            found = Tokenizer.from_file(str(file))
        elif path.is_dir():
            raise ValueError("the folder has no tokenizer.json")
        elif path.is_absolute() or path.suffix == ".json" or name.count("/") > 1 or name.startswith("."):
            raise ValueError("there is no such file")
        else:
            found = Tokenizer.from_pretrained(name)
    except Exception as error:  # the library raises no other type
        raise ValueError(f"--tokenizer {name} cannot be used: {' '.join(str(error).split())}") from None
    found.no_truncation()
    found.no_padding()
    return found


@asynccontextmanager
async def asking_server(
    settings: ModelSettings, tokenizer: str, keys: Keys, notify: Callable[[str], None]
) -> AsyncIterator[None]:
    """Let `count_tokens` ask the editor's server until the context ends; `notify` receives, once, that it
    does not count."""
    servers = _servers(settings) if tokenizer == AUTO else ()
    if not servers:
        yield
        return
    async with http_client() as client:
        key = keys.of(servers[0], "editor").get_secret_value()
        token = _asked.set(_Server(servers, key, client, notify))
        try:
            yield
        finally:
            _asked.reset(token)


def _servers(settings: ModelSettings) -> tuple[Endpoint, ...]:
    replicas = settings.replicas("editor")
    return tuple(
        located(each)
        for each in replicas
        if each.provider == "vllm" or (each.provider == "openai" and each.base_url)
    )


class _Server:
    """A model at its addresses, one after the other until one answers."""

    def __init__(
        self, servers: Sequence[Endpoint], key: str, client: httpx2.AsyncClient, notify: Callable[[str], None]
    ) -> None:
        self._servers = servers
        self._headers = {"Authorization": f"Bearer {key}"}
        self._client = client
        self._notify = notify
        self._counts = True
        self._reported = False

    async def count(self, text: str) -> int | None:
        why = ""
        for server in self._servers if self._counts else ():
            url = server_address(server.base_url or "", "/tokenize")
            try:
                answer = await self._client.post(
                    url, json=_body(server, text), headers=self._headers, timeout=COUNT_TIMEOUT
                )
            except (*NO_RESPONSE, ValueError) as error:
                why = type(error).__name__
                continue
            count = _read(answer) if answer.is_success else None
            if count is not None:
                return count
            # It has no such service; an error of the moment is asked again.
            self._counts = answer.status_code >= 500
            why = f"status {answer.status_code}"
        if not self._reported:
            self._reported = True
            model = self._servers[0].model
            self._notify(
                f"the server of {model} counts no tokens ({why}): where it does not, "
                f"--max-conversation-tokens goes by an estimate; {_HINT}"
            )
        return None


_asked: ContextVar[_Server | None] = ContextVar("asked", default=None)
"""The server that a run asks; other runs in this process may ask another one."""


def _body(server: Endpoint, text: str) -> dict[str, Any]:
    body = {"model": server.name, "prompt": text, "add_special_tokens": False}
    # llama.cpp's names; vLLM would log them as unknown.
    return body if server.provider == "vllm" else {**body, "content": text, "add_special": False}


def _read(answer: httpx2.Response) -> int | None:
    try:
        found = json_in(answer)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    count, tokens = found.get("count"), found.get("tokens")
    if type(count) is int and count >= 0:
        return count
    return len(tokens) if isinstance(tokens, list) else None
