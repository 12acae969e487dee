"""What a failed call means for the run.

A failure is one of three: the call is worth trying again, this call cannot be done (its sample keeps its
response and the run goes on), or the run cannot go on. `diagnose` decides which.
"""

import json
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import openai
from aiohttp import ClientError
from langchain_core.exceptions import ContextOverflowError

from models.settings import Endpoint

Remedy = Literal["retry", "give up call", "stop run"]


class CallFailed(RuntimeError):
    """A call that cannot be done. Its sample keeps its response; the run goes on.

    `reason` is a short name that failures are counted by; the text says what happened.
    """

    def __init__(self, reason: str, message: str, *, step: str = "", round: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.step = step
        self.round = round


class RunStopped(RuntimeError):
    """The run cannot go on. What is finished is kept, and the same command goes on from there."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a failure means: the remedy, a short name for it, and what to tell a person.

    `wait` is how long the server asks to wait before another attempt, in seconds.
    """

    remedy: Remedy
    reason: str
    message: str
    wait: float | None = None


def diagnose(error: Exception, endpoint: Endpoint, key_name: str) -> Diagnosis:
    """What went wrong in a call to an endpoint, and what to do about it.

    The words of the provider are kept in the message; whoever shows or stores it must first take the
    secrets out (`models.keys`).
    """
    where = f"{endpoint.model} at {endpoint.base_url}"
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return Diagnosis("retry", "timeout", f"{where} did not answer in time")
    if isinstance(error, openai.APIConnectionError | ClientError | OSError):
        cause = error.__cause__ or error
        return Diagnosis("retry", "unreachable", f"nothing answers for {where} ({cause})")
    if isinstance(error, openai.APIStatusError):
        return _by_status(error, where, key_name)
    if isinstance(error, openai.APIError | ValueError | KeyError | TypeError | AttributeError):
        # A status of 200 with a body that is no chat completion: a proxy's page, or half an answer.
        return Diagnosis("retry", "bad reply", f"{where} sent no chat completion ({error})")
    raise error


def _by_status(error: openai.APIStatusError, where: str, key_name: str) -> Diagnosis:
    status, code, words = error.status_code, *_code_and_words(error)
    said = f"{where} answered {status}: {words}"
    if status == 401 or (status == 403 and "unsafe" not in code):
        return Diagnosis("stop run", "key refused", f"{said}\nCheck the key in {key_name}.")
    if code in ("insufficient_quota", "billing_hard_limit_reached"):
        return Diagnosis("stop run", "no balance", f"{said}\nCheck the account's balance and limits.")
    if status == 404:
        return Diagnosis("stop run", "not found", f"{said}\nCheck the model's name and the base URL.")
    if status in (408, 409, 425, 429) or status >= 500:
        name = "throttled" if status == 429 else "server error"
        return Diagnosis("retry", name, said, _retry_after(error))
    too_long = isinstance(error, ContextOverflowError) or any(
        sign in f"{code} {words}".lower()
        for sign in ("context_length", "context length", "tokens_too_long", "too long")
    )
    if too_long:
        return Diagnosis("give up call", "too long", said)
    if "content_filter" in code or "unsafe" in code:
        return Diagnosis("give up call", "content filter", said)
    return Diagnosis("give up call", "refused", said)


def _code_and_words(error: openai.APIStatusError) -> tuple[str, str]:
    body: Any = error.body
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    if isinstance(body, dict):
        code = str(body.get("code") or body.get("type") or "")
        words = body.get("message")
        return code, words if isinstance(words, str) else json.dumps(body, ensure_ascii=False)
    return "", " ".join(str(body or error.message).split())[:500]


def _retry_after(error: openai.APIStatusError) -> float | None:
    headers = error.response.headers
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        given = headers.get("retry-after")
        if given is None:
            return None
        if given.replace(".", "", 1).isdigit():
            return float(given)
        # An HTTP date; the server's own clock tells how far off it is.
        now = headers.get("date")
        if now is None:
            return None
        return max(0.0, (parsedate_to_datetime(given) - parsedate_to_datetime(now)).total_seconds())
    except ValueError:
        return None
