"""`--check exact`: where a text has its final answer, and when that is the reference's."""

import pytest

from nodes.answers import agrees, final_answer

AGREE = [
    ("She has 48 / 2 = 24 left.\n#### 72", "72"),
    ("#### 1,234", "1234"),
    ("#### Sum\n48 and 24 make 72.", "72"),
    ("The answer is 72.", "72"),
    ("The answer is 72 dollars in 5 days.", "72"),
    ("**Answer:** 72", "72"),
    ("**Answer**: 72\n\nI hope this helps.", "72"),
    ("Answer (in km): 5", "5"),
    ("Answer:\n72", "72"),
    ("To find the answer, add them: 48 + 24 = 72.", "72"),
    ("Ana packs 72 jars in both months.", "72"),
    ("48 + 24 = 72", "72"),
    ("x = -5", "-5"),
    ("The answer is $-5$.", "-5"),
    ("It comes to $1,234.50", "1234.5"),
    ("A share of 0.5", "1/2"),
    ("72", "72.0"),
    ("12 345", "12345"),
    ("$12{,}345$", "12345"),
    ("The area is 72 m^2", "72"),
    ("The area is 72 m^2", "72 m^2"),
    ("The car does 72 km/h", "72 km/h"),
    ("It costs $72 in all", "$72"),
    ("In all it is 72 %.", "72%"),
    ("so\n\\boxed{72} of them.\nThat is all.", "By division, 48/2=24.\n#### 72"),
    ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
    ("$\\boxed{\\text{Paris}}$", "paris"),
    ("Answer: Paris.", "Paris"),
    ("Answer: Paris, the capital.", "Paris"),
    ("Answer: B) Paris", "B"),
    ("(B) Paris", "B"),
    ("Yes, because it is.", "yes"),
    ("Answer: (1,2]", "(1, 2]"),
    ("所以一共有72个苹果。", "72"),
    ("答案：７２。", "72"),
    ("答案是72个", "72"),
    ("总共１，２３４元", "1234"),
    ("总共72元", "72元"),
    ("故选B。", "B"),
    ("The river is long.", "The  river is\nlong"),
    ("The correct option is (B).", "B"),
    ("Option B", "B"),
    ("Option B is correct.", "(B)"),
    ("B is the correct answer.", "B"),
    ("The answer is B.", "(B) Paris"),
    ("Answer: Paris", "B) Paris"),
    ("Final answer: \\boxed{A}", "(A)"),
    ("所以选B。", "B"),
    ("因此選擇 (B)。", "B"),
    ("答案為：B", "B"),
    ("#### 12\n\nLet me know if you need more.", "12"),
    ("So\n#### B\nHope that helps!", "B"),
    ("#### 2. Add\nThat makes 72.", "72"),
    ("The answer is 5 because 10 / 2 = 4", "5"),
    ("The answer is 48 + 24 = 72", "72"),
    ("The answer is $\\frac12$", "1/2"),
    ("The answer is $\\dfrac{1}{2}$", "0.5"),
    ("The answer is 50%.", "1/2"),
    ("The answer is 50 percent.", "50%"),
    ("The answer is 0.5", "50%"),
    ("The answer is 50%.", "50"),
    ("It took 2:30 hours", "2:30"),
    ("The capital is Paris.", "Paris"),
    ("首都是北京。", "北京"),
    ("It is 13, not 12.", "13"),
    ("The answer is not 12 but 13", "13"),
]

DIFFER = [
    ("#### 71", "72"),
    ("The answer is 71.", "72"),
    ("72 at first\nand 71 at the end.", "72"),
    ("48 + 23 = 71", "72"),
    ("Answer: 172", "72"),
    ("0.72", "72"),
    ("7/2", "72"),
    ("5", "-5"),
    ("1e5", "1"),
    ("72 m", "72 km"),
    ("72 km/h", "72 km"),
    ("72", "72 km"),
    ("72 dollars", "$72"),
    ("Answer: C) Paris", "B"),
    ("Bananas", "B"),
    ("Answer: London", "Paris"),
    ("", "72"),
    ("72", " "),
    ("所以一共有71个苹果。", "72"),
    ("The answer is not 12", "12"),
    ("The answer isn't 12.", "12"),
    ("It cannot be 12.", "12"),
    ("It is 13, not 12.", "12"),
    ("答案不是12", "12"),
    ("x ≠ 12", "12"),
    ("12 is wrong.", "12"),
    ("The answer is not B.", "B"),
    ("The capital is not Paris.", "Paris"),
    ("London rather than Paris", "Paris"),
    ("Option C", "B"),
    ("The answer is C.", "(B) Paris"),
    ("所以选C。", "B"),
    ("It took 12:30 hours", "2:30"),
    ("#### 13\n\nLet me know.", "12"),
    ("The answer is 50%.", "1/4"),
    ("The answer is 4 because 10 / 2 = 5", "5"),
    ("Parisians", "Paris"),
]


@pytest.mark.parametrize(("draft", "reference"), AGREE)
def test_these_agree(draft: str, reference: str) -> None:
    assert agrees(draft, [reference])
    assert agrees(draft, ["something else", reference])


@pytest.mark.parametrize(("draft", "reference"), DIFFER)
def test_these_differ(draft: str, reference: str) -> None:
    assert not agrees(draft, [reference])


def test_the_final_answer_is_what_is_shown_of_a_refused_draft() -> None:
    assert final_answer("It is 3.\nThe answer is 4 apples.") == "4 apples."
    assert final_answer("\n\n---\n") == ""


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "\\boxed{" * 50_000,
        "11," * 50_000,
        "answer " * 50_000,
        "选" * 50_000,
        "not " * 50_000,
        "\\frac" * 50_000,
        "####1\n" * 50_000,
        "9" * 100_000,
        "1/0",
        "\ud800",
        "İ" * 99,
    ],
)
def test_odd_texts_only_differ(text: str) -> None:
    assert not agrees(text, ["72"])
    assert not agrees("72", [text])
    assert agrees(f"{text}\nThe answer is 72.", ["72"])
