"""What a person is shown says nothing about the arms."""

from collections import Counter
from itertools import combinations

from trials.blind import Shown, shuffled

ARMS = ("original", "edit", "refine", "evolve")
COMPARISONS = [(f"sample {n}", 0, arm, rival) for n in range(200) for rival, arm in combinations(ARMS, 2)]


def test_a_person_always_sees_the_same_order_and_sides() -> None:
    order = shuffled(COMPARISONS, "Ann", 7)
    assert order == shuffled(reversed(COMPARISONS), "Ann", 7)
    assert {(each.sample, each.exchange, each.arms) for each in order} == {
        (sample, exchange, frozenset(arms)) for sample, exchange, *arms in COMPARISONS
    }
    assert len(order) == len(COMPARISONS)


def test_what_was_decided_stays_decided_when_samples_are_added() -> None:
    few = dict.fromkeys(shuffled(COMPARISONS[:100], "Ann", 7))
    assert few == {each: None for each in shuffled(COMPARISONS, "Ann", 7) if each in few}


def test_each_arm_is_on_each_side_equally_often_whatever_its_rival() -> None:
    left = Counter((shown.left, shown.right) for shown in shuffled(COMPARISONS, "Ann", 7))
    for one, other in combinations(ARMS, 2):
        assert 60 < left[one, other] < 140


def test_another_person_or_seed_has_another_order_and_other_sides() -> None:
    ann = shuffled(COMPARISONS, "Ann", 7)
    for person, seed in (("Bob", 7), ("Ann", 8)):
        other = shuffled(COMPARISONS, person, seed)
        assert sum(one == two for one, two in zip(ann, other, strict=True)) < 20
        assert 400 < len({*ann} & {*other}) < 800  # those with the same sides


def test_ids_that_no_encoding_has_are_shuffled_too() -> None:
    assert shuffled([("\ud800", 0, "edit", "original")], "", 0)[0].arms == {"edit", "original"}
    assert Shown("1", 0, "edit", "original").arms == Shown("1", 0, "original", "edit").arms
