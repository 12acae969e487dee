"""The server of the pages: on this machine only unless `--host` names another address, for its own pages
only, and for those with the link.

A page of another site that is open in the same browser can reach every local server. So a request, also for
the websocket, which carries all changes, is refused unless its Host header names this machine (a rebound DNS
name does not, see `viewer.hosts`) and its Origin header, if any, is ours. Others who reach the port are
refused by `viewer.access`. Pages cannot load anything from elsewhere, and run no script that did not come
with them.
"""

import logging
import secrets
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from nicegui import app as pages
from nicegui import ui
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.ledger import LedgerError
from reporting.manifest import RunError
from viewer import compare, graph, overview, runs, sample, samples, trial_pages
from viewer import compared_sample as pair
from viewer.access import Access, opener, refusal
from viewer.background_refresh import snapshots
from viewer.comparison_links import Sides
from viewer.frame import MATH_FONT, missing_page
from viewer.hosts import Host
from viewer.run import RunPages
from viewer.runs import OpenedRuns
from viewer.runs_folder import RunsFolder
from viewer.trial_frame import TrialPages

UNENCRYPTED = (
    "Not encrypted: whoever can read the network's traffic can read the texts and the link. An encrypted way "
    "is a tunnel (ssh -L), without --host."
)
"""The warning for an address that others reach."""


def _math_font() -> str:
    """Find the font without importing its package, which loads its own typesetter."""
    found = find_spec("ziamath")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("No module named 'ziamath'", name="ziamath")
    return str(Path(found.origin).parent / "fonts" / "STIXTwoMath-Regular.ttf")


_MATH_FONT = _math_font()
"""STIX Two Math; nothing else of that package is used."""

_POLICY = (
    # The page library compiles templates and evaluates handlers of its own, and sets styles everywhere. Its
    # inline scripts have a nonce, so what is put into a page later runs none.
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def serve(
    shown: Sequence[RunPages] | RunsFolder | TrialPages,
    host: Host,
    port: int,
    *,
    browser: bool,
    notify: Callable[[str], None],
    records: samples.Records,
) -> None:
    """Serve the pages of one run, of two that are compared, of a folder of runs, or of a trial, until the
    process is interrupted.

    `port` 0 takes a free one; `records` writes what is exported. `notify` receives the link once the server
    can be reached.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """
    access = Access()
    with host.listen(port) as listening, ExitStack() as until_end:
        link = access.link(f"http://{host.shown}:{listening.getsockname()[1]}/")
        notify(f"{_name(shown)}: {link} (Ctrl+C ends it)")
        if not host.is_local:
            notify(UNENCRYPTED)
        if browser:
            opened = until_end.enter_context(opener(link))
            threading.Thread(target=webbrowser.open, args=(opened,), daemon=True).start()
        application = _Guard(_application(shown, records), host, access)
        config = uvicorn.Config(application, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])


class _Unreadable(logging.Filter):
    """Says once, in a line, that a run cannot be read: pages that are open find that again and again."""

    def __init__(self) -> None:
        super().__init__()
        self._said = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave out the traceback of such an error, and all of one that was the last already."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, LedgerError | RunError):
            return True
        is_new, self._said = str(error) != self._said, str(error)
        record.msg, record.args, record.exc_info = self._said, (), None
        return is_new


logging.getLogger("nicegui").addFilter(_Unreadable())


def _name(shown: Sequence[RunPages] | RunsFolder | TrialPages) -> str:
    if isinstance(shown, RunsFolder):
        return str(shown.path)
    return shown.name if isinstance(shown, TrialPages) else " and ".join(run.name for run in shown)


def _application(shown: Sequence[RunPages] | RunsFolder | TrialPages, records: samples.Records) -> ASGIApp:
    if isinstance(shown, RunsFolder):
        runs.add(shown)
        opened = OpenedRuns(shown, lambda some: _add_pages(some, records))

        async def missing(request: Request, _: Exception) -> Response:
            return await opened.missing(request)

        pages.exception_handler(404)(missing)
    elif isinstance(shown, TrialPages):
        trial_pages.add(shown, lambda some: _add_pages(some, records))
        pages.exception_handler(404)(lambda request, _: trial_pages.missing(request, shown))
    else:
        _add_pages(shown, records)
        pages.exception_handler(404)(lambda request, _: missing_page(request, shown))
    own = shown if isinstance(shown, Sequence) else ()

    # A run may be moved or deleted while it is shown.
    @pages.exception_handler(LedgerError)
    @pages.exception_handler(RunError)
    async def unreadable(request: Request, error: Exception) -> Response:
        return missing_page(request, own, str(error), title="Cannot be shown", status=503)

    pages.add_static_file(local_file=_MATH_FONT, url_path=MATH_FONT)
    app = FastAPI(openapi_url=None)
    ui.run_with(
        app,
        title="coevol",
        favicon="🌱",
        dark=None,
        language="en-US",
        show_welcome_message=False,
        gzip_middleware_factory=None,  # `_Answer` reads pages, and nothing comes from afar
    )
    return app


def _add_pages(shown: Sequence[RunPages], records: samples.Records) -> None:
    """Add the pages of one run, or of two that are compared."""
    refreshes = {run.prefix: snapshots(run) for run in shown}
    for run in shown:
        overview.add(run, refreshes[run.prefix])
        graph.add(run)
        samples.add(run, records)
        sample.add(run)
    if shown[0].is_compared:
        sides = Sides(shown)
        compare.add(sides)
        pair.add(sides)


class _Guard:
    """Refuses requests that are not addressed to this machine, or come from a page that is not ours or from
    someone without the link."""

    def __init__(self, app: ASGIApp, host: Host, access: Access) -> None:
        self._app, self._host, self._access = app, host, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        send = _Answer(send).send
        if answer := self._refused(scope):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            else:
                await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refused(self, scope: Scope) -> Response | None:
        """Return the answer to a request that does not reach the pages; None if it does."""
        if not _is_own(scope, self._host):
            return PlainTextResponse(f"coevol view only answers pages of {self._host.shown}\n", 403)
        if scope["type"] == "http" and (entered := self._access.entered(scope)):
            return entered
        return None if self._access.is_allowed(scope) else refusal()


def _is_own(scope: Scope, own: Host) -> bool:
    sent: dict[bytes, str] = {name: value.decode("latin-1") for name, value in scope["headers"]}
    host = sent.get(b"host", "")
    origin = sent.get(b"origin")
    return own.accepts(host) and origin in (None, f"http://{host}")


class _Answer:
    """Adds our headers to an answer, and a nonce to the scripts of a page."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._nonce = secrets.token_urlsafe(16)
        self._start: Message | None = None
        self._page = bytearray()

    async def send(self, message: Message) -> None:
        """Send a part of the answer; a page as a whole."""
        if message["type"] == "http.response.start":
            headers = _HEADERS | {"content-security-policy": _POLICY.format(nonce=self._nonce)}
            own = [(name.encode(), value.encode()) for name, value in headers.items()]
            message = {**message, "headers": [*message["headers"], *own]}
            if dict(message["headers"]).get(b"content-type", b"").startswith(b"text/html"):
                self._start = message
                return
        if self._start and message["type"] == "http.response.body":
            self._page += message.get("body", b"")
            if message.get("more_body"):
                return
            # The library escapes `<` in all that it writes into a page.
            page = bytes(self._page).replace(b"<script", f'<script nonce="{self._nonce}"'.encode())
            kept = [each for each in self._start["headers"] if each[0] != b"content-length"]
            length = (b"content-length", str(len(page)).encode())
            await self._send({**self._start, "headers": [*kept, length]})
            message = {"type": "http.response.body", "body": page}
        await self._send(message)
