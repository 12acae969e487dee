"""What a trial reads from its rows: valid judgments, and scores averaged over orders and referees."""

import math
import random
from dataclasses import replace

import pytest

from trials import libraries
from trials.bootstrap import Bootstrap
from trials.comparisons import compare
from trials.judgments import Features, Judgment, Order, TrialError, read_judgments, referee_scores
from trials.libraries import require_libraries
from trials.report import analyze

ARMS = ["original", "edit", "evolve"]


def row(
    sample: int,
    outcome: float | None,
    order: Order | None = "forward",
    *,
    arm: str = "evolve",
    rival: str = "original",
    referee: str = "one",
    exchange: int = 0,
    features: Features | None = None,
) -> Judgment:
    return Judgment(f"{sample}", arm, rival, referee, order, outcome, features, features, exchange)


def scores(*rows: Judgment) -> list[float]:
    won = row(999, 1, None)
    other = row(998, 0, None)
    found = compare(read_judgments([won, other, *rows], ARMS), "evolve", "original")
    return [
        float(score)
        for name, score in zip(found.names, found.by_sample, strict=True)
        if name not in ("998", "999")
    ]


def test_orders_that_contradict_each_other_are_a_tie() -> None:
    assert scores(row(1, 1, "forward"), row(1, 0, "reversed")) == [0.5]


def test_unreadable_verdicts_are_left_out() -> None:
    assert scores(row(1, 1, None), row(1, None, None, referee="two"), row(2, None, None)) == [1]


def test_one_order_alone_is_no_vote_of_a_model() -> None:
    both = row(1, 0, "forward", referee="one"), row(1, 0, "reversed", referee="one")
    alone = row(1, 1, "forward", referee="two"), row(1, None, "reversed", referee="two")
    assert scores(*both, *alone) == [0]
    assert scores(*alone, row(2, 1, "reversed"), row(3, None, "forward"), row(3, 0, "reversed")) == []
    person = replace(row(4, 1, "reversed", referee="anna"), person=True)
    assert referee_scores(read_judgments([person, row(5, 0, None)], ARMS).votes)[
        "4", 0, "evolve", "original"
    ] == {"anna": 1}
    report = analyze([*both, *alone, row(2, 1, None), row(6, None)], ARMS, bootstrap=Bootstrap(0, 100))
    assert {each.referee: each.left_out for each in report.referees} == {"one": 0, "two": 1}
    assert (report.samples, report.judged) == (2, 2)


def test_a_sample_counts_once_however_many_exchanges_it_has() -> None:
    exchanges = [row(1, outcome, None, exchange=number) for number, outcome in enumerate((1, 1, 0.5, 0))]
    assert scores(*exchanges, row(2, 0, None)) == [0.625, 0]


def test_thirds_that_balance_are_a_tie() -> None:
    votes = {"a": 1, "b": 0.5, "c": 0}
    assert scores(
        *(row(1, vote, None, exchange=n, referee=of) for n in range(3) for of, vote in votes.items())
    ) == [0.5]


def test_neither_the_order_of_rows_nor_which_arm_is_a_matters() -> None:
    chance = random.Random(1)
    rows = [
        row(sample, chance.choice([0, 0.5, 1, None]), order, arm=arm, referee=referee)
        for sample in range(40)
        for arm in ("edit", "evolve")
        for referee in ("one", "two")
        for order in ("forward", "reversed")
    ]
    turned = [
        Judgment(
            one.sample,
            one.arm_b,
            one.arm_a,
            one.referee,
            "reversed" if one.order == "forward" else "forward",
            None if one.outcome is None else 1 - one.outcome,
        )
        for one in rows
    ]
    chance.shuffle(turned)
    bootstrap = Bootstrap(3, 200)
    assert analyze(rows, ARMS, bootstrap=bootstrap) == analyze(turned, ARMS, bootstrap=bootstrap)
    assert analyze(rows, ARMS, bootstrap=bootstrap) != analyze(rows, ARMS, bootstrap=Bootstrap(4, 200))


LONG = Features(100)

SAME = row(2, 0.5, None, referee="unchanged")


@pytest.mark.parametrize(
    ("rows", "arms", "message"),
    [
        ([], ARMS, "there are no judgments"),
        ([row(1, 1)], ["evolve"], "at least two different arms, not evolve"),
        ([row(1, 1)], [], "at least two different arms, not none"),
        ([row(1, 1), row(2, 1)], ["evolve", "evolve"], "at least two different arms, not evolve, evolve"),
        ([row(1, 1), row(1, 0, "reversed")], ARMS, "at least two samples"),
        ([row(1, 1), row(2, None)], ARMS, "at least two samples"),
        ([row(n, 0.5) for n in range(9)], ARMS, "all 9 verdicts are ties"),
        ([row(n, None) for n in range(9)], ARMS, "none of the 9 verdicts could be read"),
        ([SAME, row(3, 0.5, None, referee="unchanged")], ARMS, "no arm changed any response"),
        ([SAME, row(3, 0.5, None, referee="unchanged"), row(4, None)], ARMS,
         "none of the 1 verdicts on changed responses could be read"),
        ([row(1, 1), row(2, 0.7)], ARMS, "sample 2, evolve and original: the outcome is 0.7"),
        ([row(1, 1), row(2, math.nan)], ARMS, "sample 2, evolve and original: the outcome is nan"),
        ([row(1, 1), row(1, 0)], ARMS, "evolve and original: the same order was judged twice by one"),
        ([row(1, 1, None, referee="unchanged")], ARMS, "what is unchanged is a tie without an order"),
        ([row(1, 1, arm="other")], ARMS, "other is none of the arms (original, edit, evolve)"),
        ([row(1, 1, rival="evolve")], ARMS, "an arm is compared with itself"),
        ([row(1, 1, features=Features(math.nan))], ARMS, "length of the response of evolve is nan"),
        ([row(1, 1, features=Features(9, bold=-1))], ARMS, "bold of the response of evolve is -1"),
        ([row(1, 1, features=Features(math.inf))], ARMS, "length of the response of evolve is inf"),
        (
            [row(1, 1, features=LONG), row(1, 1, "reversed", features=Features(90))],
            ARMS,
            "two judgments give evolve different features",
        ),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_evaluated(rows: list[Judgment], arms: list[str], message: str) -> None:
    with pytest.raises(TrialError) as raised:
        analyze(rows, arms, bootstrap=Bootstrap(0, 100))
    assert message in str(raised.value)


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_libraries()
    monkeypatch.setattr(libraries, "find_spec", lambda name: None if name in ("choix", "scipy") else name)
    with pytest.raises(TrialError, match=r"choix, scipy.*pip install -e '\.\[trial\]'"):
        require_libraries()
