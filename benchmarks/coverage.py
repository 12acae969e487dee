"""Known truth: how often 95 % intervals hold it, with simulated referees.

Every row is a figure of many simulated trials. Its truth is known, from the world or from 100,000 samples of
it. "orders as samples" and "exchanges as samples" are the mistakes to avoid: intervals as if the verdicts of
one sample were independent. "false better" is the share of trials without any difference in which at least
one of four arms is called better than the original after Holm; also by a referee that always prefers what it
is shown first, and can often be read in one order alone.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import choix
import click
import numpy as np

from benchmarks.referees import Drawn, Referee, World, draw, judgments
from benchmarks.table import show
from trials.bootstrap import Bootstrap, Estimate
from trials.bradley_terry import strengths
from trials.comparisons import compare
from trials.controlled import length_controlled, style_controlled
from trials.judgments import read_judgments
from trials.people import corrected
from trials.referees import orders
from trials.report import analyze
from trials.win_rates import lead, win_rate

MANY = 100_000

CAREFUL = Referee(first=0.15)
BIASED = Referee(quality=0.7, first=-0.4, taste=0.8, noise=0.6)

PREFERENCE = World((0.0, 0.4, 0.8), (CAREFUL, BIASED), conversations=0.5, pairs=((1, 0), (2, 0), (2, 1)))
NO_DIFFERENCE = World((0.0,) * 5, (BIASED,))
FIRST_ALONE = World((0.0,) * 5, (Referee(quality=0, first=9, unread=(0.6, 0.95)),))
LENGTH_ALONE = World((0.0, 0.0), (Referee(quality=0, length=1.0, first=0.2),), longer=0.25)
LENGTH_TOO = World((0.0, 0.4), (Referee(length=0.7, first=0.2),), longer=0.25)
LISTS_ALONE = World((0.0, 0.0), (Referee(quality=0, lists=0.7, first=0.2),), longer=0.25, lists=True)
JUDGED_BY_PEOPLE = World((0.0, 0.5), (Referee(taste=1.0, first=0.3),))


class Held(NamedTuple):
    """Whether an interval holds the truth."""

    figure: str
    truth: float
    estimate: Estimate

    @property
    def is_held(self) -> bool:
        """Whether it does."""
        return self.estimate.low <= self.truth <= self.estimate.high


Check = Callable[[int, int, int], Iterator[Held]]
"""Yields the figures of so many trials, with so many resamples, from a seed."""


def preference(trials: int, resamples: int, seed: int) -> Iterator[Held]:
    """Win rates, a lead, strengths and position bias; and what is wrong with counting verdicts."""
    world, random = PREFERENCE, np.random.default_rng(seed)
    many = draw(world, MANY, np.random.default_rng(0))
    rates = _by_pair(many)
    strength = _strengths(world, rates)
    first = (many.outcomes[..., 0] + 1 - many.outcomes[..., 1]).mean(axis=(0, 1)) / 2
    for number in range(trials):
        bootstrap = Bootstrap(number, resamples)
        trial = read_judgments(judgments(world, draw(world, 80, random)), world.arms)
        one, two = (compare(trial, arm, "original") for arm in world.arms[1:])
        yield Held("win rate", rates[1], win_rate(two, bootstrap).rate)
        yield Held("lead of an arm", rates[1] - rates[0], lead(two, one, bootstrap).difference)
        yield Held("strength", strength, strengths(trial, bootstrap)["arm 2"])
        yield Held("position bias", first[1], orders(trial, "referee 1", bootstrap).first_preferred)
        votes = [vote.score for vote in trial.readable if (vote.arm, vote.rival) == ("arm 2", "original")]
        yield Held("win rate, orders as samples", rates[1], bootstrap.mean(np.array(votes, float), 0, 1))
        yield Held("win rate, exchanges as samples", rates[1], bootstrap.mean(two.score, 0, 1))


def length_alone(trials: int, resamples: int, seed: int) -> Iterator[Held]:
    """The length-controlled rate of a referee who prefers the longer response; and the plain one."""
    world, random = LENGTH_ALONE, np.random.default_rng(seed)
    for number in range(trials):
        bootstrap = Bootstrap(number, resamples)
        trial = read_judgments(judgments(world, draw(world, 150, random)), world.arms)
        pair = compare(trial, "arm 1", "original")
        yield Held("length alone: length-controlled", 0.5, length_controlled(pair, bootstrap).rate)
        yield Held("length alone: not controlled", 0.5, win_rate(pair, bootstrap).rate)


def length_too(trials: int, resamples: int, seed: int) -> Iterator[Held]:
    """The length-controlled rate of a referee who prefers quality and length."""
    world, random = LENGTH_TOO, np.random.default_rng(seed)
    truth = _by_pair(draw(world, MANY, np.random.default_rng(0), alike=True))[0]
    for number in range(trials):
        trial = read_judgments(judgments(world, draw(world, 150, random)), world.arms)
        found = length_controlled(compare(trial, "arm 1", "original"), Bootstrap(number, resamples))
        yield Held("quality and length: length-controlled", truth, found.rate)


def lists_alone(trials: int, resamples: int, seed: int) -> Iterator[Held]:
    """The style-controlled rate of a referee who prefers lists."""
    world, random = LISTS_ALONE, np.random.default_rng(seed)
    for number in range(trials):
        trial = read_judgments(judgments(world, draw(world, 150, random)), world.arms)
        found = style_controlled(compare(trial, "arm 1", "original"), Bootstrap(number, resamples))
        yield Held("lists alone: style-controlled", 0.5, found.rate)


def people(trials: int, resamples: int, seed: int) -> Iterator[Held]:
    """The win rate that people would have given."""
    world, random = JUDGED_BY_PEOPLE, np.random.default_rng(seed)
    truth = float(draw(world, MANY, np.random.default_rng(0)).better.mean())
    for number in range(trials):
        bootstrap = Bootstrap(number, resamples)
        trial = read_judgments(judgments(world, draw(world, 200, random), people=120), world.arms)
        yield Held("corrected by people", truth, corrected(trial, bootstrap).rates["arm 1"])
        yield Held(
            "not corrected", truth, win_rate(compare(trial.panel, "arm 1", "original"), bootstrap).rate
        )


CHECKS: tuple[Check, ...] = (preference, length_alone, length_too, lists_alone, people)


def false_better(trials: int, resamples: int, seed: int, world: World = NO_DIFFERENCE) -> int:
    """Return in how many trials of a world without a difference an arm is called better than the original."""
    random = np.random.default_rng(seed)
    count = 0
    for number in range(trials):
        rows = judgments(world, draw(world, 60, random, alike=True))
        report = analyze(rows, world.arms, bootstrap=Bootstrap(number, resamples))
        count += any(result.verdict == "better" for result in report.arms)
    return count


def coverage(check: Check, trials: int, resamples: int, seed: int) -> dict[str, int]:
    """Return how many intervals of each figure hold the truth."""
    counts: dict[str, int] = {}
    for held in check(trials, resamples, seed):
        counts[held.figure] = counts.get(held.figure, 0) + held.is_held
    return counts


def _by_pair(drawn: Drawn) -> list[float]:
    return [float(rate) for rate in drawn.outcomes.mean(axis=(0, 2, 3))]


def _strengths(world: World, rates: list[float]) -> float:
    """Return the strength of the last arm that the expected win rates have."""
    won = np.zeros((len(world.arms),) * 2)
    for (arm, rival), rate in zip(world.compared, rates, strict=True):
        won[arm, rival], won[rival, arm] = rate, 1 - rate
    found = choix.ilsr_pairwise_dense(won)
    return float(found[-1] - found[0])


@click.command(help=__doc__)
@click.option("--trials", default=1000, help="Simulated trials of each kind.")
@click.option("--resamples", default=1000, help="Resamples of each trial.")
def main(trials: int, resamples: int) -> None:
    """Print a table of coverage."""
    rows = [
        [figure, f"{100 * held / trials:.1f} %"]
        for seed, check in enumerate(CHECKS)
        for figure, held in coverage(check, trials, resamples, seed).items()
    ]
    rows.append(["no difference: false better", f"{100 * false_better(trials, resamples, 9) / trials:.1f} %"])
    biased = false_better(trials, resamples, 10, FIRST_ALONE)
    rows.append(["the first shown is preferred: false better", f"{100 * biased / trials:.1f} %"])
    show(f"Known truth: {trials:,} trials, {resamples:,} resamples each", ["figure", "truth held"], rows)


if __name__ == "__main__":
    main()
