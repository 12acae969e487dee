"""How the judge's replies are read, and how the two orders become a decision: every combination."""

import json
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.decision import DecisionView, decide, merge
from nodes.settings import VerdictForm
from nodes.verdict.reading import read_verdict, reply_form
from nodes.views import Judgment
from prompts.pack import FIRST_LINES, FirstLine

# What the judge may say in one order, and the points it gives to response 1 and response 2.
COMPARED = {
    "assistant 1": [1.0, 0.0],
    "assistant 2": [0.0, 1.0],
    "equal": [1.0, 1.0],
    "Both have their merits.": None,
}
SCORED = {
    "9 3": [9.0, 3.0],
    "4 8": [4.0, 8.0],
    "7 7": [7.0, 7.0],
    "2 10": [2.0, 10.0],
    "Seven, I think.": None,
}

# The rule as a table: forward, reversed, points of the current response and of the draft.
# In forward order the current response is response 1, in reversed order it is response 2.
MERGED_COMPARE: list[tuple[str, str, tuple[float, float] | None]] = [
    ("1", "1", (0.5, 0.5)),
    ("1", "2", (1.0, 0.0)),
    ("1", "equal", (1.0, 0.5)),
    ("1", "unreadable", (1.0, 0.0)),
    ("2", "1", (0.0, 1.0)),
    ("2", "2", (0.5, 0.5)),
    ("2", "equal", (0.5, 1.0)),
    ("2", "unreadable", (0.0, 1.0)),
    ("equal", "1", (0.5, 1.0)),
    ("equal", "2", (1.0, 0.5)),
    ("equal", "equal", (1.0, 1.0)),
    ("equal", "unreadable", (1.0, 1.0)),
    ("unreadable", "1", (0.0, 1.0)),
    ("unreadable", "2", (1.0, 0.0)),
    ("unreadable", "equal", (1.0, 1.0)),
    ("unreadable", "unreadable", None),
]
ACCEPTED = {("2", "1"), ("2", "equal"), ("2", "unreadable"), ("equal", "1"), ("unreadable", "1")}
SAYS = {"1": "assistant 1", "2": "assistant 2", "equal": "equal", "unreadable": "Both have their merits."}


def judgement(reply: str, form: VerdictForm) -> Judgment:
    return Judgment(reply=reply, points=read_verdict(reply, form))


def decided(forward: Judgment, reverse: Judgment) -> tuple[bool, str, str]:
    """Return whether the draft was accepted, the response that is left, and why the loop would end here."""
    state: DecisionView = {
        "id": "a",
        "exchange": 0,
        "round": 2,
        "system": "",
        "instruction": "ask",
        "input": "",
        "response": "old",
        "suggestions": "do better",
        "draft": "new",
        "forward": forward,
        "reversed": reverse,
        "rounds": [],
    }
    update = decide(state)
    (done,) = update["rounds"]
    assert (done["round"], done["draft"], done["suggestions"]) == (2, "new", "do better")
    assert (done["forward"], done["reversed"]) == (forward, reverse)
    assert done["points"] == merge(forward, reverse)
    assert update.get("round", 2) == 2 + done["accepted"]
    return done["accepted"], update.get("response", "old"), update["ending"]


def test_the_table_holds_every_combination() -> None:
    assert {(forward, reverse) for forward, reverse, _ in MERGED_COMPARE} == set(product(SAYS, repeat=2))


@pytest.mark.parametrize(("forward", "reverse", "points"), MERGED_COMPARE)
def test_compare_in_both_orders(forward: str, reverse: str, points: tuple[float, float] | None) -> None:
    judgements = judgement(SAYS[forward], "compare"), judgement(SAYS[reverse], "compare")
    merged = merge(*judgements)
    assert (merged and (merged["current"], merged["draft"])) == points
    if (forward, reverse) in ACCEPTED:
        assert decided(*judgements) == (True, "new", "max_rounds")
    else:
        assert decided(*judgements) == (False, "old", "not_accepted" if points else "judge_error")


@pytest.mark.parametrize(("forward", "reverse"), list(product(SCORED, repeat=2)))
def test_scores_in_both_orders(forward: str, reverse: str) -> None:
    judgements = judgement(forward, "score"), judgement(reverse, "score")
    assert (judgements[0]["points"], judgements[1]["points"]) == (SCORED[forward], SCORED[reverse])
    readable = [pair for pair in (SCORED[forward], (SCORED[reverse] or [])[::-1]) if pair]
    merged = merge(*judgements)
    if not readable:
        assert merged is None
        assert decided(*judgements) == (False, "old", "judge_error")
        return
    current, draft = (sum(side) / len(readable) for side in zip(*readable, strict=True))
    assert merged == {"current": current, "draft": draft}
    expected = (True, "new", "max_rounds") if draft > current else (False, "old", "not_accepted")
    assert decided(*judgements) == expected


def test_one_point_more_is_enough_and_none_is_not() -> None:
    assert decided(judgement("7 7.5", "score"), judgement("7 7", "score"))[0]
    assert not decided(judgement("7 8", "score"), judgement("8 9", "score"))[0]
    assert not decided(judgement("6 7", "score"), judgement("6 7", "score"))[0]


# --- reading

FRAMES = [
    "{}",
    "{}\nBecause assistant 1 and assistant 2 are not equal.",
    "  {}  ",
    "\n\n \t\n{}\nBecause.",
    "{}\r\nBecause.",
    "**{}**",
    "__{}__",
    "`{}`",
    "```\n{}\n```",
    "### {}",
    '"{}"',
    "'{}'",
    "“{}”",
    "[{}]",
    "Output: {}",
    "output:{}",
    "OUTPUT : {}",
    "**Output:** {}",
    "Verdict:\n{}",
    "## Verdict:\n\n**{}**",
    "My final verdict: {}",
    "Verdict: {}.",
    "输出：{}",
    "判断：\n{}",
]


READABLE: list[tuple[str, VerdictForm, list[float]]] = [
    *((answer, "compare", points) for answer, points in COMPARED.items() if points),
    *((answer, "score", points) for answer, points in SCORED.items() if points),
    ("9, 3", "score", [9, 3]),
    ("9,3", "score", [9, 3]),
    ("9，3", "score", [9, 3]),
    ("9\t3", "score", [9, 3]),
]


@pytest.mark.parametrize("frame", FRAMES)
def test_tolerated_forms(frame: str) -> None:
    for answer, form, points in READABLE:
        for spelled in (answer, answer.upper(), answer.title()):
            assert read_verdict(frame.format(spelled), form) == points, spelled


@pytest.mark.parametrize(
    ("reply", "points"),
    [
        ("Assistant 2 is better.", [0, 1]),
        ("The better response is assistant 1", [1, 0]),
        ("Better response: assistant 2", [0, 1]),
        ("Response 2", [0, 1]),
        ("assistant  2", [0, 1]),
        ("Assistant2", [0, 1]),
        ("Assistant #1", [1, 0]),
        ("Assistant 2's response is better", [0, 1]),
        ("It is a tie.", [1, 1]),
        ("Equal: both say the same.", [1, 1]),
        ('{"verdict": "assistant 1"}', [1, 0]),
    ],
)
def test_a_line_that_names_one(reply: str, points: list[float]) -> None:
    assert read_verdict(reply, "compare") == points


@pytest.mark.parametrize(
    "reply",
    [
        "",
        " \n\t\n",
        "Output:",
        "assistant",
        "assistant 3",
        "assistant 12",
        "assistant 0",
        "assistant 1 or assistant 2",
        "assistant 1, equal",
        "neither",
        "not assistant 1",
        "Assistant 1 is not better",
        "Assistant 1 isn't better",
        "Assistant 1 isn’t better",
        "Assistant 2 is worse.",
        "Worse response: assistant 2",
        "Assistant 1 fails to answer.",
        "not equal",
        "unequal",
        "Explanation:\nassistant 1 gives a date.",
        "Analysis:\nassistant 2 is brief.",
        "Equal:\nassistant 1",
        "8 7",
    ],
)
def test_a_reply_that_does_not_say_which_is_better(reply: str) -> None:
    assert read_verdict(reply, "compare") is None


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "8",
        "8 7 6",
        "0 5",
        "5 0",
        "11 5",
        "5 10.5",
        "-3 5",
        "5 -3",
        "8-7",
        "eight seven",
        "8\n7\n6",
        "1\n2",
        "1.8\n2.9",
        "1: 8",
        "2. 9\n1. 8",
        "1. 8\n2. 9\n3. 7",
        "8 / 10",
        "4 / 5",
        "Scores (1-10): 8",
        "assistant 1",
        "9" * 5000 + " 5",
        "inf nan",
    ],
)
def test_a_reply_without_two_scores(reply: str) -> None:
    assert read_verdict(reply, "score") is None


SWAPPED = ("[[2]]", "[[1]]", "[[0]]")


@pytest.mark.parametrize(
    ("reply", "first_line", "points"),
    [
        ("<assistant 2>\nok", ("<assistant 1>", "<assistant 2>", "<equal>"), [0, 1]),
        ("**Left**\nok", ("left", "right", "neither"), [1, 0]),
        ("neither\nok", ("left", "right", "neither"), [1, 1]),
        ('{"verdict": "right", "explanation": "left is wrong"}', ("left", "right", "neither"), [0, 1]),
        ("left\nright\nneither", ("left", "right", "neither"), None),
        ("Verdict: assistant 2", ("left", "right", "neither"), [0, 1]),
        ("one: 8 two: 9\nok", "One: {score} Two: {score}", [8, 9]),
        ("8 9\nok", "One: {score} Two: {score}", [8, 9]),
        ("one: 8 two: 12\nok", "One: {score} Two: {score}", None),
        # Copies of what may be replied.
        ("A\nB\nC", ("A", "B", "C"), None),
        ("- A\n- B\n- C", ("A", "B", "C"), None),
        ("A\nB", ("A", "B", "C"), None),
        ("A, B or C", ("A", "B", "C"), None),
        ("B.", ("A", "B", "C"), [0, 1]),
        ("Response B is better", ("A", "B", "C"), [0, 1]),
        # Words that mean the other side as they are usually read.
        ("[[2]].", SWAPPED, [1, 0]),
        ("Verdict:\n**[[1]]**.", SWAPPED, [0, 1]),
        ("[[2]] because it is complete", SWAPPED, [1, 0]),
        ("Both have merits.\n\nMy verdict: [[1]]", SWAPPED, [0, 1]),
        ("2", SWAPPED, None),
        ("Response 2 is better", SWAPPED, None),
        ('{"verdict": "[[2]]"}', SWAPPED, [1, 0]),
        ('{"winner": "2"}', SWAPPED, None),
        ("2", ("0", "1", "2"), [1, 1]),
        ("***\n<verdict>\n[[2]]\n</verdict>\n[[1]] would be wrong:\n[[1]]", SWAPPED, [1, 0]),
        ("<", (">", "<", "="), [0, 1]),
        ("assistant 1", ("0", "1", "2"), None),
        ("Response 2", ("loser: 2", "loser: 1", "none"), None),
        ("Final: loser: 2", ("loser: 2", "loser: 1", "none"), [1, 0]),
        ("b=8 a=9.", "B={score} A={score}", [8, 9]),
        ("A=9 B=8", "B={score} A={score}", None),
        ("8 9\nok", "B={score} A={score}", None),
    ],
)
def test_a_pack_s_own_first_line_is_read(
    reply: str, first_line: FirstLine, points: list[float] | None
) -> None:
    form: VerdictForm = "score" if isinstance(first_line, str) else "compare"
    assert read_verdict(reply, form, first_line) == points


def test_the_forms_of_recorded_requests() -> None:
    compare, score = (reply_form(line) for line in FIRST_LINES.values())
    assert compare == r"(assistant 1|assistant 2|equal)\n[^\s][\s\S]*"
    assert score == r"(10|[1-9](\.5)?) (10|[1-9](\.5)?)\n[^\s][\s\S]*"


CORPUS = json.loads(Path(__file__).with_name("verdicts.json").read_text(encoding="utf-8"))
TRUTHS = {1: [1, 0], 2: [0, 1], "equal": [1, 1]}


@pytest.mark.parametrize("half", ["first", "second"])
@pytest.mark.parametrize("form", ["compare", "score"])
def test_replies_as_chat_models_write_them(form: VerdictForm, half: str) -> None:
    """The first half was written before the reader, the second one after it."""
    wrong, unread, readable = [], [], 0
    for truth, reply in CORPUS[form][half]:
        points, expected = read_verdict(reply, form), TRUTHS[truth] if form == "compare" and truth else truth
        readable += expected is not None
        if points is None and expected:
            unread.append(reply)
        elif points != expected:
            wrong.append((reply, points))
    assert len(wrong) < 0.01 * len(CORPUS[form][half]), wrong
    assert len(unread) < 0.15 * readable, unread


@pytest.mark.parametrize("form", ["compare", "score"])
@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        ("回答1", "整体"),
        ("", "我的"),
        ("verdict", " final "),
        ('{"verdict": "', '\\"'),
        ("i think ", "("),
        ("8 ", "| a | b |\n"),
        ("x\n", "<think>a</think>\n"),
        ("equal ", "overall "),
        ("", "8\n"),
        ("assistant 1 (", "slightly "),
        ("assistant 1 ", "not assistant 2 "),
    ],
)
def test_a_long_and_nasty_reply_is_done_with(beginning: str, piece: str, form: VerdictForm) -> None:
    read_verdict(beginning + piece * (1_000_000 // len(piece)), form)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 12)
    | st.floats()
    | st.sampled_from(["assistant 1", "Assistant 2", "equal", "verdict", "not", "8 7"])
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.text() | st.text("12 assistantequalno't\n:：.,*0123456789") | JSON.map(json.dumps),
    st.sampled_from(["compare", "score"]),
)
def test_any_text_is_read_or_refused(reply: str, form: VerdictForm) -> None:
    points = read_verdict(reply, form)
    if points is not None:
        allowed = points in ([1, 0], [0, 1], [1, 1])
        assert allowed if form == "compare" else all(1 <= score <= 10 for score in points)
