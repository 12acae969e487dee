"""Searching a run's texts finds what reading each of them would, in any script and while the run goes on."""

from pathlib import Path

import pytest

from ledger import browse, text_scan
from ledger.browse import Filter
from ledger.ledger import Ledger, Result
from ledger.search import contains, searched_texts
from ledger.text_scan import TextScan
from ledger.writer import Writer
from reporting.comparison import Comparison
from reporting.result_pairs import ModeResults
from samples.formats import make_sample

LONG = "A sentence that is long enough to be stored among the texts. "
OUTPUTS = (
    *("short", f"{LONG}Straße ÜBER Großes", f"{LONG}请写一句话。", f'{LONG}"quoted"\nand\\back%slash_'),
    *(f"{LONG}ПРИВЕТ мир", 'a "b" c', "100% sure_", f"{LONG} İstanbul", "Set\t apart\n\nby Ünd\nmehr"),
)


async def run(folder: Path) -> Ledger:
    ledger = Ledger.create(folder / "ledger.sqlite")
    await add(ledger, 0, OUTPUTS)
    return ledger


async def add(ledger: Ledger, first: int, outputs: tuple[str, ...], more: str = "More.") -> None:
    async with Writer(ledger) as writer:
        for position, output in enumerate(outputs, first):
            record = {"instruction": f"Say {position}.", "output": output}
            sample = make_sample(position, f"id-{position}", record, "alpaca")
            done = {"exchange": 0, "original": output, "response": f"{output} {more}", "ending": "max_rounds"}
            done |= {"accepted_rounds": 1, "rounds": []}
            result = Result("evolve", "done", None, 1, 1, 1, 1, 0, [done], 0.0)
            await writer.add_result(sample, result)


def found(ledger: Ledger, text: str, begin: int = 0) -> list[int]:
    search = browse.search(
        ledger, Filter(text=text), "position", down=False, scan=TextScan(ledger, text), begin=begin
    )
    hits = []
    while not search.ended:
        hits += search.find(100)
    return [hit.sample.position for hit in hits]


async def test_it_finds_what_reading_every_text_finds(tmp_path: Path) -> None:
    ledger = await run(tmp_path)
    results = [(sample, by_mode["evolve"]) for sample, by_mode in ledger.samples()]
    for text in (
        *("SENTENCE", "straße", "STRASSE ü", "über", "一句", "привет", '"', '"quoted"', "\n", "\\", "%", "_"),
        *("100%", "id-3", "More.", "max_rounds", "nothing", "a%b", "\0", "i̇stanbul", "x" * 2000),
        *('"QUOTED" and\\back', "set apart BY", "set\napart", "by  ünd mehr", "ünd\u3000mehr more", "set by"),
    ):
        wanted = [s.position for s, result in results if contains(searched_texts(s, result), text)]
        assert found(ledger, text) == wanted, text
    assert found(ledger, "Straße") == [1]
    assert found(ledger, "apart by") == found(ledger, "by ünd") == [8]
    assert found(ledger, "more", begin=5) == [5, 6, 7, 8]


async def test_a_scan_goes_on_with_what_a_run_adds(tmp_path: Path) -> None:
    ledger = await run(tmp_path)
    scan = TextScan(ledger, "late one")
    scan.advance(0)
    assert scan.ended and not scan.ids
    await add(ledger, 20, (f"{LONG}A late one.", "late one"))
    scan.advance(0)
    assert scan.ids == {"id-20", "id-21"}


async def test_results_with_a_common_text_are_read_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_scan, "COMMON", 3)
    ledger = await run(tmp_path)
    scan = TextScan(ledger, "sentence")
    scan.advance(0)
    assert scan.is_common
    assert found(ledger, "sentence") == [1, 2, 3, 4, 7]


async def test_what_is_found_early_is_known_before_the_scan_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_scan, "CHUNK", 1)
    monkeypatch.setattr(text_scan, "SLICE", 0.0)
    ledger = await run(tmp_path)
    scan = TextScan(ledger, "sentence")
    search = browse.search(ledger, Filter(text="sentence"), "position", down=True, scan=scan)
    early: list[int] = []
    while not early:
        assert not search.find(100)
        assert not scan.ended
        early = [hit.sample.position for hit in search.early(100)]
    assert set(early) < {1, 2, 3, 4, 7}
    hits = []
    while not search.ended:
        hits += search.find(100)
    assert [hit.sample.position for hit in hits] == [7, 4, 3, 2, 1]


@pytest.mark.parametrize("common", [text_scan.COMMON, 3])
async def test_pairs_are_found_by_the_scans_of_both_ledgers(
    common: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_scan, "COMMON", common)
    a, b = await run(tmp_path), Ledger.create(tmp_path / "other.sqlite")
    await add(b, 0, OUTPUTS[:-1], "Less of it.")
    compared = Comparison(ModeResults(a, "evolve", "data"), ModeResults(b, "evolve", "data"))
    pairs = [pair.position for pair in compared.page("all", "growth", down=True, begin=0, size=100)]
    assert pairs == [7, 6, 5, 4, 3, 2, 1, 0]
    texts: dict[int, list[str]] = {position: [] for position in range(len(OUTPUTS))}
    for ledger in (a, b):
        for sample, by_mode in ledger.samples():
            texts[sample.position] += searched_texts(sample, by_mode["evolve"])
    for text in ("SENTENCE", "less  of", "More.", "id-3", "nothing", '"quoted" and', "привет", "by ünd"):
        wanted = [position for position in pairs if contains(texts[position], text)]
        for begin in (0, 2):
            scans = [TextScan(ledger, text) for ledger in (a, b)]
            search = compared.search("all", "growth", text, scans, down=True, begin=begin)
            hits = []
            while not search.ended:
                hits += search.find(2)
            assert [hit.pair.position for hit in hits] == [p for p in wanted if p in pairs[begin:]], text
            assert search.position == len(pairs)
        following = compared.search("all", "growth", text, scans, down=True, position=5)
        assert [hit.pair.position for hit in following.find(1, 10.0)] == [p for p in wanted if p < 5][:1]
