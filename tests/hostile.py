"""Records and replies that are hostile in some way, and a server that sends such replies.

The server passes on what a stand-in replies, except to prompts with the word `HOSTILE` and the name of one of
`REPLIES`.
"""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from samples.bounds import MAX_DEPTH

Sent = tuple[dict[str, str], bytes] | Callable[[asyncio.StreamWriter], Any]
"""Headers and body of a response, or what writes a whole one."""


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    """Return JSON with so many levels."""
    return opening * depth + closing * depth


def completion(content: Any = "Yes.", **fields: Any) -> dict[str, Any]:
    """Return a chat completion."""
    message = {"role": "assistant", "content": content, **fields.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": "stop", **fields.pop("choice", {})}
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    return {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage, **fields}


def _json(value: Any) -> Sent:
    return {}, (value if isinstance(value, str) else json.dumps(value)).encode()


def _in_content(text: str) -> Sent:
    return _json(completion(text))


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        writer.write(b" " * 100_000)
        await writer.drain()


async def _endless_stream(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while True:
        for n in range(1000):
            writer.write(b'data: {"k%d": 1, "choices": [{"delta": {"content": "a"}}]}\n\n' % n)
        await writer.drain()


async def _dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def _huge_header(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\nContent-Length: 2\r\n\r\n{}")


_BOMB = gzip.compress(bytes(200_000_000), 1)

REPLIES: dict[str, Sent] = {
    "brackets": _in_content("[" * 200_000),
    "brackets_of_links": _in_content("[](" * 60_000),
    "nested_content": _in_content(nested(100_000)),
    "nested_body": _json(nested(200_000)),
    "nested_in_body": _json(f'{{"choices": {nested(500)}}}'),
    "nested_object": _json(nested(100_000, '{"a":', "1}")),
    "nested_tool_calls": _json(
        '{"choices": [{"message": {"content": "Yes.", "tool_calls": ' + nested(800) + "}}]}"
    ),
    "tool_calls": _json(completion(None, message={"tool_calls": [1, {"function": [[]]}, None, {"id": {}}]})),
    "content_lists": _json(completion([[["a", {"text": [["b"]]}], 1, None, {"type": {"x": 1}}]])),
    "content_object": _json(completion({"a": {"b": 1}})),
    "content_number": _json(completion(1e300)),
    "surrogate": _json('{"choices": [{"message": {"content": "a \\ud800 b \\u0000 c"}}]}'),
    "usage_strings": _json(completion(usage={"prompt_tokens": "many", "completion_tokens": "9" * 400})),
    "usage_huge": _json(completion(usage={"prompt_tokens": 1e300, "completion_tokens": 10**300})),
    "usage_negative": _json(completion(usage={"prompt_tokens": -5, "completion_tokens": True})),
    "usage_list": _json(completion(usage=[1, 2])),
    "finish_object": _json(completion(choice={"finish_reason": {"reason": {"x": [1]}}})),
    "finish_list": _json(completion(choice={"finish_reason": ["stop"] * 1000})),
    "choices_number": _json({"choices": 7}),
    "choice_text": _json({"choices": ["a"]}),
    "message_list": _json({"choices": [{"message": [1]}]}),
    "big_integer": _json('{"choices": [{"message": {"content": "Yes."}}], "created": ' + "9" * 5000 + "}"),
    "constants": _json('{"choices": [{"message": {"content": "Yes."}}], "a": [NaN, Infinity, 1e999]}'),
    "same_keys": _json('{"choices": 1, "choices": [{"message": {"content": "a", "content": {}}}]}'),
    "error_object": _json({"error": {"message": {"a": [1]}, "code": [1], "type": {}}}),
    "deep_error": _json(f'{{"error": {nested(900)}}}'),
    "not_utf8": ({}, b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'),
    "charset": ({"Content-Type": "application/json; charset=utf-7"}, b"+ADw-"),
    "bomb": ({"Content-Encoding": "gzip"}, _BOMB),
    "bomb_twice": ({"Content-Encoding": "gzip, gzip"}, gzip.compress(_BOMB, 1)),
    "broken_gzip": ({"Content-Encoding": "gzip"}, b"\x1f\x8bno"),
    "large": ({}, b'{"choices": [{"message": {"content": "' + b"x" * 5_000_000 + b'"}}]}'),
    "stream_of_fields": (
        {"Content-Type": "text/event-stream"},
        b"".join(
            b'data: {"k%d": 1, "choices": [{"f%d": 1, "delta": {}}]}\n\n' % (n, n) for n in range(30_000)
        ),
    ),
    "endless": _endless,
    "endless_stream": _endless_stream,
    "dripping": _dripping,
    "huge_header": _huge_header,
}
"""Responses of status 200, by name."""


@asynccontextmanager
async def hostile_server(behind: str, always: str = "") -> AsyncIterator[str]:
    """Run a server in front of the API at a base URL, and yield its own base URL.

    One of `REPLIES` may be what it sends to every request.
    """
    writers: set[asyncio.StreamWriter] = set()
    client = httpx2.AsyncClient(timeout=60, limits=httpx2.Limits(max_connections=200))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            asked = await reader.readexactly(int(length[1])) if length else b""
            name = re.search(rb"HOSTILE (\w+)", asked)
            wanted = always or (name[1].decode() if name else "")
            sent = REPLIES[wanted] if wanted else await _passed_on(head, asked)
            if callable(sent):
                await sent(writer)
            else:
                headers, body = sent
                lines = [f"{field}: {value}" for field, value in headers.items()]
                lines += [f"Content-Length: {len(body)}", "Connection: close"]
                writer.write(("HTTP/1.1 200 OK\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode() + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _passed_on(head: str, asked: bytes) -> Sent:
        key = re.search(r"authorization: (.+)\r\n", head, re.IGNORECASE)
        headers = {"Authorization": key[1] if key else "", "Content-Type": "application/json"}
        answer = await client.post(f"{behind}/chat/completions", content=asked, headers=headers)
        return {"Content-Type": "application/json"}, answer.content

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        await client.aclose()
        server.close()
        for writer in writers:
            writer.close()


def records(count: int) -> Iterator[tuple[bool, str]]:
    """Yield so many lines of a data set of which every third is hostile, and whether it is."""
    hostile = list(_hostile())
    for n in range(count):
        honest = {
            "id": f"r{n}",
            "instruction": f"Name something that has {n} parts.",
            "output": f"A set of {n}.",
        }
        yield (True, hostile[n // 3 % len(hostile)](n)) if n % 3 == 2 else (False, json.dumps(honest))


def _hostile() -> Iterator[Callable[[int], str]]:
    def with_field(value: str, name: str = '"meta"') -> Callable[[int], str]:
        def line(n: int) -> str:
            fields = {'"id"': f'"h{n}"', '"instruction"': f'"Say {n}."', '"output"': f'"It is {n}."'}
            return f"{{{', '.join(f'{key}: {each}' for key, each in (fields | {name: value}).items())}}}"

        return line

    for depth in (MAX_DEPTH - 1, MAX_DEPTH, 500, 900, 5000, 100_000):
        yield with_field(nested(depth))
        yield with_field(nested(depth, '{"a":', "1}"))
    yield from map(
        with_field, ("9" * 5000, "-" + "9" * 4000, "NaN", "-Infinity", "1e400", "1e-400", "[[]", '"')
    )
    yield from map(with_field, (r'"\ud800"', r'"\u0000"', r'"\u0001123"', '"\x7f\x85"', "[1,2", "{}"))
    yield with_field("1", r'"\ud800"')
    yield with_field("1", '"' + "k" * 1_000_000 + '"')
    yield with_field(", ".join(["1", *(f'"k{i}": {i}' for i in range(20_000))]))
    yield with_field('"other"', '"id"')
    yield from (
        with_field(value, '"id"') for value in ("{}", "[1]", "true", "1.5", "NaN", '"' + "i" * 100_000 + '"')
    )
    yield with_field('"It is \\u0000."', '"output"')
    yield from (with_field(value, '"output"') for value in (r'"\udfff"', "7", "[[1]]", nested(30), "NaN"))
    yield from (with_field(value, '"instruction"') for value in ('"' + "[" * 50_000 + '"', '{"a": 1}', '""'))
    yield (
        lambda n: f'{{"id": "h{n}", "instruction": "Say {n}.", "output": "It is {n}.", "output": "Or not."}}'
    )
    yield lambda n: "[" * 1000
    yield lambda n: "null"
    yield lambda n: '"\\ud800"'
    yield lambda n: "\x00"
    for name in (
        "brackets",
        "nested_body",
        "tool_calls",
        "usage_huge",
        "finish_object",
        "surrogate",
        "large",
    ):
        yield with_field(f'"Say it: HOSTILE {name}"', '"instruction"')
