"""The server of the pages: on this machine only, and for its own pages only.

A page of another site that is open in the same browser can reach every local server. So a request, also for
the websocket, which carries all changes, is refused unless its Host header names this machine (a rebound DNS
name does not) and its Origin header, if any, is ours. Pages cannot load anything from elsewhere.
"""

import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from importlib.resources import files

import uvicorn
from fastapi import FastAPI
from nicegui import app as pages
from nicegui import ui
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viewer import compare, graph, overview, sample, samples, trial_pages
from viewer import compared_sample as pair
from viewer.background_refresh import snapshots
from viewer.comparison_links import Sides
from viewer.frame import MATH_FONT, missing_page
from viewer.run import RunPages
from viewer.trial_frame import TrialPages

ADDRESS = "127.0.0.1"

_MATH_FONT = str(files("ziamath").joinpath("fonts", "STIXTwoMath-Regular.ttf"))
"""STIX Two Math; nothing else of that package is used."""

_HEADERS = {
    # The page library uses inline scripts and compiles templates; both come from this server.
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def serve(
    shown: Sequence[RunPages] | TrialPages, port: int, *, browser: bool, notify: Callable[[str], None]
) -> None:
    """Serve the pages of one run, of two that are compared, or of a trial, until the process is interrupted.

    `port` 0 takes a free one. `notify` receives the address once the server can be
    reached.

    Raises:
        OSError: the port is taken.
    """
    with socket.create_server((ADDRESS, port)) as listening:
        url = f"http://{ADDRESS}:{listening.getsockname()[1]}/"
        names = shown.name if isinstance(shown, TrialPages) else " and ".join(run.name for run in shown)
        notify(f"{names}: {url} (Ctrl+C ends it)")
        if browser:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        config = uvicorn.Config(_application(shown), log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])


def _application(shown: Sequence[RunPages] | TrialPages) -> ASGIApp:
    if isinstance(shown, TrialPages):
        trial_pages.add(shown, _add_pages)
        pages.exception_handler(404)(lambda request, _: trial_pages.missing(request, shown))
    else:
        _add_pages(shown)
        pages.exception_handler(404)(lambda request, _: missing_page(request, shown))
    pages.add_static_file(local_file=_MATH_FONT, url_path=MATH_FONT)
    app = FastAPI(openapi_url=None)
    ui.run_with(app, title="coevol", favicon="🌱", dark=None, show_welcome_message=False)
    return _Guard(app)


def _add_pages(runs: Sequence[RunPages]) -> None:
    """Add the pages of one run, or of two that are compared."""
    refreshes = {run.prefix: snapshots(run) for run in runs}
    for run in runs:
        overview.add(run, refreshes[run.prefix])
        graph.add(run)
        samples.add(run)
        sample.add(run)
    if runs[0].is_compared:
        sides = Sides(runs)
        compare.add(sides, refreshes)
        pair.add(sides)


class _Guard:
    """Refuses requests that are not addressed to this machine, or come from a page that is not ours."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif not _is_own(scope):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            else:
                refusal = PlainTextResponse(f"coevol view only answers pages of {ADDRESS}\n", 403)
                await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, _with_headers(send))


def _is_own(scope: Scope) -> bool:
    sent: dict[bytes, str] = {name: value.decode("latin-1") for name, value in scope["headers"]}
    host = sent.get(b"host", "")
    # Any port: a tunnel from another machine may end at another.
    if host.partition(":")[0] not in (ADDRESS, "localhost"):
        return False
    origin = sent.get(b"origin")
    return origin is None or origin == f"http://{host}"


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message = {**message, "headers": [*message["headers"], *own]}
        await send(message)

    return guarded
