"""The pages of `coevol view` in a real browser, over real runs."""

import html
import http.client
import json
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

from selenium.webdriver.common.keys import Keys

from benchmarks.finished import finished_run
from benchmarks.records import write_lines
from reporting import html_text
from reporting.labels import AGREEMENT
from samples.fields import percent
from tests.browser.conftest import assert_harmless, evolve, ledger
from tests.chromium import Browser, entered, viewing
from tests.conftest import FAILING, look
from viewer.samples import REFRESH


def test_overview_shows_the_numbers_of_stats(browser: Browser, alpaca: Path, pages: str) -> None:
    numbers = json.loads(look("stats", alpaca, "--json", cwd=alpaca.parent).stdout)
    browser.open(pages + "/")
    browser.until(lambda: browser.all(".bill"))
    assert browser.texts(".progress") == ["120 of 120 results"]
    tiles = browser.tiles()
    assert tiles["calls"] == f"{numbers['calls']['total']['calls']:,}"
    assert tiles[AGREEMENT] == percent(numbers["modes"]["evolve"]["judging"]["agreement"])
    by_role = {row[0]: row[1:] for row in browser.rows(".bill")[1:]}
    assert list(by_role) == ["positive", "critical", "advisor", "editor", "judge", "all"]
    judge = numbers["calls"]["by_role"]["judge"]
    assert by_role["judge"][0] == f"{judge['calls']:,}"
    assert by_role["judge"][2] == f"{judge['input_tokens']:,}"
    # Modes edit and advise have one chart each, mode evolve three, and the calls one.
    drawn = "return [...document.querySelectorAll('canvas')].filter(c => c.width > 100).length"
    assert browser.until(lambda: browser.script(drawn) == 6)
    assert not browser.console()
    browser.open(pages + "/other/")
    browser.until(lambda: browser.texts(".progress") == ["60 of 60 results"])
    assert browser.texts(".records") == ["of records 1 to 30 of 40 in 2 modes"]


def test_tiles_and_bars_lead_to_their_samples(browser: Browser, alpaca: Path, pages: str) -> None:
    results = [(sample.id, by_mode["evolve"]) for sample, by_mode in ledger(alpaca).samples()]
    browser.open(pages + "/")
    browser.until(lambda: browser.all(".bill"))
    names = browser.texts(".plain-link .name")
    assert names[0] == "samples"
    assert "failed" not in names  # none did
    assert AGREEMENT in names
    last = len(names) - 1 - names[::-1].index("of responses changed")
    browser.click(".plain-link", last)
    browser.until(lambda: "changed=1" in browser.driver.current_url)
    browser.until(lambda: browser.ids() == [id for id, result in results if result.accepted_rounds])
    assert "changed" in browser.one(".filters").text

    # By keyboard: the links of a chart are in sight while one has the focus.
    browser.open(pages + "/")
    browser.until(lambda: browser.all(".accepted .doors a"))
    doors = browser.one(".accepted .doors")
    assert doors.size["height"] <= 1
    browser.script("document.querySelector('.accepted .doors a').focus()")
    browser.until(lambda: doors.size["height"] > 10)
    kept = [id for id, result in results if not result.accepted_rounds]
    assert browser.texts(".accepted .doors a")[0] == f"0 accepted rounds: {len(kept)}"
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    browser.until(lambda: "accepted=0" in browser.driver.current_url)
    browser.until(lambda: browser.ids() == kept)


def test_the_table_filters_sorts_and_searches(browser: Browser, alpaca: Path, pages: str) -> None:
    by_id = {sample.id: results for sample, results in ledger(alpaca).samples()}
    browser.open(pages + "/samples")
    assert browser.texts(".where") == ["1 to 50 of 120"]
    contradicting = [id for id, results in by_id.items() if results["evolve"].contradictions]
    assert contradicting

    # A filter is part of the address, and the address alone restores it.
    boxes = {box.text: box for box in browser.all(".q-checkbox")}
    boxes["verdicts contradict"].click()
    browser.until(lambda: "contradict=1" in browser.driver.current_url)
    browser.until(lambda: browser.ids() == contradicting)
    browser.open(browser.driver.current_url)
    assert browser.ids() == contradicting

    browser.open(pages + "/samples?mode=evolve&accepted=3")
    assert browser.ids() == [id for id, r in by_id.items() if r["evolve"].accepted_rounds == 3]

    browser.open(pages + "/samples?mode=evolve&grew=1")
    grown = [r["evolve"].final_tokens > 2 * r["evolve"].original_tokens for r in by_id.values()]
    assert len(browser.ids()) == sum(grown)

    browser.open(pages + "/samples?mode=edit&order=length&down=1")
    longest = max(by_id.values(), key=lambda r: r["edit"].final_tokens)["edit"].final_tokens
    assert f"→ {longest:,}" in browser.texts(".data tr td:nth-child(5)")[0]

    search = browser.one("input[aria-label='Search in requests and responses']")
    search.send_keys("REVERSES a string", Keys.ENTER)
    browser.until(lambda: browser.ids() == ["9"])
    assert "text=REVERSES" in browser.driver.current_url

    browser.open(pages + "/samples?begin=100")
    assert browser.texts(".where") == ["101 to 120 of 120"]
    assert len(browser.ids()) == 20
    browser.open(pages + "/samples?order=nonsense&accepted=x&begin=-3&mode=none")
    assert browser.texts(".where") == ["nothing matches"]


def test_a_sample_shows_its_whole_debate(browser: Browser, alpaca: Path, pages: str) -> None:
    sample, results = next(
        (sample, results)
        for sample, results in ledger(alpaca).samples()
        if results["evolve"].accepted_rounds == 1
    )
    (outcome,) = results["evolve"].outcome
    browser.open(f"{pages}/sample/{sample.position}?of=evolve")
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
    browser.click(".bubble.advisor .open-messages")
    browser.until(lambda: len(browser.all(".message")) == len(advised["messages"]) + 1)
    shown = browser.texts(".message .text")
    assert shown == [message["content"] for message in advised["messages"]] + [advised["reply"]]
    assert f"request: {advised['request']}" in browser.texts(".q-card")[0]
    assert not browser.console()


def test_keys_move_through_the_samples_of_the_table(browser: Browser, alpaca: Path, pages: str) -> None:
    wanted = [s.position for s, r in ledger(alpaca).samples() if r["evolve"].accepted_rounds == 1]
    assert len(wanted) > 2
    browser.open(pages + "/samples?mode=evolve&accepted=1")
    browser.one(".data tr td a").click()
    browser.until(lambda: browser.texts(".sample-id") == [str(wanted[0])])
    for key, index in (("j", 1), (Keys.ARROW_RIGHT, 2), ("k", 1), (Keys.ARROW_LEFT, 0)):
        browser.press(key)
        browser.until(lambda index=index: browser.texts(".sample-id") == [str(wanted[index])])  # type: ignore[misc]
    browser.press("u")
    browser.until(lambda: len(browser.ids()) == len(wanted))


def test_links_keep_the_table_position_and_the_search_text(browser: Browser, pages: str) -> None:
    browser.open(pages + "/samples?begin=50")
    ids = browser.ids()
    browser.one(".data tr td a").click()
    browser.until(lambda: browser.texts(".sample-id") == ids[:1])
    for key in ("j", "u"):
        before = browser.driver.current_url
        browser.press(key)
        browser.until(lambda before=before: browser.driver.current_url != before)  # type: ignore[misc]
    browser.until(lambda: browser.ids() == ids)
    assert browser.texts(".where") == ["51 to 100 of 120"]

    # A text that is not submitted yet is not lost when another filter is chosen.
    browser.wait_connected()
    browser.type("input[aria-label='Search in requests and responses']", "the")
    {box.text: box for box in browser.all(".q-checkbox")}["grew more than 2×"].click()
    browser.until(
        lambda: {"text=the", "grew=1"} <= set(browser.driver.current_url.partition("?")[2].split("&"))
    )


def test_a_search_continues_in_the_background(browser: Browser, tmp_path: Path) -> None:
    count, wanted = 12_000, "11990"  # the id of one of the last
    run = finished_run(tmp_path, write_lines(tmp_path / "data.jsonl", count), count)
    with viewing(run) as url:
        browser.open(f"{url}/samples?text={wanted}")
        browser.until(lambda: browser.ids() == [wanted])
        browser.until(lambda: browser.texts(".where") == ["1 found in results 1 to 12,000 of 12,000"])
        # Keys lead to what is found later, and the page says where nothing is.
        browser.open(f"{url}/sample/3?of=evolve&text={wanted}")
        browser.until(lambda: browser.texts(".previous-searched") == ["no previous one"])
        browser.until(lambda: browser.one("a.next").is_displayed())
        browser.press("j")
        browser.until(lambda: browser.texts(".sample-id") == [wanted])
        browser.until(lambda: browser.texts(".next-searched") == ["no next one"])
        # A full page ends the search.
        browser.open(f"{url}/samples?text=1")
        browser.until(lambda: len(browser.ids()) == 50)
        browser.one(".search-on").click()
        browser.until(lambda: "begin=" in browser.driver.current_url and len(browser.ids()) == 50)
        assert not browser.console()


def test_accepted_rounds_select_exchanges(browser: Browser, talks: Path, talks_pages: str) -> None:
    outcomes = {sample.id: results["evolve"].outcome for sample, results in ledger(talks).samples()}
    numbers = {done["accepted_rounds"] for outcome in outcomes.values() for done in outcome}
    assert len(numbers) > 2
    found = 0
    for number in sorted(numbers):
        having = {
            id: [done["exchange"] for done in outcome if done["accepted_rounds"] == number]
            for id, outcome in outcomes.items()
        }
        wanted = [id for id, exchanges in having.items() if exchanges]
        browser.open(f"{talks_pages}/samples?mode=evolve&accepted={number}")
        assert browser.ids() == wanted
        found += sum(map(len, having.values()))
        # A sample opens at the first exchange that matches, all of which are highlighted.
        row = next((row for row, id in enumerate(wanted) if len(outcomes[id]) > 1), 0)
        browser.all(".data td.id a")[row].click()
        browser.until(lambda id=wanted[row]: browser.texts(".sample-id") == [id])  # type: ignore[misc]
        if len(outcomes[wanted[row]]) > 1:
            chips = browser.all(".exchanges a.matching")
            assert [int(chip.text.split(":")[0]) - 1 for chip in chips] == having[wanted[row]]
            assert "here" in str(chips[0].get_attribute("class"))
    assert found == sum(map(len, outcomes.values()))


def test_a_conversation_is_shown_exchange_by_exchange(
    browser: Browser, talks: Path, talks_pages: str
) -> None:
    sample, results = next((s, r) for s, r in ledger(talks).samples() if len(s.exchanges) > 2)
    outcome = results["evolve"].outcome
    browser.open(f"{talks_pages}/sample/{sample.position}?of=evolve")
    assert len(browser.all(".exchanges a")) == len(sample.exchanges)
    browser.all(".exchanges a")[1].click()
    browser.until(lambda: "exchange=2" in browser.driver.current_url and browser.all(".round"))
    assert sample.exchanges[1].instruction.split("\n")[0] in browser.one(".page").text
    assert len(browser.all(".round")) == len(outcome[1]["rounds"])
    browser.click(".q-expansion-item .q-item")
    browser.until(lambda: outcome[0]["response"].split("\n")[0][:60] in browser.one(".q-expansion-item").text)


def test_texts_of_the_data_and_of_models_have_no_effect(browser: Browser, odd_pages: str) -> None:
    compared = ("/compare", "/compare/samples?kind=all", "/compare/sample/0")
    for path in ("/", "/samples", "/samples?text=hacked", "/sample/1", *compared, "/sample/0?of=evolve"):
        browser.open(odd_pages + path)
        browser.until(lambda: browser.all(".bill, .data, .text"))
        assert_harmless(browser, odd_pages)
    browser.until(lambda: browser.all(".bubble"))
    for button in (".open-messages", ".open-differences"):
        browser.one(button).click()
        browser.until(lambda: browser.all(".q-card .text"))
        assert_harmless(browser, odd_pages)
        browser.press(Keys.ESCAPE)
        browser.until(lambda: not browser.all(".q-card"))
    browser.click(".how button", 1)
    browser.until(lambda: browser.all(".new .text:not(.plain)"))
    assert_harmless(browser, odd_pages)
    # They can still be read as they were written.
    assert "<script>window.hacked = 1</script>" in browser.one(".new").text


def test_texts_have_the_direction_of_their_script(browser: Browser, odd_pages: str) -> None:
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


def test_a_text_of_1_mb_is_cut_until_all_of_it_is_requested(browser: Browser, odd_pages: str) -> None:
    browser.open(odd_pages + "/sample/4?of=evolve")
    browser.until(lambda: browser.all(".old .text"))
    length = "return document.querySelector('.old .text').textContent.length"
    assert browser.script(length) == 20_000
    assert browser.script("return document.body.innerHTML.length") < 1_000_000
    browser.one(".old .show-all").click()
    browser.until(lambda: browser.script(length) == 95_000 * 11)
    assert not browser.console()


def test_pages_are_dark_where_the_system_is(browser: Browser, pages: str) -> None:
    brightness = (
        "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    for scheme, dark in (("dark", True), ("light", False)):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.open(pages + "/samples")
        browser.until(lambda dark=dark: (max(browser.script(brightness)) < 60) == dark)  # type: ignore[misc]


def test_the_graph_shows_how_often_each_edge_was_taken(browser: Browser, alpaca: Path, pages: str) -> None:
    outcomes = [r["evolve"].outcome[0] for _, r in ledger(alpaca).samples()]
    rounds = sum(len(outcome["rounds"]) for outcome in outcomes)
    browser.open(pages + "/graph?mode=evolve")
    nodes = browser.until(lambda: browser.texts(".drawing .node"))
    assert any(f"positive opening{rounds:,} calls" in node.replace("\n", "") for node in nodes)
    taken = {text.strip() for text in browser.texts(".drawing .times")}
    assert {f"{len(outcomes)}×", f"{rounds}×", f"{rounds - len(outcomes)}×"} <= taken

    position = next(n for n, outcome in enumerate(outcomes) if len(outcome["rounds"]) == 2)
    browser.open(f"{pages}/sample/{position}?of=evolve")
    browser.one(".sample-path").click()
    nodes = browser.until(lambda: browser.texts(".drawing .node"))
    assert any("advisor2 calls" in node.replace("\n", "") for node in nodes)
    assert not browser.console()


def test_failed_and_skipped_samples_say_why(browser: Browser, failing_pages: str) -> None:
    browser.open(failing_pages + "/")
    browser.until(lambda: browser.all(".bill"))
    assert browser.texts(".failures td") == ["content filter", "1"]
    browser.one(".failures a").click()
    browser.until(lambda: browser.ids() == ["middle"])

    browser.one(".data td a").click()
    browser.until(lambda: browser.texts(".sample-id") == ["middle"])
    assert browser.texts(".exchanges a") == ["1: 2 accepted", "2: failed", "3: 2 accepted"]
    # It opens at the exchange that matches.
    assert browser.texts(".exchanges a.here") == browser.texts(".exchanges a.matching") == ["2: failed"]
    browser.until(lambda: browser.all(".bubble"))
    assert "failed" in browser.texts(".bubble .tag")
    assert "content filter: " in browser.one(".bubble").text

    browser.open(failing_pages + "/samples?status=skipped")
    assert browser.ids() == ["tool"]
    browser.one(".data td a").click()
    browser.until(lambda: "a turn of function_call" in browser.one(".page").text)
    assert json.loads(browser.texts(".page .text")[-1]) == FAILING[1]


def test_a_run_without_results_says_why_its_calls_failed(browser: Browser, tmp_path: Path) -> None:
    records = [{"instruction": f"Say {n}.", "output": "Well."} for n in range(20)]
    (tmp_path / "data.json").write_text(json.dumps(records), encoding="utf-8")
    run = evolve(tmp_path, "content_filter:rate=1", status=3)
    why = "content filter: openai:gpt-4o-mini at "
    assert f"Why the last call failed: {why}" in look("stats", run, cwd=tmp_path).stdout
    with viewing(run) as url:
        browser.open(url + "/")
        browser.until(lambda: browser.texts(".progress") == ["0 of 20 results"])
        assert browser.one(".last-failure .text").text.startswith(why)


def test_a_run_that_is_deleted_meanwhile_is_missed_in_one_line(
    browser: Browser, alpaca: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(alpaca, tmp_path / "run")
    with viewing(run) as url:  # no traceback is printed
        headers = entered(url)
        browser.open(f"{url}/samples")
        shutil.rmtree(run)
        time.sleep(REFRESH + 1)  # the table looks for new results
        for path in ("/samples", "/sample/0", "/graph", "/selection.jsonl"):
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            page = answer.read().decode()
            connection.close()
            assert answer.status == 503
            assert f"{run / 'ledger.sqlite'} cannot be used" in html.unescape(page)


def test_code_is_marked_as_code_among_differences() -> None:
    old = "Do:\n```python\nprint(1)\n```\nthat."
    new = "Do this:\n```python\nprint(2)\n```\nthat.\n~~~\n<b>"
    left, right = html_text.marked(old, new)
    assert left == "Do:\n<code>```python\nprint(</code><code><del>1</del></code><code>)\n```</code>\nthat."
    assert right.startswith("Do<ins> this</ins>:\n<code>```python\nprint(</code><code><ins>2</ins></code>")
    assert right.endswith("<code><ins>~~~\n&lt;b&gt;</ins></code>")
    assert html_text.plain(old).count("<code>") == 1
