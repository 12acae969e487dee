"""The proxies in the environment (HTTP_PROXY and the like), which the HTTP client uses by itself."""

import os
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import httpx2
from openai import DefaultAioHttpClient

from models.errors.exceptions import RunStopped


class ProxyUnusable(RunStopped):
    """The environment names a proxy that no client can use."""


def check_proxies() -> None:
    """Make sure that an HTTP client can be created with the proxies in the environment.

    Raises:
        ProxyUnusable: it cannot; the message names the variables but no value, which may hold a password.
    """
    try:
        DefaultAioHttpClient()
    except (ValueError, httpx2.InvalidURL):
        names = [_set(name) for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")]
        raise ProxyUnusable(
            f"the proxy settings in {', '.join(filter(None, names))} cannot be used: "
            "write http://HOST:PORT, or unset them"
        ) from None


def through_proxy(url: str | None) -> str:
    """Name the proxy that an address is reached through, for messages; empty where it is reached directly."""
    at = urlsplit(url or "")
    if not at.hostname or proxy_bypass(at.hostname):
        return ""
    variable = _set(f"{at.scheme}_proxy") or _set("all_proxy")
    return f" through the proxy in {variable}" if variable else ""


def _set(name: str) -> str | None:
    """Return which spelling of a variable is set; of both the one that counts."""
    return next((spelled for spelled in (name, name.upper()) if os.environ.get(spelled)), None)
