"""How far the referees can be trusted: with themselves, and with each other."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import krippendorff
import numpy as np

from trials.bootstrap import Bootstrap, Estimate, FloatArray, estimate, share
from trials.judgments import UNCHANGED, Trial, TrialError, Vote, referee_scores


@dataclass(frozen=True, slots=True)
class Orders:
    """What a referee does when the order of two responses is reversed."""

    both: int
    """Comparisons of which both orders could be read."""
    first_preferred: Estimate
    """Share of these verdicts for the response shown first, ties as halves: 0.5 is no position bias."""
    agreement: Estimate
    """Share of comparisons in which both orders give the same verdict."""
    contradictions: int
    """Comparisons in which the orders prefer different responses, which makes them ties."""


def left_out(trial: Trial) -> dict[str, int]:
    """Return of how many comparisons each referee's verdict could be read in one order alone, so that it does
    not count (`trials.judgments.score_of`)."""
    places = {(vote.place, vote.referee) for vote in trial.readable}
    counted = {(place, name) for place, by in referee_scores(trial.votes).items() for name in by}
    return Counter(referee for _, referee in places - counted)


def verdicts_read(trial: Trial) -> dict[str, tuple[int, int]]:
    """Return how many verdicts of each referee could be read, and how many not."""
    found: dict[str, tuple[int, int]] = {}
    for vote in trial.votes:
        if vote.referee == UNCHANGED:
            continue
        read, unread = found.get(vote.referee, (0, 0))
        found[vote.referee] = (read, unread + 1) if vote.score is None else (read + 1, unread)
    return dict(sorted(found.items()))


def orders(trial: Trial, referee: str, bootstrap: Bootstrap) -> Orders:
    """Compare both orders of a referee's comparisons.

    Raises:
        TrialError: there are not two samples with both orders.
    """
    pairs = _both_orders(vote for vote in trial.votes if vote.referee == referee)
    position = {name: number for number, name in enumerate(sorted({sample for sample, *_ in pairs}))}
    if len(position) < 2:
        raise TrialError(f"no two samples have readable verdicts of {referee} in both orders")
    sums = np.zeros((len(position), 3))
    contradictions = 0
    for sample, shown_first, shown_last in pairs:
        sums[position[sample]] += (shown_first + 1 - shown_last) / 2, shown_first == shown_last, 1
        contradictions += {shown_first, shown_last} == {0, 1}

    def shares(times: FloatArray) -> FloatArray:
        resampled = times @ sums
        return resampled[:, :2] / resampled[:, 2:]

    distribution = bootstrap.distribution(shares, len(position))
    *values, both = sums.sum(axis=0)
    of_samples = sums[:, :2] / sums[:, 2:]

    def of(column: int) -> Estimate:
        found = estimate(values[column] / both, distribution[:, column], len(position))
        return share(found, of_samples[:, column], bootstrap)

    return Orders(int(both), of(0), of(1), contradictions)


def agreement(trial: Trial) -> float:
    """Return Krippendorff's alpha of the referees' votes on the same comparisons, averaged over orders.

    1 is full agreement, 0 that of chance. The values are ordered from 0 (the rival is better) to 1.
    (K. Krippendorff: Content Analysis, chapter 12.)

    Raises:
        TrialError: no two referees judged the same comparison, or all votes are the same.
    """
    scores = referee_scores(trial.votes)
    referees = sorted({referee for by_referee in scores.values() for referee in by_referee})
    shared = [by_referee for by_referee in scores.values() if len(by_referee) > 1]
    if not shared:
        raise TrialError("no two referees judged the same comparison")
    table = np.array([[by_referee.get(referee, np.nan) for by_referee in shared] for referee in referees])
    if len(np.unique(table[~np.isnan(table)])) < 2:
        raise TrialError("all votes are the same, so agreement cannot be distinguished from chance")
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement="ordinal"))


def _both_orders(votes: Iterable[Vote]) -> list[tuple[str, float, float]]:
    """Return sample and the arm's score shown first and shown last, where both could be read."""
    found: dict[tuple[str, int, str, str], dict[bool, float]] = defaultdict(dict)
    for vote in votes:
        if vote.score is not None and vote.arm_first is not None:
            found[vote.place][vote.arm_first] = vote.score
    return [(place[0], by[True], by[False]) for place, by in found.items() if len(by) == 2]
