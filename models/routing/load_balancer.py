"""Which of several servers of one model a call goes to.

The servers are replicas: independent, with the same model. A sample stays with one of them, whose prefix
cache then holds the beginning of its prompts.

- A sample gets its replica at its first call: the one with the fewest samples at that moment; among equals,
  the one that was given none for longest. Samples differ in length and servers in speed, so counting those at
  work keeps the load even where taking turns would not.
- While a replica is down, its samples are guests of others, and new samples go to those. When it is up again
  its samples return, and new ones go there until it has as many as the others.
- Where all are down, a call stays with one of them, which is retried as a single server is.

Nothing of this is recorded: which replica answered is not part of what was asked, and a resumed run assigns
its samples again. At most as many as were at work meet a cold cache, once.
"""

from collections.abc import Sequence

from models.errors.kinds import Failure
from models.routing.circuit_breaker import Outage
from models.routing.endpoint_state import EndpointState


class Rerouted(Exception):
    """Replicas went down or came back: a call that waits at one may belong at another."""


class LoadBalancer:
    """The servers of one model, and which samples are where. Belongs to one event loop."""

    def __init__(self, replicas: Sequence[EndpointState]) -> None:
        self._replicas = list(replicas)  # the one that was given a sample last is last
        self._numbered = tuple(replicas)
        self._samples: dict[EndpointState, set[str]] = {replica: set() for replica in replicas}
        self._homes: dict[str, EndpointState] = {}
        self._places: dict[str, EndpointState] = {}

    @property
    def any_up(self) -> bool:
        """Whether some replica is not known to be down."""
        return any(not replica.breaker.is_open for replica in self._replicas)

    @property
    def has_replied(self) -> bool:
        """Whether any of them ever gave a reply."""
        return any(replica.breaker.has_replied for replica in self._replicas)

    @property
    def unreachable_since(self) -> float | None:
        """Since when none of them could be reached, in the loop's time; None where one could."""
        return _latest([replica.breaker.unreachable_since for replica in self._replicas])

    @property
    def failing_since(self) -> float | None:
        """Since when calls failed at all of them; None where only few calls or servers failed."""
        return _latest([replica.breaker.failing_since for replica in self._replicas])

    def outages(self) -> list[Outage]:
        """Return the replicas that are down while others are up."""
        found = [outage for replica in self._replicas if (outage := replica.outage())]
        return found if len(found) < len(self._replicas) else []

    def can_lose(self, replica: EndpointState) -> bool:
        """Whether the run can continue without a replica that refuses all calls.

        One that never gave a reply points to wrong settings, to be corrected before much is done.
        """
        others = any(not other.breaker.is_open for other in self._replicas if other is not replica)
        return replica.breaker.has_replied and others

    def pick(self, sample: str, now: float) -> EndpointState:
        """Return where a sample's next call goes. `now` is the loop's time.

        A replica that is down gets a call now and then, to find out whether it is up again.
        """
        if len(self._replicas) == 1:
            return self._replicas[0]
        for replica in self._replicas:
            if replica.breaker.should_probe(now):
                return replica
        if sample not in self._homes:
            self._homes[sample] = self._least_loaded()
        home = self._homes[sample]
        place = self._places.get(sample, home) if home.breaker.is_open else home
        if place.breaker.is_open:
            place = self._least_loaded()
        self._move(sample, place)
        return place

    def settle(self, sample: str, number: int) -> None:
        """Say where a sample is at home: several processes share these servers, and one counts for all."""
        if len(self._replicas) > 1:
            self._homes.setdefault(sample, self._numbered[number])

    def release(self, sample: str) -> None:
        """Forget a finished sample."""
        self._homes.pop(sample, None)
        self._move(sample, None)

    def record(
        self, replica: EndpointState, failure: Failure | None, sample: str, started: float, now: float
    ) -> None:
        """Note the outcome of an attempt at a replica; see `CircuitBreaker.record`.

        Calls that wait at one that went down are rerouted, and so are those at others when it is back.
        """
        was_down = replica.breaker.is_open
        replica.breaker.record(failure, sample, started, now)
        if replica.breaker.is_open and self.any_up:
            replica.limiter.stop(Rerouted())
        elif was_down and not replica.breaker.is_open:
            for other in self._replicas:
                other.limiter.stop(Rerouted())

    def _least_loaded(self) -> EndpointState:
        up = [replica for replica in self._replicas if not replica.breaker.is_open]
        found = min(up or self._replicas, key=lambda replica: len(self._samples[replica]))
        self._replicas.remove(found)
        self._replicas.append(found)
        return found

    def _move(self, sample: str, to: EndpointState | None) -> None:
        place = self._places.pop(sample, None)
        if place:
            self._samples[place].discard(sample)
        if to:
            self._places[sample] = to
            self._samples[to].add(sample)


def _latest(since: Sequence[float | None]) -> float | None:
    known = [at for at in since if at is not None]
    return max(known) if len(known) == len(since) else None
