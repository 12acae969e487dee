"""Which of several servers of one model a call goes to.

The servers are replicas: independent, with the same model. A sample stays with one of them, whose prefix
cache then holds what its prompts begin with.

- A sample is given its replica at its first call: the one that has the fewest samples at that moment; of
  equals, the one that was given none for longest. Samples differ in length and servers in speed, so counting
  those at work keeps the load even where taking turns would not: a long sample keeps its place for as long as
  it takes, and a server that is done sooner is given more.
- While a replica is down, its samples are the guests of others, and new ones are given to those. When it is
  up again its samples return, and new ones go there until it has as many as the others.
- Where all are down, a call stays with one of them, which is tried again as a single server is.

Nothing of it is on file: which replica answered is no part of what was asked, and a run that is resumed gives
out its samples anew. At most as many as were at work meet a cold cache, once.
"""

from collections.abc import Sequence

from models.errors.kinds import Diagnosis
from models.routing.circuit_breaker import Outage
from models.routing.endpoint_state import Standing


class Elsewhere(Exception):
    """Replicas went down or came back: a call that waits at one may be for another."""


class Replicas:
    """The servers of one model, and which samples are where. Belongs to one event loop."""

    def __init__(self, standings: Sequence[Standing]) -> None:
        self._standings = list(standings)  # the one that was given a sample last stands last
        self._here: dict[Standing, set[str]] = {standing: set() for standing in standings}
        self._homes: dict[str, Standing] = {}
        self._places: dict[str, Standing] = {}

    @property
    def one_lives(self) -> bool:
        """Whether there is a replica that is not known to be down."""
        return any(not standing.health.down for standing in self._standings)

    @property
    def has_answered(self) -> bool:
        """Whether any of them ever gave a reply."""
        return any(standing.health.has_answered for standing in self._standings)

    @property
    def silent_since(self) -> float | None:
        """Since when none of them could be reached, in the loop's time; None where one could."""
        return _latest([standing.health.silent_since for standing in self._standings])

    @property
    def fruitless_since(self) -> float | None:
        """Since when calls came to nothing at all of them; None where it is so of a few calls or servers."""
        return _latest([standing.health.fruitless_since for standing in self._standings])

    def outages(self) -> list[Outage]:
        """Those that do not work, while others do."""
        found = [outage for standing in self._standings if (outage := standing.outage())]
        return found if len(found) < len(self._standings) else []

    def can_spare(self, standing: Standing) -> bool:
        """Whether the run can go on without a replica that refuses all calls.

        One that never gave a reply is a mistake in the settings, to be put right before much is done.
        """
        others = any(not other.health.down for other in self._standings if other is not standing)
        return standing.health.has_answered and others

    def of(self, sample: str, now: float) -> Standing:
        """Where a sample's next call goes. `now` is the loop's time.

        One that is down is given a call now and then, to find out whether it is up again.
        """
        if len(self._standings) == 1:
            return self._standings[0]
        for standing in self._standings:
            if standing.health.knocked(now):
                return standing
        if sample not in self._homes:
            self._homes[sample] = self._emptiest()
        home = self._homes[sample]
        place = self._places.get(sample, home) if home.health.down else home
        if place.health.down:
            place = self._emptiest()
        self._move(sample, place)
        return place

    def leave(self, sample: str) -> None:
        """A sample is finished."""
        self._homes.pop(sample, None)
        self._move(sample, None)

    def heard(
        self, standing: Standing, failure: Diagnosis | None, sample: str, started: float, now: float
    ) -> None:
        """What came of an attempt at a replica; see `Health.heard`.

        Calls that wait at one that went down go elsewhere, and so do those at others when it is back.
        """
        was_down = standing.health.down
        standing.health.heard(failure, sample, started, now)
        if standing.health.down and self.one_lives:
            standing.lane.stop(Elsewhere())
        elif was_down and not standing.health.down:
            for other in self._standings:
                other.lane.stop(Elsewhere())

    def _emptiest(self) -> Standing:
        alive = [standing for standing in self._standings if not standing.health.down]
        found = min(alive or self._standings, key=lambda standing: len(self._here[standing]))
        self._standings.remove(found)
        self._standings.append(found)
        return found

    def _move(self, sample: str, to: Standing | None) -> None:
        place = self._places.pop(sample, None)
        if place:
            self._here[place].discard(sample)
        if to:
            self._places[sample] = to
            self._here[to].add(sample)


def _latest(since: Sequence[float | None]) -> float | None:
    known = [at for at in since if at is not None]
    return max(known) if len(known) == len(since) else None
