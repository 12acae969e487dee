"""API keys: where they come from, and that they go nowhere else.

Keys come from the environment or from a `.env` file in the working directory; the environment wins.
They are held here only, and every text that could carry one is passed through `Keys.redact`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from dotenv import dotenv_values
from pydantic import SecretStr

from models.failures import RunStopped
from models.settings import Endpoint, Provider

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

SHORTEST_IN_TEXT = 8
"""A local server's key may be a common word; a shorter one is not looked for in what models say."""

_TOKENS = re.compile(r"\b(access_token|client_id|client_secret)=[^&\s'\"]+|\beyJ[\w-]+\.[\w-]+\.[\w-]+")
"""What is made from a key and opens the same doors: tokens in URLs, and signed ones (JWT)."""

_NEEDS_NONE: frozenset[Provider] = frozenset({"vllm", "rehearsal"})


class MissingKey(RunStopped):
    """A model needs a key, and there is none."""


class Keys:
    """The keys of this process."""

    def __init__(self, variables: Mapping[str, str | None]) -> None:
        values = {
            name: value.strip()
            for names in (*KEY_NAMES.values(), *FURTHER_KEYS)
            for name in names.split(" and ")
            if (value := variables.get(name)) and value.strip()
        }
        self._keys = {
            provider: SecretStr(":".join(values[name] for name in names.split(" and ")))
            for provider, names in KEY_NAMES.items()
            if values.keys() >= set(names.split(" and "))
        }
        self._names = {spelled: name for name, value in values.items() for spelled in _spellings(value)}
        self._found = _any_of(self._names)
        self._found_long = _any_of(name for name in self._names if len(name) >= SHORTEST_IN_TEXT)

    @classmethod
    def load(cls) -> "Keys":
        """The keys in the environment, and in `.env` those that the environment lacks."""
        return cls({**dotenv_values(Path(".env")), **os.environ})

    def has(self, endpoint: Endpoint) -> bool:
        """Whether there is a key for an endpoint."""
        return endpoint.provider in self._keys

    def of(self, endpoint: Endpoint) -> SecretStr:
        """The key for an endpoint; a placeholder where the provider asks for none.

        Raises:
            MissingKey: the message names the variable to set.
        """
        key = self._keys.get(endpoint.provider)
        if key:
            if endpoint.provider == "glm-jwt" and key.get_secret_value().count(".") != 1:
                raise MissingKey(
                    f"{endpoint.model} signs its tokens with a key of the form id.secret, and that in "
                    f"{KEY_NAMES[endpoint.provider]} is none: use glm:{endpoint.name}"
                )
            return key
        if endpoint.provider in _NEEDS_NONE:
            return SecretStr("none")
        name = KEY_NAMES[endpoint.provider]
        raise MissingKey(
            f"{endpoint.model} needs a key and {name} is not set: "
            f"put {name.replace(' and', '=… and')}=… into the environment or into a file named .env here"
        )

    def redact(self, text: str) -> str:
        """The text without any of the keys, also where a server echoed one in a URL or in JSON."""
        text = self._found.sub(self._name, text)
        return _TOKENS.sub(lambda found: f"{found[1]}=[token]" if found[1] else "[token]", text)

    def redact_reply(self, text: str) -> str:
        """A model's reply without any of the keys, save those so short that they may be words."""
        return self._found_long.sub(self._name, text)

    def _name(self, found: re.Match[str]) -> str:
        return f"[{self._names[found.group()]}]"


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    # The longest first: one key may begin with another.
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _spellings(key: str) -> Iterator[str]:
    yield key
    yield quote(key, safe="")
    yield key.replace("/", "\\/")
