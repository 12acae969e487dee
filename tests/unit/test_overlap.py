"""Runs of words that texts share with benchmarks."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from samples.overlap import MOST_HITS, Benchmarks, Hit
from samples.sample import DataError

EIGHT = "one two three four five six seven eight"
QUESTION = "How far is it from the old harbor to the lighthouse on the northern cape?"


def benchmark(folder: Path, *entries: Any, name: str = "bench.jsonl") -> Benchmarks:
    file = folder / name
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return Benchmarks([str(file)])


def runs(found: list[Hit]) -> list[str]:
    return [hit.run for hit in found]


def test_a_run_of_eight_words_is_found_and_one_of_seven_is_not(tmp_path: Path) -> None:
    known = benchmark(tmp_path, {"question": f"zero {EIGHT} nine"})
    assert runs(known.hits([f"before {EIGHT} after"])) == [EIGHT]
    assert known.hits(["before one two three four five six seven after"]) == []
    assert known.hits(["zero two one three four five six seven eight nine"]) == []


def test_case_punctuation_and_width_do_not_matter(tmp_path: Path) -> None:
    known = benchmark(tmp_path, {"question": QUESTION})
    other = "HOW FAR is it — from\nthe ‘old’ harbor: to the (Ｌｉｇｈｔｈｏｕｓｅ) on the northern cape"
    assert runs(known.hits([other])) == [QUESTION.lower().rstrip("?")]


def test_characters_that_are_not_seen_do_not_matter(tmp_path: Path) -> None:
    known = benchmark(tmp_path, {"question": QUESTION})
    for unseen in ("\u00ad", "\u200b", "\u2060", "\ufeff"):
        (hit,) = known.hits([QUESTION.replace("o", f"o{unseen}")])
        assert hit.run == QUESTION.lower().rstrip("?")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("今天天气很好我们一起去公园散步吧然后回家吃晚饭", 16),
        ("きょうはてんきがいいのでみんなでこうえんにいきました", 16),
        ("วันนี้อากาศดีมากเราไปเดินเล่นที่สวนสาธารณะด้วยกันแล้วกลับบ้าน", 32),
    ],
)
def test_scripts_without_spaces_count_characters(tmp_path: Path, text: str, length: int) -> None:
    known = benchmark(tmp_path, {"题": f"问{text}问"})
    assert known.hits([f"答{text[:length]}"])
    assert known.hits([f"答{text[: length - 1]}"]) == []


def test_words_and_characters_count_in_proportion(tmp_path: Path) -> None:
    known = benchmark(tmp_path, {"q": "请用 Python 写一个 function 来计算 prime numbers 的总和"})
    shared = "请用 python 写一个 function 来计算 prime numbers"
    assert runs(known.hits([f"{shared} 吧"])) == [shared]
    assert known.hits(["请用 python 写一个 function 来计算 prime 吧"]) == []


def test_all_strings_of_an_entry_count_each_by_itself(tmp_path: Path) -> None:
    entry = {
        "a": "one two three four",
        "b": ["five six seven eight", {"c": EIGHT.upper()}],
        "n": 1,
        "x": None,
    }
    assert runs(benchmark(tmp_path, entry).hits([EIGHT])) == [EIGHT]
    del entry["b"]
    assert benchmark(tmp_path, entry).hits([EIGHT]) == []


def test_a_hit_names_file_line_and_entry(tmp_path: Path) -> None:
    entries = [{"q": "short"}, {"q": QUESTION}]
    (tmp_path / "one.json").write_text(json.dumps(entries), encoding="utf-8")
    (tmp_path / "plain.txt").write_text(f"\nshort\n{EIGHT}\n", encoding="utf-8")
    (tmp_path / "more.txt.gz").write_bytes(gzip.compress(b"the quick brown fox jumps over the lazy dog\n"))
    (tmp_path / "list.json").write_text(json.dumps(["nine ten", f"x {EIGHT} y"]), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist([{"q": "a b c d e f g h i"}]), tmp_path / "p.parquet")
    names = ("one.json", "plain.txt", "more.txt.gz", "list.json", "p.parquet")
    known = Benchmarks([str(tmp_path / name) for name in names])
    assert known.files == list(names)
    assert known.entries == 8
    found = known.hits([QUESTION, EIGHT, "The quick brown fox jumps over the lazy cat", "a b c d e f g h"])
    assert [(hit.benchmark, hit.line, hit.entry) for hit in found] == [
        ("one.json", 1, 2),
        ("plain.txt", 3, 2),
        ("more.txt.gz", 1, 1),
        ("p.parquet", 1, 1),
    ]


def test_what_many_entries_repeat_does_not_count(tmp_path: Path) -> None:
    phrase = "Which of the following is the best answer to the question"
    entries = [{"q": f"{phrase}: number {number}, {QUESTION} {number}?"} for number in range(2)]
    entries += [{"q": f"{number} {phrase} about {number}?"} for number in range(20)]
    known = benchmark(tmp_path, *entries)
    assert known.common > 0
    assert known.hits([f"{phrase}?"]) == []
    assert runs(known.hits([f"{phrase}? {QUESTION}"])) == [QUESTION.lower().rstrip("?")]


def test_an_instruction_of_all_entries_does_not_count_and_a_passage_of_a_few_does(tmp_path: Path) -> None:
    entries = [{"task": f"Please {EIGHT} now", "text": f"{n} {n}", "q": "why"} for n in range(90)]
    entries += [{"task": f"Please {EIGHT} now", "text": QUESTION} for _ in range(9)]
    known = benchmark(tmp_path, *entries)
    assert known.hits([f"Please {EIGHT} now"]) == []
    assert known.hits([QUESTION])


def test_hits_of_one_record_are_limited(tmp_path: Path) -> None:
    texts = [" ".join(f"w{number}x{word}" for word in range(9)) for number in range(30)]
    found = benchmark(tmp_path, *({"q": text} for text in texts)).hits([". ".join(texts)])
    assert [hit.line for hit in found] == list(range(1, MOST_HITS + 1))


def test_a_long_shared_text_is_one_hit_and_cut(tmp_path: Path) -> None:
    text = " ".join(f"word{number}" for number in range(500))
    (hit,) = benchmark(tmp_path, {"q": text}).hits([f"so {text} and on"])
    assert hit.run == text[:300]


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_a_benchmark_without_entries_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "empty.txt").write_text(content)
    with pytest.raises(DataError, match=r"empty\.txt has no entries"):
        Benchmarks([str(tmp_path / "empty.txt")])
    with pytest.raises(DataError, match="does not exist"):
        Benchmarks([str(tmp_path / "missing.jsonl")])


def test_texts_of_any_kind_do_no_harm(tmp_path: Path) -> None:
    known = benchmark(tmp_path, {"q": EIGHT}, {"q": "\ud800 \x00"}, {})
    assert known.hits(["", "\ud800", "\x00" * 50, "ß" * 50, "a " * 5000, "👋" * 100]) == []
    assert known.without_runs == 2
