"""Faults to order: which, how often, and for which requests.

A fault at a rate is decided by the request's content and by how often this content has been seen, not by
the order in which requests arrive: the same run meets the same faults however many calls are in flight, and
a request that is tried again is not lost for ever.
"""

import itertools
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from typing import Literal, Self, get_args

Kind = Literal[
    # the connection
    "latency",
    "reset",
    "cut",
    "drip",
    "hang",
    # a status of 200 with a body that is no chat completion
    "html",
    "null_choices",
    "error_in_200",
    "no_usage",
    # refusals, each in the provider's own words
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
    # replies that are not what was asked for
    "truncated",
    "unlimited",
    "empty",
    "withheld",
    "network_error",
    "context_full",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

RETRYABLE = "429|overloaded|500|502|503|504|reset|cut|html|null_choices|error_in_200"
"""Every kind after which the same request may succeed, except `hang`, which takes the client's time limit."""

TIMES = 4
"""How many attempts at one request a fault at a rate below 1 may hit, so that a retry succeeds in the end."""


class FaultError(ValueError):
    """A fault that cannot be ordered. The message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, ordered for some of the chat requests.

    Args:
        kind: one of `KINDS`, or several with `|` between them, of which the request's content draws one.
        rate: the share of requests it hits.
        seed: another seed hits other requests.
        nth: which of the requests it may hit, counted from 1 as they arrive, among those that `word` and
            `provider` leave: `3`, `3/5`, or `100-` for the hundredth and all after it.
        word: hits only requests whose body holds this text.
        provider: hits only requests to this provider.
        times: how many attempts at one request it may hit; without it `TIMES` where `rate` is below 1, and
            any number where it is 1.
        seconds: how long `latency` (0.5 where it is not given) and `hang` (until the client gives up) last.
        retry_after: the header Retry-After of a refusal: `7` (seconds), `date:7` (the HTTP date in seven
            seconds) or `ms:200` (the header retry-after-ms).
        code: takes the place of the provider's code for it, such as `1305` for GLM.
    """

    kind: str
    rate: float = 1.0
    seed: int = 0
    nth: str = ""
    word: str = ""
    provider: str = ""
    times: int | None = None
    seconds: float | None = None
    retry_after: str = ""
    code: str = ""

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise FaultError(f"{kind!r} is no fault; faults are {', '.join(KINDS)}")
        if not 0 <= self.rate <= 1:
            raise FaultError(f"{self.kind}: rate is a share from 0 to 1, not {self.rate}")
        try:
            list(_numbers(self.nth))
            waited(self.retry_after)
        except ValueError:
            raise FaultError(
                f"{self.kind}: nth is written 3, 3/5 or 100-, and retry_after 7, date:7 or ms:200"
            ) from None

    @property
    def kinds(self) -> list[str]:
        """The kinds it is drawn from."""
        return self.kind.split("|")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The fault written as `KIND[:NAME=VALUE,…]`, for instance `429|500:rate=0.3,seed=7`.

        Raises:
            FaultError: the text is not written so, or names what there is not.
        """
        kind, _, rest = text.partition(":")
        types = {"rate": float, "seed": int, "times": int, "seconds": float}
        values: dict[str, object] = {}
        for part in filter(None, rest.split(",")):
            name, sign, value = part.partition("=")
            if not sign or name not in {field.name for field in fields(cls)} - {"kind"}:
                names = ", ".join(field.name for field in fields(cls) if field.name != "kind")
                raise FaultError(f"{part!r} is not NAME=VALUE with one of the names {names}")
            try:
                values[name] = types.get(name, str)(value)
            except ValueError:
                raise FaultError(f"{name} is a number, not {value!r}") from None
        return replace(cls(kind), **values)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """The text that `parse` reads."""
        given = [
            f"{field.name}={getattr(self, field.name)}"
            for field in fields(self)
            if field.name != "kind" and getattr(self, field.name) != field.default
        ]
        return self.kind + (f":{','.join(given)}" if given else "")


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault that a request meets: the kind drawn, and the order it came from."""

    kind: str
    fault: Fault


class Forecast:
    """Says which fault a request meets. The first fault of the list that hits is the one."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = faults
        self._counters = [itertools.count(1) for _ in faults]

    def hit(self, provider: str, body: bytes, digest: bytes, attempt: int) -> Hit | None:
        """The fault for a request: its provider, its body and the digest of it, and the attempt (from 1)."""
        found: Hit | None = None
        for fault, counter in zip(self._faults, self._counters, strict=True):
            if fault.provider and fault.provider != provider:
                continue
            if fault.word and not _holds(body, fault.word):
                continue
            number = next(counter)
            if found is None and self._meets(fault, number, digest, attempt):
                kinds = fault.kinds
                drawn = int(_share(digest, fault.seed, attempt, "kind") * len(kinds))
                found = Hit(kinds[drawn], fault)
        return found

    def _meets(self, fault: Fault, number: int, digest: bytes, attempt: int) -> bool:
        if fault.nth and not any(first <= number <= last for first, last in _numbers(fault.nth)):
            return False
        times = fault.times
        if times is None and fault.rate < 1:
            times = TIMES
        if times is not None and attempt > times:
            return False
        return fault.rate == 1 or _share(digest, fault.seed, attempt, fault.kind) < fault.rate


def waited(retry_after: str) -> tuple[str, float]:
    """The form (`seconds`, `date`, `ms` or none) and the number in a fault's `retry_after`."""
    if not retry_after:
        return "", 0.0
    form, colon, number = retry_after.rpartition(":")
    if colon and form not in ("date", "ms"):
        raise ValueError(retry_after)
    return form or "seconds", float(number)


def _numbers(nth: str) -> list[tuple[int, float]]:
    spans: list[tuple[int, float]] = []
    for part in filter(None, nth.split("/")):
        number = int(part.removesuffix("-"))
        spans.append((number, float("inf") if part.endswith("-") else number))
    return spans


def _holds(body: bytes, word: str) -> bool:
    # Clients write JSON with and without escapes.
    return word.encode() in body or word.encode("ascii", "backslashreplace") in body


def _share(digest: bytes, seed: int, attempt: int, about: str) -> float:
    drawn = blake2b(digest + f"\0{seed}\0{attempt}\0{about}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") / 2**64
