"""Which values of settings are secrets, told by their names and shapes, and how they are shown and recorded.

People put keys where a server wants them: into a field of the request or into the address. Such a value is
replaced by `…`; in a run's manifest also by a salted hash, so that another value is seen as another.
"""

import re
from collections.abc import Callable, Iterator
from hashlib import scrypt
from typing import Any

_NAME = re.compile(
    r"(?:api|access|auth|private|secret|subscription|account|bearer)?[-_ ]?"
    r"(?:key|token|secret|password|passwd|passphrase|pwd|authorization|auth|bearer|credentials?|signature|sig"
    r"|cookie|jwt|headers?)",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(
    r"(?:eos|bos|pad|stop|special|unk|mask|begin|end|start)[-_]?|content-type|accept|user-agent", re.I
)

_SHAPES = re.compile(
    r"\bsk-[\w-]{8,}|\b(?:gh[pousr]|hf|glpat|xox[a-z]|pplx|gsk|nvapi)[-_][\w-]{10,}|\bAKIA[0-9A-Z]{12,}"
    r"|\bAIza[\w-]{20,}|\beyJ[\w-]{5,}\.[\w-]+|\bBearer\s+\S+|\bBasic\s+[\w+/=]{8,}|://[^/?#\s@]*@"
    r"|(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{20,}",
)
"""What is a key by its looks: the forms of well-known vendors, signed tokens, a user's name in an address,
and any long word of letters and digits."""

_PAIR = re.compile(
    rf"(?P<before>(?:(?<![^\W_])|_){_NAME.pattern}[\"']?\s{{0,9}}[:=]\s{{0,9}}[\"']?)[^\s\"'&,;}}\]]+",
    re.IGNORECASE,
)

MASK = re.compile(r"…(?:[0-9a-f]{16})?")
"""What a secret is recorded and shown as."""


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, if it holds a text."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", words) if part]
    if not parts or _NO_SECRET.match(name):
        return False
    return bool(_NAME.fullmatch(parts[-1]) or _NAME.fullmatch("".join(parts[-2:])))


def looks_secret(text: str) -> bool:
    """Whether a text holds what is a key by its looks."""
    return bool(_SHAPES.search(text) or _PAIR.search(text))


def without_secrets(text: str) -> str:
    """Return a text of the user's, such as an option that cannot be used, without what may be a secret."""
    return _SHAPES.sub(_masked_shape, _PAIR.sub(r"\g<before>…", text))


def _masked_shape(found: re.Match[str]) -> str:
    return "://…@" if found[0].startswith("://") else "…"


def secrets_in(value: Any, *, named: bool = False) -> Iterator[str]:
    """Yield the texts in fields of a request that are secrets. `named` says that the field's name says so."""
    match value:
        case str():
            if value and (named or looks_secret(value)) and not MASK.fullmatch(value):
                yield value
        case dict():
            for name, item in value.items():
                yield from secrets_in(item, named=named or is_secret_name(str(name)))
        case list() | tuple():
            for item in value:
                yield from secrets_in(item, named=named)


def masked(value: Any, secrets: set[str], mask: Callable[[str], str] = lambda _: "…") -> Any:
    """Return fields of a request with these secrets replaced."""
    match value:
        case str():
            return mask(value) if value in secrets else value
        case dict():
            return {name: masked(item, secrets, mask) for name, item in value.items()}
        case list() | tuple():
            return [masked(item, secrets, mask) for item in value]
    return value


def masked_like(recorded: Any, value: Any, mask: Callable[[str], str]) -> Any:
    """Return fields with those texts replaced that are in the recorded fields."""
    match recorded, value:
        case str(), str():
            return mask(value) if MASK.fullmatch(recorded) else value
        case dict(), dict():
            return {name: masked_like(recorded.get(name), item, mask) for name, item in value.items()}
        case list(), list() if len(recorded) == len(value):
            return [masked_like(there, here, mask) for there, here in zip(recorded, value, strict=True)]
    return value


def without_hashes(value: Any) -> Any:
    """Return recorded fields as they are shown."""
    match value:
        case str():
            return "…" if MASK.fullmatch(value) else value
        case dict():
            return {name: without_hashes(item) for name, item in value.items()}
        case list():
            return list(map(without_hashes, value))
    return value


def salted_mask(salt: str) -> Callable[[str], str]:
    """Return the mask of a run's manifest: slow on purpose, since a short secret could be guessed from it."""
    return lambda text: "…" + scrypt(text.encode(), salt=salt.encode(), n=2**14, r=8, p=1, dklen=8).hex()
