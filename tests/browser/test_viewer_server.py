"""Who may speak to the server of `coevol view`, over real connections."""

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chromium import viewing
from tests.program import EXAMPLES, coevol

SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    coevol("evolve", EXAMPLES / "alpaca_en.json", "-o", folder / "run", cwd=folder)
    return folder / "run"


@pytest.fixture(scope="module")
def port(run: Path) -> Iterator[int]:
    with viewing(run) as url:
        yield int(url.rpartition(":")[2])


def answer(port: int, path: str, method: str = "GET", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        return connection.getresponse().status
    finally:
        connection.close()


def test_only_this_machine_is_answered(port: int) -> None:
    # All of 127.0.0.0/8 is this machine; the server listens at one address of it.
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port), timeout=5):
        pass


@pytest.mark.parametrize(
    "path", ["/", "/samples", "/sample/0", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"]
)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "", "[::1]"]
)
def test_a_rebound_name_is_refused(port: int, path: str, host: str) -> None:
    assert answer(port, path) == 200
    assert answer(port, path, Host=host.format(port=port)) == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}", ""]
)
def test_pages_of_other_sites_reach_nothing(port: int, origin: str) -> None:
    foreign = origin.format(port=port)
    assert answer(port, SOCKET, **UPGRADE, Origin=foreign) == 403
    assert answer(port, "/_nicegui_ws/socket.io/?EIO=4&transport=polling", "POST", Origin=foreign) == 403
    assert answer(port, "/", Origin=foreign) == 403


def test_own_pages_reach_the_socket(port: int) -> None:
    assert answer(port, SOCKET, **UPGRADE, Origin=f"http://127.0.0.1:{port}") == 101
    assert answer(port, SOCKET, **UPGRADE, Host="evil.example", Origin="http://evil.example") == 403


def test_pages_may_load_nothing_from_elsewhere_and_stand_in_no_frame(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/")
    policy = connection.getresponse().headers["content-security-policy"]
    connection.close()
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy


def test_what_cannot_be_shown_is_said(run: Path, port: int) -> None:
    taken = coevol("view", run, "--no-browser", "--port", port, cwd=run.parent, status=2)
    assert f"--port {port} cannot be used: Address already in use" in taken.stderr
    missing = coevol("view", run.parent, "--no-browser", cwd=run.parent, status=2)
    assert "is not a run" in missing.stderr
