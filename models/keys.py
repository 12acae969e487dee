"""API keys: where they come from, and that they go nowhere else.

Keys come from the environment or from a `.env` file in the working directory; the environment wins.
They are held here only, and every text that could carry one is passed through `Keys.redact`.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from models.failures import RunStopped
from models.settings import Endpoint, Provider

KEY_NAMES: dict[Provider, str] = {
    "openai": "OPENAI_API_KEY",
    "vllm": "VLLM_API_KEY",
    "ernie": "QIANFAN_API_KEY",
    "glm": "ZHIPUAI_API_KEY",
}
"""The variable that holds a provider's key."""

_NEEDS_NONE: frozenset[Provider] = frozenset({"vllm", "rehearsal"})


class MissingKey(RunStopped):
    """A model needs a key, and there is none."""


class Keys:
    """The keys of this process."""

    def __init__(self, variables: Mapping[str, str | None]) -> None:
        self._keys = {
            provider: SecretStr(value.strip())
            for provider, name in KEY_NAMES.items()
            if (value := variables.get(name)) and value.strip()
        }

    @classmethod
    def load(cls) -> "Keys":
        """The keys in the environment, and in `.env` those that the environment lacks."""
        return cls({**dotenv_values(Path(".env")), **os.environ})

    def of(self, endpoint: Endpoint) -> SecretStr:
        """The key for an endpoint; a placeholder where the provider asks for none.

        Raises:
            MissingKey: the message names the variable to set.
        """
        key = self._keys.get(endpoint.provider)
        if key:
            return key
        if endpoint.provider in _NEEDS_NONE:
            return SecretStr("none")
        name = KEY_NAMES[endpoint.provider]
        raise MissingKey(
            f"{endpoint.model} needs a key and {name} is not set: "
            f"put {name}=… into the environment or into a file named .env here"
        )

    def redact(self, text: str) -> str:
        """The text without any of the keys."""
        for provider, key in self._keys.items():
            text = text.replace(key.get_secret_value(), f"[{KEY_NAMES[provider]}]")
        return text
