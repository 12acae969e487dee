"""The story of one sample: it is complete, and no text in it controls the terminal."""

import re
import time
from pathlib import Path

import pytest

from ledger.ledger import Ledger
from prompts.method import MODES, STEPS
from samples.differences import differences
from tests.conftest import FAILING, look
from tests.program import EXAMPLES
from tests.terminal import on_a_terminal


def test_the_story_is_complete(modes_run: Path) -> None:
    ledger = Ledger.open(modes_run / "ledger.sqlite")
    story = look("show", modes_run, "train-sum", cwd=modes_run).stdout
    found = ledger.sample("train-sum")
    assert found
    sample, by_mode = found
    assert sample.exchanges[0].instruction in story
    assert sample.exchanges[0].response in story
    for mode in ("edit", "evolve"):
        assert f"Mode {mode}" in story
        for round_ in by_mode[mode].outcome[0]["rounds"]:
            for line in round_["draft"].splitlines():
                assert line in story
    for call in ledger.calls("train-sum"):
        assert call["reply"].splitlines()[0] in story
    only = look("show", modes_run, "train-sum", "--mode", "edit", cwd=modes_run).stdout
    assert "Mode edit" in only
    assert "1 response rewritten" in only
    assert "accepted" not in only
    assert "Mode evolve" not in only


def test_every_verdict_is_explained(modes_run: Path) -> None:
    for sample, by_mode in Ledger.open(modes_run / "ledger.sqlite").samples():
        story = look("show", modes_run, sample.id, "--mode", "evolve", cwd=modes_run).stdout
        outcome = by_mode["evolve"].outcome[0]
        rounds = outcome["rounds"]
        assert story.count("\nDraft accepted") == sum(round_["accepted"] for round_ in rounds)
        assert story.count("\nCurrent response kept") == sum(not round_["accepted"] for round_ in rounds)
        unread = [order for r in rounds for order in ("forward", "reversed") if r[order]["points"] is None]
        assert story.count(": cannot be read") == len(unread)
        if outcome["response"] == outcome["original"]:
            assert "The response stays as it was." in story
        else:
            assert "{+" in story.partition("What changed")[2]


def test_calls_are_shown_as_they_were_made(modes_run: Path) -> None:
    story = look("show", modes_run, "haiku", "--calls", "--mode", "evolve", cwd=modes_run).stdout
    calls = [c for c in Ledger.open(modes_run / "ledger.sqlite").calls("haiku") if c["mode"] == "evolve"]
    assert story.count("rehearsal: · ") == len(calls)
    for call in calls:
        for message in call["messages"]:
            for line in message["content"].splitlines():
                assert line in story


def test_failures_and_skips_have_their_reason(failing_run: Path) -> None:
    story = look("show", failing_run, "middle", cwd=failing_run).stdout
    assert "Exchange 2 of 3" in story
    assert "content filter" in story
    assert "keeps its original response" in story
    assert "Skipped: a turn of function_call" in look("show", failing_run, "tool", cwd=failing_run).stdout


def test_an_internal_error_has_its_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LookupError("no such luck")

    monkeypatch.setattr("nodes.decision.merge", broken)
    look("evolve", EXAMPLES / "alpaca_en.json", "-o", "run", cwd=tmp_path, status=1)
    story = look("show", "run", "haiku", cwd=tmp_path).stdout
    # It belongs to no step; all that was recorded before it counts.
    assert "\n  internal error: LookupError: no such luck" in story
    assert all(STEPS[step].label in story for step in MODES["evolve"].steps)
    look("report", "run", "-o", "report.html", "--sample", "haiku", cwd=tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "internal error: LookupError: no such luck" in html
    assert "not counted" not in html


def test_no_text_controls_the_terminal(failing_run: Path) -> None:
    strange = str(FAILING[2]["id"])
    words = ("show", failing_run, strange, "--calls")
    (written,) = on_a_terminal(words, cwd=failing_run)
    assert written.endswith("\nended 0")
    for shown in (
        look(*words, cwd=failing_run).stdout,
        # What remains after the colors, which are ours, must be plain.
        re.sub(r"\x1b\[[0-9;]*m", "", written.replace("\r\n", "\n")),
    ):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown)
        assert "\\x1b[31mred\\x1b[0m" in shown
        assert "[bold]not bold[/bold]" in shown
        assert "\\u202eno\\u202c :smile:" in shown
        assert "\\x9b2J" in shown
    ended = look("show", failing_run, strange + "\x1b[2J", cwd=failing_run, status=2)
    assert "\x1b" not in ended.stderr


def test_an_unknown_id_is_refused_with_ids_that_exist(modes_run: Path) -> None:
    ended = look("show", modes_run, "hiku", cwd=modes_run, status=2)
    assert "has no finished sample hiku; it has, for instance, haiku" in ended.stderr
    assert "leap-years" in look("show", modes_run, "zzzzzz", cwd=modes_run, status=2).stderr


@pytest.mark.parametrize(
    ("old", "new", "pieces"),
    [
        ("", "", []),
        ("same", "same", [("same", "same")]),
        ("", "new", [("", "new")]),
        ("a cat sat", "a dog sat", [("a ", "a "), ("cat", "dog"), (" sat", " sat")]),
        ("one two three", "1 2 three", [("one two", "1 2"), (" three", " three")]),
        ("我是猫。", "我是狗。", [("我是", "我是"), ("猫", "狗"), ("。", "。")]),
        ("がぎ", "がぐ", [("が", "が"), ("ぎ", "ぐ")]),
        ("كَتَبَ هو", "كُتِبَ هو", [("كَتَبَ", "كُتِبَ"), (" هو", " هو")]),
        ("यह किताब", "यह किताबें", [("यह ", "यह "), ("किताब", "किताबें")]),
        ("กำไร", "กำไป", [("กำไ", "กำไ"), ("ร", "ป")]),
        ("ดี", "ดู", [("ดี", "ดู")]),  # a vowel is a mark here, and not on its own
        ("cafe\u0301 a", "cafe\u0300 a", [("cafe\u0301", "cafe\u0300"), (" a", " a")]),
        ("👩‍👩‍👧!", "👩‍👩‍👦!", [("👩‍👩‍👧", "👩‍👩‍👦"), ("!", "!")]),
        ("🇩🇪", "🇩🇰", [("🇩🇪", "🇩🇰")]),
        ("I can’t", "I can", [("I ", "I "), ("can’t", "can")]),
        ("is 3.5.", "is 3.7.", [("is ", "is "), ("3.5", "3.7"), (".", ".")]),
        ("'so'", "'no'", [("'", "'"), ("so", "no"), ("'", "'")]),
    ],
)
def test_differences_are_by_word(old: str, new: str, pieces: list[tuple[str, str]]) -> None:
    assert differences(old, new) == pieces


def test_differences_of_long_texts_are_quick() -> None:
    for letters in (
        "many words, isn’t it? 3.5 ",
        "今天天气很好。",
        "ภาษาไทยกำลัง",
        "كَتَبَ ",
        "👩‍👩‍👧",
        "\u0301",
        " ",
    ):
        old = letters * (1_000_000 // len(letters))
        began = time.process_time()
        differences(old, "." + old[::2])
        assert time.process_time() - began < 3


@pytest.mark.parametrize("size", [10, 100_000])
def test_differences_hold_both_texts_whatever_their_size(size: int) -> None:
    old = " ".join(f"w{n}" for n in range(size))
    new = " ".join(f"w{n}" if n % 3 else f"\n{n}\t" for n in range(size))
    found = differences(old, new)  # by comparing each word with each other this would take hours
    assert "".join(change.old for change in found) == old
    assert "".join(change.new for change in found) == new
