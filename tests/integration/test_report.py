"""The report of a run: one file that a real browser shows with no server and no network."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.ledger import Ledger
from prompts.method import STEPS
from reporting.labels import JUDGING
from tests.chromium import Browser
from tests.conftest import look
from tests.program import EXAMPLES


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    yield browser
    browser.driver.quit()


def shown(browser: Browser, file: Path) -> None:
    """Open a file, which must log nothing and load nothing."""
    browser.driver.get("about:blank")
    browser.console()
    browser.driver.get(file.as_uri())
    browser.until(lambda: browser.all("main"))
    assert browser.script("return performance.getEntriesByType('resource').length") == 0
    assert not browser.console()


def report(run: Path, folder: Path, *words: object) -> Path:
    look("report", run, "-o", "report.html", *words, cwd=folder)
    return folder / "report.html"


def scheme(browser: Browser, wanted: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": wanted}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def test_changed_responses_and_changed_samples_are_different_numbers(
    failing_run: Path, modes_run: Path, tmp_path: Path
) -> None:
    def figures(run: Path) -> dict[str, str]:
        tiles = re.findall(
            r'class="value">([^<]*)</div>\s*<div class="name">([^<]*)<',
            report(run, tmp_path).read_text("utf-8"),
        )
        return {name: value for value, name in tiles}

    conversations = figures(failing_run)  # one of three exchanges of one of them failed
    assert conversations["of responses changed"] == "75 %"
    assert conversations["of samples changed"] == "100 %"
    (tmp_path / "report.html").unlink()
    assert "of samples changed" not in figures(modes_run)


def test_it_has_the_numbers_of_stats_and_each_chart(
    browser: Browser, modes_run: Path, tmp_path: Path
) -> None:
    numbers = json.loads(look("stats", modes_run, "--json", cwd=tmp_path).stdout)
    shown(browser, report(modes_run, tmp_path))
    assert browser.texts(".progress") == ["24 of 24 results of 12 records in 2 modes"]
    tiles = dict(
        zip(browser.texts(".tile .name"), browser.texts(".tile .value"), strict=True)  # the last mode wins
    )
    assert tiles["calls"] == f"{numbers['calls']['total']['calls']:,}"
    evolve = numbers["modes"]["evolve"]
    assert tiles["length, new to old"] == f"{evolve['lengths']['ratio_of_averages']:.2f}×"
    rows = browser.script(
        "return [...document.querySelectorAll('.bill tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    assert {row[0]: row[1] for row in rows[1:]} == {
        role: f"{some['calls']:,}" for role, some in numbers["calls"]["by_role"].items()
    }
    assert "alpaca_en.json: 12 alpaca records" in browser.one(".made").text
    # Mode edit has one chart, mode evolve three, and the calls have one.
    assert len(browser.all(".chart")) == 5
    bars = browser.texts(".accepted .chart rect title")
    accepted = {int(rounds): number for rounds, number in evolve["accepted_rounds"].items()}
    assert bars == [f"{n}: {accepted.get(n, 0)}" for n in range(max(accepted) + 1)]
    judging = dict(bar.rsplit(": ", 1) for bar in browser.texts(".judging .chart rect title"))
    assert judging[JUDGING["agreed"]] == str(evolve["judging"]["agreed"])
    assert judging[JUDGING["favoured_first"]] == str(evolve["judging"]["favoured_first"])
    # The bars are as long as they say.
    bottoms = browser.script(
        "return [...document.querySelectorAll('.accepted .chart rect')].map(r => r.getBBox().height)"
    )
    tallest = max(accepted.values())
    for number, height in enumerate(bottoms):
        assert height == pytest.approx(max(bottoms) * accepted.get(number, 0) / tallest, abs=0.2)
    assert len(browser.all(".drawing .graph")) == 2
    editor = f"editor|{evolve['judging']['rounds']} calls"
    boxes = browser.script(
        "return [...document.querySelectorAll('.drawing .node')].map("
        "n => [...n.querySelectorAll('text')].map(t => t.textContent).join('|'))"
    )
    assert any(box.startswith(editor) for box in boxes)


def test_a_sample_has_its_differences_and_its_debate(
    browser: Browser, modes_run: Path, tmp_path: Path
) -> None:
    file = report(modes_run, tmp_path, "--sample", "train-sum")
    found = Ledger.open(modes_run / "ledger.sqlite").sample("train-sum")
    assert found
    (outcome,) = found[1]["evolve"].outcome
    shown(browser, file)
    assert browser.texts(".sample-id") == ["train-sum"]
    assert (
        browser.script("return document.querySelectorAll('.old .text')[1].innerText") == outcome["original"]
    )
    assert (
        browser.script("return document.querySelectorAll('.new .text')[1].innerText") == outcome["response"]
    )
    assert browser.texts(".new ins")
    assert len(browser.all("details")) == 1 + len(outcome["rounds"])
    assert not browser.one(".bubble.judge").is_displayed()
    browser.all("summary")[1].click()
    assert browser.one(".bubble.judge").is_displayed()
    assert outcome["rounds"][0]["suggestions"].splitlines()[0] in browser.texts("details")[1]


def test_the_selection_of_samples(modes_run: Path, failing_run: Path, tmp_path: Path) -> None:
    def chosen(run: Path, *words: object) -> dict[str, str]:
        html = report(run, tmp_path, *words).read_text(encoding="utf-8")
        pairs = re.findall(r'class="sample-id"[^>]*>(.*?)</span> <span class="tag why">(.*?)<', html)
        return dict(pairs)

    results = {s.id: r["evolve"] for s, r in Ledger.open(modes_run / "ledger.sqlite").samples()}
    some = chosen(modes_run, "--samples", 6)
    assert len(some) == 6
    most = max(result.accepted_rounds for result in results.values())
    reasons: dict[str, list[Any]] = {}
    for sample, why in some.items():
        reasons.setdefault(why, []).append(results[sample])
    assert all(result.accepted_rounds == most for result in reasons["most rounds accepted"])
    others = [r.final_tokens / r.original_tokens for s, r in results.items() if s not in some]
    assert min(r.final_tokens / r.original_tokens for r in reasons["grew most"]) >= max(others)
    assert all(result.contradictions for result in reasons.get("verdicts contradict", []))
    assert reasons["one of many"]
    assert list(some) == [sample for sample in results if sample in some]  # in the data's order

    assert chosen(modes_run, "--samples", 0) == {}
    assert len(chosen(modes_run, "--samples", 200)) == len(results)
    assert chosen(modes_run, "--sample", "train-sum") == {"train-sum": "asked for"}
    assert len(chosen(modes_run, "--sample", "train-sum", "--samples", 2)) == 3
    assert chosen(failing_run)["middle"] == "failed"
    assert chosen(failing_run, "--sample", "tool")["tool"].startswith("skipped: a turn of function_call")


def test_a_failure_has_its_reason(browser: Browser, failing_run: Path, tmp_path: Path) -> None:
    shown(browser, report(failing_run, tmp_path))
    assert browser.texts(".failures td") == ["content filter", "1"]
    failed = browser.one(".sample")
    assert "Exchange 2 of 3" in failed.text
    found = Ledger.open(failing_run / "ledger.sqlite").sample("middle")
    assert found
    failure = found[1]["evolve"].outcome[1]["failure"]
    assert "http://127.0.0.1" in failure["message"]
    before, address, after = re.split(r" at (http\S+)", failure["message"].splitlines()[0])
    assert address not in failed.text
    where = f"{STEPS[failure['step']].label}, round {failure['round']}"
    assert f"{where}: content filter: {before}{after}" in failed.text


def test_texts_of_the_data_and_of_models_have_no_effect(
    browser: Browser, odd_run: Path, tmp_path: Path
) -> None:
    file = report(odd_run, tmp_path)
    shown(browser, file)
    browser.script("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert browser.script("return window.hacked") is None
    assert not browser.all(
        "script, iframe, img, object, embed, link, form, [onclick], [onerror], .text [style]"
    )
    links = browser.script(
        "return [...document.querySelectorAll('a')]"
        ".filter(a => !a.getAttribute('href').startsWith('#')).map(a => a.protocol)"
    )
    assert set(links) <= {"http:"}
    # A script that slipped through would not run either.
    browser.console()
    browser.script(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 14';"
        "document.body.append(s);"
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked = 15\">')"
    )
    assert browser.script("return window.hacked") is None
    assert any("Content Security Policy" in message for message in browser.console())
    # Texts can still be read as they were written, and one of 1 MB does not fill the file.
    assert "<script>window.hacked = 1</script>" in browser.one(".old").text
    assert browser.one("h1").text == odd_run.name
    assert "more characters" in browser.texts("#sample-4")[0]
    assert file.stat().st_size < 1_000_000
    direction = "return getComputedStyle(document.querySelector(arguments[0])).direction"
    assert browser.script(direction, "#sample-3 .old .text") == "rtl"


def test_it_is_readable_in_the_dark_and_on_paper(browser: Browser, modes_run: Path, tmp_path: Path) -> None:
    file = report(modes_run, tmp_path)
    brightness = (
        "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
        ".match(/\\d+/g).slice(0, 3).map(Number)"
    )
    for wanted, dark in (("dark", True), ("light", False)):
        scheme(browser, wanted)
        shown(browser, file)
        for paper, style in (("body", "backgroundColor"), (".graph .soft", "fill")):
            assert (max(browser.script(brightness, paper, style)) < 80) == dark
        for ink, style in (("body", "color"), (".graph .ink", "fill"), (".chart text", "fill")):
            assert (min(browser.script(brightness, ink, style)) > 120) == dark
    scheme(browser, "dark")
    pages = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert base64.b64decode(pages["data"]).startswith(b"%PDF")
    browser.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    assert min(browser.script(brightness, "body", "backgroundColor")) == 255  # on paper it is light
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_a_part_of_a_run_is_named_and_long_ids_fit_a_phone(browser: Browser, tmp_path: Path) -> None:
    records = [{"id": f"{n}{'x' * 200}", "instruction": "Say it.", "output": "Well."} for n in range(3)]
    (tmp_path / "data.json").write_text(json.dumps(records), encoding="utf-8")
    look("evolve", "data.json", "-o", "run", "--stop", 2, cwd=tmp_path)
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    shown(browser, report(tmp_path / "run", tmp_path))
    assert browser.texts(".progress") == ["2 of 2 results of records 1 to 2 of 3"]
    assert browser.script("return document.documentElement.scrollWidth") <= 390
    # Letters of charts are as high as they are drawn, almost.
    height = "return document.querySelector('.chart text').getBoundingClientRect().height"
    assert browser.script(height) > 10
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("name", ["data.html", "run.json", "ledger.sqlite"])
def test_it_overwrites_neither_the_data_nor_the_run(name: str, tmp_path: Path) -> None:
    data = tmp_path / "data.html"  # an ending that is allowed for reports
    data.write_bytes((EXAMPLES / "alpaca_en.json").read_bytes())
    look("evolve", data, "-o", "run", "--stop", 1, "--mode", "edit", cwd=tmp_path)
    file = data if name == data.name else tmp_path / "run" / name
    before = file.read_bytes()
    refused = look("report", "run", "-o", file, cwd=tmp_path, status=2)
    assert "is the data" in refused.stderr or "ends in .html" in refused.stderr
    assert file.read_bytes() == before


def test_it_explains_itself_and_its_contents_lead_to_all_parts(
    browser: Browser, modes_run: Path, tmp_path: Path
) -> None:
    shown(browser, report(modes_run, tmp_path, "--samples", 3))
    edit, evolve = browser.texts("h2 + .about")
    assert "an editor writes a draft" in edit.lower() and "judge" not in edit
    assert "a judge compares it" in evolve and "at most 3 times" in evolve
    links = browser.script("return [...document.querySelectorAll('nav a')].map(a => a.getAttribute('href'))")
    ids = browser.script("return [...document.querySelectorAll('h2, .sample')].map(e => '#' + e.id)")
    assert links == ids
    assert len([link for link in links if link.startswith("#sample-")]) == 3


def test_unknown_samples_and_modes_are_refused(modes_run: Path, tmp_path: Path) -> None:
    unknown = look("report", modes_run, "-o", "r.html", "--sample", "train-sun", cwd=tmp_path, status=2)
    assert "train-sum" in unknown.stderr
    mode = look("report", modes_run, "-o", "r.html", "--mode", "debate", cwd=tmp_path, status=2)
    assert "its modes: edit, evolve" in mode.stderr
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    refused = look("report", modes_run, "-o", "file/r.html", cwd=tmp_path, status=2)
    assert "file/r.html cannot be written" in refused.stderr
    look("report", modes_run, "-o", "a/b/r.html", "--samples", 0, cwd=tmp_path)
    assert (tmp_path / "a" / "b" / "r.html").stat().st_size
    blocked = "import sys; sys.modules['nh3'] = None; from runners.cli import main; main()"
    command = [sys.executable, "-c", blocked, "report", str(modes_run), "-o", str(tmp_path / "r.html")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES.parent)
    assert done.returncode == 2
    assert (
        done.stderr == "coevol: a report needs nh3, which is not installed: run "
        "`pip install -e '.[view]'` in the folder of coevol\n"
    )
