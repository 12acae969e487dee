"""Classifies what went wrong in one attempt at a call, by the tables in `models.errors.kinds`."""

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
from ssl import SSLCertVerificationError
from typing import Any
from urllib.parse import urljoin

import aiohttp
import httpx2
import openai
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage

from models.addresses import CALLS_PATH, address, shown_address
from models.call import Call
from models.errors.exceptions import BadResponse, UnsendableRequest
from models.errors.kinds import (
    ALL_REFUSED,
    AT_LIMIT,
    AT_STARTUP,
    BAD_REPLY,
    CODES,
    CONNECTION_LOST,
    CONTROL_TOKENS,
    EMPTY,
    FILTERED,
    FINISH_REASONS,
    INTERNAL_ERROR,
    LONG_WAIT,
    MAX_MESSAGE_CHARS,
    MODEL_UNKNOWN,
    NO_BALANCE,
    NOT_ALLOWED,
    OVERLOADED,
    PARAMETER_REFUSED,
    REFUSED,
    TIMEOUT,
    TOO_LONG,
    TOO_MANY_FILES,
    TRUNCATED,
    UNREACHABLE,
    UNSENDABLE,
    WHOLE,
    Failure,
    FailureKind,
    failure_kind,
    finish_key,
)
from models.errors.parameters import parameter_advice, refused_fields
from models.settings import KEY_NAMES, Endpoint, Role
from samples.bounds import nested_too_deeply
from samples.reply import is_blank

MAX_WAIT = 86_400.0
"""Seconds. A server that asks for a longer wait than a day stops the run: it is not asked before then."""


def classify(
    error: Exception, endpoint: Endpoint, *, has_replied: bool, key: str | None = None, proxy: str = ""
) -> Failure:
    """Classify the error of an attempt.

    Args:
        error: what the client library raised.
        endpoint: where the call went.
        has_replied: whether the endpoint ever gave a reply.
        key: the variable with the key that was sent; by default the provider's.
        proxy: which proxy the call went through, for the message.
    """
    where = f"{endpoint.model} at {endpoint.shown_url}"
    if isinstance(error, UnsendableRequest):
        return _failure(
            UNSENDABLE, f"the request to {where} cannot be built", endpoint, _one_line(str(error))
        )
    if isinstance(error, openai.APIStatusError | BadResponse):
        return _from_response(error, where, endpoint, has_replied=has_replied, key=key)
    if isinstance(error, openai.APIConnectionError | httpx2.RequestError | aiohttp.ClientError | OSError):
        return _from_connection(error, where + proxy, endpoint)
    if isinstance(error, ContextOverflowError):
        return _failure(TOO_LONG, f"{where} refused the prompt", endpoint, _one_line(str(error)))
    if isinstance(error, openai.APIError):
        return _failure(BAD_REPLY, f"{where} sent no chat completion", endpoint, _one_line(error.message))
    return Failure(INTERNAL_ERROR, f"{type(error).__name__}: {error}")


def wrong_settings(failure: Failure, role: Role, endpoint: Endpoint) -> Failure:
    """Return the failure as one of the settings, since all first calls of a role ended with it."""
    kind = AT_STARTUP[failure.kind]
    found = _failure(kind, failure.summary, endpoint, failure.provider_message, failure.code)
    return replace(
        found, advice=f"Each of the first calls in the role {role} failed like this. {found.advice}"
    )


def refused_alike(failure: Failure, samples: int) -> Failure:
    """Return the failure as the endpoint's, since the calls of so many samples in a row ended with it."""
    advice = (
        f"The calls of {samples} samples in a row failed like this, after others had succeeded, so it is not "
        f"the samples' doing. {ALL_REFUSED.advice}"
    )
    return replace(failure, kind=ALL_REFUSED, advice=advice)


def classify_reply(
    message: AIMessage, text: str, call: Call, endpoint: Endpoint, control_token: str | None = None
) -> Failure | None:
    """Return why a reply cannot be used, None where it can.

    A reply is whole where it has no finish reason, or one that is known to mean that. One that is cut off can
    be used unless it is a draft.

    Args:
        message: the reply as it came.
        text: what it says, without thoughts and marks.
        call: what was asked.
        endpoint: where the call went.
        control_token: a token of the model's chat template that is left in the text, or a damaged character.
    """
    finish = finish_reason(message) or ""
    key = finish_key(finish)
    where = f"{endpoint.model} at {endpoint.base_url}"
    at_limit = key in AT_LIMIT
    is_whole = not finish or key in WHOLE
    provider_message = ""
    if key in FINISH_REASONS:
        kind = FINISH_REASONS[key]
        summary = f"{where} ended the reply with {finish}"
    elif refusal := message.additional_kwargs.get("refusal"):
        kind, summary, provider_message = FILTERED, f"{where} refused", _one_line(str(refusal))
    elif control_token:
        kind, summary = CONTROL_TOKENS, f"{where} left {control_token} in the reply"
    elif at_limit and is_blank(text):
        kind, summary = TRUNCATED, f"{where} used up max_tokens before the reply began"
    elif is_blank(text):
        kind, summary = EMPTY, f"{where} gave an empty reply"
    elif is_whole or call.purpose != "draft":
        return None
    elif at_limit:
        kind, summary = TRUNCATED, "the draft was cut off at the limit for replies"
    else:
        kind = replace(TRUNCATED, advice="")
        summary = (
            f"the draft may be cut off: {where} ended it with {finish}, which does not say that it is whole"
        )
    return _failure(kind, summary, endpoint, provider_message, finish or None)


def finish_reason(message: AIMessage) -> str | None:
    """Return why a reply ended, in the server's word; None where it does not say."""
    found = message.response_metadata.get("finish_reason")
    if isinstance(found, dict):  # as in TGI's and AI21's own protocols
        found = found.get("reason") or found.get("type")
    reason = " ".join(("" if found is None else str(found)).split())
    if len(reason) > 60:  # no reason, and a key in it must not be cut in two
        return "…"
    return None if reason.lower() in ("", "null", "none") else reason


def _failure(
    kind: FailureKind,
    summary: str,
    endpoint: Endpoint,
    provider_message: str = "",
    code: str | None = None,
    wait: float | None = None,
    key: str | None = None,
) -> Failure:
    key = key or KEY_NAMES.get(endpoint.provider, "the environment")
    if endpoint.base_url and endpoint.shown_url:
        summary = summary.replace(endpoint.base_url, endpoint.shown_url)
    return Failure(kind, summary, provider_message, kind.advice.format(key=key), code, wait)


def _from_response(
    error: openai.APIStatusError | BadResponse,
    where: str,
    endpoint: Endpoint,
    *,
    has_replied: bool,
    key: str | None,
) -> Failure:
    headers = error.headers if isinstance(error, BadResponse) else error.response.headers
    body = None if nested_too_deeply(error.body) else _error_in(error.body)
    defect = error.defect if isinstance(error, BadResponse) else ""
    code, message = _code_and_message(body, getattr(error, "message", ""))
    if 300 <= error.status_code < 400:
        return _redirected(error.status_code, headers, where, endpoint)
    status, shown = error.status_code, str(error.status_code)
    is_success = status < 300
    if is_success and len(code) == 3 and code.isdecimal() and 400 <= int(code) <= 599:
        status = int(code)  # a proxy passed on the error without its status
    wait = _requested_wait(status, headers, body, message)
    kind = failure_kind(status, code, message, provider=endpoint.provider, wait=wait)
    if isinstance(error, ContextOverflowError):
        kind = TOO_LONG
    if kind is NOT_ALLOWED and has_replied:
        # A firewall's refusal of one text, say, which must not stop a run that works.
        kind = REFUSED
    fields = refused_fields(error, message) if kind in (REFUSED, PARAMETER_REFUSED) else []
    if fields and kind is REFUSED and not has_replied:
        kind = PARAMETER_REFUSED
    # Wenxin refuses with this status; from others it may be anything, and may pass.
    refuses = status >= 400 or code in CODES or (endpoint.provider == "wenxin" and not defect)
    if kind is REFUSED and is_success and not refuses:
        kind = BAD_REPLY
    named = shown if code in ("", shown) else f"{shown} ({code})"
    wanted = "score" if endpoint.provider == "reward" else "chat completion"
    summary = f"{where} sent no {wanted} ({defect})" if defect else f"{where} answered {named}"
    reported = code or (None if is_success else shown)
    if wait is None or wait <= MAX_WAIT:
        failure = _failure(kind, summary, endpoint, message, reported, wait, key)
        advice = parameter_advice(fields, message) if fields else _advice(failure, defect, endpoint)
        return replace(failure, advice=advice)
    if kind.remedy in ("retry", "slow down"):
        advice = f"It asks to wait {_time_in(wait)}. The same command resumes the run then."
        return Failure(LONG_WAIT, summary, message, advice, reported)
    return _failure(kind, summary, endpoint, message, reported, key=key)


def _redirected(status: int, headers: Mapping[str, str], where: str, endpoint: Endpoint) -> Failure:
    """Neither a prompt nor a key is sent to another address than the user's, nor to another of its host."""
    try:
        called = address(endpoint.base_url or "", CALLS_PATH)
        target = shown_address(urljoin(called, headers.get("location", "")))
        if len(target) > MAX_MESSAGE_CHARS:  # not cut within, where a key may be
            target = "/".join(target.split("/")[:3])[:MAX_MESSAGE_CHARS] + "/…"
    except ValueError:  # a bracket that is not closed, for instance
        target = "what is no address"
    found = _failure(MODEL_UNKNOWN, f"{where} answered {status}: it redirects to {target}", endpoint)
    base = target.partition("?")[0]
    if not base.endswith(CALLS_PATH):
        return replace(found, advice="That is no API of chat completions: check the base URL.")
    return replace(found, advice=f"Use --base-url {base.removesuffix(CALLS_PATH)} if you trust that address.")


def _advice(failure: Failure, defect: str, endpoint: Endpoint) -> str:
    """Return what to do, where the message of a server on the user's own machine says more than its kind."""
    message, url = failure.provider_message.lower(), endpoint.shown_url or ""
    if failure.kind is OVERLOADED and _LOADING.search(message):
        return "The server is still loading its model; it can be asked in a moment."
    if failure.kind is MODEL_UNKNOWN and ("try pulling" in message or ":11434" in url):
        return f"{failure.advice} Ollama serves what has been pulled: ollama pull {endpoint.name}"
    if failure.kind is NO_BALANCE and "max_tokens" in message:
        return f"{failure.advice} A lower --max-tokens needs less of it."
    is_model = "model" in message and "does not exist" in message
    is_elsewhere = (failure.kind is MODEL_UNKNOWN and not is_model) or (
        failure.kind is BAD_REPLY and defect == "no JSON"
    )
    if is_elsewhere and endpoint.provider in ("openai", "vllm") and not re.search(r"/v\d", url):
        return (
            f"{failure.advice}\nMost servers have their API below /v1: try --base-url {address(url, '/v1')}"
        )
    return failure.advice


_LOADING = re.compile(r"\bloading\b.{0,40}\bmodel\b|\bmodel\b.{0,120}\bloading\b")


def refusal_text(error: Exception) -> str:
    """Return a server's words about what it refused; empty where it sent none, or a page, or a defective
    reply."""
    if not isinstance(error, openai.APIStatusError | BadResponse):
        return ""
    if isinstance(error, BadResponse) and error.defect:
        return ""
    code, message = _code_and_message(_error_in(error.body), getattr(error, "message", ""))
    if len(message) > 2 * MAX_MESSAGE_CHARS:  # a traceback, say, whose end says most
        message = f"{message[:MAX_MESSAGE_CHARS]} {message[-MAX_MESSAGE_CHARS:]}"
    return f"{code} {message}"


def _from_connection(error: Exception, where: str, endpoint: Endpoint) -> Failure:
    causes = list(_causes(error))
    last = causes[-1]
    why = " ".join(str(last).split()) or type(last).__name__
    if any(getattr(cause, "errno", None) in (EMFILE, ENFILE) for cause in causes):
        return _failure(TOO_MANY_FILES, "this process may have no more open files or connections", endpoint)
    # The response was read and is not a reply; the client library reports that as a connection error.
    if any(isinstance(cause, httpx2.DecodingError | httpx2.TooManyRedirects) for cause in causes):
        return _failure(BAD_REPLY, f"{where} sent no chat completion ({why})", endpoint)
    # The HTTP client calls most of these a timeout; aiohttp, below it, tells them apart.
    unreachable = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.InvalidURL,
        ConnectionRefusedError,
    )
    if any(isinstance(cause, SSLCertVerificationError) for cause in causes):
        untrusted = _failure(UNREACHABLE, f"the certificate of {where} is not trusted here ({why})", endpoint)
        return replace(untrusted, advice=_CERTIFICATE)
    if any(isinstance(cause, unreachable) for cause in causes):
        return _failure(UNREACHABLE, f"nothing answers for {where} ({why})", endpoint)
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return _failure(TIMEOUT, f"{where} did not answer in time", endpoint)
    return _failure(CONNECTION_LOST, f"the connection to {where} broke off ({why})", endpoint)


_CERTIFICATE = (
    "Where an authority of your own signed it, put the certificates of all authorities to trust into a file, "
    "and its name into the variable SSL_CERT_FILE."
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    next_: BaseException | None = error
    while next_ is not None:
        yield next_
        next_ = next_.__cause__


def _error_in(body: Any) -> Any:
    """Return the error itself: most providers put it under `error`, and Gemini puts that into a list."""
    if isinstance(body, list) and body and isinstance(body[0], dict):
        body = body[0]
    if isinstance(body, dict) and isinstance(error := body.get("error"), dict | str) and error:
        # Some put the code next to it.
        body = error if isinstance(error, dict) else {**body, "message": error}
    return body


def _code_and_message(body: Any, otherwise: str) -> tuple[str, str]:
    """Return the provider's code and message."""
    if isinstance(body, dict):
        code = body.get("code") or body.get("error_code") or body.get("type") or ""
        message = body.get("message") or body.get("error_msg") or body.get("detail")
        message = _validation_errors(message) or message
        message = message if isinstance(message, str) else json.dumps(body, ensure_ascii=False)
        # vLLM repeats the status as its code.
        return "" if isinstance(code, dict | list) else str(code)[:_LONGEST_CODE], _one_line(message)
    return "", _one_line(str(body or otherwise))


def _validation_errors(details: Any) -> str:
    """Return the complaints of pydantic, which FastAPI and others pass on as they are: which field, and what
    is wrong with it."""
    if isinstance(details, dict):
        details = details.get("detail") or details.get("errors")
    found = []
    for error in details if isinstance(details, list) else []:
        if isinstance(error, dict) and isinstance(error.get("msg"), str):
            place = error.get("loc")
            parts = [str(part) for part in place if part != "body"] if isinstance(place, list | tuple) else []
            found.append(": ".join(filter(None, [".".join(parts), error["msg"]])))
    return "; ".join(found)


_LONGEST_CODE = 100
_READ_CHARS = 100_000
"""Of an error's message."""

_PAGE = re.compile(r"\s*<(?:!doctype|html|head|body|title|center|h1|\?xml)\b", re.IGNORECASE)
_MARKUP = re.compile(
    r"<!--.*?(?:-->|$)|<(script|style)\b.*?(?:</\1>|$)|<[^>]*(?:>|$)", re.IGNORECASE | re.DOTALL
)


def _one_line(message: str) -> str:
    """Return a provider's message on one line; of an HTML page its text."""
    message = message[:_READ_CHARS]
    if _PAGE.match(message):
        message = html.unescape(_MARKUP.sub(" ", message))
    return " ".join(message.split())


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SPAN = r"(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|sec|seconds?|m|min|minutes?|h|hours?)(?![a-z])"
_WAIT = re.compile(rf"(?:retry|try again) (?:in|after) ((?:{_SPAN}\s*)+)", re.IGNORECASE)


def _requested_wait(status: int, headers: Mapping[str, str], body: Any, message: str) -> float | None:
    """Return the seconds that the server asks to wait: in a header or, where it throttles, in its message."""
    seconds = _retry_after(headers)
    if seconds is not None or status != 429:
        return seconds
    details = body.get("details") if isinstance(body, dict) else None
    for detail in details if isinstance(details, list) else []:
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and (spans := re.findall(_SPAN, delay)):
            return _seconds(spans)
    found = _WAIT.search(message)
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
        # The date was made by the server's own clock, which it may report.
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


def _time_in(seconds: float) -> str:
    try:
        return f"until {(datetime.now(UTC) + timedelta(seconds=seconds)).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return "for ever"
