"""Which requests the server of `coevol view` answers, over real connections."""

import http.client
import socket
from pathlib import Path

import pytest

from tests.conftest import look
from tests.program import DATA, coevol

SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
POLLING = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
}


@pytest.fixture(scope="module")
def port(pages: str) -> int:
    return int(pages.rpartition(":")[2])


def status(port: int, path: str, method: str = "GET", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        return connection.getresponse().status
    finally:
        connection.close()


def test_only_one_address_of_this_machine_is_listened_on(port: int) -> None:
    # All of 127.0.0.0/8 is this machine.
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port), timeout=5):
        pass


@pytest.mark.parametrize("path", ["/", "/samples", "/sample/0", POLLING])
def test_a_rebound_name_is_refused(port: int, path: str) -> None:
    assert status(port, path) == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "", "[::1]"):
        assert status(port, path, Host=host) == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}", ""]
)
def test_pages_of_other_sites_are_refused(port: int, origin: str) -> None:
    foreign = origin.format(port=port)
    assert status(port, SOCKET, **UPGRADE, Origin=foreign) == 403
    assert status(port, POLLING, "POST", Origin=foreign) == 403
    assert status(port, "/", Origin=foreign) == 403


def test_own_pages_reach_the_socket(port: int) -> None:
    assert status(port, SOCKET, **UPGRADE, Origin=f"http://127.0.0.1:{port}") == 101
    assert status(port, SOCKET, **UPGRADE, Host="evil.example", Origin="http://evil.example") == 403


def test_pages_load_nothing_from_elsewhere_and_cannot_be_framed(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/")
    policy = connection.getresponse().headers["content-security-policy"]
    connection.close()
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy


def test_what_cannot_be_served_is_reported(alpaca: Path, port: int) -> None:
    taken = coevol("view", alpaca, "--no-browser", "--port", port, cwd=alpaca.parent, status=2)
    assert f"--port {port} cannot be used: Address already in use" in taken.stderr
    missing = look("view", DATA, "--no-browser", cwd=alpaca.parent, status=2)
    assert "is not a run" in missing.stderr
