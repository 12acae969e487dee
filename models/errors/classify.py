"""Reads what went wrong in one attempt at a call, for the table in `models.errors.kinds`."""

import html
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from errno import EMFILE, ENFILE
from math import isnan
from typing import Any

import aiohttp
import httpx2
import openai
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage

from models.call import Call
from models.errors.kinds import (
    BAD_REPLY,
    CODES,
    CONNECTION_LOST,
    EMPTY,
    FINISHES,
    MISTAKE,
    NEVER_RIGHT,
    NOT_ALLOWED,
    REFUSED,
    TIMEOUT,
    TOO_LONG,
    TOO_LONG_A_WAIT,
    TOO_MANY_FILES,
    TRUNCATED,
    UNREACHABLE,
    UNSENDABLE,
    AnswerRefused,
    Diagnosis,
    Meaning,
    Unsendable,
    meaning_of,
)
from models.keys import KEY_NAMES
from models.providers.proxies import through_proxy
from models.settings import Endpoint, Role

LONGEST_ASKED = 86_400.0
"""Seconds. Who asks for a longer wait than a day has the run stopped: nobody is asked before the time, and
nobody sits there waiting for it."""


def diagnose(
    error: Exception, endpoint: Endpoint, *, has_answered: bool, key: str | None = None
) -> Diagnosis:
    """What an attempt failed with.

    `has_answered` says whether the endpoint ever gave a reply; `key` is the variable with the key that it was
    sent, without which the provider's is meant.
    """
    where = f"{endpoint.model} at {endpoint.base_url}"
    if isinstance(error, Unsendable):
        return _found(UNSENDABLE, f"the request to {where} cannot be made", endpoint, _plain(str(error)))
    if isinstance(error, openai.APIStatusError | AnswerRefused):
        return _by_answer(error, where, endpoint, has_answered=has_answered, key=key)
    if isinstance(error, openai.APIConnectionError | httpx2.TransportError | aiohttp.ClientError | OSError):
        return _by_connection(error, where + through_proxy(endpoint.base_url), endpoint)
    if isinstance(error, openai.APIError):
        return _found(BAD_REPLY, f"{where} sent no chat completion", endpoint, _plain(error.message))
    return Diagnosis(MISTAKE, f"{type(error).__name__}: {error}")


def never_right(failure: Diagnosis, role: Role, endpoint: Endpoint) -> Diagnosis:
    """The failure as that of every call of a role so far: one of the settings and not of the call."""
    found = _found(NEVER_RIGHT[failure.meaning], failure.said, endpoint, failure.words, failure.code)
    return replace(found, advice=f"Each of the first calls in the role {role} ended so. {found.advice}")


def unusable(message: AIMessage, text: str, call: Call, endpoint: Endpoint) -> Diagnosis | None:
    """Why a reply is of no use; None where it can be used. `text` is the reply without any thinking."""
    finish = message.response_metadata.get("finish_reason") or ""
    where = f"{endpoint.model} at {endpoint.base_url}"
    words = ""
    if finish in FINISHES:
        meaning = FINISHES[finish]
        said = f"{where} ended the reply with {finish}"
    elif refusal := message.additional_kwargs.get("refusal"):
        meaning, said, words = FINISHES["content_filter"], f"{where} refused", _plain(str(refusal))
    elif finish == "length" and not text.strip():
        meaning, said = TRUNCATED, f"{where} used up max_tokens before the reply began"
    elif finish == "length" and call.whole:
        meaning, said = TRUNCATED, "the draft was cut off at the limit for replies"
    elif not text.strip():
        meaning, said = EMPTY, f"{where} gave an empty reply"
    else:
        return None
    return _found(meaning, said, endpoint, words, finish or None)


def _found(
    meaning: Meaning,
    said: str,
    endpoint: Endpoint,
    words: str = "",
    code: str | None = None,
    wait: float | None = None,
    key: str | None = None,
) -> Diagnosis:
    key = key or KEY_NAMES.get(endpoint.provider, "the environment")
    return Diagnosis(meaning, said, words, meaning.advice.format(key=key), code, wait)


def _by_answer(
    error: openai.APIStatusError | AnswerRefused,
    where: str,
    endpoint: Endpoint,
    *,
    has_answered: bool,
    key: str | None,
) -> Diagnosis:
    headers = error.headers if isinstance(error, AnswerRefused) else error.response.headers
    body, lacks = _inner(error.body), error.lacks if isinstance(error, AnswerRefused) else ""
    code, words = _code_and_words(body, getattr(error, "message", ""))
    status, shown = error.status_code, str(error.status_code)
    in_reply = status < 300
    if in_reply and len(code) == 3 and code.isdecimal() and 400 <= int(code) <= 599:
        status = int(code)  # a proxy handed on the error and not its status
    wait = _asked_wait(status, headers, body, words)
    meaning = meaning_of(status, code, words, provider=endpoint.provider, wait=wait)
    if isinstance(error, ContextOverflowError):
        meaning = TOO_LONG
    if meaning is NOT_ALLOWED and has_answered:
        # A firewall's refusal of one text, say. It must not stop a run that works.
        meaning = REFUSED
    # Wenxin refuses with this status; from others it may be anything, and may pass.
    refuses = status >= 400 or code in CODES or (endpoint.provider == "wenxin" and not lacks)
    if meaning is REFUSED and in_reply and not refuses:
        meaning = BAD_REPLY
    named = shown if code in ("", shown) else f"{shown} ({code})"
    said = f"{where} sent no chat completion ({lacks})" if lacks else f"{where} answered {named}"
    given = code or (None if in_reply else shown)
    if wait is None or wait <= LONGEST_ASKED:
        return _found(meaning, said, endpoint, words, given, wait, key)
    if meaning.remedy in ("retry", "slow down"):
        advice = f"It asks to wait {_until(wait)}. The same command goes on from here then."
        return Diagnosis(TOO_LONG_A_WAIT, said, words, advice, given)
    return _found(meaning, said, endpoint, words, given, key=key)


def _by_connection(error: Exception, where: str, endpoint: Endpoint) -> Diagnosis:
    causes = list(_causes(error))
    last = causes[-1]
    why = " ".join(str(last).split()) or type(last).__name__
    if any(getattr(cause, "errno", None) in (EMFILE, ENFILE) for cause in causes):
        return _found(TOO_MANY_FILES, "this process may have no more open files or connections", endpoint)
    # What was read is no answer; that it comes as an error of the connection is the client's way.
    if any(isinstance(cause, httpx2.DecodingError | httpx2.TooManyRedirects) for cause in causes):
        return _found(BAD_REPLY, f"{where} sent no chat completion ({why})", endpoint)
    # The HTTP client calls most of these a timeout; aiohttp, below it, knows them apart.
    unreachable = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.InvalidURL,
        ConnectionRefusedError,
    )
    if any(isinstance(cause, unreachable) for cause in causes):
        return _found(UNREACHABLE, f"nothing answers for {where} ({why})", endpoint)
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return _found(TIMEOUT, f"{where} did not answer in time", endpoint)
    return _found(CONNECTION_LOST, f"the connection to {where} broke off ({why})", endpoint)


def _causes(error: BaseException) -> Iterator[BaseException]:
    next_: BaseException | None = error
    while next_ is not None:
        yield next_
        next_ = next_.__cause__


def _inner(body: Any) -> Any:
    """The error itself; those that have an envelope put it under `error`, and Gemini that into a list."""
    if isinstance(body, list) and body and isinstance(body[0], dict):
        body = body[0]
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    return body


def _code_and_words(body: Any, otherwise: str) -> tuple[str, str]:
    """The provider's code and message."""
    if isinstance(body, dict):
        code = body.get("code") or body.get("error_code") or body.get("type") or ""
        words = body.get("message") or body.get("error_msg") or body.get("detail")
        words = words if isinstance(words, str) else json.dumps(body, ensure_ascii=False)
        # vLLM repeats the status as its code.
        return "" if isinstance(code, dict | list) else str(code), _plain(words)
    return "", _plain(str(body or otherwise))


_PAGE = re.compile(r"\s*<(?:!doctype|html|head|body|title|center|h1|\?xml)\b", re.IGNORECASE)
_MARKUP = re.compile(
    r"<!--.*?(?:-->|$)|<(script|style)\b.*?(?:</\1>|$)|<[^>]*(?:>|$)", re.IGNORECASE | re.DOTALL
)


def _plain(words: str) -> str:
    """A provider's words on one line; of an HTML page its text."""
    if _PAGE.match(words):
        words = html.unescape(_MARKUP.sub(" ", words))
    return " ".join(words.split())


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SPAN = r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|sec|seconds?|m|min|minutes?|h|hours?)(?![a-z])"
_WAIT = re.compile(rf"(?:retry|try again) (?:in|after) ((?:{_SPAN}\s*)+)", re.IGNORECASE)


def _asked_wait(status: int, headers: Mapping[str, str], body: Any, words: str) -> float | None:
    """The seconds that the server asks to wait: by a header, or else in its words where it throttles."""
    seconds = _retry_after(headers)
    if seconds is not None or status != 429:
        return seconds
    details = body.get("details") if isinstance(body, dict) else None
    for detail in details if isinstance(details, list) else []:
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and (spans := re.findall(_SPAN, delay)):
            return _seconds(spans)
    found = _WAIT.search(words)
    return _seconds(re.findall(_SPAN, found[1], re.IGNORECASE)) if found else None


def _seconds(spans: list[tuple[str, str]]) -> float:
    return sum(
        float(n) * _UNITS["ms" if unit.lower().startswith(("ms", "mil")) else unit[0].lower()]
        for n, unit in spans
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    given = headers.get("retry-after", "")
    if (seconds := _number(given)) is not None:
        return seconds
    try:
        until = parsedate_to_datetime(given).timestamp()
        # The server's own clock, where it tells it, is the one the date was made by.
        now = headers.get("date")
        return max(0.0, until - (parsedate_to_datetime(now).timestamp() if now else time.time()))
    except (ValueError, OverflowError):
        return None


def _number(given: str | None) -> float | None:
    try:
        seconds = float(given or "")
    except ValueError:
        return None
    return None if isnan(seconds) else max(0.0, seconds)


def _until(seconds: float) -> str:
    try:
        return f"until {(datetime.now(UTC) + timedelta(seconds=seconds)).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "for ever"
