"""Servers whose certificate an authority of the user's own has signed."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models.providers.http_client import tls_context
from standin import StandIn
from tests.gateways import call, gateway_to

REPLY = b'{"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}'


def signed_by_itself(file: Path) -> ssl.SSLContext:
    """Write a new certificate of 127.0.0.1 to a file, and return how a server shows it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mine")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file.write_bytes(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


@asynccontextmanager
async def server(context: ssl.SSLContext) -> AsyncIterator[str]:
    """Run a server, and yield its base URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(REPLY)}\r\n\r\n"
        writer.write(head.encode() + REPLY)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as started:
        yield f"https://127.0.0.1:{started.sockets[0].getsockname()[1]}/v1"


@pytest.mark.parametrize("trusted", [False, True])
async def test_a_certificate_is_trusted_where_the_variable_names_its_authority(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.pem"
    async with server(signed_by_itself(file)) as url:
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(file))
        tls_context.cache_clear()
        async with gateway_to(StandIn(), base_url=url) as client:
            (answer,) = await client.ask(call())
    tls_context.cache_clear()
    if trusted:
        assert answer == "Yes."
    else:
        assert f"the certificate of openai:gpt-4o-mini at {url} is not trusted here" in str(answer)
        assert "SSL_CERT_FILE" in str(answer)
