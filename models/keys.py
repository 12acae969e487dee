"""API keys: where they come from, and that they go nowhere else.

Keys come from the environment or from a `.env` file in the working directory; the environment wins, but
not with a blank. `openai:` is whoever speaks its protocol, so models of several vendors may share a variable;
a role has a key of its own in the variable with the role after it, as `OPENAI_API_KEY_JUDGE`.

Keys are held here only, and every text that could carry one is passed through `Keys.redact`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from dotenv import dotenv_values
from pydantic import SecretStr

from models.errors.kinds import RunStopped
from models.settings import ROLES, Endpoint, Provider, Role

KEY_NAMES: dict[Provider, str] = {
    "openai": "OPENAI_API_KEY",
    "vllm": "VLLM_API_KEY",
    "ernie": "QIANFAN_API_KEY",
    "glm": "ZHIPUAI_API_KEY",
    "glm-jwt": "ZHIPUAI_API_KEY",
    "wenxin": "QIANFAN_AK and QIANFAN_SK",
}
"""The variable that holds a provider's key, or the two that hold its parts."""

FURTHER_KEYS = ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
"""Variables with keys that are not ours to use, and that must not get anywhere either."""

SHORTEST_SECRET = 16
"""A local server's key may be any word (`lm-studio`, `assistant`), which replies may hold as well, and those
are data. What is shorter than this, or has not both letters and digits, is no secret and stays in them."""

_TOKENS = re.compile(r"\b(access_token|client_id|client_secret)=[^&\s'\"]+|\beyJ[\w-]+\.[\w-]+\.[\w-]+")
"""What is made from a key and opens the same doors: tokens in URLs, and signed ones (JWT)."""

_NEEDS_NONE: frozenset[Provider] = frozenset({"vllm", "rehearsal"})


class MissingKey(RunStopped):
    """A model needs a key, and there is none that can be used."""


class Keys:
    """The keys of this process."""

    def __init__(self, variables: Mapping[str, str | None]) -> None:
        singly = {name for names in KEY_NAMES.values() for name in names.split(" and ")}
        of_roles = (_of_role(name, role) for name in singly for role in ROLES)
        self._values = {
            name: value.strip()
            for name in (*singly, *of_roles, *FURTHER_KEYS)
            if (value := variables.get(name)) and value.strip()
        }
        self._names = {spelled: name for name, value in self._values.items() for spelled in _spellings(value)}
        self._found = _any_of(self._names)
        secrets = filter(_is_secret, self._values.values())
        self._found_secret = _any_of(spelled for value in secrets for spelled in _spellings(value))

    @classmethod
    def load(cls) -> "Keys":
        """The keys in the environment, and in `.env` those that the environment lacks.

        Raises:
            MissingKey: there is a `.env`, and it cannot be read.
        """
        try:
            in_file = dotenv_values(Path(".env"), encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise MissingKey("the file .env here cannot be read: save it as UTF-8") from None
        except OSError as error:
            raise MissingKey(f"the file .env here cannot be read: {error.strerror}") from None
        return cls({**in_file, **{name: value for name, value in os.environ.items() if value.strip()}})

    def variable(self, endpoint: Endpoint, role: Role) -> str | None:
        """The variable with a role's key, or the two with the parts of it; None where none is set."""
        names = KEY_NAMES.get(endpoint.provider, "")
        for variable in (_of_role(names, role), names):
            if self._values.keys() >= set(variable.split(" and ")):
                return variable
        return None

    def of(self, endpoint: Endpoint, role: Role) -> SecretStr:
        """The key for a role's endpoint; a placeholder where the provider asks for none.

        Raises:
            MissingKey: there is none, or it is no key; the message names the variable to set.
        """
        variable = self.variable(endpoint, role)
        if variable is None:
            if endpoint.provider in _NEEDS_NONE:
                return SecretStr("none")
            name = KEY_NAMES[endpoint.provider]
            raise MissingKey(
                f"{endpoint.model} needs a key and {name} is not set: "
                f"put {name.replace(' and', '=… and')}=… into the environment or into a file named .env here"
            )
        for name in variable.split(" and "):
            # A header holds nothing else, and a line end in it would begin another one.
            if not (self._values[name].isascii() and self._values[name].isprintable()):
                raise MissingKey(f"{name} is no key: it holds a line end or letters that no key has")
        key = ":".join(self._values[name] for name in variable.split(" and "))
        if endpoint.provider == "glm-jwt" and key.count(".") != 1:
            raise MissingKey(
                f"{endpoint.model} signs its tokens with a key of the form id.secret, and that in "
                f"{variable} is none: use glm:{endpoint.name}"
            )
        return SecretStr(key)

    def redact(self, text: str) -> str:
        """The text without any of the keys, also where a server echoed one in a URL or in JSON."""
        text = self._found.sub(self._name, text)
        return _TOKENS.sub(lambda found: f"{found[1]}=[token]" if found[1] else "[token]", text)

    def redact_reply(self, text: str) -> str:
        """A model's reply without any of the keys, save those that may be words (`SHORTEST_SECRET`)."""
        return self._found_secret.sub(self._name, text)

    def _name(self, found: re.Match[str]) -> str:
        return f"[{self._names[found.group()]}]"


def _of_role(names: str, role: Role) -> str:
    return " and ".join(f"{name}_{role.upper()}" for name in names.split(" and "))


def _is_secret(value: str) -> bool:
    mixed = any(letter.isalpha() for letter in value) and any(letter.isdigit() for letter in value)
    return mixed and len(value) >= SHORTEST_SECRET


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    # The longest first: one key may begin with another.
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _spellings(key: str) -> Iterator[str]:
    yield key
    yield quote(key, safe="")
    yield key.replace("/", "\\/")
