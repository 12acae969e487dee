"""Reads what went wrong in one attempt at a call, for the table in `models.failures`."""

import json
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any

import aiohttp
import httpx2
import openai
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage

from models.call import Call
from models.failures import (
    BAD_REPLY,
    CONNECTION_LOST,
    EMPTY,
    FINISHES,
    MISTAKE,
    NOT_ALLOWED,
    REFUSED,
    TIMEOUT,
    TOO_LONG,
    TRUNCATED,
    UNREACHABLE,
    AnswerRefused,
    Diagnosis,
    Meaning,
    meaning_of,
)
from models.keys import KEY_NAMES
from models.proxies import through_proxy
from models.settings import Endpoint

_NO_COMPLETION = (openai.APIError, ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What the libraries raise for a status of 200 with a body that is no chat completion."""


def diagnose(error: Exception, endpoint: Endpoint, *, has_answered: bool) -> Diagnosis:
    """What an attempt failed with. `has_answered` says whether the endpoint ever gave a reply."""
    where = f"{endpoint.model} at {endpoint.base_url}"
    if isinstance(error, openai.APIConnectionError | httpx2.TransportError | aiohttp.ClientError | OSError):
        return _by_connection(error, where + through_proxy(endpoint.base_url))
    if isinstance(error, openai.APIStatusError | AnswerRefused):
        code, words = _code_and_words(error.body, getattr(error, "message", ""))
        meaning = meaning_of(error.status_code, code, words)
        if isinstance(error, ContextOverflowError):
            meaning = TOO_LONG
        if meaning is NOT_ALLOWED and has_answered:
            # A firewall's refusal of one text, say. It must not stop a run that works.
            meaning = REFUSED
        headers = error.headers if isinstance(error, AnswerRefused) else error.response.headers
        status = str(error.status_code)
        named = status if code in ("", status) else f"{status} ({code})"
        text = _with_advice(f"{where} answered {named}: {words}", meaning, endpoint)
        return Diagnosis(meaning, text, code or status, _retry_after(headers))
    if isinstance(error, _NO_COMPLETION):
        code, words = _code_and_words(error.args[0] if error.args else "", "")
        # The body may be an error that a proxy passed on with the wrong status.
        meaning = meaning_of(200, code, words)
        if meaning is REFUSED:
            meaning = BAD_REPLY
        text = _with_advice(f"{where} sent no chat completion: {words}", meaning, endpoint)
        return Diagnosis(meaning, text, code or None)
    return Diagnosis(MISTAKE, f"{type(error).__name__}: {error}")


def unusable(message: AIMessage, text: str, call: Call, endpoint: Endpoint) -> Diagnosis | None:
    """Why a reply is of no use; None where it can be used. `text` is the reply without any thinking."""
    finish = message.response_metadata.get("finish_reason") or ""
    where = f"{endpoint.model} at {endpoint.base_url}"
    if finish in FINISHES:
        meaning = FINISHES[finish]
        said = f"{where} ended the reply with {finish}"
    elif refusal := message.additional_kwargs.get("refusal"):
        meaning, said = FINISHES["content_filter"], f"{where} refused: {refusal}"
    elif finish == "length" and not text.strip():
        meaning, said = TRUNCATED, f"{where} used up max_tokens before the reply began"
    elif finish == "length" and call.whole:
        meaning, said = TRUNCATED, "the draft was cut off at the limit for replies"
    elif not text.strip():
        meaning, said = EMPTY, f"{where} gave an empty reply"
    else:
        return None
    return Diagnosis(meaning, _with_advice(said, meaning, endpoint), finish or None)


def _with_advice(said: str, meaning: Meaning, endpoint: Endpoint) -> str:
    key = KEY_NAMES.get(endpoint.provider, "the environment")
    return f"{said}\n{meaning.advice.format(key=key)}" if meaning.advice else said


def _by_connection(error: Exception, where: str) -> Diagnosis:
    causes = list(_causes(error))
    last = causes[-1]
    why = " ".join(str(last).split()) or type(last).__name__
    # The HTTP client calls most of these a timeout; aiohttp, below it, knows them apart.
    unreachable = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.InvalidURL,
        ConnectionRefusedError,
    )
    if any(isinstance(cause, unreachable) for cause in causes):
        return Diagnosis(UNREACHABLE, f"nothing answers for {where} ({why})\n{UNREACHABLE.advice}")
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return Diagnosis(TIMEOUT, f"{where} did not answer in time\n{TIMEOUT.advice}")
    return Diagnosis(CONNECTION_LOST, f"the connection to {where} broke off ({why})")


def _causes(error: BaseException) -> Iterator[BaseException]:
    next_: BaseException | None = error
    while next_ is not None:
        yield next_
        next_ = next_.__cause__


def _code_and_words(body: Any, otherwise: str) -> tuple[str, str]:
    """The provider's code and message; those that have an envelope put it under `error`."""
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    if isinstance(body, dict):
        code = body.get("code") or body.get("error_code") or body.get("type") or ""
        words = body.get("message") or body.get("error_msg") or body.get("detail")
        words = words if isinstance(words, str) else json.dumps(body, ensure_ascii=False)
        # vLLM repeats the status as its code.
        return "" if isinstance(code, dict | list) else str(code), words
    return "", " ".join(str(body or otherwise).split())


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that the server asks to wait."""
    seconds = _said_after(headers)
    return seconds if seconds is not None and isfinite(seconds) else None


def _said_after(headers: Mapping[str, str]) -> float | None:
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        given = headers.get("retry-after")
        if given is None:
            return None
        if given.replace(".", "", 1).isdigit():
            return float(given)
        until = parsedate_to_datetime(given).timestamp()
        # The server's own clock, where it tells it, is the one the date was made by.
        now = headers.get("date")
        return max(0.0, until - (parsedate_to_datetime(now).timestamp() if now else time.time()))
    except (ValueError, OverflowError):
        return None
