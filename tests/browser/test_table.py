"""The table of samples: it searches as one types, sorts, shows chosen columns and is exported."""

import json
import re
import urllib.request
from pathlib import Path

from selenium.webdriver.common.keys import Keys

from ledger.browse import ResultRow
from ledger.ledger import Result
from samples.formats import make_sample
from tests.browser.conftest import ENGLISH, ledger
from tests.chromium import Browser
from viewer.results_table import table

SEARCH = "input[aria-label='Search in requests and responses']"


def test_hits_are_shown_and_marked_while_one_types(browser: Browser, alpaca: Path, pages: str) -> None:
    browser.open(pages + "/samples?mode=evolve")
    browser.type(SEARCH, "REVERSES a str")
    browser.until(lambda: browser.ids() == ["9"])
    assert {text.lower() for text in browser.texts(".data mark")} == {"reverses a str"}
    assert "text=REVERSES" in browser.driver.current_url
    # The field is still the same one: the user goes on.
    browser.driver.switch_to.active_element.send_keys("ange")
    browser.until(lambda: "0 found" in browser.texts(".where")[0])
    browser.driver.switch_to.active_element.send_keys(*[Keys.BACKSPACE] * 30)
    browser.until(lambda: browser.texts(".where") == ["1 to 40 of 40"])

    # A hit that no column shows is shown with the words around it, and marked on the page of its sample.
    browser.type(SEARCH, "rehearsed 1×")
    browser.until(lambda: browser.all(".data mark"))
    assert browser.texts(".data .excerpt div")[0].startswith("new response: …")
    browser.one(".data td a").click()
    browser.until(lambda: "rehearsed 1×" in browser.texts(".new mark"))
    browser.click(".how button", 1)
    browser.until(lambda: "rehearsed 1×" in browser.texts(".new .text:not(.plain) mark"))
    assert not browser.console()


def test_marks_are_only_marks(browser: Browser, odd_pages: str) -> None:
    for text in ("<script>", "%5Cw+%28", "%22%3E%3Cimg"):
        browser.open(f"{odd_pages}/samples?mode=evolve&text={text}")
        browser.until(lambda: browser.all(".where"))
        browser.open(f"{odd_pages}/sample/0?of=evolve&text={text}")
        browser.until(lambda: browser.all(".old .text"))
        assert browser.script("return window.hacked") is None
    browser.open(f"{odd_pages}/sample/0?of=evolve&text=<script>")
    browser.until(lambda: "<script>" in browser.texts(".old mark"))
    # What is marked can be copied and compared as before.
    assert "# <script>window.hacked = 1</script>" in browser.texts(".old .text")[0]


def test_headers_sort_and_columns_are_chosen(browser: Browser, alpaca: Path, pages: str) -> None:
    by_length = sorted(ledger(alpaca).samples(), key=lambda found: found[1]["edit"].final_tokens)
    browser.open(pages + "/samples?mode=edit")
    browser.click("th.tokens a")
    browser.until(lambda: "order=length&down=1" in browser.driver.current_url)
    browser.until(lambda: browser.ids()[:1] == [by_length[-1][0].id])
    assert browser.one("th.tokens").get_attribute("aria-sort") == "descending"
    browser.click("th.tokens a")
    browser.until(lambda: browser.ids()[:1] == [by_length[0][0].id])

    browser.click(".results-tools button")
    for name in ("Mode", "New response"):
        browser.until(lambda name=name: name in browser.texts(".q-menu .q-checkbox"))  # type: ignore[misc]
        boxes = browser.texts(".q-menu .q-checkbox")
        browser.click(".q-menu .q-checkbox", boxes.index(name))
    browser.until(lambda: "New response" in browser.texts("th"))
    browser.open(browser.driver.current_url)
    heads = ["Id", "Request", "New response", "Outcome", "Tokens, old → new ↑", "Growth"]
    assert [text.strip() for text in browser.texts("th")] == heads
    new = by_length[0][1]["edit"].outcome[0]["response"]
    # It begins where it differs from the old one, or a few characters before.
    assert browser.rows(".data")[1][2].removeprefix("… ") in " ".join(new.split())
    browser.open(pages + "/samples?columns=id,nonsense")
    assert browser.texts("th") == ["Id ↑"]


def test_columns_that_say_the_same_of_all_samples_are_left_out(
    browser: Browser, pages: str, talks_pages: str
) -> None:
    browser.open(f"{pages}/samples")
    assert browser.texts("th") == ["Id ↑", "Mode", "Request", "Outcome", "Tokens, old → new", "Growth"]
    browser.open(f"{talks_pages}/samples")
    assert browser.texts("th") == ["Id ↑", "Request", "Outcome", "Exchanges", "Tokens, old → new", "Growth"]
    browser.open(f"{talks_pages}/samples?columns=mode")
    assert browser.texts("th") == ["Id ↑", "Mode"]


def test_excerpts_begin_where_responses_differ() -> None:
    same = "The same beginning of both responses, which is longer than a column is wide. "
    record = {"instruction": "Say it.", "output": f"{same}Old end."}
    outcome: list[dict[str, object]] = [{"exchange": 0, "response": f"{same}New end."}]
    row = ResultRow(
        make_sample(0, "a", record, "alpaca"), Result("edit", "done", None, 1, 1, 9, 9, 0, outcome, 0.0)
    )
    shown = table(("old", "new"), lambda _: ("", ""), [row], lambda _: "/", lambda _: "", "")
    assert re.findall(r'<a href="/">(… [^<]*)', shown) == [
        "… n a column is wide. Old end.",
        "… n a column is wide. New end.",
    ]


def test_a_page_past_the_end_is_the_last_one(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/samples?begin=7000")
    assert browser.texts(".where") == ["101 to 120 of 120"]
    browser.open(f"{pages}/compare/samples?begin=7000")
    assert browser.texts(".where")[0].startswith("1 to ")


def test_white_space_in_what_is_searched_for_does_not_count(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/samples?text=reverses+a+string")
    found = browser.ids()
    assert found
    browser.open(f"{pages}/samples?text=%20reverses%0Aa%20%20string%20%20")
    assert browser.ids() == found
    assert {mark.lower() for mark in browser.texts(".data mark")} == {"reverses a string"}
    browser.one(".data td a").click()
    browser.until(lambda: "reverses a string" in browser.texts(".text mark"))


def test_what_the_filters_select_is_exported(browser: Browser, alpaca: Path, pages: str) -> None:
    browser.open(pages + "/samples?mode=evolve&accepted=1&order=length")
    ids = browser.ids()
    browser.click(".results-tools button", 1)
    link = browser.until(lambda: browser.all("a.selection"))[0].get_attribute("href")
    cookies = "; ".join(f"{each['name']}={each['value']}" for each in browser.driver.get_cookies())
    request = urllib.request.Request(str(link), headers={"Cookie": cookies})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''alpaca.evolve.jsonl"
        records = [json.loads(line) for line in answer]
    data = json.loads(ENGLISH.read_text(encoding="utf-8"))
    results = {sample.id: by_mode["evolve"] for sample, by_mode in ledger(alpaca).samples()}
    assert len(ids) > 2
    assert records == [data[int(id)] | {"output": results[id].outcome[0]["response"]} for id in ids]
