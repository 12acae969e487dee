"""The proxies in the environment (HTTP_PROXY and the like), which the HTTP client goes through by itself."""

import os
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import httpx2
from openai import DefaultAioHttpClient

from models.errors.kinds import RunStopped


class ProxyUnusable(RunStopped):
    """The environment names a proxy that no client can go through."""


def need_usable_proxies() -> None:
    """Make sure that an HTTP client can be made with the proxies in the environment.

    Raises:
        ProxyUnusable: it cannot; the message names the variables, and no value, which may hold a password.
    """
    try:
        DefaultAioHttpClient()
    except (ValueError, httpx2.InvalidURL):
        names = [_set(name) for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")]
        raise ProxyUnusable(
            f"what {', '.join(filter(None, names))} says of proxies cannot be used: "
            "write http://HOST:PORT, or unset it"
        ) from None


def through_proxy(url: str | None) -> str:
    """Words for the proxy that an address is reached through; none where it is reached directly."""
    at = urlsplit(url or "")
    if not at.hostname or proxy_bypass(at.hostname):
        return ""
    variable = _set(f"{at.scheme}_proxy") or _set("all_proxy")
    return f" through the proxy in {variable}" if variable else ""


def _set(name: str) -> str | None:
    """The variable that is set; of both spellings the one that counts."""
    return next((spelled for spelled in (name, name.upper()) if os.environ.get(spelled)), None)
