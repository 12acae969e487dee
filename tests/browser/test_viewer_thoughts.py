"""What models thought before they replied, on the page of a sample."""

import json
from pathlib import Path

from standin.frames import THOUGHTS
from tests.browser.conftest import evolve, ledger
from tests.chromium import Browser, viewing


def test_thoughts_are_folded(browser: Browser, tmp_path: Path) -> None:
    record = {"instruction": "Name a fruit.", "output": "Apple."}
    (tmp_path / "data.json").write_text(json.dumps([record]), encoding="utf-8")
    run = evolve(tmp_path, "framed:code=reasoning")
    with viewing(run) as url:
        browser.open(f"{url}/sample/0")
        browser.until(lambda: browser.all(".bubble"))
        titles = browser.texts(".bubble .thoughts .q-item")
        assert len(titles) == len(ledger(run).calls("0"))
        assert all(f"Thoughts of {len(THOUGHTS)} characters" in title for title in titles)
        assert THOUGHTS not in browser.one(".page").text
        browser.click(".bubble .thoughts .q-item")
        browser.until(lambda: THOUGHTS in browser.one(".page").text)
        assert not browser.console()
