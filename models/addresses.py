"""The addresses of servers: what users may give, what goes below them, and what of them is shown."""

from ipaddress import ip_address
from re import fullmatch, search
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, PlainSerializer

from models.secret_fields import is_harmless_part, is_key_like, without_secrets

CALLS_PATH = "/chat/completions"
"""Where calls go, below a base URL."""


def address(base_url: str, path: str) -> str:
    """Return the address of a path below a base URL, whose query stays at the end."""
    base, sign, query = base_url.partition("?")
    return base.rstrip("/") + path + sign + query


def server_address(base_url: str, path: str) -> str:
    """Return the address of a path of the server itself, next to its API in `/v1`."""
    base, sign, query = base_url.partition("?")
    return base.rstrip("/").removesuffix("/v1") + path + sign + query


PUBLIC_FIELDS = frozenset({"api-version", "api_version", "version"})
"""Names of what a query may say to everybody."""


def shown_address(base_url: str) -> str:
    """Return a base URL for users and records. A query may hold a key, so only a version is left in it, and
    of a path the words and short names that addresses have."""
    base_url, hash_sign, _ = base_url.partition("#")
    base, sign, query = base_url.partition("?")
    scheme, there, rest = base.partition("://")
    host, *parts = (rest if there else base).split("/")
    host = f"…@{host.rpartition('@')[2]}" if "@" in host else host
    if not there and is_key_like(host):
        host = "…"
    name, colon, port = host.rpartition(":")
    if colon and not host.endswith("]") and not fullmatch("[0-9]{0,5}", port):
        host = f"{name}:…"
    base = scheme + there if there else ""
    befores = ["", *parts]
    shown = (
        part if is_harmless_part(part, before) else "…" for before, part in zip(befores, parts, strict=False)
    )
    base += "/".join([host, *shown])
    fields = (_shown_field(field) for field in query.split("&") if sign)
    return base + sign + "&".join(fields) + (f"{hash_sign}…" if hash_sign else "")


def _shown_field(field: str) -> str:
    name, sign, value = field.partition("=")
    if not sign or not fullmatch(r"[A-Za-z][\w.-]{0,40}", name) or is_key_like(name):
        return "…"
    is_public = name.lower() in PUBLIC_FIELDS and fullmatch(r"[\w.-]{1,24}", value) and not is_key_like(value)
    return f"{name}={value if is_public else '…'}"


_PRIVATE = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


def is_local(base_url: str | None) -> bool:
    """Whether an address is on this machine or in a private network, as far as it shows."""
    host = urlsplit(base_url or "").hostname or ""
    try:
        return not ip_address(host.partition("%")[0]).is_global
    except ValueError:
        # A name without a domain, and domains that no public name has.
        return bool(host) and f".{host}".endswith(_PRIVATE) if "." in host else bool(host)


def _http_address(url: str) -> str:
    scheme, there, rest = url.partition("://")
    if "@" in (rest if there else url).partition("?")[0].partition("/")[0]:
        # Not shown: it would be recorded and appear in messages.
        raise ValueError(
            "an address with a user name or a password in it cannot be used: "
            "put the provider's key into its variable"
        )
    if scheme not in ("http", "https") or not there:
        raise ValueError(f"{shown_address(url)!r} is not an address: it starts with http:// or https://")
    try:
        at = urlsplit(url)
        usable = bool(at.hostname) and at.port != 0 and url.isprintable() and " " not in url
    except ValueError:  # a bracket that is not closed, a port that is no number
        usable = False
    if not usable:
        raise ValueError(f"{shown_address(url)!r} is not an address: write http://HOST:PORT/PATH")
    url = address(url, "")
    base, sign, query = url.partition("?")
    if search("[,;|]https?://", base):
        raise ValueError(
            f"{shown_address(url)} are several addresses: give each by itself (--base-url for each, or a "
            "list in a settings file)"
        )
    if base.endswith(CALLS_PATH):
        right = base.removesuffix(CALLS_PATH) + sign + query
        raise ValueError(
            f"{shown_address(url)} is where calls go, not the base URL: write {shown_address(right)}"
        )
    return url


def _addresses(given: object) -> tuple[str, ...]:
    if given is None or given == "":
        return ()
    urls = [given] if isinstance(given, str) else given
    if not isinstance(urls, list | tuple) or not all(isinstance(url, str) for url in urls):
        raise ValueError(f"{without_secrets(repr(given))} is neither an address nor a list of addresses")
    addresses = tuple(map(_http_address, urls))
    places = list(map(_place, addresses))
    for url, place in zip(addresses, places, strict=True):
        if places.count(place) > 1:
            raise ValueError(f"{shown_address(url)} is given twice: each is a server of its own")
    return addresses


def _place(url: str) -> tuple[object, ...]:
    """Return what is equal for all ways to write an address."""
    at = urlsplit(url)
    return at.scheme, at.hostname, at.port or {"http": 80, "https": 443}[at.scheme], at.path, at.query


def _written(urls: tuple[str, ...]) -> str | list[str] | None:
    shown = list(dict.fromkeys(map(shown_address, urls)))
    return shown if len(shown) > 1 else shown[0] if shown else None


Addresses = Annotated[
    tuple[str, ...],
    BeforeValidator(_addresses, json_schema_input_type=str | list[str] | None),
    PlainSerializer(_written, return_type=str | list[str] | None),
]
"""Where a model is served: one base URL or several, written as a string or a list."""
