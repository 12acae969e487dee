"""Which values of settings are secrets, by their names and shapes, and how they are shown and recorded.

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
_WORDS = frozenset(
    {"pass", "pw", "pin", "otp", "passcode", "session", "sessionid", "sid", "ak", "sk", "login", "license"}
    | {"licence", "accesskeyid", "secretkeyid", "sessionkey"}
)
"""Further words at whose end a name is that of a secret."""

_AFTER = frozenset({"id", "value", "values", "json", "text", "str", "string", "base", "b"})
"""Words that may stand behind such a word, also with digits."""

_NO_SECRET = frozenset(
    {"eos", "bos", "pad", "stop", "special", "unk", "mask", "begin", "end", "start", "max", "min", "num"}
)
"""What tokens are those of models after, and no keys."""

_CHINESE = re.compile("密钥|秘钥|密匙|密码|口令|令牌|凭证|凭据")

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

_ANY_PAIR = re.compile(
    r"(?P<before>(?<![\w-])(?P<name>[\w-]{1,60})[\"']?\s{0,9}[:=]\s{0,9}[\"']?)[^\s\"'&,;}\]]+"
)

_UUID = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9a-fA-F])")

_VERSION = re.compile(r"v[0-9]{1,3}(?:(?:alpha|beta|rc|p)[0-9]{0,3})?")

MASK = re.compile(r"…(?:[0-9a-f]{16})?")
"""What a secret is recorded and shown as."""


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, if it holds a text."""
    if _CHINESE.search(name):
        return True
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    parts = [part.lower() for part in re.split(r"[^A-Za-z]+", words) if part]
    ends = [parts]
    while len(ends[-1]) > 1 and ends[-1][-1] in _AFTER:
        ends.append(ends[-1][:-1])
    return any(map(_ends_secret, ends))


def _ends_secret(parts: list[str]) -> bool:
    if not parts or (parts[-1] in ("token", "tokens") and set(parts[-2:-1]) & _NO_SECRET):
        return False
    if len(parts) == 1 and re.fullmatch(rf"(?:{'|'.join(sorted(_NO_SECRET))})tokens?", parts[0]):
        return False
    for name in (parts[-1], "".join(parts[-2:])):
        if name in _WORDS or any(_NAME.fullmatch(form) for form in (name, name.removesuffix("s"))):
            return True
    return False


def looks_secret(text: str) -> bool:
    """Whether a text holds what is a key by its looks."""
    return bool(_SHAPES.search(text) or _PAIR.search(text))


def without_secrets(text: str) -> str:
    """Return a text of the user's, such as an option that cannot be used, without what may be a secret."""
    return _SHAPES.sub(_masked_shape, _ANY_PAIR.sub(_masked_pair, _PAIR.sub(r"\g<before>…", text)))


def _masked_pair(found: re.Match[str]) -> str:
    return f"{found['before']}…" if is_secret_name(found["name"]) else found[0]


def _masked_shape(found: re.Match[str]) -> str:
    return "://…@" if found[0].startswith("://") else "…"


def is_harmless_part(part: str, before: str = "") -> bool:
    """Whether a part of an address's path may be shown: a word, a version, or a short name.

    The names of Azure's deployments, and of models, are longer; they are known by the part `before` them.
    """
    if not part or _VERSION.fullmatch(part) or part in _OF_PATHS:
        return True
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", part) or is_key_like(part):
        return False
    if before in ("deployments", "engines", "models"):
        return True
    if re.fullmatch(r"[a-z]+(?:[-_.][a-z]+)*", part):
        return len(part) <= 20 and all(map(_is_word, re.split("[-_.]", part)))
    return len(part) < 8 and not re.search("[A-Z]", part)


_OF_PATHS = frozenset(
    {"compatible-mode", "chat", "completions", "inference", "publishers", "generativelanguage"}
)


def is_key_like(part: str) -> bool:
    """Whether a word, such as a part of a path, may be a key: by its looks, or because it is long and no
    word."""
    if looks_secret(part) or _UUID.search(part):
        return True
    return any(_is_odd(piece) for piece in re.split(r"[^A-Za-z0-9]+", part))


def _is_odd(piece: str) -> bool:
    kinds = sum(bool(re.search(kind, piece)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return len(piece) >= 16 or (len(piece) >= 12 and not piece.isalpha()) or (len(piece) >= 8 and kinds == 3)


def _is_word(letters: str) -> bool:
    vowels = bool(re.search("[aeiouy]", letters)) or len(letters) <= 4
    return len(letters) <= 14 and vowels and not re.search("[^aeiouy]{6}", letters)


_ARGUMENT = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"']|["'])+""")


def masked_command(command: str, mask: Callable[[str], str] = lambda _: "…") -> str:
    """Return a command with what may be a key in it replaced: after an option named so, and by its looks."""
    done, at, is_named = [], 0, False
    for found in _ARGUMENT.finditer(command):
        word = found[0]
        before, sign, value = word.partition("=")
        if not sign:
            before, value = "", word
        is_option = not sign and value.strip("\"'").startswith("-")
        is_key = is_secret_name(before) if sign else is_named and not is_option
        if value and not MASK.fullmatch(value) and (is_key or _holds_key(value)):
            word = before + sign + mask(value)
        is_named = is_option and is_secret_name(value)
        done += [command[at : found.start()], word]
        at = found.end()
    return "".join([*done, command[at:]])


def _holds_key(word: str) -> bool:
    inner = word.strip("\"'")
    is_command = inner != word and len(inner.split()) > 1  # as in sh -c '…'
    return looks_secret(word) or bool(_UUID.search(word)) or (is_command and masked_command(inner) != inner)


def masked_command_like(recorded: str, command: str, mask: Callable[[str], str]) -> str:
    """Return a command with those parts replaced that are in the recorded one."""
    there, here = _ARGUMENT.findall(recorded), list(_ARGUMENT.finditer(command))
    if len(there) != len(here):
        return command
    done, at = [], 0
    for word, found in zip(there, here, strict=True):
        before, _, _ = word.partition("…")
        is_hash = len(word) == len(before) + 17 and MASK.fullmatch(word[len(before) :])
        is_same = is_hash and found[0].startswith(before)
        done.append(command[at : found.start()])
        done.append(before + mask(found[0][len(before) :]) if is_same else found[0])
        at = found.end()
    return "".join([*done, command[at:]])


def command_without_hashes(command: str) -> str:
    """Return a recorded command as it is shown."""
    return MASK.sub("…", command)


def secrets_in(value: Any, *, named: bool = False) -> Iterator[str]:
    """Yield the texts in fields of a request that are secrets. `named` says that the field's name says so."""
    match value:
        case str():
            if value and (named or looks_secret(value)) and not MASK.fullmatch(value):
                yield value
        case dict():
            for name, item in value.items():
                names_key = is_secret_name(str(name)) and not _is_schema(item)
                yield from secrets_in(item, named=named or names_key)
        case list() | tuple():
            for item in value:
                yield from secrets_in(item, named=named)


def _is_schema(item: Any) -> bool:
    """Whether a field named like a key is a property of a JSON schema: it describes one."""
    return isinstance(item, dict) and item.get("type") in (
        "string", "number", "integer", "boolean", "object", "array", "null",
    )  # fmt: skip


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
