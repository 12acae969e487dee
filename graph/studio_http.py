"""What LangGraph's server leaves out for Studio: without a word it drops settings and pauses that it does not
know, and takes any value as an edit of the state."""

import json
from collections.abc import Awaitable, Callable, Collection, Iterator
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

_CHECKED = ("/threads", "/runs", "/assistants")
"""Paths whose requests have settings, pauses or edits."""

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
    """Answer 422, naming what is wrong: an unknown setting, an unknown node to pause at, or an edit that puts
    something else in the place of a text or a number."""
    if request.method in ("POST", "PATCH") and request.url.path.startswith(_CHECKED):
        is_edit = request.method == "POST" and request.url.path.endswith("/state")
        if wrong := _what_is_wrong(await request.body(), is_edit=is_edit):
            return JSONResponse({"detail": wrong}, status_code=422)
    return await call_next(request)


def _what_is_wrong(body: bytes, *, is_edit: bool) -> str | None:
    """Return the first complaint; of a body that has another form, the server itself says so."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return None
    batch = given if isinstance(given, list) else [given]
    found = (text for one in batch if isinstance(one, dict) for text in _complaints(one, is_edit=is_edit))
    return next(found, None)


def _complaints(given: dict[str, Any], *, is_edit: bool) -> Iterator[str]:
    configurable = _object(_object(given, "config"), "configurable")
    for name in (*_object(given, "context"), *(name for name in configurable if not _is_of_langgraph(name))):
        if name not in Settings.model_fields:
            yield f"{name!r} is not a setting{_meant(name, Settings.model_fields)}"
    for field in ("interrupt_before", "interrupt_after"):
        names = given.get(field)
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str) and name not in _nodes():
                yield f"there is no node {name!r} to pause at{_meant(name, _nodes())}"
    for name, value in _object(given, "values").items() if is_edit else ():
        kind = _KINDS.get(name)
        if kind and value is not None and type(value) is not kind:
            wanted = "a text" if kind is str else "a whole number"
            yield f"`{name}` takes {wanted}, not {json.dumps(value)[:60]}"


def _object(given: dict[str, Any], name: str) -> dict[str, Any]:
    value = given.get(name)
    return value if isinstance(value, dict) else {}


def _meant(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


@cache
def _nodes() -> frozenset[str]:
    """Return the nodes of all graphs: those inside a conversation with and without the name of its node."""
    drawn = [node for name in (*MODES, CONVERSATION) for node in topology(name).nodes]
    return frozenset({*drawn, *(node.rpartition(":")[2] for node in drawn), "exchange_graph", "*"})


def _is_of_langgraph(name: str) -> bool:
    return name in _OF_LANGGRAPH or name.startswith(_PREFIXES_OF_LANGGRAPH)


app = Starlette(middleware=[Middleware(BaseHTTPMiddleware, dispatch=refuse_what_is_wrong)])
