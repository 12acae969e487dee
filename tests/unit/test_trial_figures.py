"""The figures of a trial, against what is known of them. How well intervals hold: `test_known_truth.py`."""

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import choix
import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.api import GLM, families

from benchmarks.referees import Referee, World, draw, judgments
from trials.bootstrap import Bootstrap, FloatArray
from trials.bradley_terry import strengths
from trials.comparisons import Comparisons, compare
from trials.controlled import length_controlled, style_controlled
from trials.judgments import UNCHANGED, Features, Judgment, Order, Trial, TrialError, read_judgments
from trials.logistic import fit_resamples
from trials.people import corrected
from trials.referees import agreement, orders, verdicts_read
from trials.report import Costs, Refused, analyze
from trials.size import detectable_difference, samples_to_settle
from trials.win_rates import Lead, WinRate, holm, is_beyond_noise, lead, sign_test, win_rate

FEW = Bootstrap(0, 1000)


def rows(outcomes: Sequence[float | None], arm: str = "evolve", rival: str = "original") -> list[Judgment]:
    return [Judgment(f"{n:04}", arm, rival, "one", None, outcome) for n, outcome in enumerate(outcomes)]


def won(wins: int, ties: int, losses: int) -> list[float]:
    return [1.0] * wins + [0.5] * ties + [0.0] * losses


def compared(*outcomes: float | None) -> Comparisons:
    return compare(read_judgments(rows(outcomes), ["original", "evolve"]), "evolve", "original")


def drawn(world: World, samples: int = 200, people: int = 0) -> Trial:
    return read_judgments(
        judgments(world, draw(world, samples, np.random.default_rng(5)), people), world.arms
    )


def test_a_tie_is_half_a_win() -> None:
    found = win_rate(compared(*won(30, 20, 10)), FEW)
    assert (found.wins, found.ties, found.losses, found.samples) == (30, 20, 10, 60)
    assert found.rate.value == pytest.approx(40 / 60)
    assert found.p == pytest.approx(sign_test(30, 10))
    error = math.sqrt(np.array(won(30, 20, 10), float).var() / 60)
    assert found.rate.low == pytest.approx(40 / 60 - 1.96 * error, abs=0.02)
    assert found.rate.high == pytest.approx(40 / 60 + 1.96 * error, abs=0.02)


def test_samples_that_are_all_alike_leave_room_for_others() -> None:
    found = win_rate(compared(*won(20, 0, 0)), FEW).rate
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.025 ** (1 / 20))  # the Clopper-Pearson limit of 20 of 20
    other = rows([1, 0], "edit")
    tied = compare(
        read_judgments([*rows(won(0, 20, 0)), *other], ["original", "edit", "evolve"]), "evolve", "original"
    )
    found = win_rate(tied, FEW).rate
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert 0.4 < found.low < 0.5


@pytest.mark.parametrize("counts", [(1, 47, 0), (0, 47, 1), (4, 14, 1), (19, 1, 0), (2, 0, 18), (3, 60, 3)])
def test_kinds_of_samples_that_were_hardly_seen_widen_an_interval(counts: tuple[int, int, int]) -> None:
    found = win_rate(compared(*won(*counts)), FEW).rate
    wins, _, losses = counts
    samples = sum(counts)
    # What is alike but for one more win or loss has a rate that is not far.
    for rate in ((wins + 1 + counts[1] / 2) / (samples + 1), (wins + counts[1] / 2) / (samples + 1)):
        assert found.low < rate < found.high or rate in (0, 1)
    exact = [binomtest(count, samples).proportion_ci(method="exact") for count in (wins, losses)]
    assert found.high >= min(1, found.value + (exact[0].high - wins / samples) / 2) - 1e-9
    assert found.low <= max(0, found.value - (exact[1].high - losses / samples) / 2) + 1e-9
    if not counts[1]:  # as there are no ties, it is that of a share
        assert found.low <= exact[0].low + 1e-9 and found.high >= exact[0].high - 1e-9


def test_the_sign_test_is_exact() -> None:
    assert sign_test(8, 1) == pytest.approx(2 * (1 + 9) / 2**9)
    assert sign_test(0, 0) == 1


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_a_lead_is_paired_by_sample() -> None:
    # Both arms do alike on every sample but ten, however much samples differ.
    one, two = won(50, 0, 50), won(40, 0, 60)
    trial = read_judgments([*rows(one, "evolve"), *rows(two, "edit")], ["original", "edit", "evolve"])
    found = lead(compare(trial, "evolve", "original"), compare(trial, "edit", "original"), FEW)
    assert found.difference.value == pytest.approx(0.1)
    assert 0.03 < found.difference.low < found.difference.high < 0.18  # unpaired: -0.04 to 0.24
    assert found.p == pytest.approx(sign_test(10, 0))
    assert (found.wins, found.losses) == (10, 0)
    assert found.samples_needed and 72 < found.samples_needed < 85  # 72 if the variance were all


def test_a_lead_needs_samples_in_common() -> None:
    one = [Judgment(f"a{n}", "evolve", "original", "one", None, n % 2) for n in range(9)]
    two = [Judgment(f"b{n}", "edit", "original", "one", None, n % 2) for n in range(9)]
    (found,) = analyze([*one, *two], ["original", "edit", "evolve"], reference="evolve", bootstrap=FEW).leads
    assert found.lead == Refused("an interval needs at least two samples in common")


def beyond_noise(values: FloatArray, limit: float, tests: int, seed: int) -> bool:
    """Whether a trial calls a difference, the first of several, more than chance."""
    figure = Bootstrap(seed, 400).mean(values, -limit, limit)
    wins, losses = int((values > 0).sum()), int((values < 0).sum())
    p = sign_test(wins, losses)
    found = Lead(figure, len(values), p, None, wins, losses)
    return is_beyond_noise(found, holm([p, *[1.0] * (tests - 1)])[0])


def found_in(values: FloatArray, shares: FloatArray, samples: int, limit: float, tests: int) -> float:
    """Return in what share of trials of so many samples a difference is more than chance."""
    random = np.random.default_rng(11)
    drawn = (random.choice(values, samples, p=shares) for _ in range(250))
    return float(np.mean([beyond_noise(each, limit, tests, seed) for seed, each in enumerate(drawn)]))


@pytest.mark.parametrize(
    ("times", "limit", "tests"),
    [
        # Much ahead in some samples, a little behind in more: of the mean and its variance, 30 would do.
        ({1: 4, 0.75: 2, 0.5: 2, 0.25: 2, 0: 4, -0.25: 5, -0.5: 1}, 1, 4),
        ({0.5: 11, 0: 4, -0.5: 5}, 0.5, 1),  # an arm with ties
        ({0.5: 8, 0.25: 4, 0: 3, -0.25: 2, -0.5: 3}, 0.5, 5),  # one of five, with ties in one order
        ({0.5: 8, 0: 3, -0.5: 1}, 0.5, 5),  # hardly a loss
        ({0.25: 10, 0: 90}, 1, 1),  # none, and little is won: the interval is what takes many
    ],
)
def test_as_many_samples_as_settle_it_do_in_four_of_five_trials(
    times: dict[float, int], limit: float, tests: int
) -> None:
    values, shares = np.array([*times], float), np.array([*times.values()]) / sum(times.values())
    number = samples_to_settle(values, np.array([*times.values()]), limit, tests)
    assert number
    assert found_in(values, shares, number, limit, tests) == pytest.approx(0.8, abs=0.08)
    assert found_in(values, shares, round(0.6 * number), limit, tests) < 0.72


def test_a_mean_and_a_count_that_contradict_each_other_settle_nothing() -> None:
    times = {1: 20, -0.25: 60}
    values, each = np.array([*times], float), np.repeat([*times], [*times.values()]).astype(float)
    assert samples_to_settle(values, np.array([*times.values()]), 1) is None
    assert sign_test(20, 60) < 0.05 and FEW.mean(each, -1, 1).low > -0.2
    often = np.tile(each, 50)
    assert FEW.mean(often, -1, 1).low > 0 and not beyond_noise(often, 1, 1, 0)


def test_what_never_differs_is_never_settled() -> None:
    assert samples_to_settle(np.array([-1.0, 0, 1]), np.array([5, 10, 5]), 1) is None
    assert samples_to_settle(np.array([0.0]), np.array([10]), 1) is None


@pytest.mark.parametrize(("samples", "ties", "tests"), [(12, 0.3, 5), (40, 0.1, 1), (120, 0.6, 5)])
def test_the_smallest_difference_that_shows_does_in_four_of_five_trials(
    samples: int, ties: float, tests: int
) -> None:
    least = detectable_difference(samples, ties, tests)
    assert least

    def share(difference: float) -> float:
        losses = max(0, (1 - ties) / 2 - difference)
        shares = np.array([losses + 2 * difference, losses, 1 - 2 * difference - 2 * losses])
        return found_in(np.array([0.5, -0.5, 0]), shares, samples, 0.5, tests)

    assert share(least) == pytest.approx(0.8, abs=0.08)
    assert share(0.75 * least) < 0.72


def test_the_size_of_a_trial() -> None:
    # Where the sign test is of one arm and samples are many, 7.85 · (1 - ties) / 4 / δ² is about right.
    assert detectable_difference(550, 0.3) == pytest.approx(0.05, abs=0.004)
    assert detectable_difference(138, 0.3) == pytest.approx(0.1, abs=0.008)
    assert detectable_difference(5, 0) is detectable_difference(1, 0) is None
    for samples, ties in ((0, 0), (10, 1), (10, -0.1)):
        with pytest.raises(TrialError):
            detectable_difference(samples, ties)


def test_more_arms_take_more_samples() -> None:
    outcomes = won(26, 10, 14)
    alone = analyze(rows(outcomes), ["original", "evolve"], bootstrap=FEW)
    names = ["edit", "advise", "refine"]
    others = [row for name in names for row in rows(won(20, 10, 20), name)]
    several = analyze(
        [*rows(outcomes), *others], ["original", *names, "evolve"], reference="evolve", bootstrap=FEW
    )
    one, of_four = (report.arms[-1].win_rate for report in (alone, several))
    assert isinstance(one, WinRate) and isinstance(of_four, WinRate)
    assert one.samples_needed and of_four.samples_needed
    assert of_four.samples_needed > 1.2 * one.samples_needed
    found = [result.lead for result in several.leads]
    assert all(isinstance(each, Lead) and each.samples_needed for each in found)


def test_strengths_are_those_of_choix_and_reach_arms_without_the_baseline() -> None:
    trial = read_judgments(
        [*rows(won(60, 10, 30), "edit"), *rows(won(50, 20, 30), "evolve", "edit")],
        ["original", "edit", "evolve"],
    )
    found = strengths(trial, FEW)
    games = np.array([[0.0, 35, 0], [65, 0, 40], [0, 60, 0]])
    expected = choix.ilsr_pairwise_dense(games)
    assert found["edit"].value == pytest.approx(math.log(65 / 35), abs=1e-6)
    assert found["evolve"].value == pytest.approx(expected[2] - expected[0], abs=1e-6)
    assert found["evolve"].low < found["evolve"].value < found["evolve"].high


@pytest.mark.parametrize(
    ("given", "arms", "reason"),
    [
        (rows([1, 0]), ["original", "evolve"], "two arms need no common scale"),
        (
            [*rows(won(3, 0, 3)), *rows(won(3, 0, 3), "a", "b")],
            ["original", "a", "b", "evolve"],
            "no comparison connects original, evolve with a, b",
        ),
        (
            [*rows(won(3, 0, 3)), *rows(won(6, 0, 0), "edit")],
            ["original", "edit", "evolve"],
            "edit won every comparison",
        ),
        (
            [*rows(won(3, 0, 3)), *rows(won(0, 0, 6), "edit")],
            ["original", "edit", "evolve"],
            "edit lost every comparison",
        ),
        (
            [*rows(won(3, 0, 3)), *rows(won(3, 0, 3), "a", "b"), *rows(won(6, 0, 0), "a")],
            ["original", "b", "a", "evolve"],
            "some arms won every comparison with the others",
        ),
    ],
)
def test_strengths_without_a_limit_or_a_scale(given: list[Judgment], arms: list[str], reason: str) -> None:
    with pytest.raises(TrialError, match=reason):
        strengths(read_judgments(given, arms), FEW)


def test_resamples_are_fitted_as_statsmodels_fits_them() -> None:
    random = np.random.default_rng(2)
    design = np.column_stack([np.ones(120), random.normal(size=(120, 2))])
    score = random.choice([0, 0.5, 1], 120)
    none = np.zeros(3)

    def fitted(times: np.ndarray) -> np.ndarray:
        model = GLM(score, design, family=families.Binomial(), var_weights=times)
        return np.asarray(model.fit().params)

    times = random.multinomial(120, [1 / 120] * 120, 5).astype(float)
    found = fit_resamples(design, times * score, times, fitted(np.ones(120)), none)
    assert found == pytest.approx(np.array([fitted(row) for row in times]), abs=1e-4)


LONGER = World((0.0, 0.0), (Referee(quality=0, length=1.5),), longer=0.3)
STYLISH = World((0.0, 0.0), (Referee(quality=0, lists=1.5),), longer=0.3, lists=True)


def test_a_rate_that_length_explains_is_controlled_away() -> None:
    pair = compare(drawn(LONGER), "arm 1", "original")
    found = length_controlled(pair, FEW)
    assert win_rate(pair, FEW).rate.low > 0.5
    assert found.rate.low < 0.5 < found.rate.high
    assert found.slopes["length"] > 1


def test_a_rate_that_style_explains_is_controlled_away() -> None:
    pair = compare(drawn(STYLISH), "arm 1", "original")
    found = style_controlled(pair, FEW)
    assert win_rate(pair, FEW).rate.low > 0.5
    assert found.rate.low < 0.5 < found.rate.high
    assert list(found.slopes) == ["length", "lists"]  # no response has headers or bold
    assert found.slopes["lists"] > 0.5


def test_a_referee_who_always_prefers_the_longer_leaves_half() -> None:
    chance = random.Random(4)
    given = [
        Judgment(
            f"{n}", "evolve", "original", "one", None, float(one > other), Features(one), Features(other)
        )
        for n in range(200)
        for one, other in [(chance.gauss(230, 50), chance.gauss(200, 50))]
    ]
    found = length_controlled(
        compare(read_judgments(given, ["original", "evolve"]), "evolve", "original"), FEW
    )
    assert found.rate.low < 0.5 < found.rate.high


@pytest.mark.parametrize(
    ("lengths", "count", "reason"),
    [
        (lambda n: (300 + n, 200), 100, "longer responses than original in all 100 samples, so"),
        (lambda n: (300 if n > 8 else 100 + n, 200), 100, "all but 9 of 100 samples"),
        (lambda n: (100 + n, 300), 100, "evolve has shorter responses than original"),
        (lambda n: (200, 200), 100, "all responses are of equal length"),
        (lambda n: (200 + n, 190 + n), 100, "differ in length by the same amount"),
        (lambda n: (100 + 7 * n, 300), 29, "29 samples .* too few to .* it takes 30"),
        (lambda n: (100 + 7 * n, 300), 100, "evolve won every comparison, whatever the length"),
        (lambda n: (200 + n * (n > 50), 200), 100, "longer responses than original in all 49 samples, so"),
        (lambda n: (100 if n < 10 else 1000 + n, 300), 900, "too regularly"),
        (lambda n: None, 100, "length and style of some responses are not known"),
    ],
)  # fmt: skip
def test_lengths_that_cannot_be_controlled(
    lengths: Callable[[int], tuple[float, float] | None], count: int, reason: str
) -> None:
    given = []
    for n in range(count):
        outcome = 1.0 if "won every" in reason else n % 2
        both = lengths(n)
        one, other = (Features(both[0]), Features(both[1])) if both else (None, None)
        given.append(Judgment(f"{n}", "evolve", "original", "one", None, outcome, one, other))
    pair = compare(read_judgments(given, ["original", "evolve"]), "evolve", "original")
    with pytest.raises(TrialError, match=reason):
        length_controlled(pair, FEW)


def test_style_that_cannot_be_controlled() -> None:
    def pair(evolved: Callable[[int], Features], count: int = 100) -> Comparisons:
        original = Features(300)
        given = [
            Judgment(f"{n}", "evolve", "original", "one", None, n % 2, evolved(n), original)
            for n in range(count)
        ]
        return compare(read_judgments(given, ["original", "evolve"]), "evolve", "original")

    with pytest.raises(TrialError, match="more headers in its responses than original in all but 5 of 100"):
        style_controlled(pair(lambda n: Features(200 + 3 * n, headers=0.1 if n > 4 else 0)), FEW)
    with pytest.raises(TrialError, match="alike in length and style"):
        style_controlled(pair(lambda n: Features(300)), FEW)
    with pytest.raises(
        TrialError,
        match="60 samples with different responses are too few to control length, headers, lists, bold",
    ):
        style_controlled(pair(lambda n: Features(200 + 3 * n, n % 3, n % 4, n % 5), 60), FEW)


def orders_of(*pairs: tuple[float | None, float | None], referee: str = "one") -> list[Judgment]:
    shown: tuple[Order, Order] = ("forward", "reversed")
    return [
        Judgment(f"{n}", "evolve", "original", referee, order, outcome)
        for n, both in enumerate(pairs)
        for order, outcome in zip(shown, both, strict=True)
    ]


def test_position_bias_and_self_agreement() -> None:
    # The first is preferred in three of the first two comparisons' four verdicts, and a tie is half of that.
    given = orders_of((1, 0), (1, 1), (0.5, 0.5), (1, None), (0.5, 1))
    trial = read_judgments(given, ["original", "evolve"])
    found = orders(trial, "one", FEW)
    assert (found.both, found.contradictions) == (4, 1)
    assert found.first_preferred.value == pytest.approx((2 + 1 + 1 + 0.5) / 8)
    assert found.agreement.value == 0.5
    assert verdicts_read(trial) == {"one": (9, 1)}
    # As in each of eleven comparisons: no resample differs.
    always = orders(read_judgments(orders_of(*[(1, 0)] * 11), ["original", "evolve"]), "one", FEW)
    limit = 0.025 ** (1 / 11)
    for each, low, high in (
        (always.first_preferred, limit, 1),
        (always.agreement, 0, 1 - limit),
    ):
        assert (each.low, each.high) == pytest.approx((low, high))
    nearly = orders(read_judgments(orders_of(*[(1, 0)] * 40, (1, 1)), ["original", "evolve"]), "one", FEW)
    assert nearly.agreement.high == pytest.approx(binomtest(1, 41).proportion_ci().high)
    with pytest.raises(TrialError, match="no two samples have readable verdicts of two in both orders"):
        orders(trial, "two", FEW)


def test_agreement_between_referees() -> None:
    def alpha(one: Sequence[float | None], two: Sequence[float | None]) -> float:
        given = [
            Judgment(f"{n}", "evolve", "original", name, None, outcome)
            for name, outcomes in (("one", one), ("two", two))
            for n, outcome in enumerate(outcomes)
        ]
        return agreement(read_judgments(given, ["original", "evolve"]))

    assert alpha([1, 0, 1, 0.5], [1, 0, 1, 0.5]) == 1
    # By hand: of 8 values, 4 each, 4 are in a pair that differs; by chance 2 · 4 · 4 / 7 would be.
    assert alpha([1, 1, 0, 0], [1, 0, 0, 1]) == pytest.approx(1 - 4 / (2 * 4 * 4 / 7))
    with pytest.raises(TrialError, match="no two referees"):
        alpha([1, 0, None, None], [None, None, 1, 0])
    with pytest.raises(TrialError, match="all votes are the same"):
        alpha([1, 1, 0], [1, 1, None])


def decided(
    count: int, sensitivity: float, specificity: float, people_prefer: float, samples: int = 400
) -> list[Judgment]:
    """Return exact shares: people prefer the arm in the first of every hundred samples."""
    given = []
    for n in range(samples):
        prefers = n % 100 < 100 * people_prefer
        at = n % 100 - (0 if prefers else 100 * people_prefer)
        size = 100 * (people_prefer if prefers else 1 - people_prefer)
        right = at < size * (sensitivity if prefers else specificity)
        given.append(Judgment(f"{n:03}", "evolve", "original", "one", None, float(prefers == right)))
        if n < count:
            given.append(Judgment(f"{n:03}", "evolve", "original", "anna", None, float(prefers), person=True))
    return given


def in_one_conversation(given: list[Judgment]) -> list[Judgment]:
    return [*rows([1]), *(replace(one, sample="talk", exchange=int(one.sample)) for one in given)]


def test_rates_are_corrected_by_people() -> None:
    found = corrected(read_judgments(decided(200, 0.9, 0.7, 0.4), ["original", "evolve"]), FEW)
    assert found.decisions == 200
    assert found.sensitivity.value == pytest.approx(0.9)
    assert found.specificity.value == pytest.approx(0.7)
    assert found.rates["evolve"].value == pytest.approx(0.4)  # the referees': 0.54
    assert found.rates["evolve"].low < 0.4 < found.rates["evolve"].high
    # In agreement with all 40 and 60 decisions of each side: no resample differs.
    sure = corrected(read_judgments(decided(100, 1, 1, 0.4), ["original", "evolve"]), FEW)
    for figure, count in ((sure.sensitivity, 40), (sure.specificity, 60)):
        assert (figure.low, figure.high) == pytest.approx((0.025 ** (1 / count), 1))
    same = [Judgment(f"same {n}", "evolve", "original", UNCHANGED, None, 0.5) for n in range(400)]
    mixed = corrected(read_judgments([*decided(200, 0.9, 0.7, 0.4), *same], ["original", "evolve"]), FEW)
    assert mixed.rates["evolve"].value == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (decided(99, 0.9, 0.7, 0.4), "people decided 99 of the comparisons .* takes 100"),
        (in_one_conversation(decided(120, 0.9, 0.7, 0.4)), "an interval needs at least two samples"),
        (decided(0, 0.9, 0.7, 0.4), "people decided 0 of"),
        (decided(200, 0.5, 0.5, 0.4), "no more than by chance"),
        (decided(200, 0.2, 0.2, 0.4), "no more than by chance"),
        (decided(200, 0.9, 0.9, 0.98), "nearly all of the 200 decisions of people are for the same side"),
    ],
)
def test_rates_that_people_cannot_correct(given: list[Judgment], reason: str) -> None:
    with pytest.raises(TrialError, match=reason):
        corrected(read_judgments(given, ["original", "evolve"]), FEW)


def test_people_alone_are_the_panel() -> None:
    given = [
        Judgment(f"{n}", "evolve", "original", "anna", "forward", n % 2, person=True) for n in range(120)
    ]
    same = Judgment("same", "evolve", "original", UNCHANGED, None, 0.5)
    report = analyze([*given, same], ["original", "evolve"], bootstrap=FEW)
    found = report.arms[0].win_rate
    assert isinstance(found, WinRate)
    assert (found.wins, found.ties, found.losses) == (60, 1, 60)
    assert report.corrected == Refused("no model judged, so there is nothing to correct")


def test_costs() -> None:
    given = [*rows(won(60, 10, 30), "edit"), *rows(won(50, 0, 50), "evolve"), *rows(won(0, 0, 50), "refine")]
    arms = ["original", "edit", "evolve", "refine"]
    costs = Costs("dollars", {"edit": 0.03, "evolve": 0.1, "refine": 0.05})
    report = analyze(given, arms, reference="evolve", costs=costs, bootstrap=FEW)
    assert [result.cost_per_win for result in report.arms] == [pytest.approx(0.05), pytest.approx(0.2), None]
    assert [lead.cost_share for lead in report.leads] == [pytest.approx(0.3), pytest.approx(0.5)]
    with pytest.raises(TrialError, match="a sample of edit costs nan"):
        analyze(given, arms, costs=Costs("dollars", {"edit": math.nan}), bootstrap=FEW)


def test_unchanged_responses_are_ties_and_no_verdicts() -> None:
    same = [Judgment(f"same {n}", "evolve", "original", UNCHANGED, None, 0.5) for n in range(20)]
    report = analyze([*rows(won(60, 0, 20)), *same], ["original", "evolve"], bootstrap=FEW)
    found = report.arms[0].win_rate
    assert isinstance(found, WinRate)
    assert (found.wins, found.ties, found.losses) == (60, 20, 20)
    assert (report.samples, report.judgments, report.unreadable) == (100, 80, 0)
    assert [result.referee for result in report.referees] == ["one"]


def test_an_arm_that_was_not_judged_is_refused_and_no_other() -> None:
    report = analyze(rows(won(60, 10, 30)), ["original", "edit", "evolve"], bootstrap=FEW)
    edit, evolve = report.arms
    assert edit.win_rate == Refused("no readable verdict compares edit with original")
    assert (edit.p_adjusted, edit.verdict) == (None, "noise")
    assert evolve.verdict == "better"
    assert report.reference == "evolve"
    assert json.loads(json.dumps(asdict(report)))["arms"][0]["win_rate"] == asdict(edit)["win_rate"]
