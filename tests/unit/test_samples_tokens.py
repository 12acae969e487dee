"""Token estimates, compared with what tokenizers produce for similar texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samples.tokens import estimate_tokens

ENGLISH = (
    "Crepes are easy to make. Whisk the flour and the eggs together, add the milk and a little "
    "salt, and let the batter rest for an hour before you pour it into a hot pan."
)
CHINESE = "可丽饼很容易做。先把面粉和鸡蛋搅拌均匀，再加入牛奶和少许盐，静置一小时后倒入热锅。"
RUSSIAN = "Столица Франции — Париж. Этот город известен своей архитектурой, музеями и кухней."
ARABIC = "عاصمة فرنسا هي باريس. تشتهر هذه المدينة بهندستها المعمارية ومتاحفها ومطبخها."
THAI = "เมืองหลวงของฝรั่งเศสคือปารีส เมืองนี้มีชื่อเสียงด้านสถาปัตยกรรม"
KOREAN = "프랑스의 수도는 파리입니다. 이 도시는 건축, 박물관, 요리로 유명합니다."


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        (ENGLISH, 3.7, 5.0),
        (CHINESE, 1.2, 1.7),
        (RUSSIAN, 2.4, 3.4),
        (ARABIC, 2.4, 3.3),
        (THAI, 1.6, 2.1),
        (KOREAN, 1.3, 1.8),
        ("😀🎉🚀🔥😂🙏", 0.5, 1.1),
        ("3141592653", 1.0, 3.0),
    ],
)
def test_characters_a_token(text: str, least: float, most: float) -> None:
    # Long enough that rounding does not count.
    assert least <= len(text) * 100 / estimate_tokens(text * 100) <= most


def test_four_hundred_chinese_characters_are_about_three_hundred_tokens() -> None:
    assert estimate_tokens("中" * 400) == 300


def test_nothing_is_no_token_and_anything_at_least_one() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens(" ") == 1


@given(st.text(st.characters(codec=None)))
def test_any_text_has_an_estimate_within_its_size(text: str) -> None:
    assert bool(text) <= estimate_tokens(text) <= 2 * len(text)


@pytest.mark.parametrize("text", ["word, ", "中文。", "😀a", "\n", "עב1 ", "\ud83d"])
def test_megabytes_are_estimated_piece_by_piece(text: str) -> None:
    pieces = 1_000_000 // len(text)
    assert estimate_tokens(text * pieces) == pytest.approx(
        estimate_tokens(text * 1000) * pieces / 1000, rel=0.01
    )
