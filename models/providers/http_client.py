"""The HTTP client of all calls: it reads no more of a response than a reply can take.

What is bounded is the size after decompression, so that a few kilobytes cannot unfold to gigabytes. How long
a response may take in all is the gateway's timeout.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import cache
from ssl import SSLContext
from typing import Any

import aiohttp
import httpx2
from openai import DefaultAioHttpClient

from models.providers.parameters import reply_limit
from models.settings import ROLES, ModelSettings
from samples.bounds import MB, load_json

LEAST_BYTES = 4 * MB
"""The bound for short replies, and for all that is no reply."""

MOST_BYTES = 32 * MB
"""The bound where a setting removes the limit on replies."""

TOKEN_BYTES = 1000
"""What a token may take: a stream repeats its frame around each, and some servers add probabilities."""


NO_RESPONSE = (httpx2.HTTPError, aiohttp.ClientError, OSError)
"""What the client raises where there is no response, or one that cannot be read: aiohttp, below it, has
errors that it passes on as they are."""


class ResponseTooLarge(httpx2.DecodingError):
    """A response is larger than any reply can be."""


class _BoundedResponse(httpx2.Response):
    max_bytes = LEAST_BYTES

    @property
    def text(self) -> str:
        """The body as text. JSON is UTF-8 (RFC 8259), and servers send it so under names of other charsets,
        in which it would be read as other letters."""
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            return super().text

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        read = 0
        async with aclosing(super().aiter_bytes(chunk_size)) as parts:
            async for part in parts:
                read += len(part)
                if read > self.max_bytes:
                    raise ResponseTooLarge(f"the response is larger than {self.max_bytes / MB:g} MB")
                yield part


def http_client(settings: ModelSettings | None = None, **given: Any) -> httpx2.AsyncClient:
    """Return a client, which belongs to one event loop and follows no redirect.

    `settings` are those of the calls made with it; without, no response is taken for a reply. A response that
    is larger raises `ResponseTooLarge` when it is read.
    """
    max_bytes = LEAST_BYTES if settings is None else most_bytes(settings)

    async def bound(response: httpx2.Response) -> None:
        # Before its body is read. Only the class knows how large what is decompressed becomes.
        response.__class__ = _BoundedResponse
        response.max_bytes = max_bytes  # type: ignore[attr-defined]

    hooks = {"response": [bound]}
    return DefaultAioHttpClient(follow_redirects=False, event_hooks=hooks, verify=tls_context(), **given)


@cache
def tls_context() -> SSLContext:
    """Return what all clients of this process trust: reading the certificates takes as long as 30 calls."""
    return httpx2.create_ssl_context()


def most_bytes(settings: ModelSettings) -> int:
    """Return how many bytes a response may have, by the limit on replies."""
    limits = [reply_limit(settings.endpoint(role), role, settings) for role in ROLES]
    return max(MOST_BYTES if limit is None else max(LEAST_BYTES, TOKEN_BYTES * limit) for limit in limits)


def json_in(response: httpx2.Response) -> Any:
    """Return the JSON of a response that was read. Raises ValueError if it is none, or nested too deeply."""
    return load_json(response.text)
