"""API keys: where they come from, and that they go nowhere else.

Keys come from the environment or from a `.env` file in the working directory; the environment wins unless it
is blank. `openai:` is any server that speaks its protocol, so models of several vendors may share a variable;
a role has a key of its own in the variable with the role appended, as in `OPENAI_API_KEY_JUDGE`.

Only this module holds keys, and every text that could carry one passes through `Keys.redact`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from dotenv import dotenv_values
from pydantic import SecretStr

from models.errors.exceptions import RunStopped
from models.settings import KEY_NAMES, PANEL, ROLES, Endpoint, Provider, Role, is_local

OTHER_KEYS = ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
"""Variables with keys that we do not use and that must not leak either."""

MIN_SECRET_LENGTH = 16
"""A local server's key may be a plain word (`lm-studio`, `assistant`), which replies may contain as data. A
key that is shorter than this, or lacks letters or digits, is not removed from replies."""

_TOKENS = re.compile(
    r"\b(access_token|client_id|client_secret)=[^&\s'\"]+|\beyJ[\w-]+\.[\w-]+\.[\w-]+"
    r"|(?<=[?&])((?:[\w.]{1,40}-)*(?:api[_-]?)?(?:key|token|secret|password|signature|sig|code))=(?!…)[^&\s'\"]+",
    re.IGNORECASE,
)
"""What is derived from a key and grants the same access: tokens in URLs, and signed tokens (JWT); and
what may be a key in the query of an address."""

_NEEDS_NONE: frozenset[Provider] = frozenset({"vllm", "rehearsal"})


def _needs_none(endpoint: Endpoint) -> bool:
    is_own_server = endpoint.provider == "openai" and is_local(endpoint.base_url)
    return is_own_server or endpoint.provider in _NEEDS_NONE


class MissingKey(RunStopped):
    """A model needs a key, and there is no usable one."""


class Keys:
    """The keys of this process."""

    def __init__(self, variables: Mapping[str, str | None]) -> None:
        singly = {name for names in KEY_NAMES.values() for name in names.split(" and ")}
        of_roles = (_of_role(name, role) for name in singly for role in (*ROLES, *PANEL))
        self._values = {
            name: value.strip()
            for name in (*singly, *of_roles, *OTHER_KEYS)
            if (value := variables.get(name)) and value.strip()
        }
        self._names = {spelled: name for name, value in self._values.items() for spelled in _spellings(value)}
        self._found = _any_of(self._names)
        secrets = filter(_is_secret, self._values.values())
        self._found_secret = _any_of(spelled for value in secrets for spelled in _spellings(value))

    @classmethod
    def load(cls) -> "Keys":
        """Load the keys from the environment and from `.env`.

        Raises:
            MissingKey: there is a `.env` that cannot be read.
        """
        try:
            in_file = dotenv_values(Path(".env"), encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise MissingKey("the file .env here cannot be read: save it as UTF-8") from None
        except OSError as error:
            raise MissingKey(f"the file .env here cannot be read: {error.strerror}") from None
        return cls({**in_file, **{name: value for name, value in os.environ.items() if value.strip()}})

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
        """Remove all keys from a text, also where a server echoed one in a URL or in JSON."""
        text = self._found.sub(self._name, text)
        return _TOKENS.sub(_redacted_token, text)

    def redact_reply(self, text: str) -> str:
        """Remove all keys from a model's reply, except those that may be words (`MIN_SECRET_LENGTH`)."""
        return self._found_secret.sub(self._name, text)

    def _name(self, found: re.Match[str]) -> str:
        return f"[{self._names[found.group()]}]"


def _redacted_token(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    return f"{name}=[token]" if name else "[token]"


def _of_role(names: str, role: Role) -> str:
    return " and ".join(f"{name}_{role.upper()}" for name in names.split(" and "))


def _is_secret(value: str) -> bool:
    mixed = any(letter.isalpha() for letter in value) and any(letter.isdigit() for letter in value)
    return mixed and len(value) >= MIN_SECRET_LENGTH


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    # The longest first: one key may begin with another.
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _spellings(key: str) -> Iterator[str]:
    yield key
    yield quote(key, safe="")
    yield key.replace("/", "\\/")
