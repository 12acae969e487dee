"""Reads the body of a reply: JSON, or the server-sent events of a stream.

Some servers only stream, some answer a plain request with a stream, and some send comments or blank lines
before the JSON, to keep the connection open. All of it becomes one chat completion.

The format of events is that of https://html.spec.whatwg.org/multipage/server-sent-events.html, read
leniently: servers forget the blank line between events.
"""

import re
from collections.abc import Iterator
from typing import Any

import httpx2

from samples.bounds import load_json

DONE = "[DONE]"
"""What ends a stream."""

NO_REASON = "no finish reason"
"""The finish reason of a reply whose stream gives none. Each chunk but the last has none, so the reply may be
cut off: a server that lost its model may end the stream in good order. A whole message needs none."""

_END = re.compile(rb"(?:^|[\r\n])data: ?\[DONE\]\s*\Z")
_LINE_END = re.compile(r"\r\n|\n|\r")
_FIELD = re.compile(r"(data|event|id|retry)(?::|$) ?")


class StreamCut(Exception):
    """A stream ended before the reply did."""


async def read_stream(response: httpx2.Response) -> str:
    """Return the text of a response that is not read yet, up to its last event. Closes it.

    Raises:
        httpx2.RequestError: the connection broke off, or the response is too large.
    """
    parts, end = bytearray(), b""
    try:
        async for part in response.aiter_bytes():
            parts += part
            end = (end + part)[-32:]
            if _END.search(end):  # some servers leave the connection open
                break
    finally:
        await response.aclose()
    return parts.decode("utf-8", "replace")


def read_body(text: str) -> Any:
    """Return what a response holds: its JSON, or the chat completion that the events of a stream add up to.

    An error within a stream is returned as the body `{"error": …}`.

    Raises:
        StreamCut: a stream ended before the reply did.
        ValueError: it is neither JSON nor a stream.
    """
    text = text.removeprefix("\ufeff")
    try:
        return load_json(text)
    except ValueError:
        lines = _LINE_END.split(text)
        if any(line.startswith("data:") for line in lines):
            return _assembled(lines)
        if any(line.startswith(":") for line in lines):  # comments, then JSON
            return load_json("\n".join(line for line in lines if not line.startswith(":")))
        raise


def _events(lines: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the name and the data of each event; the data as JSON, `DONE`, or None where it is neither."""
    name, data = "", list[str]()
    for line in [*lines, ""]:
        if not line:
            yield from ((name, each) for each in _data(data))
            name, data = "", []
        elif field := _FIELD.match(line):
            value = line[field.end() :]
            if field[1] == "data":
                data.append(value)
            elif field[1] == "event":
                name = value.strip()


def _data(lines: list[str]) -> Iterator[Any]:
    if not lines:
        return
    if len(lines) > 1:
        try:
            yield load_json("\n".join(lines))
            return
        except ValueError:
            pass
    # One event each, without the blank lines between them.
    for line in lines:
        try:
            yield DONE if line.strip() == DONE else load_json(line)
        except ValueError:
            yield None


def _assembled(lines: list[str]) -> Any:
    completion: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    message = _Message()
    usage: Any = None
    ended = False
    last: Any = None
    for name, chunk in _events(lines):
        if chunk == DONE:
            ended = True
            break
        if not isinstance(chunk, dict):
            continue
        last = chunk
        if name == "error" and not chunk.get("error"):
            chunk = {"error": chunk}
        first = _first(chunk.get("choices"))
        usage = chunk.get("usage") or first.get("usage") or usage  # Moonshot has it in the choice
        if error := chunk.get("error") or first.get("error"):
            return {"error": error, "usage": usage}
        for field, value in chunk.items():
            completion.setdefault(field, value)
        completion["service_tier"] = chunk.get("service_tier") or completion.get("service_tier")
        if first:
            message.add(first["delta"] if "delta" in first else first.get("message"))
            reason = first.get("finish_reason")
            if reason in ("", "null", None):
                reason = choice.get("finish_reason")
            choice |= first
            choice["finish_reason"] = reason
    if not choice:
        # Some servers put an error into the body itself.
        return last if isinstance(last, dict) else {}
    if not ended and not choice["finish_reason"]:
        raise StreamCut("the stream ended before the reply did")
    if "delta" in choice and not choice["finish_reason"]:
        choice["finish_reason"] = NO_REASON
    choice.pop("delta", None)
    choice["message"] = message.whole()
    return {**completion, "object": "chat.completion", "choices": [choice], "usage": usage}


def _first(choices: Any) -> dict[str, Any]:
    """Return the first choice of a chunk; a stream of several has one in each chunk."""
    for choice in choices if isinstance(choices, list) else []:
        if isinstance(choice, dict) and not choice.get("index"):
            return choice
    return {}


class _Message:
    """The message that deltas add up to, as a plain reply holds it."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[Any]] = {}

    def add(self, delta: Any) -> None:
        for name, piece in delta.items() if isinstance(delta, dict) else ():
            if piece is not None:
                self._pieces.setdefault(name, []).append(piece)

    def whole(self) -> dict[str, Any]:
        joined = {name: _joined(pieces) for name, pieces in self._pieces.items() if name != "role"}
        return {"role": "assistant", "content": None, **joined}


def _joined(pieces: list[Any]) -> Any:
    if all(isinstance(piece, str) for piece in pieces):
        return "".join(pieces)
    if any(isinstance(piece, list) for piece in pieces):
        # Parts of a text, such as Mistral's thoughts, with plain text after them.
        parts: list[Any] = []
        for piece in pieces:
            text = [{"type": "text", "text": piece}] if piece else []
            parts += piece if isinstance(piece, list) else text if isinstance(piece, str) else [piece]
        return parts
    return pieces[-1]
