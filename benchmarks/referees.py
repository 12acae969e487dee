"""Simulated referees, of whom everything is known: what they prefer, how noisy and how biased they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trials.judgments import Features, Judgment, Order

FloatArray = NDArray[np.float64]

ORDERS: tuple[Order, Order] = ("forward", "reversed")


@dataclass(frozen=True, slots=True)
class Referee:
    """A referee prefers the response with more points, of which both have as follows."""

    quality: float = 1.0
    """Points for each point of quality."""
    length: float = 0.0
    """Points for a length that is much larger: times tanh(Δlength / sd)."""
    lists: float = 0.0
    """Points for a density of lists that is larger by the usual difference."""
    first: float = 0.0
    """Points for being shown first."""
    taste: float = 0.5
    """Standard deviation of points for a taste that is the same in both orders."""
    noise: float = 0.3
    """Standard deviation of points that are drawn for every verdict."""
    tie: float = 0.2
    """Up to so many points are a tie."""
    unread: tuple[float, float] = (0.0, 0.0)
    """Share of verdicts that cannot be read, of those that show the arm first and of the others."""


@dataclass(frozen=True, slots=True)
class World:
    """Arms, their responses, and who judges them."""

    gains: Sequence[float]
    """The mean quality of each arm; the first is the baseline. A sample's own quality varies by 1."""
    referees: Sequence[Referee]
    longer: float = 0.0
    """By how much longer other arms are than the baseline, as a log; lengths vary by 0.5."""
    lists: bool = False
    """Whether responses differ in lists; then other arms have more, in proportion to `longer`."""
    conversations: float = 0.0
    """Share of samples with three exchanges instead of one."""
    pairs: Sequence[tuple[int, int]] = ()
    """Arms that are compared, as arm and rival; none: every arm with the baseline."""

    @property
    def arms(self) -> list[str]:
        """The arms' names."""
        return ["original", *(f"arm {number}" for number in range(1, len(self.gains)))]

    @property
    def compared(self) -> list[tuple[int, int]]:
        """The pairs of arms that are compared, as arm and rival."""
        return [*(self.pairs or ((arm, 0) for arm in range(1, len(self.gains))))]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What happened to some comparisons, in rows of a sample's exchange."""

    sample: NDArray[np.int64]
    lengths: FloatArray
    """Rows × arms."""
    lists: FloatArray
    """Rows × arms, in densities."""
    outcomes: FloatArray
    """Rows × pairs × referees × orders: 1 where the arm won, 0 where its rival did; not a number where that
    cannot be read."""
    better: FloatArray
    """Rows × pairs: 1 where the arm's response is really better, 0 where its rival's is."""


def draw(world: World, samples: int, random: np.random.Generator, *, alike: bool = False) -> Drawn:
    """Draw a trial; `alike` gives all responses the same length and style."""
    exchanges = np.where(random.random(samples) < world.conversations, 3, 1)
    sample = np.repeat(np.arange(samples), exchanges)
    shape = (len(sample), len(world.gains))
    # A conversation's exchanges share most of what makes its responses good.
    quality = random.normal(0, 0.9, (samples, shape[1]))[sample] + random.normal(0, 0.4, shape) + world.gains
    longer = np.array([0.0, *[world.longer] * (shape[1] - 1)])
    lengths = np.zeros(shape) + 200 if alike else np.exp(random.normal(5.3, 0.5, shape) + longer)
    lists = np.zeros(shape)
    if world.lists and not alike:
        lists = np.exp(random.normal(-4, 0.5, shape) + longer)
    outcomes = np.zeros((len(sample), len(world.compared), len(world.referees), 2))
    better = np.zeros(outcomes.shape[:2])
    for number, (arm, rival) in enumerate(world.compared):
        gap = quality[:, arm] - quality[:, rival]
        better[:, number] = gap > 0
        difference = lengths[:, arm] - lengths[:, rival]
        longer_by = np.tanh(difference / (difference.std() or 1))
        total = lists[:, arm] + lists[:, rival]
        more_lists = (lists[:, arm] - lists[:, rival]) / np.where(total, total, 1)
        more_lists /= np.sqrt((more_lists**2).mean()) or 1
        for which, referee in enumerate(world.referees):
            points = referee.quality * gap + referee.length * longer_by + referee.lists * more_lists
            points += random.normal(0, referee.taste, len(points))
            for order, sign in enumerate((1, -1)):
                lead = points + sign * referee.first + random.normal(0, referee.noise, len(points))
                outcomes[:, number, which, order] = np.where(abs(lead) <= referee.tie, 0.5, lead > 0)
                if referee.unread[order]:
                    lost = random.random(len(points)) < referee.unread[order]
                    outcomes[lost, number, which, order] = np.nan
    return Drawn(sample, lengths, lists, outcomes, better)


def judgments(world: World, drawn: Drawn, people: int = 0) -> list[Judgment]:
    """Return what was drawn as rows; people decide on so many of the first comparisons, and are right."""
    exchange = np.arange(len(drawn.sample)) - np.searchsorted(drawn.sample, drawn.sample)
    features = [
        [Features(length, 0.0, lists, 0.0) for length, lists in zip(*row, strict=True)]
        for row in zip(drawn.lengths.tolist(), drawn.lists.tolist(), strict=True)
    ]
    arms, outcomes = world.arms, drawn.outcomes.tolist()
    names = [f"{number:05}" for number in drawn.sample.tolist()]
    rows = [
        Judgment(
            names[row], arms[arm], arms[rival], f"referee {which}", order,
            _read(outcomes[row][pair][which][turn]),
            features[row][arm], features[row][rival], int(exchange[row]),
        )
        for row in range(len(names))
        for pair, (arm, rival) in enumerate(world.compared)
        for which in range(len(world.referees))
        for turn, order in enumerate(ORDERS)
    ]  # fmt: skip
    decided = [(row, pair) for row in range(len(names)) for pair in range(len(world.compared))][:people]
    for row, pair in decided:
        arm, rival = world.compared[pair]
        outcome = float(drawn.better[row, pair])
        rows.append(
            Judgment(
                names[row], arms[arm], arms[rival], "person", None, outcome,
                exchange=int(exchange[row]), person=True,
            )
        )  # fmt: skip
    return rows


def _read(outcome: float) -> float | None:
    return None if np.isnan(outcome) else outcome
