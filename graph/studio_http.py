"""What LangGraph's server leaves out for Studio: without a word it drops settings and pauses that a graph
does not have, and takes any value as an edit of the state."""

import json
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from typing import Any

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import APIStatusError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from graph.edits import complaints_of_edit, meant, shown_value
from graph.settings import Settings, settings_of
from graph.topology import CONVERSATION, topology
from prompts.method import MODES

_CHECKED = ("/threads", "/runs", "/assistants")
"""Paths whose requests have settings, pauses, edits or records."""

_OF_LANGGRAPH = frozenset(
    {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "run_id", "graph_id", "assistant_id",
     "user_id", "cron_id"}
)  # fmt: skip
_PREFIXES_OF_LANGGRAPH = ("__", "langgraph_", "langsmith-", "x-")
"""What LangGraph, its server and LangSmith have in `configurable` besides the settings."""

_NO_NAMES = ("", "search", "count", "prune")
"""What follows `/threads` or `/assistants` and is no thread or assistant."""

_GRAPHS = (*MODES, CONVERSATION)


async def refuse_what_is_wrong(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Answer 422, naming what is wrong: a setting or a node to pause at that the graph does not have, an edit
    that the state cannot take, or an input that is no record."""
    path = request.url.path
    if request.method not in ("POST", "PATCH") or not path.startswith(_CHECKED):
        return await call_next(request)
    for given in _requests(await request.body()):
        # The server's newer protocol has in `params` what a request has otherwise.
        given = _object(given, "params") if path.endswith("/commands") else given
        graph, kept = await _graph_of(path, given)
        wrong = next(_complaints(graph, kept, path, given), None) if graph else None
        if wrong:
            return _refused(wrong)
    try:
        return await call_next(request)
    except KeyError as error:
        if not (path.endswith("/state") or path == "/threads"):
            raise
        # An edge did not find what it reads.
        return _refused(f"what comes next needs `{error.args[0]}`, which this state does not have yet")


def _refused(wrong: str) -> Response:
    return JSONResponse({"detail": wrong}, status_code=422)


def _requests(body: bytes) -> list[dict[str, Any]]:
    """Return what is asked, which may be several; of a body that has another form, the server says so."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return []
    return [one for one in (given if isinstance(given, list) else [given]) if isinstance(one, dict)]


async def _graph_of(path: str, given: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return the name of the graph that a request is about, None where the server itself refuses it, and the
    thread or assistant that its path names."""
    _, kind, *rest = path.split("/")
    named = bool(rest) and kind in ("threads", "assistants") and rest[0] not in _NO_NAMES
    kept = await _kept(kind, rest[0]) if named else {}
    name: Any = given.get("graph_id") or given.get("assistant_id") or kept.get("graph_id")
    name = name or _object(given, "metadata").get("graph_id") or _object(kept, "metadata").get("graph_id")
    if isinstance(name, str) and name not in _GRAPHS:
        name = (await _kept("assistants", name)).get("graph_id")
    return (name if name in _GRAPHS else None), kept


async def _kept(kind: str, name: str) -> dict[str, Any]:
    """Return a thread or an assistant that the server keeps; nothing if there is none."""
    server = _server()
    try:
        found: Any = await (server.threads if kind == "threads" else server.assistants).get(name)
    except APIStatusError:
        return {}
    return found if isinstance(found, dict) else {}


@cache
def _server() -> LangGraphClient:
    """Return a client of the server that this is a part of."""
    return get_client(api_key=None)


def _complaints(graph: str, kept: dict[str, Any], path: str, given: dict[str, Any]) -> Iterator[str]:
    settings = _object(given, "context") | {
        name: value
        for name, value in _object(_object(given, "config"), "configurable").items()
        if not (name in _OF_LANGGRAPH or name.startswith(_PREFIXES_OF_LANGGRAPH))
    }
    yield from _about_settings(graph, settings)
    nodes = _nodes(graph)
    for field in ("interrupt_before", "interrupt_after"):
        names = given.get(field)
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str) and name not in nodes:
                yield f"there is no node {name[:60]!r} to pause at in {graph!r}{meant(name, nodes)}"
    inside = graph == CONVERSATION and bool(_object(given, "checkpoint").get("checkpoint_ns"))
    for values, as_node in _edits(path, given):
        yield from _about_edit(graph, values, as_node, inside=inside)
    for goto in (given.get("goto"), _object(given, "command").get("goto")):
        yield from _about_nodes(graph, goto, "go to", inside=inside)
    yield from _about_input(graph, given.get("input"), settings, _object(kept, "values"))


def _about_settings(graph: str, given: dict[str, Any]) -> Iterator[str]:
    shown = _settings(graph)
    for name, value in given.items():
        if name not in shown:
            hint = f" of {graph!r}" if name in Settings.model_fields else meant(name, shown)
            yield f"{name[:60]!r} is not a setting{hint}"
            continue
        roles: list[str] = _object(shown[name], "propertyNames").get("enum", [])
        for role in value if roles and isinstance(value, dict) else ():
            if role not in roles:
                yield f"{role[:60]!r} is not a role of {graph!r} (`{name}`); its roles are {', '.join(roles)}"


def _edits(path: str, given: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the edits of a request, each with the node whose words they are."""
    if path.endswith("/state"):
        yield given.get("values"), given.get("as_node")
    yield given.get("update"), None
    yield _object(given, "command").get("update"), None
    for superstep in _objects(given, "supersteps"):
        for update in _objects(superstep, "updates"):
            yield update.get("values"), update.get("as_node")
            yield _object(update, "command").get("update"), update.get("as_node")


def _about_edit(graph: str, values: Any, as_node: Any, *, inside: bool) -> Iterator[str]:
    conversation = graph == CONVERSATION and not inside
    yield from _about_nodes(graph, [as_node], "edit as", inside=inside)
    if isinstance(values, dict):
        as_input = as_node in ("__start__", "__input__")
        yield from complaints_of_edit(values, conversation=conversation, as_input=as_input)
    elif values is not None:
        yield f"an edit takes an object with fields of the state, not {shown_value(values)}"


def _about_nodes(graph: str, names: Any, to: str, *, inside: bool) -> Iterator[str]:
    """Yield which of these are no nodes of a graph, or of the exchange graph inside a conversation."""
    # The drawing of a conversation has, in place of `exchange_graph`, the nodes inside.
    outside = graph == CONVERSATION and not inside
    nodes = ("read", "exchange_graph") if outside else topology("evolve" if inside else graph).nodes
    for name in names if isinstance(names, list) else [names]:
        node = name.get("node") if isinstance(name, dict) else name
        if isinstance(node, str) and not node.startswith("__") and node not in nodes:
            yield f"there is no node {node[:60]!r} to {to}{meant(node, nodes)}"


def _about_input(graph: str, record: Any, settings: dict[str, Any], earlier: dict[str, Any]) -> Iterator[str]:
    if record is None:
        return
    if not isinstance(record, dict):
        has = '"conversations" or "messages"' if graph == CONVERSATION else '"instruction" and "output"'
        yield f"`input` takes a record, an object with {has}, not {shown_value(record)}"
    elif settings.get("check") and not any(_references({**earlier, **record})):
        yield "`check` compares with `references`, and this record has none: add them, or leave `check` out"


def _references(record: dict[str, Any]) -> list[Any]:
    given = record.get("references")
    return given if isinstance(given, list) else [given]


def _object(given: dict[str, Any], name: str) -> dict[str, Any]:
    value = given.get(name)
    return value if isinstance(value, dict) else {}


def _objects(given: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = given.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


@cache
def _settings(graph: str) -> dict[str, Any]:
    """Return the settings that Studio shows for a graph; the server drops all others."""
    mode = MODES.get(graph, MODES["evolve"])
    properties: dict[str, Any] = settings_of(mode, conversation=graph == CONVERSATION).model_json_schema()[
        "properties"
    ]
    return properties


@cache
def _nodes(graph: str) -> frozenset[str]:
    """Return where a graph can pause: those inside a conversation with and without the name of its node."""
    drawn = topology(graph).nodes
    inside = {node.rpartition(":")[2] for node in drawn}
    return frozenset({*drawn, *inside, "*", *(["exchange_graph"] if graph == CONVERSATION else [])})


app = Starlette(middleware=[Middleware(BaseHTTPMiddleware, dispatch=refuse_what_is_wrong)])
