"""What LangGraph's server leaves out for Studio: without a word it drops settings and pauses that it does not
know, and takes any value as an edit of the state."""

import json
from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from functools import cache
from typing import Any, get_type_hints

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from graph.settings import Settings
from graph.state import ExchangeState
from graph.topology import CONVERSATION, topology
from prompts.method import MODES

_GIVEN_SETTINGS = ("/threads", "/runs", "/assistants")

_OF_LANGGRAPH = frozenset(
    {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "run_id", "graph_id", "assistant_id",
     "user_id", "cron_id"}
)  # fmt: skip
_PREFIXES_OF_LANGGRAPH = ("__", "langgraph_", "langsmith-", "x-")
"""What LangGraph, its server and LangSmith have in `configurable` besides the settings."""

_KINDS = {name: kind for name, kind in get_type_hints(ExchangeState).items() if kind in (str, int)}
"""The texts and numbers of the state; those of a conversation's state are among them."""


async def refuse_what_is_wrong(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Answer 422, naming what is wrong: a setting, or a node to pause at, that there is not, or an edit of a
    state that puts something else in the place of a text or a number."""
    starts = request.method in ("POST", "PATCH") and request.url.path.startswith(_GIVEN_SETTINGS)
    if starts and (unknown := _unknown(await request.body())):
        near = get_close_matches(unknown, Settings.model_fields, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        return JSONResponse({"detail": f"{unknown!r} is not a setting{meant}"}, status_code=422)
    if starts and (pause := _unknown_pause(await request.body())):
        near = get_close_matches(pause, _nodes(), n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        return JSONResponse({"detail": f"there is no node {pause!r} to pause at{meant}"}, status_code=422)
    edits = request.method == "POST" and request.url.path.endswith("/state")
    if edits and (wrong := _wrong(await request.body())):
        return JSONResponse({"detail": wrong}, status_code=422)
    return await call_next(request)


def _unknown(body: bytes) -> str | None:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return None  # the server says what is wrong with it, as with all that has another form
    for one in given if isinstance(given, list) else [given]:  # a batch is a list
        for name in (*_names(one, "context"), *_names(one, "config", "configurable")):
            if name not in Settings.model_fields:
                return name
    return None


def _unknown_pause(body: bytes) -> str | None:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for one in given if isinstance(given, list) else [given]:
        for field in ("interrupt_before", "interrupt_after") if isinstance(one, dict) else ():
            names = one.get(field)
            for name in names if isinstance(names, list) else ():
                if isinstance(name, str) and name not in _nodes():
                    return name
    return None


@cache
def _nodes() -> frozenset[str]:
    """The nodes of all graphs: those of a conversation are in it with and without the graph they are in."""
    drawn = [node for name in (*MODES, CONVERSATION) for node in topology(name).nodes]
    return frozenset({*drawn, *(node.rpartition(":")[2] for node in drawn), "exchange_graph", "*"})


def _names(given: Any, *path: str) -> list[str]:
    for part in path:
        given = given.get(part) if isinstance(given, dict) else None
    names = list(given) if isinstance(given, dict) else []
    return [name for name in names if not _is_of_langgraph(name)] if "configurable" in path else names


def _wrong(body: bytes) -> str | None:
    try:
        values = json.loads(body)["values"]
    except (ValueError, RecursionError, KeyError, TypeError, IndexError):
        return None
    for name, value in values.items() if isinstance(values, dict) else ():
        kind = _KINDS.get(name)
        if kind and value is not None and type(value) is not kind:
            wanted = "a text" if kind is str else "a whole number"
            return f"`{name}` takes {wanted}, not {json.dumps(value)[:60]}"
    return None


def _is_of_langgraph(name: str) -> bool:
    return name in _OF_LANGGRAPH or name.startswith(_PREFIXES_OF_LANGGRAPH)


app = Starlette(middleware=[Middleware(BaseHTTPMiddleware, dispatch=refuse_what_is_wrong)])
