"""What LangGraph's server does not do for Studio: it drops settings that it does not know, without a word."""

import json
from collections.abc import Awaitable, Callable
from difflib import get_close_matches

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from graph.settings import Settings

_GIVEN_SETTINGS = ("/threads", "/runs", "/assistants")


async def refuse_unknown_settings(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Answer 422, naming the setting, where a run or an assistant is given one that there is not."""
    starts = request.method in ("POST", "PATCH") and request.url.path.startswith(_GIVEN_SETTINGS)
    if starts and (unknown := _unknown(await request.body())):
        near = get_close_matches(unknown, Settings.model_fields, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        return JSONResponse({"detail": f"{unknown!r} is not a setting{meant}"}, status_code=422)
    return await call_next(request)


def _unknown(body: bytes) -> str | None:
    try:
        given = json.loads(body)["context"]
    except (ValueError, RecursionError, KeyError, TypeError, IndexError):
        return None  # the server says what is wrong with it, if anything is
    return next((name for name in given or () if name not in Settings.model_fields), None)


app = Starlette(middleware=[Middleware(BaseHTTPMiddleware, dispatch=refuse_unknown_settings)])
