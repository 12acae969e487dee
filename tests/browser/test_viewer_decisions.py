"""What users decide in `coevol view`, in a real browser over real runs."""

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from ledger.decisions import Decision, decide, load_decisions
from ledger.ledger import Result
from reporting.labels import DECISIONS
from standin import StandIn
from tests.browser.conftest import ENGLISH, assert_harmless, ledger
from tests.chromium import Browser, viewing
from tests.conftest import FAILING, HOSTILE, look, remount

EDITING = "The response as you want it"
LONG = 40
"""The position of a sample whose response has 1 MB."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """41 records in mode evolve; each test decides on samples of its own."""
    folder = tmp_path_factory.mktemp("decisions")
    long = {"instruction": "Write much.", "output": "many words " * 95_000}
    records = [*json.loads(ENGLISH.read_text(encoding="utf-8")), long]
    (folder / "data.json").write_text(json.dumps(records), encoding="utf-8")
    look("evolve", "data.json", "-o", "run", "--rehearsal-wins", 0.7, cwd=folder)
    shutil.copytree(folder / "run", folder / "copy")
    return folder / "run"


@pytest.fixture(scope="module")
def copy(run: Path) -> Path:
    """A copy of it, before anything was decided."""
    return run.with_name("copy")


@pytest.fixture(scope="module")
def pages(run: Path, copy: Path) -> Iterator[str]:
    """The pages of the run, and of its copy under `/other`."""
    with viewing(run, copy) as url:
        yield url


@pytest.fixture
def fresh(run: Path) -> Iterator[int]:
    """The position of a sample that nothing was decided on."""
    before = decisions(run)
    yield next(n for n in accepted(run, 1) + accepted(run, 3)[1:] if (n, 0) not in before)
    assert before.items() <= decisions(run).items()  # decisions on other samples are as they were


def results(run: Path) -> dict[int, Result]:
    return {sample.position: by_mode["evolve"] for sample, by_mode in ledger(run).samples()}


def decisions(run: Path) -> dict[tuple[int, int], Decision]:
    """Return the decisions, by position and exchange."""
    found = load_decisions(ledger(run))
    return {(key[0], number): each for key, by in found.items() for number, each in by.items()}


def accepted(run: Path, rounds: int) -> list[int]:
    """Return the positions of the samples with so many accepted rounds."""
    return [position for position, result in results(run).items() if result.accepted_rounds == rounds]


def press(browser: Browser, key: str, shows: str) -> None:
    """Press a key and wait until the panel shows this."""
    browser.press(key)
    browser.until(lambda: shows in browser.one(".decision").text)


def write(browser: Browser, text: str) -> None:
    """Replace the text that is edited, as if another was pasted, and save it."""
    area = browser.one(".editing textarea")
    browser.script(
        "arguments[0].select(); document.execCommand('insertText', false, arguments[1])", area, text
    )
    area.send_keys(Keys.CONTROL, Keys.ENTER)
    browser.until(lambda: not browser.all(".editing"))


def notified(browser: Browser, words: str) -> None:
    """Wait for a notification."""
    browser.until(lambda: words in " ".join(browser.texts(".q-notification")))


def test_keys_and_buttons_decide(browser: Browser, run: Path, pages: str) -> None:
    position, *_ = accepted(run, 3)
    (done,) = results(run)[position].outcome
    before = decisions(run)
    browser.open(f"{pages}/sample/{position}")

    def saved(kind: str, response: str) -> bool:
        decision = decisions(run)[position, 0]
        return (decision.kind, decision.response) == (kind, response)

    press(browser, "a", "accepted")
    assert saved("accepted", done["response"])
    press(browser, "r", DECISIONS["rejected"])
    assert saved("rejected", done["original"])
    press(browser, "z", "none yet")
    assert decisions(run) == before

    # The drafts of the first rounds were accepted and then replaced; that of the last is the result.
    assert len(browser.all(".use")) == len(done["rounds"]) - 1
    browser.click(".use")
    browser.until(lambda: DECISIONS["chosen"] in browser.one(".decision").text)
    assert saved("chosen", done["rounds"][0]["draft"])

    browser.click(".decision .edit")
    browser.until(lambda: browser.script("return document.activeElement.tagName") == "TEXTAREA")
    assert browser.one(".editing textarea").get_attribute("value") == done["rounds"][0]["draft"]
    # While a text is edited, the keys type letters and decide nothing.
    browser.driver.switch_to.active_element.send_keys(" arze")
    browser.one(".decision .save").click()
    browser.until(lambda: saved("edited", done["rounds"][0]["draft"] + " arze"))

    browser.until(lambda: not browser.all(".editing"))
    browser.type(".note input", "more detailed", Keys.ENTER)
    browser.until(lambda: decisions(run)[position, 0].note == "more detailed")
    assert saved("edited", done["rounds"][0]["draft"] + " arze")
    press(browser, "a", "accepted")
    assert decisions(run)[position, 0].note == "more detailed"
    # A click on a button also saves the note.
    browser.type(".note input", ", not better")
    browser.one(".decision .reject").click()
    browser.until(lambda: "rejected" in browser.one(".decision").text)
    assert saved("rejected", done["original"])
    assert decisions(run)[position, 0].note == "more detailed, not better"
    press(browser, "a", "accepted")

    press(browser, "e", EDITING)
    browser.type(".editing textarea", "not saved", Keys.ESCAPE)
    browser.until(lambda: not browser.all(".editing"))
    assert saved("accepted", done["response"])

    # An empty text is not a response, and the panel stays open.
    press(browser, "e", EDITING)
    browser.type(".editing textarea", Keys.CONTROL, "a")
    browser.type(".editing textarea", Keys.BACKSPACE, " ", Keys.CONTROL, Keys.ENTER)
    notified(browser, "not a response")
    assert browser.all(".editing")
    assert saved("accepted", done["response"])
    browser.type(".editing textarea", Keys.ESCAPE)
    browser.until(lambda: not browser.all(".editing"))
    assert not browser.console()


def test_an_original_that_was_kept_cannot_be_rejected(browser: Browser, run: Path, pages: str) -> None:
    position, *_ = accepted(run, 0)
    before = decisions(run)
    browser.open(f"{pages}/sample/{position}")
    browser.until(lambda: browser.all(".decision .accept"))
    assert not browser.all(".decision .reject")
    browser.press("r")
    notified(browser, "there is nothing to reject")
    assert decisions(run) == before
    press(browser, "a", "accepted")
    assert decisions(run)[position, 0].kind == "accepted"


def test_the_table_and_the_overview_follow(browser: Browser, copy: Path, pages: str) -> None:
    url = pages + "/other"
    positions = sorted([*accepted(copy, 1)[:2], *accepted(copy, 3)[:1]])
    browser.open(f"{url}/samples?decided=some")
    assert browser.texts(".where") == ["1 to 41 of 41"]
    browser.open(f"{url}/sample/{positions[0]}?decided=some")
    press(browser, "a", "accepted")
    browser.press("j")  # the next undecided one
    browser.until(lambda: browser.texts(".sample-id") == [str(positions[0] + 1)])
    browser.open(f"{url}/sample/{positions[1]}")
    press(browser, "r", "rejected")
    browser.open(f"{url}/sample/{positions[2]}")
    press(browser, "e", EDITING)
    write(browser, "Something else.")

    for choice, found in {
        "all": positions, "accepted": positions[:1], "disagree": positions[1:2], "edited": positions[2:],
    }.items():  # fmt: skip
        browser.open(f"{url}/samples?decided={choice}")
        assert browser.ids() == [str(position) for position in found]
    assert browser.texts(".data .user") == ["✓ edited"]
    browser.open(f"{url}/samples?decided=nonsense")
    assert browser.texts(".where") == ["1 to 41 of 41"]
    assert browser.texts(".ignored") == ["No such filter, left out here: decided=nonsense"]
    browser.open(f"{url}/samples?accepted=zzz&decision=edited&order=id&down=1&accepted=0")
    assert browser.texts(".ignored") == ["No such filter, left out here: decision=edited, order=id"]
    browser.open(f"{url}/samples?accepted=0&order=length&reviewer=a&mode=evolve&begin=0&columns=new")
    assert not browser.all(".ignored")

    browser.open(url + "/")
    tiles = browser.until(browser.tiles)
    numbers = json.loads(look("stats", copy, "--json", cwd=copy.parent).stdout)
    deciding = numbers["modes"]["evolve"]["deciding"]
    assert (deciding["decided"], deciding["compared"], deciding["agreement"]) == (3, 2, 0.5)
    assert tiles["user and judge agree"] == "50 %"
    assert "3 of 41 decided: show the others" in browser.one(".deciding").text
    # The overview follows when a decision is taken back.
    browser.open(f"{url}/sample/{positions[1]}")
    press(browser, "z", "none yet")
    browser.open(url + "/")
    browser.until(lambda: browser.tiles()["user and judge agree"] == "100 %")


def test_keys_do_nothing_behind_a_dialog(browser: Browser, run: Path, pages: str, fresh: int) -> None:
    before = decisions(run)
    browser.open(f"{pages}/sample/{fresh}")
    browser.click(".bubble .open-messages")
    browser.until(lambda: browser.all(".message"))
    browser.script("document.activeElement.blur()")
    browser.press("a", "j", "e", "u", Keys.ESCAPE)
    browser.until(lambda: not browser.all(".message"))
    assert f"/sample/{fresh}" in browser.driver.current_url
    assert not browser.all(".editing")
    assert decisions(run) == before
    browser.script("document.activeElement.blur()")
    press(browser, "a", "accepted")
    assert decisions(run).keys() - before.keys() == {(fresh, 0)}


def test_each_exchange_of_a_conversation_has_its_decision(
    browser: Browser, talks: Path, talks_pages: str
) -> None:
    position = next(sample.position for sample, _ in ledger(talks).samples() if len(sample.exchanges) == 2)
    browser.open(f"{talks_pages}/sample/{position}")
    press(browser, "a", "accepted")
    browser.press("n")
    browser.until(lambda: "exchange=2" in browser.driver.current_url and browser.all(".decision"))
    press(browser, "e", EDITING)
    write(browser, "Mine.")
    browser.press("p")
    browser.until(lambda: "exchange=1" in browser.driver.current_url)
    browser.until(lambda: [text[-1] for text in browser.texts(".exchanges a")] == ["✓", "✓"])
    assert {key: each.kind for key, each in decisions(talks).items()} == {
        (position, 0): "accepted", (position, 1): "edited",
    }  # fmt: skip
    browser.open(f"{talks_pages}/samples?decided=all")
    assert len(browser.ids()) == 1


@pytest.mark.parametrize("text", [HOSTILE, "من اليمين إلى اليسار", "写一句话。\n\n第二句。"])
def test_what_a_user_writes_is_saved_as_it_is_and_has_no_effect(
    browser: Browser, run: Path, pages: str, fresh: int, text: str
) -> None:
    browser.open(f"{pages}/sample/{fresh}")
    press(browser, "e", EDITING)
    write(browser, text)
    browser.type(".note input", "<script>window.hacked = 20</script>", Keys.ENTER)
    browser.until(lambda: decisions(run)[fresh, 0].note)
    assert decisions(run)[fresh, 0].response == text
    for path in ("/samples", f"/sample/{fresh}"):
        browser.open(pages + path)
        browser.until(lambda: browser.all(".decision .wanted, .data"))
        assert_harmless(browser, pages)
    press(browser, "e", EDITING)
    assert browser.one(".editing textarea").get_attribute("value") == text
    assert_harmless(browser, pages)
    browser.one(".decision .cancel").click()
    browser.until(lambda: not browser.all(".editing"))


def test_half_a_surrogate_pair_does_not_break_the_page(
    browser: Browser, run: Path, pages: str, fresh: int
) -> None:
    decide(ledger(run), fresh, results(run)[fresh], 0, "half \ud800 of it")
    browser.open(f"{pages}/sample/{fresh}")
    browser.until(lambda: browser.texts(".decision .wanted .text") == ["half \ufffd of it"])
    press(browser, "e", EDITING)
    assert browser.one(".editing textarea").get_attribute("value") == "half \ufffd of it"
    browser.one(".decision .cancel").click()
    browser.until(lambda: not browser.all(".editing"))


def test_a_text_that_is_too_long_cannot_be_edited(browser: Browser, run: Path, pages: str) -> None:
    browser.open(f"{pages}/sample/{LONG}")
    browser.click(".decision .edit")
    notified(browser, "cannot be edited here")
    browser.script("document.activeElement.blur()")
    press(browser, "a", "accepted")
    assert len(decisions(run)[LONG, 0].response) >= 11 * 95_000


def test_a_result_that_was_replaced_cannot_be_decided_on(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(json.dumps(FAILING[:1]), encoding="utf-8")
    run = tmp_path / "run"
    words = ("evolve", "data.json", "-o", "run", "--model", "openai:gpt-4o-mini", "--history-window", 1)

    def evolve(server: StandIn, *more: str, status: int) -> None:
        at = ("--base-url", server.base_url("openai"))
        look(*words, *at, *more, cwd=tmp_path, env=server.environment(), status=status)

    with StandIn("content_filter:word=withheld", wins=1.0) as server:
        evolve(server, status=1)
    decide(ledger(run), 0, results(run)[0], 1, "Leek.", "the failed one")
    with viewing(run) as url:
        browser.open(f"{url}/sample/0?exchange=2")
        browser.until(lambda: "edited" in browser.one(".decision").text)
        with StandIn(wins=1.0) as server:
            evolve(server, "--retry-failed", status=0)
        browser.press("a")
        notified(browser, "worked on again since it was shown")
        assert decisions(run)[0, 1].response == "Leek."
        browser.open(f"{url}/sample/0?exchange=2")
        browser.until(lambda: "on an earlier result" in browser.one(".decision").text)
        browser.until(lambda: browser.texts(".decision .wanted .text") == ["Leek."])
        press(browser, "a", "accepted")
        assert "on an earlier result" not in browser.one(".decision").text
    assert decisions(run)[0, 1].stands


def test_a_read_only_folder_is_reported_in_one_message(browser: Browser, copy: Path, disk: Path) -> None:
    remount(disk, "size=50m")
    shutil.copytree(copy, disk / "run")
    remount(disk, "ro")
    with viewing(disk / "run") as url:
        browser.open(f"{url}/sample/0")
        browser.press("a")
        (message,) = browser.until(lambda: browser.texts(".q-notification__message"))
        assert "Not saved" in message
        assert "readonly" in message
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
        # `shutdown` waits for the next poll.
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_no_other_site_can_decide(browser: Browser, run: Path, pages: str, fresh: int) -> None:
    before = decisions(run)
    with other_site() as elsewhere:
        browser.open(f"{pages}/sample/{fresh}")
        browser.script(
            "window.sent = []; const emit = socket.emit.bind(socket);"
            "socket.emit = (...message) => { sent.push(message); return emit(...message); }"
        )
        press(browser, "a", "accepted")
        messages = [m for name, m in browser.script("return sent") if name == "event" and "keydown" in str(m)]
        assert messages
        press(browser, "z", "none yet")
        assert decisions(run) == before
        # The page stays open in its tab; the other site knows everything about it.
        own = browser.driver.current_window_handle
        address = pages.replace("http:", "ws:") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        for host in ("127.0.0.1", "localhost"):
            browser.driver.switch_to.new_window("tab")
            browser.driver.get(elsewhere.replace("127.0.0.1", host))
            assert browser.driver.execute_async_script(SEND, address, messages) == "refused"
            browser.driver.close()
            browser.driver.switch_to.window(own)
        assert decisions(run) == before
        # The same messages from a page of ours decide.
        assert browser.driver.execute_async_script(SEND, address, messages) == "sent"
        browser.until(lambda: decisions(run).keys() - before.keys() == {(fresh, 0)})
        browser.console()
