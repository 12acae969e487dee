"""Who may see the pages: only those with the link that `coevol view` prints.

Other users of the machine reach every local port, and with `--host` others of the network do. So a random
token is part of the link; the first visit by it sets a cookie, and whatever else comes without the cookie is
refused, websockets included. The cookie is named after the token, since browsers send cookies to all ports of
a host.
"""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.datastructures import URL, QueryParams
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

_PARAMETER = "token"


class Access:
    """The token of one server of pages."""

    def __init__(self) -> None:
        self._token = secrets.token_urlsafe(32)
        self._cookie = f"coevol_{hashlib.sha256(self._token.encode()).hexdigest()[:16]}"

    def link(self, url: str) -> str:
        """Return the link to a page that lets its visitor in."""
        return str(URL(url).include_query_params(**{_PARAMETER: self._token}))

    def is_allowed(self, scope: Scope) -> bool:
        """Whether a request has the cookie."""
        cookies = {}
        for each in _header(scope, b"cookie").split(";"):
            name, _, value = each.strip().partition("=")
            cookies[name] = value
        return self._is_token(cookies.get(self._cookie, ""))

    def entered(self, scope: Scope) -> Response | None:
        """Answer a visit by the link: with the cookie, and on to the page without the token in its address.
        None if the token is not in the address."""
        if scope["method"] != "GET":
            return None
        given = QueryParams(scope["query_string"]).get(_PARAMETER)
        if given is None or not self._is_token(given):
            return None
        url = URL(scope={**scope, "path": asked_path(scope)}).remove_query_params(_PARAMETER)
        answer = RedirectResponse(url, 303)
        # Lax: a link in a chat or an issue opens a page of ours, and nothing else of another site gets in.
        answer.set_cookie(self._cookie, self._token, path="/", httponly=True, samesite="lax")
        answer.headers["cache-control"] = "no-store"
        return answer

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), self._token.encode())


def asked_path(scope: Scope) -> str:
    """Return the path that was asked for with its escapes: unescaped, a `?` in an id would end it."""
    raw: bytes = scope["raw_path"]
    return raw.decode("latin-1")


def refusal() -> Response:
    """Return the page for those who have no cookie."""
    text = "This page is open only to who has its link: use the one that <code>coevol view</code> printed."
    return HTMLResponse(_page(f"<p>{text}</p>"), 403, {"cache-control": "no-store"})


@contextmanager
def opener(link: str) -> Iterator[str]:
    """Yield the address of a file of this user's alone that leads to a link: all users can read the arguments
    of a browser."""
    with TemporaryDirectory(prefix="coevol-") as folder:  # with mode 0700
        file = Path(folder, "open.html")
        file.write_text(_page(_onward(link)), encoding="utf-8")
        yield file.as_uri()


def _page(content: str) -> str:
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>coevol</title>{content}\n'


def _onward(url: str) -> str:
    shown = escape(url)
    return f'<meta http-equiv="refresh" content="0; url={shown}"><a href="{shown}">Continue</a>'


def _header(scope: Scope, name: bytes) -> str:
    return ";".join(value.decode("latin-1") for each, value in scope["headers"] if each == name)
