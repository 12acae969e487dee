"""Fault injection: which faults, how often, and for which requests.

A fault with a rate depends on a request's content and on how often that content has arrived, not on the order
of arrival: a run meets the same faults at any concurrency, and a retried request eventually succeeds.
"""

import itertools
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Literal, Self, get_args

from standin.frames import MESSAGES, TEXTS

Kind = Literal[
    # connection faults
    "latency",
    "reset",
    "cut",
    "drip",
    "hang",
    # status 200 with a body that is not a complete chat completion
    "html",
    "null_choices",
    "error_in_200",
    "no_usage",
    # refusals, each in the provider's own format
    "429",
    "500",
    "502",
    "503",
    "504",
    "overloaded",
    "too_long",
    "content_filter",
    "bad_request",
    "invalid_key",
    "echo_key",
    "no_balance",
    "quota",
    "unknown_model",
    # replies other than the one requested
    "truncated",
    "unlimited",
    "empty",
    "no_verdict",
    "withheld",
    "network_error",
    "context_full",
    "finish",
    "framed",
    # a reply that was served in another tier, which `code` names
    "tier",
    # a prompt cut to a quarter of its tokens, silently
    "prompt_cut",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

RETRYABLE = "429|overloaded|500|502|503|504|reset|cut|html|null_choices|error_in_200"
"""Every kind after which a retry may succeed, except `hang`, which lasts until the client times out."""

DEFAULT_TIMES = 4
"""Attempts of one request that a fault with a rate below 1 may hit, so that a retry eventually succeeds."""


class FaultError(ValueError):
    """An invalid fault specification."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault to inject into some of the chat requests."""

    kind: str
    """One of `KINDS`, or several separated by `|`, from which the request's content selects one."""
    rate: float = 1.0
    """Share of requests it hits."""
    seed: int = 0
    """A different seed hits different requests."""
    nth: str = ""
    """Requests it may hit, by arrival among those that match, from 1: `3`, `3/5` or `100-` (100 and on)."""
    word: str = ""
    """Match only requests whose body contains this text."""
    provider: str = ""
    """Match only requests to this provider."""
    times: int | None = None
    """Attempts of one request it may hit; None means `DEFAULT_TIMES` if `rate` is below 1, else no limit."""
    seconds: float | None = None
    """Duration of `latency` (default 0.5) and `hang` (default: until the client disconnects)."""
    retry_after: str = ""
    """Retry-After of a refusal: `7` (seconds), `date:7` (date in 7 seconds) or `ms:200` (retry-after-ms)."""
    code: str = ""
    """Error code to send instead of the provider's usual one, such as `1305` for GLM; of `finish` the finish
    reason, of `framed` the family in `standin.frames`."""
    message: str = ""
    """Error message to send instead; `{id}` in it is another for each request."""
    status: int | None = None
    """HTTP status to send instead."""

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise FaultError(f"unknown fault {kind!r}; choose from {', '.join(KINDS)}")
        if "framed" in self.kinds and self.code not in TEXTS.keys() | MESSAGES.keys():
            raise FaultError(f"framed: code must be one of {', '.join([*TEXTS, *MESSAGES])}")
        if not 0 <= self.rate <= 1:
            raise FaultError(f"{self.kind}: rate must be from 0 to 1, not {self.rate}")
        try:
            _parse_nth(self.nth)
            parse_retry_after(self.retry_after)
        except ValueError:
            raise FaultError(
                f"{self.kind}: nth must look like 3, 3/5 or 100-, and retry_after like 7, date:7 or ms:200"
            ) from None

    @property
    def kinds(self) -> list[str]:
        """The kinds to select from."""
        return self.kind.split("|")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `KIND[:NAME=VALUE,…]`, such as `429|500:rate=0.3,seed=7`. Raises FaultError if invalid."""
        kind, _, rest = text.partition(":")
        types = {"rate": float, "seed": int, "times": int, "seconds": float, "status": int}
        values: dict[str, object] = {}
        for part in filter(None, rest.split(",")):
            name, sign, value = part.partition("=")
            if not sign or name not in {field.name for field in fields(cls)} - {"kind"}:
                names = ", ".join(field.name for field in fields(cls) if field.name != "kind")
                raise FaultError(f"{part!r} is not NAME=VALUE; valid names are {names}")
            try:
                values[name] = types.get(name, str)(value)
            except ValueError:
                raise FaultError(f"{name} must be a number, not {value!r}") from None
        return cls(kind, **values)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Return the text form that `parse` reads."""
        given = [
            f"{field.name}={getattr(self, field.name)}"
            for field in fields(self)
            if field.name != "kind" and getattr(self, field.name) != field.default
        ]
        return self.kind + (f":{','.join(given)}" if given else "")


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault that applies to a request."""

    kind: str
    """The kind selected for this request."""
    fault: Fault


class FaultPlan:
    """Decides which fault applies to a request: the first one in the list that hits it."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = faults
        self._counters = [itertools.count(1) for _ in faults]

    def hit(self, provider: str, body: bytes, digest: bytes, attempt: int) -> Hit | None:
        """Return the fault for a request with this body digest and attempt number (from 1)."""
        found: Hit | None = None
        for fault, counter in zip(self._faults, self._counters, strict=True):
            if fault.provider and fault.provider != provider:
                continue
            if fault.word and not _contains(body, fault.word):
                continue
            number = next(counter)
            if found is None and self._applies(fault, number, digest, attempt):
                kinds = fault.kinds
                index = int(_draw(digest, fault.seed, attempt, "kind") * len(kinds))
                found = Hit(kinds[index], fault)
        return found

    def _applies(self, fault: Fault, number: int, digest: bytes, attempt: int) -> bool:
        if fault.nth and not any(first <= number <= last for first, last in _parse_nth(fault.nth)):
            return False
        times = fault.times
        if times is None and fault.rate < 1:
            times = DEFAULT_TIMES
        if times is not None and attempt > times:
            return False
        return fault.rate == 1 or _draw(digest, fault.seed, attempt, fault.kind) < fault.rate


def parse_retry_after(retry_after: str) -> tuple[str, float]:
    """Return the kind (`seconds`, `date`, `ms` or empty) and the number of a fault's `retry_after`."""
    if not retry_after:
        return "", 0.0
    kind, colon, number = retry_after.rpartition(":")
    if colon and kind not in ("date", "ms"):
        raise ValueError(retry_after)
    return kind or "seconds", float(number)


def _parse_nth(nth: str) -> list[tuple[int, float]]:
    spans: list[tuple[int, float]] = []
    for part in filter(None, nth.split("/")):
        number = int(part.removesuffix("-"))
        spans.append((number, float("inf") if part.endswith("-") else number))
    return spans


def _contains(body: bytes, word: str) -> bool:
    # Some clients escape non-ASCII characters in JSON, others do not.
    return word.encode() in body or word.encode("ascii", "backslashreplace") in body


def _draw(digest: bytes, seed: int, attempt: int, purpose: str) -> float:
    """Return a number from 0 to 1 that depends on the arguments alone."""
    drawn = blake2b(digest + f"\0{seed}\0{attempt}\0{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") / 2**64
