"""Which requests the server of `coevol view` answers, over real connections."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from tests.browser.conftest import ENGLISH
from tests.chromium import Browser, entered, viewing, with_token
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


@pytest.fixture(scope="module")
def cookie(pages: str) -> dict[str, str]:
    return entered(pages)


def asked(
    port: int, path: str, headers: dict[str, str], method: str = "GET"
) -> tuple[http.client.HTTPResponse, str]:
    """Return an answer and its text; of one that upgrades to a websocket nothing follows."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer, "" if answer.status == 101 else answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def status(port: int, path: str, method: str = "GET", **headers: str) -> int:
    answer, _ = asked(port, path, headers, method)
    return answer.status


def test_only_one_address_of_this_machine_is_listened_on(port: int) -> None:
    # All of 127.0.0.0/8 is this machine.
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port), timeout=5):
        pass


@pytest.mark.parametrize("path", ["/", "/samples", "/sample/0", POLLING])
def test_a_rebound_name_is_refused(port: int, cookie: dict[str, str], path: str) -> None:
    assert status(port, path, **cookie) == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "", "[::1]"):
        assert status(port, path, Host=host, **cookie) == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}", ""]
)
def test_pages_of_other_sites_are_refused(port: int, cookie: dict[str, str], origin: str) -> None:
    foreign = {"Origin": origin.format(port=port), **cookie}
    assert status(port, SOCKET, **UPGRADE, **foreign) == 403
    assert status(port, POLLING, "POST", **foreign) == 403
    assert status(port, "/", **foreign) == 403


def test_own_pages_reach_the_socket(port: int, cookie: dict[str, str]) -> None:
    own = {"Origin": f"http://127.0.0.1:{port}"}
    assert status(port, SOCKET, **UPGRADE, **own, **cookie) == 101
    assert status(port, SOCKET, **UPGRADE, **own) == 403
    evil = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert status(port, SOCKET, **UPGRADE, **evil, **cookie) == 403


@pytest.fixture(scope="module")
def open_pages(alpaca: Path) -> Iterator[str]:
    """Pages for a network."""
    with viewing(alpaca, options=("--host", "0.0.0.0")) as url:
        yield url


def test_with_host_others_of_the_network_get_in_by_the_link(open_pages: str) -> None:
    address = urlsplit(open_pages)
    assert address.port
    assert address.hostname != "127.0.0.1" or socket.gethostname() == "127.0.0.1"
    cookie = entered(open_pages)
    own = socket.gethostname()
    for name in ("127.0.0.2", "localhost", f"LOCALHOST:{address.port}", "[::1]", f"{own}:1", "192.168.7.7"):
        assert status(address.port, "/samples", Host=name, **cookie) == 200
        assert status(address.port, "/samples", Host=name) == 403
        assert status(address.port, SOCKET, **UPGRADE, Host=name, Origin=f"http://{name}", **cookie) == 101
        evil = {"Host": name, "Origin": "http://evil.example"}
        assert status(address.port, SOCKET, **UPGRADE, **evil, **cookie) == 403
    for name in ("evil.example", "127.0.0.1.evil.example", f"{own}.evil.example", "", "[evil.example]"):
        assert status(address.port, "/samples", Host=name, **cookie) == 403
        foreign = {"Host": name, "Origin": f"http://{name}"}
        assert status(address.port, SOCKET, **UPGRADE, **foreign, **cookie) == 403


def test_texts_are_copied_where_browsers_have_no_clipboard(browser: Browser, open_pages: str) -> None:
    browser.open(f"{open_pages}/sample/0")
    if browser.script("return isSecureContext"):
        pytest.skip("the machine has no other address than its own")
    browser.script("document.addEventListener('copy', () => window.copied = document.activeElement.value)")
    browser.click(".request .copy")
    text = browser.until(lambda: browser.script("return window.copied"))
    assert text in json.loads(ENGLISH.read_text(encoding="utf-8"))[0]["instruction"]


def test_a_host_that_is_not_this_machine_is_reported(alpaca: Path) -> None:
    for name in ("203.0.113.1", "no.such.host.invalid", "x" * 70):
        refused = look("view", alpaca, "--no-browser", "--host", name, cwd=alpaca.parent, status=2)
        assert f"--host {name} cannot be used" in " ".join(refused.stderr.split())


def test_the_link_sets_a_cookie_and_leaves_the_address(pages: str, port: int) -> None:
    link = urlsplit(with_token(f"{pages}/samples?query=a%20b"))
    answer, _ = asked(port, f"{link.path}?{link.query}", {})
    assert answer.status == 303
    assert answer.headers["location"] == f"{pages}/samples?query=a+b"
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "lax", "/")
    assert status(port, "/samples", Cookie=f"a=b; {cookie.key}={cookie.value}; c=d") == 200
    answer, _ = asked(port, f"/sample/a%2Fb%3Fc%2520%23?{link.query}", {})
    assert answer.headers["location"] == f"{pages}/sample/a%2Fb%3Fc%2520%23?query=a+b"


def test_links_of_other_sites_open_pages_for_who_has_entered(browser: Browser, pages: str) -> None:
    browser.review_as("Ada")
    browser.open(f"{pages}/samples")
    browser.driver.get(f"data:text/html,<a href='{pages}/sample/0'>a sample</a>")
    browser.one("a").click()
    browser.until(lambda: browser.driver.current_url == f"{pages}/sample/0")
    browser.wait_connected()
    assert "Ada" in browser.one(".decision-bar .reviewer").text
    browser.review_as("")


PATHS = ("/", "/samples", "/sample/0", "/graph", "/nothing", "/math-font.ttf", "/docs", POLLING, "//x/y")


@pytest.mark.parametrize("path", [*PATHS, "/?token=", "/_nicegui/"])
def test_others_of_this_machine_are_refused(port: int, cookie: dict[str, str], path: str) -> None:
    name, _, token = cookie["Cookie"].partition("=")
    for sent in ("", f"{name}=", f"{name}={token[:-1]}", f"{name}={token}x", f"other={token}", "ü"):
        answer, page = asked(port, path, {"Cookie": sent} if sent else {})
        assert answer.status == 403
        assert "coevol view" in page
        assert "set-cookie" not in answer.headers
    assert status(port, f"/?token={token[:-1]}") == 403
    assert status(port, f"/?token={token}", "POST") == 403


def test_a_browser_is_opened_without_the_token_on_its_command_line(alpaca: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$@" > {seen}.new\nmv {seen}.new {seen}\n')
    program.chmod(0o700)
    with viewing(alpaca, browser=program) as url:
        while not seen.exists():
            time.sleep(0.05)
        file = Path(url2pathname(urlsplit(seen.read_text().strip()).path))
        assert with_token(f"{url}/") in file.read_text(encoding="utf-8")
        assert file.parent.stat().st_mode & 0o777 == 0o700
    assert not file.parent.exists()


def test_two_servers_are_seen_side_by_side(browser: Browser, pages: str, other: Path) -> None:
    with viewing(other) as second:
        for url in (pages, second, pages):
            browser.open(f"{url}/samples")
            assert browser.driver.current_url == f"{url}/samples"
        browser.driver.get(f"{second}/samples")  # no token is needed any more
        browser.wait_connected()


def test_a_page_runs_no_script_that_is_put_into_it(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/samples")
    assert not browser.console()
    added = "<img src=data:, onerror='window.hacked = 1'>"
    browser.script("document.body.insertAdjacentHTML('beforeend', arguments[0])", added)
    (blocked,) = browser.until(browser.console)
    assert "Content Security Policy" in blocked
    assert browser.script("return window.hacked") is None


def test_pages_load_nothing_from_elsewhere_and_cannot_be_framed(port: int, cookie: dict[str, str]) -> None:
    policies = {asked(port, "/", sent)[0].headers["content-security-policy"] for sent in (cookie, cookie, {})}
    assert len(policies) == 3  # each with a nonce of its own
    for policy in policies:
        assert "default-src 'none'" in policy
        assert "script-src 'self' 'nonce-" in policy
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy


def test_what_cannot_be_served_is_reported(alpaca: Path, port: int) -> None:
    taken = coevol("view", alpaca, "--no-browser", "--port", port, cwd=alpaca.parent, status=2)
    assert f"--port {port} cannot be used: Address already in use" in taken.stderr
    missing = look("view", DATA / "alpaca_en_40.json", "--no-browser", cwd=alpaca.parent, status=2)
    assert "is not a run" in missing.stderr
