"""A trial in plain words."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from reporting.trial_tables import verdict
from trials.bootstrap import Bootstrap, Estimate
from trials.controlled import Controlled
from trials.judgments import Judgment
from trials.people import Corrected
from trials.report import ArmResult, DirectResult, LeadResult, Refused, Report, Verdict, analyze
from trials.sentences import is_better, none_better, sentences
from trials.win_rates import Lead, WinRate

FINE = Controlled(Estimate(0.6, 0.55, 0.66), {})
LOST = Controlled(Estimate(0.4, 0.34, 0.45), {})
BETTER = Estimate(0.63, 0.571, 0.688)


def arm(
    name: str,
    rate: Estimate | Refused = BETTER,
    verdict: Verdict = "better",
    *,
    needed: int | None = 61,
    p: float = 0.3,
    counts: tuple[int, int, int] | None = None,
    length: Controlled | Refused = FINE,
    style: Controlled | Refused = FINE,
) -> ArmResult:
    if isinstance(rate, Refused):
        return ArmResult(name, rate, p, verdict, length, style, None, None)
    if counts is None:
        wins = round(200 * rate.value) - 10
        counts = wins, 20, 180 - wins
    return ArmResult(name, WinRate(rate, *counts, 0.01, needed), p, verdict, length, style, None, None)


def ahead(
    other: str,
    difference: Estimate | Refused,
    *,
    real: bool = False,
    needed: int | None = 550,
    cost: float | None = None,
    p: float = 0.5,
    counts: tuple[int, int] | None = None,
) -> LeadResult:
    if isinstance(difference, Refused):
        return LeadResult(other, difference, p, real, cost)
    wins, losses = counts or ((70, 50) if difference.value > 0 else (50, 70))
    return LeadResult(other, Lead(difference, 200, 0.5, needed, wins, losses), p, real, cost)


def said(of: ArmResult, *leads: LeadResult) -> list[str]:
    return sentences(report(of, *leads))


def report(of: ArmResult, *leads: LeadResult, others: Sequence[ArmResult] = ()) -> Report:
    none = Refused("")
    arms = (of, *others)
    return Report("original", of.arm, 200, 800, 0, arms, leads, (), none, none, (), none, None)


def test_an_arm_as_good_and_one_within_noise() -> None:
    assert said(
        arm("evolve"),
        ahead("refine", Estimate(0.01, -0.052, 0.068), cost=0.41),
        ahead("edit", Estimate(0.05, -0.02, 0.13), cost=0.1),
    ) == [
        "evolve won 63 % [57, 69] of 200 samples against original, ties counted as halves, "
        "so it is better on this data.",
        "refine won as often as evolve, within [−7, +5] points in 200 samples, at 41 % of its cost.",
        "evolve's lead over edit, 5 points [−2, +13] in 200 samples"
        ", is within noise: 550 samples would settle it.",
    ]


@pytest.mark.parametrize(
    ("lead", "sentence"),
    [
        (ahead("edit", Estimate(0.12, 0.05, 0.18), real=True, cost=0.2),
         "evolve won more often than edit, which costs 20 % as much, by 12 points [+5, +18] in 200 samples."),
        (ahead("edit", Estimate(0.12, 0.05, 0.18), real=True),
         "evolve won more often than edit, by 12 points [+5, +18] in 200 samples."),
        (ahead("edit", Estimate(-0.12, -0.18, -0.05), real=True, cost=0.2),
         "edit won more often than evolve, by 12 points [+5, +18] in 200 samples, at 20 % of its cost."),
        (ahead("edit", Estimate(-0.012, -0.13, 0.1)),
         "edit's lead over evolve, 1 point [−10, +13] in 200 samples"
         ", is within noise: 550 samples would settle it."),
        (ahead("edit", Estimate(0.006, -0.13, 0.14), needed=None),
         "evolve's lead over edit, 1 point [−13, +14] in 200 samples, is within noise: "
          "20,000 samples would not settle it."),
        (ahead("edit", Estimate(0.004, -0.13, 0.14), needed=None),
         "evolve and edit won equally often, but either may be ahead: [−13, +14] points in 200 samples."),
        (ahead("edit", Estimate(0, -0.13, 0.13), needed=None),
         "evolve and edit won equally often, but either may be ahead: [−13, +13] points in 200 samples."),
        (ahead("edit", Estimate(0.09, 0.002, 0.17), needed=150),
         "evolve's lead over edit, 9 points [0, +17] in 200 samples"
         ", is within noise: more samples would settle it."),
        (ahead("edit", Refused("no readable verdict compares edit with original")),
         "edit cannot be compared with evolve: no readable verdict compares edit with original."),
        (ahead("edit", Estimate(-0.09, -0.17, -0.02), needed=250, counts=(50, 70)),
         "edit's lead over evolve, 9 points [+2, +17] in 200 samples, is within noise by the sign test, "
         "adjusted for the number of arms (70 samples for it, 50 against: p = 0.500), though the interval "
         "leaves out 0: 250 samples would settle it."),
        (ahead("edit", Estimate(0.09, 0.02, 0.17), needed=None, counts=(40, 80), p=0.001),
         "evolve's lead over edit, 9 points [+2, +17] in 200 samples, is within noise by the sign test, "
         "adjusted for the number of arms (40 samples for it, 80 against: p = 0.001), which says the "
         "opposite, though the interval leaves out 0: 20,000 samples would not settle it."),
        (ahead("edit", Estimate(-0.09, -0.17, 0.02), needed=None, counts=(60, 60)),
         "edit's lead over evolve, 9 points [−2, +17] in 200 samples, is within noise (60 samples for it, 60 "
         "against): 20,000 samples would not settle it."),
        (ahead("edit", Estimate(0.05, -0.02, 0.12), needed=350, counts=(80, 40), p=0.001),
         "evolve's lead over edit, 5 points [−2, +12] in 200 samples, is within noise by the interval, "
         "though not by the sign test, adjusted for the number of arms (80 samples for it, 40 against: "
         "p = 0.001): 350 samples would settle it."),
    ],
)  # fmt: skip
def test_leads(lead: LeadResult, sentence: str) -> None:
    assert said(arm("evolve"), lead)[1:] == [sentence]


def test_arms_that_did_alike_share_a_sentence() -> None:
    alike = Estimate(0.0, -0.05, 0.05)
    assert said(arm("evolve"), ahead("edit", alike), ahead("refine", alike))[1:] == [
        "edit won as often as evolve, within [−5, +5] points in 200 samples; "
        "refine won as often as evolve, within [−5, +5] points in 200 samples."
    ]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (arm("evolve", Estimate(0.53, 0.46, 0.6), "noise", needed=1090),
         ["evolve won 53 % [46, 60] of 200 samples against original, ties counted as halves, "
          "which is within noise: 1,090 samples would settle it."]),
        (arm("evolve", Estimate(0.71, 0.54, 0.88), "noise", needed=300, p=0.0704),
         ["evolve won 71 % [54, 88] of 200 samples against original, ties counted as halves, "
          "which is within noise by the sign test, adjusted for the number of arms (132 samples for it, "
          "48 against: p = 0.070), though the interval leaves out 50 %: 300 samples would settle it."]),
        (arm("evolve", Estimate(0.5, 0.4, 0.6), "noise", needed=None, p=1),
         ["evolve won 50 % [40, 60] of 200 samples against original, ties counted as halves, "
          "which is within noise: no difference to be settled."]),
        (arm("evolve", Estimate(0.55, 0.48, 0.62), "noise", needed=700, counts=(100, 40, 60)),
         ["evolve won 55 % [48, 62] of 200 samples against original, ties counted as halves, a win with a "
          "tie as three quarters, which is within noise: 700 samples would settle it."]),
        (arm("evolve", Estimate(0.4, 0.34, 0.46), "worse", length=LOST, style=LOST),
         ["evolve won 40 % [34, 46] of 200 samples against original, ties counted as halves, "
          "so it is worse on this data."]),
        (arm("evolve", Refused("no verdict"), "noise"),
         ["evolve cannot be compared with original: no verdict."]),
    ],
)  # fmt: skip
def test_against_the_baseline(result: ArmResult, expected: Sequence[str]) -> None:
    assert said(result) == expected


@pytest.mark.parametrize(
    ("result", "doubt"),
    [
        (arm("evolve", length=Controlled(Estimate(0.51, 0.44, 0.58), {})),
         "At equal length evolve won 51 % [44, 58], so its lead may come from length alone."),
        (arm("evolve", style=Controlled(Estimate(0.55, 0.48, 0.61), {})),
         "At equal length and style evolve won 55 % [48, 61], so its lead may come from style alone."),
        (arm("evolve", length=Refused("all but 3 are longer")),
         "Whether evolve is better by more than length cannot be determined: all but 3 are longer."),
        (arm("evolve", Estimate(0.4, 0.34, 0.46), "worse", length=Controlled(Estimate(0.49, 0.42, 0.55), {})),
         "At equal length evolve won 49 % [42, 55], so that it lost may come from length alone."),
    ],
)  # fmt: skip
def test_a_lead_that_may_be_length_or_style(result: ArmResult, doubt: str) -> None:
    assert said(result)[1:] == [doubt]


def test_each_arm_that_is_called_better_is_doubted() -> None:
    longer = Refused("all are longer")
    others = [
        arm("edit", Estimate(0.52, 0.45, 0.59), "noise", length=longer),
        arm("refine", length=longer),
        arm("advise", length=longer),
        arm("best-of-n", length=Controlled(Estimate(0.51, 0.36, 0.63), {})),
    ]
    of = arm("evolve", Estimate(0.51, 0.45, 0.58), "noise", length=longer)
    assert sentences(report(of, others=others))[1:] == [
        "At equal length best-of-n won 51 % [36, 63], so its lead may come from length alone.",
        "Whether refine and advise are better by more than length cannot be determined: all are longer.",
    ]


def test_a_trial_is_put_into_words() -> None:
    rows = [Judgment(f"{n}", "evolve", "original", "one", None, float(n < 90)) for n in range(120)]
    found = analyze(rows, ["original", "evolve"], bootstrap=Bootstrap(0, 500))
    assert sentences(found) == [
        "evolve won 75 % [67, 82] of 120 samples against original, ties counted as halves, "
        "so it is better on this data.",
        "Whether evolve is better by more than length cannot be determined: length and style of some "
        "responses are not known.",
    ]


def test_what_people_correct_is_said_and_decides() -> None:
    def by_people(rate: Estimate) -> Report:
        found = Corrected({"evolve": rate, "edit": FINE.rate}, FINE.rate, FINE.rate, 120)
        return replace(report(arm("evolve")), corrected=found)

    doubtful = by_people(Estimate(0.59, 0.43, 0.75))
    assert sentences(doubtful) == [
        "evolve won 63 % [57, 69] of 200 samples against original, ties counted as halves, "
        "which is better by the referees alone.",
        "Corrected by 120 decisions of people, evolve won 59 % [43, 75], which is within noise.",
    ]
    assert not is_better(doubtful, doubtful.arms[0])
    assert verdict(doubtful, doubtful.arms[0]) == "better by referees alone"
    lost = replace(doubtful.arms[0], verdict="worse")
    assert verdict(doubtful, lost) == "worse by referees alone"
    assert none_better(doubtful) == (
        "No arm is better than the original responses beyond noise, as people correct it."
    )
    sure = by_people(Estimate(0.66, 0.53, 0.75))
    assert sentences(sure)[1] == (
        "Corrected by 120 decisions of people, evolve won 66 % [53, 75], which is better."
    )
    assert verdict(sure, sure.arms[0]) == "better"
    assert sentences(sure)[0].endswith("so it is better on this data.") and not none_better(sure)
    worse = by_people(Estimate(0.4, 0.3, 0.45))
    assert "which is better by the referees alone" in sentences(worse)[0] and none_better(worse)
    assert "40 % [30, 45], which is worse." in sentences(worse)[1]
    assert none_better(report(arm("evolve", verdict="noise"))) == (
        "No arm is better than the original responses beyond noise."
    )


def test_samples_that_settle_it_are_those_of_a_trial() -> None:
    found = report(
        arm("evolve", Estimate(0.53, 0.46, 0.6), "noise", needed=1000),
        ahead("edit", Estimate(0.05, -0.02, 0.13), needed=550),
        ahead("refine", Estimate(0.09, 0.002, 0.17), needed=150),
    )
    assert [line.split(": ")[1] for line in sentences(found, 500)[0:1]] == ["2,500 samples would settle it."]
    assert "1,375 samples would settle it; " in sentences(found, 500)[1]
    assert sentences(found, 500)[1].endswith("more samples would settle it.")
    assert sentences(found, 200) == sentences(found)


def test_arms_that_fare_the_other_way_round_when_they_meet() -> None:
    def met(direct: Estimate, one: str = "evolve", other: str = "edit", samples: int = 40) -> list[str]:
        others = [arm("edit", Estimate(0.55, 0.5, 0.6)), arm("refine", Estimate(0.5, 0.4, 0.6))]
        found = report(arm("evolve"), others=others)
        result = DirectResult(one, other, WinRate(direct, samples // 2, 0, samples // 2, 0.1, None))
        return sentences(replace(found, direct=(result,)))[1:]

    against = "the opposite of what their win rates against original say."
    assert met(Estimate(0.38, 0.27, 0.48)) == [
        f"Compared directly, evolve won 38 % [27, 48] of 40 samples against edit: {against}"
    ]
    assert met(Estimate(0.45, 0.3, 0.6)) == [
        "Compared directly, evolve won 45 % [30, 60] of 40 samples against edit, which may be chance: "
        + against
    ]
    assert not met(Estimate(0.6, 0.52, 0.7)) and not met(Estimate(0.5, 0.4, 0.6))
    assert not met(Estimate(0.45, 0.3, 0.6), samples=4)
    assert not met(Estimate(0.55, 0.4, 0.6), "refine", "edit")  # of neither is much known
    assert met(Estimate(0.65, 0.52, 0.8), "refine", "edit")
