"""The pages of `coevol view`, looked at with a real browser over real runs."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from benchmarks.finished import finished_run
from benchmarks.records import write_lines
from ledger.ledger import Ledger
from reporting import html_text as texts
from standin import StandIn
from tests import program
from tests.chromium import Browser, viewing
from tests.conftest import FAILING
from tests.program import coevol

pytestmark = pytest.mark.skipif(not program.DATA.exists(), reason="the data sets are not at hand")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def alpaca(runs: Path) -> Path:
    """120 results of single exchanges in two modes."""
    data = program.DATA / "alpaca_en_300.json"
    modes = ("--mode", "edit", "--mode", "evolve")
    coevol("evolve", data, "-o", runs / "alpaca", "--stop", 60, *modes, cwd=runs)
    return runs / "alpaca"


@pytest.fixture(scope="module")
def alpaca_pages(alpaca: Path) -> Iterator[str]:
    with viewing(alpaca) as url:
        yield url


def ledger(run: Path) -> Ledger:
    return Ledger.open(run / "ledger.sqlite")


def test_overview_shows_the_numbers_of_stats(browser: Browser, alpaca: Path, alpaca_pages: str) -> None:
    numbers = json.loads(coevol("stats", alpaca, "--json", cwd=alpaca.parent).stdout)
    browser.open(alpaca_pages + "/")
    browser.until(lambda: browser.all(".bill"))
    assert browser.texts(".progress") == ["120 of 600 results"]
    tiles = dict(
        zip(browser.texts(".tile .name"), browser.texts(".tile .value"), strict=True)  # the last mode wins
    )
    assert tiles["calls"] == f"{numbers['calls']['total']['calls']:,}"
    assert tiles["judge agrees with itself"] == f"{numbers['modes']['evolve']['judging']['agreement']:.0%}"
    rows = browser.script(
        "return [...document.querySelectorAll('.bill tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    by_role = {row[0]: row[1:] for row in rows[1:]}
    assert list(by_role) == ["positive", "critical", "advisor", "editor", "judge", "all"]
    judge = numbers["calls"]["by_role"]["judge"]
    assert by_role["judge"][0] == f"{judge['calls']:,}"
    assert by_role["judge"][2] == f"{judge['input_tokens']:,}"
    # Mode edit has one chart, mode evolve three, and the calls have one.
    drawn = browser.script(
        "return [...document.querySelectorAll('canvas')].filter(c => c.width > 100).length"
    )
    assert drawn == 5
    assert not browser.complaints()


def test_overview_follows_a_run_that_goes_on(browser: Browser, runs: Path) -> None:
    run = runs / "going"
    with StandIn(latency=0.2) as server:
        model = ("--model", "openai:gpt-4o-mini", "--base-url", server.base_url("openai"), "--concurrency", 8)
        data = program.DATA / "alpaca_en_300.json"
        process = program.start("evolve", data, "-o", run, *model, cwd=runs, env=server.environment())
        try:
            browser.until(lambda: Ledger.exists(run / "ledger.sqlite") and ledger(run).finished())
            with viewing(run) as url:
                browser.open(url + "/")

                def finished() -> int:
                    (text,) = browser.texts(".progress")
                    return int(text.split()[0].replace(",", ""))

                first = browser.until(finished)
                browser.until(lambda: browser.all(".q-expansion-item .q-item"))[0].click()
                assert browser.until(lambda: finished() > first)
                # What a person opened stays open while the numbers around it change.
                assert browser.until(lambda: browser.one(".q-expansion-item .data").is_displayed())
                second = finished()
                assert browser.until(lambda: finished() > second)
                assert browser.one(".q-expansion-item .data").is_displayed()
                browser.open(url + "/samples?order=length&down=1")
                assert len(shown_ids(browser)) >= first
                assert browser.until(lambda: "more since: reload" in browser.texts(".more")[0])
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            assert process.returncode == 3, out + err  # so it was going on all the while
        finally:
            process.kill()
            process.wait()
            for pipe in filter(None, (process.stdout, process.stderr)):
                pipe.close()


def shown_ids(browser: Browser) -> list[str]:
    return browser.texts(".data tr td:first-child")


def test_the_table_filters_sorts_and_searches(browser: Browser, alpaca: Path, alpaca_pages: str) -> None:
    by_id = {sample.id: results for sample, results in ledger(alpaca).samples()}
    browser.open(alpaca_pages + "/samples")
    assert browser.texts(".where") == ["1 to 50 of 120"]
    contradicting = [id for id, results in by_id.items() if results["evolve"].contradictions]
    assert contradicting

    # A filter stands in the address, and the address alone brings it back.
    boxes = {box.text: box for box in browser.all(".q-checkbox")}
    boxes["verdicts contradict"].click()
    browser.until(lambda: "contradict=1" in browser.driver.current_url)
    browser.until(lambda: shown_ids(browser) == contradicting)
    browser.open(browser.driver.current_url)
    assert shown_ids(browser) == contradicting

    browser.open(alpaca_pages + "/samples?mode=evolve&accepted=3")
    assert shown_ids(browser) == [id for id, r in by_id.items() if r["evolve"].accepted_rounds == 3]

    browser.open(alpaca_pages + "/samples?mode=evolve&grew=1")
    grown = [r["evolve"].final_tokens > 2 * r["evolve"].original_tokens for r in by_id.values()]
    assert len(shown_ids(browser)) == sum(grown)

    browser.open(alpaca_pages + "/samples?mode=edit&order=length&down=1")
    longest = max(by_id.values(), key=lambda r: r["edit"].final_tokens)["edit"].final_tokens
    assert f"→ {longest:,}" in browser.texts(".data tr td:nth-child(6)")[0]

    search = browser.one("input[aria-label='Search in requests and responses']")
    search.send_keys("BIRDS and mammals", Keys.ENTER)
    browser.until(lambda: shown_ids(browser) == ["9"])
    assert "text=BIRDS" in browser.driver.current_url

    browser.open(alpaca_pages + "/samples?begin=100")
    assert browser.texts(".where") == ["101 to 120 of 120"]
    assert len(shown_ids(browser)) == 20
    browser.open(alpaca_pages + "/samples?order=nonsense&accepted=x&begin=-3&mode=none")
    assert browser.texts(".where") == ["nothing matches"]


def test_a_sample_shows_all_that_happened_to_it(browser: Browser, alpaca: Path, alpaca_pages: str) -> None:
    sample, results = next(
        (sample, results)
        for sample, results in ledger(alpaca).samples()
        if results["evolve"].accepted_rounds == 1
    )
    (outcome,) = results["evolve"].outcome
    browser.open(f"{alpaca_pages}/sample/{sample.position}?of=evolve")
    browser.until(lambda: browser.all("ins"))
    assert browser.script("return document.querySelector('.old .text').innerText") == outcome["original"]
    assert browser.script("return document.querySelector('.new .text').innerText") == outcome["response"]
    assert "rehearsed 1×" in browser.texts(".new ins")[-1]

    rounds = outcome["rounds"]
    assert len(browser.all(".round")) == len(rounds)
    first = browser.all(".round")[0].text
    for reply in (rounds[0]["suggestions"].splitlines()[0], rounds[0]["forward"]["reply"].splitlines()[1]):
        assert reply in first
    assert "prefers the draft" in first

    # The exact messages of a call, and what it took.
    calls = [call for call in ledger(alpaca).calls(sample.id) if call["mode"] == "evolve"]
    advised = next(call for call in calls if call["step"] == "advisor")
    browser.one(".bubble.advisor .open-messages").click()
    browser.until(lambda: len(browser.all(".message")) == len(advised["messages"]) + 1)
    shown = browser.texts(".message .text")
    assert shown == [message["content"] for message in advised["messages"]] + [advised["reply"]]
    assert f"request: {advised['request']}" in browser.texts(".q-card")[0]
    assert not browser.complaints()


def test_keys_lead_through_what_the_table_showed(browser: Browser, alpaca: Path, alpaca_pages: str) -> None:
    wanted = [s.position for s, r in ledger(alpaca).samples() if r["evolve"].accepted_rounds == 2]
    assert len(wanted) > 2
    browser.open(alpaca_pages + "/samples?mode=evolve&accepted=2")
    browser.one(".data tr td a").click()
    browser.until(lambda: browser.texts(".sample-id") == [str(wanted[0])])
    for key, place in (("j", 1), (Keys.ARROW_RIGHT, 2), ("k", 1), (Keys.ARROW_LEFT, 0)):
        browser.until(lambda: browser.script("return !!window.socket?.connected"))
        browser.press(key)
        browser.until(lambda place=place: browser.texts(".sample-id") == [str(wanted[place])])  # type: ignore[misc]
    browser.until(lambda: browser.script("return !!window.socket?.connected"))
    browser.press("u")
    browser.until(lambda: len(shown_ids(browser)) == len(wanted))


def test_the_place_in_the_table_and_what_is_searched_are_kept(browser: Browser, alpaca_pages: str) -> None:
    browser.open(alpaca_pages + "/samples?begin=50")
    ids = shown_ids(browser)
    browser.one(".data tr td a").click()
    browser.until(lambda: browser.texts(".sample-id") == ids[:1])
    for key in ("j", "u"):
        browser.until(lambda: browser.script("return !!window.socket?.connected"))
        before = browser.driver.current_url
        browser.press(key)
        browser.until(lambda before=before: browser.driver.current_url != before)  # type: ignore[misc]
    browser.until(lambda: shown_ids(browser) == ids)
    assert browser.texts(".where") == ["51 to 100 of 120"]

    # A text that is not sent off yet is not lost when something else is chosen.
    browser.until(lambda: browser.script("return !!window.socket?.connected"))
    browser.one("input[aria-label='Search in requests and responses']").send_keys("the")
    {box.text: box for box in browser.all(".q-checkbox")}["grew more than 2×"].click()
    browser.until(lambda: "text=the" in browser.driver.current_url)
    assert "grew=1" in browser.driver.current_url


def test_a_search_goes_on_by_itself(browser: Browser, tmp_path: Path) -> None:
    count, wanted = 20_000, "19990"  # which is the id of one of the last
    run = finished_run(tmp_path, write_lines(tmp_path / "data.jsonl", count), count)
    with viewing(run) as url:
        browser.open(f"{url}/samples?text={wanted}")
        browser.until(lambda: shown_ids(browser) == [wanted])
        browser.until(lambda: browser.texts(".where") == ["1 found in results 1 to 20,000 of 20,000"])
        # Keys lead to what is found after a while, and say so where nothing is.
        browser.open(f"{url}/sample/3?of=evolve&text={wanted}")
        browser.until(lambda: browser.texts(".previous-searched") == ["no previous one"])
        browser.until(lambda: browser.one("a.next").is_displayed())
        browser.press("j")
        browser.until(lambda: browser.texts(".sample-id") == [wanted])
        browser.until(lambda: browser.texts(".next-searched") == ["no next one"])
        # A page that is full is enough.
        browser.open(f"{url}/samples?text=1")
        browser.until(lambda: len(shown_ids(browser)) == 50)
        browser.one(".search-on").click()
        browser.until(lambda: "begin=" in browser.driver.current_url and len(shown_ids(browser)) == 50)
        assert not browser.complaints()


def test_a_bar_leads_to_the_samples_that_it_counts(browser: Browser, runs: Path) -> None:
    run = runs / "bars"
    coevol("evolve", program.DATA / "sharegpt_long_90.json", "-o", run, "--stop", 12, cwd=runs)
    outcomes = {sample.id: results["evolve"].outcome for sample, results in ledger(run).samples()}
    numbers = {n for outcome in outcomes.values() for done in outcome for n in [done["accepted_rounds"]]}
    assert len(numbers) > 2
    found = 0
    with viewing(run) as url:
        for number in sorted(numbers):
            having = {
                id: [done["exchange"] for done in outcome if done["accepted_rounds"] == number]
                for id, outcome in outcomes.items()
            }
            wanted = [id for id, places in having.items() if places]
            browser.open(f"{url}/samples?mode=evolve&accepted={number}")
            assert shown_ids(browser) == wanted
            found += sum(map(len, having.values()))
            browser.one(".data td a").click()
            browser.until(lambda wanted=wanted: browser.texts(".sample-id") == wanted[:1])  # type: ignore[misc]
            if len(outcomes[wanted[0]]) > 1:
                chips = browser.all(".exchanges a.looked-for")
                assert [int(chip.text.split(":")[0]) - 1 for chip in chips] == having[wanted[0]]
                assert "here" in str(chips[0].get_attribute("class"))
        assert found == sum(map(len, outcomes.values()))


def test_a_conversation_is_shown_exchange_by_exchange(browser: Browser, runs: Path) -> None:
    run = runs / "talk"
    coevol("evolve", program.DATA / "sharegpt_long_90.json", "-o", run, "--stop", 3, cwd=runs)
    sample, results = next(iter(ledger(run).samples()))
    outcome = results["evolve"].outcome
    with viewing(run) as url:
        browser.open(f"{url}/sample/0?of=evolve")
        assert len(browser.all(".exchanges a")) == len(sample.exchanges)
        browser.all(".exchanges a")[1].click()
        browser.until(lambda: "exchange=2" in browser.driver.current_url and browser.all(".round"))
        assert sample.exchanges[1].instruction.split("\n")[0] in browser.one(".page").text
        assert len(browser.all(".round")) == len(outcome[1]["rounds"])
        browser.until(lambda: browser.script("return !!window.socket?.connected"))
        browser.one(".q-expansion-item .q-item").click()
        browser.until(
            lambda: outcome[0]["response"].split("\n")[0][:60] in browser.one(".q-expansion-item").text
        )


@pytest.fixture(scope="module")
def odd_pages(odd_run: Path) -> Iterator[str]:
    with viewing(odd_run) as url:
        yield url


def test_texts_of_the_data_and_of_models_do_nothing(browser: Browser, odd_pages: str) -> None:
    compared = ("/compare", "/compare/samples?kind=all", "/compare/sample/0")
    for path in ("/", "/samples", "/samples?text=hacked", "/sample/1", *compared, "/sample/0?of=evolve"):
        browser.open(odd_pages + path)
        browser.until(lambda: browser.all(".bill, .data, .text"))
        assert_tame(browser, odd_pages)
    browser.until(lambda: browser.all(".bubble"))
    for button in (".open-messages", ".open-differences"):
        browser.one(button).click()
        browser.until(lambda: browser.all(".q-card .text"))
        assert_tame(browser, odd_pages)
        browser.press(Keys.ESCAPE)
        browser.until(lambda: not browser.all(".q-card"))
    browser.script("window.scrollTo(0, 0)")  # away from under the bar
    browser.all(".how button")[1].click()
    browser.until(lambda: browser.all(".new .text:not(.plain)"))
    assert_tame(browser, odd_pages)
    # What was written can still be read, as it was written.
    assert "<script>window.hacked = 1</script>" in browser.one(".new").text


def assert_tame(browser: Browser, url: str) -> None:
    """Nothing that the texts of a page hold has done anything."""
    assert browser.script("return window.hacked") is None
    assert browser.one(".bar").is_displayed()
    inside = ".text script, .text img, .text svg, .text iframe, .text style, .text [onclick], .text [style]"
    assert not browser.all(inside)
    links = browser.script("return [...document.querySelectorAll('.page a')].map(a => a.protocol)")
    assert set(links) <= {"http:"}
    loaded = browser.script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert all(name.startswith((url, "data:", "blob:")) for name in loaded), loaded


def test_scripts_of_all_directions(browser: Browser, odd_pages: str) -> None:
    browser.open(odd_pages + "/samples?mode=evolve")
    assert browser.texts(".data .excerpt")[1:] == ["请写一句话。", "قل شيئا", "Write much."]
    browser.open(odd_pages + "/sample/2?of=evolve")
    browser.until(lambda: browser.all("ins"))
    assert browser.texts(".old del") == []

    browser.open(odd_pages + "/sample/3?of=evolve")
    browser.until(lambda: browser.all(".old .text"))
    direction = "return getComputedStyle(document.querySelector(arguments[0])).direction"
    assert browser.script(direction, ".old .text") == "rtl"
    assert browser.script(direction, ".bubble.editor .text li") == "rtl"
    assert browser.script(direction, ".bubble .who") == "ltr"


def test_a_text_of_1_mb_is_cut_until_it_is_asked_for(browser: Browser, odd_pages: str) -> None:
    browser.open(odd_pages + "/sample/4?of=evolve")
    browser.until(lambda: browser.all(".old .text"))
    length = "return document.querySelector('.old .text').textContent.length"
    assert browser.script(length) == 20_000
    assert browser.script("return document.body.innerHTML.length") < 1_000_000
    browser.one(".old button").click()
    browser.until(lambda: browser.script(length) == 95_000 * 11)
    assert not browser.complaints()


def test_dark_where_the_system_is_dark(browser: Browser, alpaca_pages: str) -> None:
    brightness = (
        "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    for scheme, dark in (("dark", True), ("light", False)):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.open(alpaca_pages + "/samples")
        browser.until(lambda dark=dark: (max(browser.script(brightness)) < 60) == dark)  # type: ignore[misc]


def test_the_graph_shows_how_often_each_way_was_taken(
    browser: Browser, alpaca: Path, alpaca_pages: str
) -> None:
    outcomes = [r["evolve"].outcome[0] for _, r in ledger(alpaca).samples()]
    rounds = sum(len(outcome["rounds"]) for outcome in outcomes)
    browser.open(alpaca_pages + "/graph?mode=evolve")
    nodes = browser.until(lambda: browser.texts(".drawing .node"))
    assert any(f"positive opening{rounds:,} calls" in node.replace("\n", "") for node in nodes)
    taken = {text.strip() for text in browser.texts(".drawing .times")}
    assert {f"{len(outcomes)}×", f"{rounds}×", f"{rounds - len(outcomes)}×"} <= taken

    place = next(place for place, outcome in enumerate(outcomes) if len(outcome["rounds"]) == 2)
    browser.open(f"{alpaca_pages}/sample/{place}?of=evolve")
    browser.one(".its-way").click()
    nodes = browser.until(lambda: browser.texts(".drawing .node"))
    assert any("advisor2 calls" in node.replace("\n", "") for node in nodes)
    assert not browser.complaints()


def test_failed_and_skipped_samples_say_why(browser: Browser, failing_run: Path) -> None:
    with viewing(failing_run) as url:
        browser.open(url + "/")
        browser.until(lambda: browser.all(".bill"))
        assert browser.texts(".failures td") == ["content filter", "1"]
        browser.one(".failures a").click()
        browser.until(lambda: shown_ids(browser) == ["middle"])

        browser.one(".data td a").click()
        browser.until(lambda: browser.texts(".sample-id") == ["middle"])
        assert browser.texts(".exchanges a") == ["1: 2 accepted", "2: failed", "3: 2 accepted"]
        # It opens at the exchange that is looked for.
        assert browser.texts(".exchanges a.here") == browser.texts(".exchanges a.looked-for") == ["2: failed"]
        browser.until(lambda: browser.all(".bubble"))
        assert "failed" in browser.texts(".bubble .tag")
        assert "withheld" in browser.one(".bubble").text.lower() or "content" in browser.one(".bubble").text

        browser.open(url + "/samples?status=skipped")
        assert shown_ids(browser) == ["tool"]
        browser.one(".data td a").click()
        browser.until(lambda: "a turn of function_call" in browser.one(".page").text)
        assert json.loads(browser.texts(".page .text")[-1]) == FAILING[1]


def test_code_looks_like_code_where_differences_are_marked() -> None:
    old = "Do:\n```python\nprint(1)\n```\nthat."
    new = "Do this:\n```python\nprint(2)\n```\nthat.\n~~~\n<b>"
    left, right = texts.marked(old, new)
    assert left == "Do:\n<code>```python\nprint(</code><code><del>1</del></code><code>)\n```</code>\nthat."
    assert right.startswith("Do<ins> this</ins>:\n<code>```python\nprint(</code><code><ins>2</ins></code>")
    assert right.endswith("<code><ins>~~~\n&lt;b&gt;</ins></code>")
    assert texts.plain(old).count("<code>") == 1
