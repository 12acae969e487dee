"""API keys: where they come from, and that they go nowhere else.

Keys come from the environment or from a `.env` file in the working directory; the environment wins unless it
is blank. `openai:` is any server that speaks its protocol, so models of several vendors may share a variable;
a role has a key of its own in the variable with the role appended, as in `OPENAI_API_KEY_JUDGE`.

Only this module holds keys, and every text that could carry one passes through `Keys.redact`. What is a key
in the settings (`models.secret_fields`) is one of them.
"""

import html
import json
import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote, urlsplit

from dotenv import dotenv_values
from pydantic import SecretStr

from models.addresses import is_local
from models.errors.exceptions import RunStopped
from models.settings import (
    KEY_NAMES,
    PANEL,
    REFEREES,
    ROLES,
    Endpoint,
    ModelSettings,
    Provider,
    Role,
    secrets_in_addresses,
    secrets_in_bodies,
)

OTHER_KEYS = ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY", "OPENAI_ADMIN_KEY", "HF_TOKEN")
"""Variables with keys that we do not use and that must not leak either."""

MIN_SECRET_LENGTH = 16
"""A local server's key may be a plain word (`lm-studio`, `assistant`), which replies may contain as data. A
key that is shorter than this, or that consists of words, is not removed from replies."""

_TOKENS = re.compile(
    r"\b(access_token|client_id|client_secret)=[^&\s'\"]+|\beyJ[\w-]+\.[\w-]+\.[\w-]+"
    r"|(?<=[?&])((?:[\w.]{1,40}-)*(?:api[_-]?)?(?:key|token|secret|password|signature|sig|code))=(?!…)[^&\s'\"]+",
    re.IGNORECASE,
)
"""What is derived from a key and grants the same access: tokens in URLs, and signed tokens (JWT); and
what may be a key in the query of an address."""

_NEEDS_NONE: frozenset[Provider] = frozenset({"vllm", "rehearsal", "reward"})


def _needs_none(endpoint: Endpoint) -> bool:
    is_own_server = endpoint.provider == "openai" and is_local(endpoint.base_url)
    return is_own_server or endpoint.provider in _NEEDS_NONE


class MissingKey(RunStopped):
    """A model needs a key, and there is no usable one."""


class Keys:
    """The keys of this process."""

    def __init__(self, variables: Mapping[str, str | None], settings: ModelSettings | None = None) -> None:
        singly = {name for names in KEY_NAMES.values() for name in names.split(" and ")}
        of_roles = (_of_role(name, role) for name in singly for role in (*ROLES, *PANEL, *REFEREES))
        self._values = {
            name: value.strip()
            for name in (*singly, *of_roles, *OTHER_KEYS)
            if (value := variables.get(name)) and value.strip()
        }
        held = {value: name for name, value in _elsewhere(variables)}
        if settings:
            held |= dict.fromkeys(secrets_in_bodies(settings), "extra_body")
            held |= dict.fromkeys(secrets_in_addresses(settings), "base_url")
        held |= {value: name for name, value in self._values.items()}
        held |= {parts[-1]: name for value, name in held.items() if (parts := value.split())}  # "Bearer …"
        # The longest first: one key may begin with another.
        echoes = [_Echo(value, held[value]) for value in sorted(held, key=len, reverse=True) if value.strip()]
        self._secrets = [echo for echo in echoes if echo.is_secret]
        self._words = [echo for echo in echoes if not echo.is_secret]

    @classmethod
    def load(cls, settings: ModelSettings | None = None) -> "Keys":
        """Load the keys from the environment and from `.env`, and what is a key in the settings.

        Raises:
            MissingKey: there is a `.env` that cannot be read.
        """
        try:
            in_file = dotenv_values(Path(".env"), encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise MissingKey("the file .env here cannot be read: save it as UTF-8") from None
        except OSError as error:
            raise MissingKey(f"the file .env here cannot be read: {error.strerror}") from None
        in_environment = {name: value for name, value in os.environ.items() if value.strip()}
        return cls({**in_file, **in_environment}, settings)

    @classmethod
    def given(cls, values: Mapping[str, str], settings: ModelSettings) -> "Keys":
        """Return the keys that another process needs for these settings (`needed`); what else is secret is
        this process's."""
        names = {name for names in KEY_NAMES.values() for name in names.split(" and ")}
        names |= {_of_role(name, role) for name in names for role in (*ROLES, *PANEL)}
        own = {name: value for name, value in os.environ.items() if name not in names}
        return cls({**own, **values}, settings)

    def needed(self, settings: ModelSettings) -> dict[str, str]:
        """Return the variables with keys that the models of these settings need, and no others."""
        used = (self.variable(settings.endpoint(role), role) for role in settings.roles)
        names = {name for variable in used if variable for name in variable.split(" and ")}
        return {name: self._values[name] for name in sorted(names)}

    def variable(self, endpoint: Endpoint, role: Role) -> str | None:
        """Return the variable with a role's key, or the two with its parts; None where none is set."""
        names = KEY_NAMES.get(endpoint.provider, "")
        for variable in (_of_role(names, role), names):
            if self._values.keys() >= set(variable.split(" and ")):
                return variable
        return None

    def of(self, endpoint: Endpoint, role: Role) -> SecretStr:
        """Return the key for a role's endpoint; a placeholder where none is needed: by vLLM, and by a server
        of OpenAI's protocol on this machine or in a private network.

        Raises:
            MissingKey: it is not set, or not a key; the message names the variable to set.
        """
        variable = self.variable(endpoint, role)
        if variable is None:
            if _needs_none(endpoint):
                return SecretStr("none")
            name = KEY_NAMES[endpoint.provider]
            raise MissingKey(
                f"{endpoint.model} needs a key; {name} {'are' if ' and' in name else 'is'} not set: "
                f"put {name.replace(' and', '=… and')}=… into the environment or into a file named .env here"
            )
        for name in variable.split(" and "):
            # A line end in a header would begin another one.
            if not (self._values[name].isascii() and self._values[name].isprintable()):
                raise MissingKey(f"{name} is not a key: it holds a line end or characters that no key has")
        key = ":".join(self._values[name] for name in variable.split(" and "))
        if endpoint.provider == "glm-jwt" and key.count(".") != 1:
            raise MissingKey(
                f"{endpoint.model} signs its tokens with a key of the form id.secret, which the key in "
                f"{variable} is not: use glm:{endpoint.name}"
            )
        return SecretStr(key)

    def redact(self, text: str) -> str:
        """Remove all keys from a text, in whatever way a server echoed one."""
        text = self._cut(text)
        if (decoded := _decoded(text)) != text and (cut := self._cut(decoded)) != decoded:
            text = cut
        return _TOKENS.sub(_redacted_token, text)

    def _cut(self, text: str) -> str:
        for echo in (*self._secrets, *self._words):
            text = echo.cut(text)
        return text

    def redact_reply(self, text: str) -> str:
        """Remove all keys from a model's reply, except those that may be words (`MIN_SECRET_LENGTH`)."""
        for echo in self._secrets:
            if echo.may_be_in(text):
                text = echo.cut(text)
        return text

    def redact_address(self, url: str) -> str:
        """Remove all keys from the path of an address that is shown or recorded."""
        at = urlsplit(url)
        return at._replace(path=self.redact(at.path)).geturl() if at.path else url


class _Echo:
    """A key, and how it may come back from a server: as it is, encoded, escaped, or broken into lines."""

    def __init__(self, value: str, name: str) -> None:
        self.is_secret = _is_secret(value)
        self._shown = f"[{name}]"
        forms = set(_forms(value))
        self._pieces = {piece for form in forms for piece in _pieces(form)}
        searched = {"".join(form.split()) for form in forms} if self.is_secret else forms
        self._forms = sorted(searched, key=len, reverse=True)

    def may_be_in(self, text: str) -> bool:
        """Whether a text holds a piece of the key: a fraction of the search for the whole."""
        return any(piece in text for piece in self._pieces)

    def cut(self, text: str) -> str:
        """Return a text without the key."""
        searched = self._searched(text)
        for form in self._forms:
            if form in searched:
                text = self._without(form, text)
                searched = self._searched(text)
        return text

    def _searched(self, text: str) -> str:
        # White space may be in the middle of a key, and in that of a word it is none of the key's.
        return "".join(text.split()) if self.is_secret else text

    def _without(self, form: str, text: str) -> str:
        searched = self._searched(text)
        at = [index for index, char in enumerate(text) if not (self.is_secret and char.isspace())]
        parts, done = [], 0
        start = searched.find(form)
        while start >= 0:
            first, end = at[start], at[start + len(form) - 1] + 1
            if self.is_secret or not _is_within_word(text, first, end):
                parts += [text[done:first], self._shown]
                done = end
            start = searched.find(form, start + len(form))
        return "".join(parts) + text[done:]


def _is_within_word(text: str, start: int, end: int) -> bool:
    """Whether what is found may be a part of another word: a short key may."""
    pairs = text[max(start - 1, 0) : start + 1], text[end - 1 : end + 1]
    return any(len(pair) == 2 and pair.isascii() and pair.isalnum() for pair in pairs)


def _forms(value: str) -> Iterator[str]:
    """Yield a key as it is, and as JSON, addresses, HTML, base 64 (wherever it begins there) and hexadecimal
    digits have it."""
    data = value.encode("utf-8", "surrogatepass")
    quoted = quote(data, safe="")
    yield from (value, quoted, quote(data), quote_plus(data), quote(quoted), html.escape(value))
    yield re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), quoted)
    in_json = json.dumps(value)
    yield from (in_json[1:-1], json.dumps(in_json)[3:-3], value.replace("/", "\\/"), repr(value)[1:-1])
    if len(data) < 4:
        return
    yield data.hex()
    for before in range(3):
        # Without the first and the last letters, which depend on what is next to the key.
        whole = b64encode(b"\0" * before + data).rstrip(b"=").decode()
        core = whole[(0, 2, 3)[before] : len(whole) - bool((before + len(data)) % 3)]
        if len(core) >= 6:
            yield from (core, core.replace("+", "-").replace("/", "_"))


def _pieces(form: str) -> Iterator[str]:
    """Yield parts of which one is left whole where a key is broken into two lines."""
    half = len(form) // 2
    yield from (form[:half], form[half:])


_ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|[nrt]|([/\"\\]))")


def _decoded(text: str) -> str:
    """Return a text without the escapes of JSON, HTML and addresses."""
    if "\\" in text:
        text = _ESCAPE.sub(lambda found: found[3] or chr(int(found[1] or found[2] or "20", 16)), text)
    if "&" in text:
        text = html.unescape(html.unescape(text))
    return unquote(unquote(text)) if "%" in text else text


def _elsewhere(variables: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield keys that are part of variables: headers that OpenAI's SDK sends, and passwords of proxies."""
    for line in (variables.get("OPENAI_CUSTOM_HEADERS") or "").splitlines():
        if value := line.partition(":")[2].strip():
            yield "OPENAI_CUSTOM_HEADERS", value
    for name, url in variables.items():
        if name.lower().endswith("_proxy") and "@" in (url or ""):
            user = (url or "").rpartition("@")[0].rpartition("/")[2]
            for part in {user, *user.split(":", 1)}:
                if part:
                    yield name, part
                    yield name, unquote(part)


def _redacted_token(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    return f"{name}=[token]" if name else "[token]"


def _of_role(names: str, role: Role) -> str:
    return " and ".join(f"{name}_{role.upper()}" for name in names.split(" and "))


def _is_secret(value: str) -> bool:
    words = (_WORD.fullmatch(part) for part in re.split(r"[-_./: ]+", value) if part)
    return len(value) >= MIN_SECRET_LENGTH and not all(words)


_WORD = re.compile(r"[A-Z]?[a-z]+(?:[A-Z][a-z]+)*|[A-Z]+")
