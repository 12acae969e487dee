"""The rows of a trial: judgments of a referee on two responses to the same request, shown in one order."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Literal, NamedTuple, get_args

Order = Literal["forward", "reversed"]
"""`forward`: A's response was shown first; `reversed`: B's was."""

Unit = Literal["dollars", "tokens"]
"""What costs are counted in."""

OUTCOMES = (0.0, 0.5, 1.0)

UNCHANGED = "unchanged"
"""The referee of responses that are the same text, which no one has to judge: a row with a tie and no order.
It counts in win rates and is no verdict. Without such rows, a win rate is that of changed responses alone."""


Place = tuple[str, int, str, str]
"""Sample, exchange, arm and rival."""


class TrialError(Exception):
    """Judgments that cannot be evaluated, or a figure that they cannot give. The message says why."""


@dataclass(frozen=True, slots=True)
class Features:
    """What may attract a referee to a response other than its quality."""

    length: float
    """In tokens or characters, the same unit for all responses of a trial."""
    headers: float = 0.0
    """Markdown headers per unit of length; the unit is any, the same for all."""
    lists: float = 0.0
    """List items per unit of length."""
    bold: float = 0.0
    """Bold passages per unit of length."""


FEATURES = tuple(field.name for field in fields(Features))


@dataclass(frozen=True, slots=True)
class Judgment:
    """A referee's judgment of two responses to the same request."""

    sample: str
    """The unit that is resampled: a record or a whole conversation."""
    arm_a: str
    arm_b: str
    referee: str
    order: Order | None
    """None for a referee that reads one response at a time, such as a reward model."""
    outcome: float | None
    """1 if A's response is better, 0 if B's is, 0.5 for a tie; None if the verdict could not be read."""
    features_a: Features | None = None
    features_b: Features | None = None
    exchange: int = 0
    """The exchange of a conversation."""
    person: bool = False
    """Whether the referee is a person."""


def score_of(outcomes: Mapping[object, float | None], *, person: bool) -> float | None:
    """Return a referee's one vote on a comparison, from its outcomes by order; None if it has none.

    It is the mean of both orders, so that orders which contradict each other are a tie. A model that is shown
    both votes only where both could be read: one alone says as much about its preference for what is shown
    first as about the responses. People are shown one order, and reward models none.
    """
    readable = [outcome for outcome in outcomes.values() if outcome is not None]
    if not readable or (not person and None not in outcomes and len(readable) < len(get_args(Order))):
        return None
    return fmean(readable)


class Vote(NamedTuple):
    """A valid judgment as the score of one arm, which comes after its rival in the list of arms."""

    sample: str
    exchange: int
    arm: str
    rival: str
    referee: str
    arm_first: bool | None
    """Whether the arm's response was shown first; None if nothing was shown side by side."""
    score: float | None
    person: bool

    @property
    def place(self) -> Place:
        """What was compared."""
        return self.sample, self.exchange, self.arm, self.rival


def referee_scores(votes: Iterable[Vote]) -> dict[Place, dict[str, float]]:
    """Return each referee's vote on each comparison that it has one on."""
    outcomes: dict[Place, dict[tuple[str, bool], dict[object, float | None]]] = defaultdict(dict)
    for vote in votes:
        outcomes[vote.place].setdefault((vote.referee, vote.person), {})[vote.arm_first] = vote.score
    found: dict[Place, dict[str, float]] = defaultdict(dict)
    for place, by_referee in outcomes.items():
        for (referee, person), by_order in by_referee.items():
            if (score := score_of(by_order, person=person)) is not None:
                found[place][referee] = score
    return found


class Trial(NamedTuple):
    """Valid judgments."""

    arms: tuple[str, ...]
    """The first is the baseline, such as the original responses."""
    votes: tuple[Vote, ...]
    """Sorted, so that nothing depends on the order of the rows. Unreadable verdicts are among them."""
    features: dict[tuple[str, int, str], Features]
    """By sample, exchange and arm."""

    @property
    def readable(self) -> list[Vote]:
        """Votes with a score."""
        return [vote for vote in self.votes if vote.score is not None]

    @property
    def has_models(self) -> bool:
        """Whether a model judged."""
        return any(not vote.person and vote.referee != UNCHANGED for vote in self.votes)

    @property
    def panel(self) -> "Trial":
        """The votes that win rates are made from: the models', or people's if no model judged."""
        if not self.has_models:
            return self
        return self._replace(votes=tuple(vote for vote in self.votes if not vote.person))

    @property
    def people(self) -> "Trial":
        """The votes of people."""
        return self._replace(votes=tuple(vote for vote in self.votes if vote.person))


def read_judgments(judgments: Iterable[Judgment], arms: Sequence[str]) -> Trial:
    """Check the rows of a trial.

    Args:
        judgments: the rows, in any order.
        arms: the arms, the baseline first.

    Raises:
        TrialError: a row is not valid or there twice, or there are not two arms, two samples, and a
            comparison that is not a tie.
    """
    if len(arms) < 2 or len(set(arms)) < len(arms):
        raise TrialError(f"a trial needs at least two different arms, not {', '.join(arms) or 'none'}")
    position = {arm: number for number, arm in enumerate(arms)}
    votes: dict[tuple[object, ...], Vote] = {}
    features: dict[tuple[str, int, str], Features] = {}
    for judgment in judgments:
        vote = _vote(judgment, position)
        if votes.setdefault((*vote.place, vote.referee, vote.arm_first), vote) is not vote:
            raise TrialError(f"{_name(judgment)}: the same order was judged twice by {judgment.referee}")
        for arm, found in (judgment.arm_a, judgment.features_a), (judgment.arm_b, judgment.features_b):
            if found is None:
                continue
            response = (judgment.sample, judgment.exchange, arm)
            if response not in features:
                _check_features(judgment, arm, found)
                features[response] = found
            elif found != features[response]:
                raise TrialError(f"{_name(judgment)}: two judgments give {arm} different features")
    trial = Trial(tuple(arms), tuple(sorted(votes.values(), key=_sort_key)), features)
    _check_content(trial)
    return trial


def _vote(judgment: Judgment, position: dict[str, int]) -> Vote:
    for arm in (judgment.arm_a, judgment.arm_b):
        if arm not in position:
            raise TrialError(f"{_name(judgment)}: {arm} is none of the arms ({', '.join(position)})")
    if judgment.arm_a == judgment.arm_b:
        raise TrialError(f"{_name(judgment)}: an arm is compared with itself")
    if judgment.order not in ("forward", "reversed", None):
        raise TrialError(f"{_name(judgment)}: the order is {judgment.order!r}, not forward or reversed")
    if judgment.outcome is not None and judgment.outcome not in OUTCOMES:
        raise TrialError(f"{_name(judgment)}: the outcome is {judgment.outcome!r}, not 0, 0.5, 1 or None")
    if judgment.referee == UNCHANGED and (judgment.outcome, judgment.order) != (0.5, None):
        raise TrialError(f"{_name(judgment)}: what is {UNCHANGED} is a tie without an order")
    a_first = None if judgment.order is None else judgment.order == "forward"
    score = None if judgment.outcome is None else float(judgment.outcome)
    arm, rival = judgment.arm_a, judgment.arm_b
    if position[arm] < position[rival]:
        arm, rival = rival, arm
        a_first = None if a_first is None else not a_first
        score = None if score is None else 1 - score
    return Vote(
        judgment.sample, judgment.exchange, arm, rival, judgment.referee, a_first, score, judgment.person
    )


def _check_features(judgment: Judgment, arm: str, features: Features) -> None:
    for name in FEATURES:
        value = getattr(features, name)
        if not math.isfinite(value) or value < 0:
            raise TrialError(
                f"{_name(judgment)}: {name} of the response of {arm} is {value}, not a number from 0 up"
            )


def _check_content(trial: Trial) -> None:
    if not trial.votes:
        raise TrialError("there are no judgments")
    readable = trial.readable
    if not readable:
        raise TrialError(f"none of the {len(trial.votes):,} verdicts could be read")
    if len({vote.sample for vote in readable}) < 2:
        raise TrialError("a trial needs at least two samples: one says nothing about the others")
    if all(vote.referee == UNCHANGED for vote in readable):
        unread = len(trial.votes) - len(readable)
        raise TrialError(
            f"none of the {unread:,} verdicts on changed responses could be read"
            if unread
            else "no arm changed any response, so there was nothing to judge"
        )
    if all(vote.score == 0.5 for vote in readable):
        raise TrialError(
            f"all {len(readable):,} verdicts are ties: "
            "the referees see no difference between the arms, so there is nothing to compute"
        )
    counted = {referee for by_referee in referee_scores(readable).values() for referee in by_referee}
    if counted <= {UNCHANGED} != {vote.referee for vote in readable}:
        raise TrialError(
            f"of the {len(trial.votes):,} verdicts none counts: no comparison could be read in both orders"
        )


def _sort_key(vote: Vote) -> tuple[object, ...]:
    return (*vote.place, vote.referee, vote.arm_first is None, bool(vote.arm_first))


def _name(judgment: Judgment) -> str:
    return f"sample {judgment.sample}, {judgment.arm_a} and {judgment.arm_b}"
