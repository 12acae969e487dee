"""What a person decides in `coevol view`, with a real browser over real runs."""

import http.server
import json
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from ledger.decisions import Decision, decide, on_file
from ledger.ledger import Ledger, Result
from standin import StandIn
from tests import program
from tests.chromium import Browser, viewing
from tests.conftest import FAILING, HOSTILE, remount
from tests.program import coevol
from tests.test_viewer import assert_tame

pytestmark = pytest.mark.skipif(not program.DATA.exists(), reason="the data sets are not at hand")


@pytest.fixture(scope="module")
def evolved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 records, in mode evolve."""
    folder = tmp_path_factory.mktemp("evolved")
    coevol("evolve", program.DATA / "alpaca_en_300.json", "-o", "run", "--stop", 40, cwd=folder)
    return folder / "run"


@pytest.fixture
def run(evolved: Path, tmp_path: Path) -> Path:
    shutil.copytree(evolved, tmp_path / "run")
    return tmp_path / "run"


def results(run: Path) -> dict[int, Result]:
    found = Ledger.open(run / "ledger.sqlite").samples()
    return {sample.position: by_mode["evolve"] for sample, by_mode in found}


def decisions(run: Path) -> dict[tuple[int, int], Decision]:
    """The decisions on file, by position and exchange."""
    found = on_file(Ledger.open(run / "ledger.sqlite"))
    return {(place[0], number): each for place, by in found.items() for number, each in by.items()}


def accepted(run: Path, rounds: int) -> list[int]:
    """The positions of the samples with so many accepted rounds."""
    return [place for place, result in results(run).items() if result.accepted_rounds == rounds]


def press(browser: Browser, key: str, shows: str) -> None:
    """Press a key and wait until the panel shows this."""
    browser.until(lambda: browser.script("return !!window.socket?.connected"))
    browser.press(key)
    browser.until(lambda: shows in browser.one(".decision").text)


def write(browser: Browser, text: str) -> None:
    """Put a text in the place of the one that is edited, as if it was pasted."""
    area = browser.one(".editing textarea")
    browser.script(
        "arguments[0].select(); document.execCommand('insertText', false, arguments[1])", area, text
    )
    area.send_keys(Keys.CONTROL, Keys.ENTER)
    browser.until(lambda: not browser.all(".editing"))


def test_keys_and_buttons_decide(browser: Browser, run: Path) -> None:
    place, *_ = accepted(run, 2)
    (done,) = results(run)[place].outcome
    with viewing(run) as url:
        browser.open(f"{url}/sample/{place}")

        def kept(kind: str, response: str) -> bool:
            decision = decisions(run)[place, 0]
            return (decision.kind, decision.response) == (kind, response)

        press(browser, "a", "accepted")
        assert kept("accepted", done["response"])
        press(browser, "r", "rejected: the original is kept")
        assert kept("rejected", done["original"])
        press(browser, "z", "none yet")
        assert decisions(run) == {}

        # The draft of the first round was accepted and then replaced; that of the second is the result.
        assert len(browser.all(".use")) == len(done["rounds"]) - 1
        browser.all(".use")[0].click()
        browser.until(lambda: "another draft chosen" in browser.one(".decision").text)
        assert kept("chosen", done["rounds"][0]["draft"])

        browser.script("window.scrollTo(0, 0)")  # away from under the bar
        browser.one(".decision .edit").click()
        browser.until(lambda: browser.script("return document.activeElement.tagName") == "TEXTAREA")
        assert browser.one(".editing textarea").get_attribute("value") == done["rounds"][0]["draft"]
        # Letters are letters now, and nothing is decided by them.
        browser.driver.switch_to.active_element.send_keys(" arze")
        browser.one(".decision .save").click()
        browser.until(lambda: kept("edited", done["rounds"][0]["draft"] + " arze"))

        browser.until(lambda: browser.all(".decision .note input"))
        browser.one(".note input").send_keys("it says more", Keys.ENTER)
        browser.until(lambda: decisions(run)[place, 0].note == "it says more")
        assert kept("edited", done["rounds"][0]["draft"] + " arze")
        press(browser, "a", "accepted")
        assert decisions(run)[place, 0].note == "it says more"
        # A note, and straight on to a button.
        browser.one(".note input").send_keys(", not better")
        browser.one(".decision .reject").click()
        browser.until(lambda: "rejected" in browser.one(".decision").text)
        assert kept("rejected", done["original"])
        assert decisions(run)[place, 0].note == "it says more, not better"
        press(browser, "a", "accepted")

        press(browser, "e", "The response as you want it")
        browser.one(".editing textarea").send_keys("gone again", Keys.ESCAPE)
        browser.until(lambda: not browser.all(".editing"))
        assert kept("accepted", done["response"])

        # A text that was cleared is no response, and the panel stays open.
        press(browser, "e", "The response as you want it")
        browser.one(".editing textarea").send_keys(Keys.CONTROL, "a")
        browser.one(".editing textarea").send_keys(Keys.BACKSPACE, " ", Keys.CONTROL, Keys.ENTER)
        browser.until(lambda: "no response" in " ".join(browser.texts(".q-notification")))
        assert browser.all(".editing")
        assert kept("accepted", done["response"])
        assert not browser.complaints()


def test_where_the_original_was_kept_there_is_nothing_to_reject(browser: Browser, run: Path) -> None:
    place, *_ = accepted(run, 0)
    with viewing(run) as url:
        browser.open(f"{url}/sample/{place}")
        browser.until(lambda: browser.all(".decision .accept"))
        assert not browser.all(".decision .reject")
        browser.until(lambda: browser.script("return !!window.socket?.connected"))
        browser.press("r")
        browser.until(lambda: "there is nothing to reject" in " ".join(browser.texts(".q-notification")))
        assert decisions(run) == {}
        press(browser, "a", "accepted")
        assert decisions(run)[place, 0].kind == "accepted"


def test_the_table_and_the_overview_follow(browser: Browser, run: Path) -> None:
    places = sorted([*accepted(run, 1)[:2], *accepted(run, 3)[:1]])
    with viewing(run) as url:
        browser.open(f"{url}/samples?decided=some")
        assert browser.texts(".where") == ["1 to 40 of 40"]
        browser.open(f"{url}/sample/{places[0]}?decided=some")
        press(browser, "a", "accepted")
        browser.press("j")  # on to what is left
        browser.until(lambda: browser.texts(".sample-id") == [str(places[0] + 1)])
        browser.open(f"{url}/sample/{places[1]}")
        press(browser, "r", "rejected")
        browser.open(f"{url}/sample/{places[2]}")
        press(browser, "e", "The response as you want it")
        write(browser, "Something else.")

        for choice, found in {
            "all": places, "accepted": places[:1], "disagree": places[1:2], "edited": places[2:],
        }.items():  # fmt: skip
            browser.open(f"{url}/samples?decided={choice}")
            assert browser.texts(".data tr td:first-child") == [str(place) for place in found]
        assert browser.texts(".data .person") == ["✓ edited"]
        browser.open(f"{url}/samples?decided=nonsense")
        assert browser.texts(".where") == ["1 to 40 of 40"]

        browser.open(url + "/")
        tiles = browser.until(lambda: _tiles(browser))
        numbers = json.loads(coevol("stats", run, "--json", cwd=run.parent).stdout)
        deciding = numbers["modes"]["evolve"]["deciding"]
        assert (deciding["decided"], deciding["compared"], deciding["agreement"]) == (3, 2, 0.5)
        assert tiles["person and judge agree"] == "50%"
        assert "3 of 40 decided: see what is left" in browser.one(".deciding").text
        # The overview counts anew when a decision is taken back.
        browser.open(f"{url}/sample/{places[1]}")
        press(browser, "z", "none yet")
        browser.open(url + "/")
        browser.until(lambda: _tiles(browser)["person and judge agree"] == "100%")


def _tiles(browser: Browser) -> dict[str, str]:
    return dict(zip(browser.texts(".tile .name"), browser.texts(".tile .value"), strict=True))


def test_no_key_acts_behind_a_dialog(browser: Browser, run: Path) -> None:
    with viewing(run) as url:
        browser.open(f"{url}/sample/3")
        browser.one(".bubble .open-messages").click()
        browser.until(lambda: browser.all(".message"))
        browser.script("document.activeElement.blur()")
        for key in ("a", "j", "e", "u"):
            browser.press(key)
        browser.press(Keys.ESCAPE)
        browser.until(lambda: not browser.all(".message"))
        assert "/sample/3" in browser.driver.current_url
        assert not browser.all(".editing")
        assert decisions(run) == {}
        browser.script("document.activeElement.blur()")
        press(browser, "a", "accepted")
        assert list(decisions(run)) == [(3, 0)]


def test_each_exchange_of_a_conversation_has_its_decision(browser: Browser, tmp_path: Path) -> None:
    run = tmp_path / "run"
    coevol("evolve", program.DATA / "sharegpt_long_90.json", "-o", run, "--stop", 1, cwd=tmp_path)
    with viewing(run) as url:
        browser.open(f"{url}/sample/0")
        press(browser, "a", "accepted")
        browser.press("n")
        browser.until(lambda: "exchange=2" in browser.driver.current_url and browser.all(".decision"))
        press(browser, "e", "The response as you want it")
        write(browser, "Mine.")
        browser.until(lambda: browser.script("return !!window.socket?.connected"))
        browser.press("p")
        browser.until(lambda: "exchange=1" in browser.driver.current_url)
        browser.until(lambda: [text[-1] for text in browser.texts(".exchanges a")][:2] == ["✓", "✓"])
        assert {place: each.kind for place, each in decisions(run).items()} == {
            (0, 0): "accepted", (0, 1): "edited",
        }  # fmt: skip
        browser.open(f"{url}/samples?decided=some")
        assert len(browser.texts(".data tr td:first-child")) == 1


@pytest.mark.parametrize("text", [HOSTILE, "من اليمين إلى اليسار", "写一句话。\n\n第二句。"])
def test_what_a_person_writes_is_kept_as_it_is_and_does_nothing(
    browser: Browser, run: Path, text: str
) -> None:
    with viewing(run) as url:
        browser.open(f"{url}/sample/0")
        press(browser, "e", "The response as you want it")
        write(browser, text)
        browser.one(".note input").send_keys("<script>window.hacked = 20</script>", Keys.ENTER)
        browser.until(lambda: decisions(run)[0, 0].note)
        assert decisions(run)[0, 0].response == text
        for path in ("/sample/0", "/samples"):
            browser.open(url + path)
            browser.until(lambda: browser.all(".decision .wanted, .data"))
            assert_tame(browser, url)
        browser.open(f"{url}/sample/0")
        press(browser, "e", "The response as you want it")
        assert browser.one(".editing textarea").get_attribute("value") == text
        assert_tame(browser, url)
        browser.one(".decision .cancel").click()
        browser.until(lambda: not browser.all(".editing"))


def test_half_a_surrogate_pair_does_not_break_the_page(browser: Browser, run: Path) -> None:
    decide(Ledger.open(run / "ledger.sqlite"), 0, results(run)[0], 0, "half \ud800 of it")
    with viewing(run) as url:
        browser.open(f"{url}/sample/0")
        browser.until(lambda: browser.texts(".decision .wanted .text") == ["half \ufffd of it"])
        press(browser, "e", "The response as you want it")
        assert browser.one(".editing textarea").get_attribute("value") == "half \ufffd of it"
        browser.one(".decision .cancel").click()
        browser.until(lambda: not browser.all(".editing"))


def test_a_text_that_is_too_long_is_not_edited_here(browser: Browser, tmp_path: Path) -> None:
    record = {"instruction": "Write much.", "output": "many words " * 95_000}
    (tmp_path / "data.json").write_text(json.dumps([record]))
    coevol("evolve", "data.json", "-o", "run", cwd=tmp_path)
    with viewing(tmp_path / "run") as url:
        browser.open(f"{url}/sample/0")
        browser.until(lambda: browser.all(".decision .edit"))
        browser.one(".decision .edit").click()
        browser.until(lambda: "cannot be edited here" in " ".join(browser.texts(".q-notification")))
        browser.script("document.activeElement.blur()")
        press(browser, "a", "accepted")
    assert len(decisions(tmp_path / "run")[0, 0].response) >= 11 * 95_000


def test_people_decide_while_the_run_goes_on(browser: Browser, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with StandIn(latency=0.2) as server:
        model = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"), "--concurrency", 2)
        data = program.DATA / "alpaca_en_300.json"
        process = program.start("evolve", data, "-o", run, *model, cwd=tmp_path, env=server.environment())
        try:
            browser.until(lambda: Ledger.exists(run / "ledger.sqlite") and len(results(run)) > 2)
            places = sorted(results(run))[:3]
            with viewing(run) as url:
                for place in places:
                    browser.open(f"{url}/sample/{place}")
                    press(browser, "a", "accepted")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            assert process.returncode == 3, out + err  # so it was going on all the while
            assert "Traceback" not in err
        finally:
            process.kill()
            process.communicate()
    assert [place for place, _ in sorted(decisions(run))] == places
    assert all(decision.stands for decision in decisions(run).values())


def test_a_result_that_is_replaced_under_the_eyes_of_a_person(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(json.dumps(FAILING[:1]), encoding="utf-8")
    run = tmp_path / "run"
    words = ("evolve", "data.json", "-o", "run", "--model", "openai:gpt-4o-mini", "--history-window", 1)

    def evolve(server: StandIn, *more: str, status: int) -> None:
        at = ("--base-url", server.base_url("openai"))
        coevol(*words, *at, *more, cwd=tmp_path, env=server.environment(), status=status)

    with StandIn("content_filter:word=withheld", wins=1.0) as server:
        evolve(server, status=1)
    ledger = Ledger.open(run / "ledger.sqlite")
    decide(ledger, 0, results(run)[0], 1, "Leek.", "the failed one")
    with viewing(run) as url:
        browser.open(f"{url}/sample/0?exchange=2")
        browser.until(lambda: "edited" in browser.one(".decision").text)
        with StandIn(wins=1.0) as server:
            evolve(server, "--retry-failed", status=0)
        browser.press("a")
        browser.until(
            lambda: "worked on again since it was shown" in " ".join(browser.texts(".q-notification"))
        )
        assert decisions(run)[0, 1].response == "Leek."
        browser.open(f"{url}/sample/0?exchange=2")
        browser.until(lambda: "on an earlier result" in browser.one(".decision").text)
        browser.until(lambda: browser.texts(".decision .wanted .text") == ["Leek."])
        press(browser, "a", "accepted")
        assert "on an earlier result" not in browser.one(".decision").text
    assert decisions(run)[0, 1].stands


def test_a_folder_that_is_read_only_is_said_in_one_message(browser: Browser, run: Path, disk: Path) -> None:
    remount(disk, "size=50m")
    shutil.copytree(run, disk / "run")
    remount(disk, "ro")
    with viewing(disk / "run") as url:
        browser.open(f"{url}/sample/0")
        browser.until(lambda: browser.script("return !!window.socket?.connected"))
        browser.press("a")
        (said,) = browser.until(lambda: browser.texts(".q-notification__message"))
        assert "Not kept" in said
        assert "readonly" in said
        assert "none yet" in browser.one(".decision").text


# Other sites


SEND = """
const [url, messages, done] = arguments;
const socket = new WebSocket(url);
socket.onerror = () => done("refused");
socket.onmessage = event => {
    if (event.data.startsWith("0")) socket.send("40");
    if (event.data.startsWith("40")) {
        for (const message of messages) socket.send("42" + JSON.stringify(["event", message]));
        setTimeout(() => done("sent"), 500);
    }
};
"""
"""Sends what a page of ours sends when a key is pressed, over a connection of its own."""


@contextmanager
def other_site() -> Iterator[str]:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Another site</title>")

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_no_other_site_can_decide(browser: Browser, run: Path) -> None:
    with viewing(run) as url, other_site() as elsewhere:
        browser.open(f"{url}/sample/0")
        browser.script(
            "window.sent = []; const emit = socket.emit.bind(socket);"
            "socket.emit = (...message) => { sent.push(message); return emit(...message); }"
        )
        press(browser, "a", "accepted")
        messages = [m for name, m in browser.script("return sent") if name == "event" and "keydown" in str(m)]
        assert messages
        press(browser, "z", "none yet")
        assert decisions(run) == {}
        # The page stays open in its tab; the other site knows all that there is to know of it.
        own = browser.driver.current_window_handle
        address = url.replace("http:", "ws:") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        for host in ("127.0.0.1", "localhost"):
            browser.driver.switch_to.new_window("tab")
            browser.driver.get(elsewhere.replace("127.0.0.1", host))
            assert browser.driver.execute_async_script(SEND, address, messages) == "refused"
            browser.driver.close()
            browser.driver.switch_to.window(own)
        assert decisions(run) == {}
        # From a page of ours the same decides.
        assert browser.driver.execute_async_script(SEND, address, messages) == "sent"
        browser.until(lambda: decisions(run))
        browser.complaints()
