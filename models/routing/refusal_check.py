"""Tells an endpoint that has begun to refuse all calls from samples that are refused for their own texts.

An account that becomes empty, a model that is withdrawn or a key that is revoked may be reported in words
that no table knows. Then the calls of all samples fail alike, whereas texts that are refused have others
between them that are not. What lies between goes by when calls were sent: refusals are often faster than
replies, so a call in flight separates those before it from those after it until it has ended.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from models.errors.kinds import FILTERED, INTERNAL_ERROR, REFUSED, UNSENDABLE, Failure, FailureKind
from models.settings import Role

IN_A_ROW: dict[FailureKind, int] = {REFUSED: 16, UNSENDABLE: 16, INTERNAL_ERROR: 16, FILTERED: 50}
"""How many samples in a row must fail alike. Where three calls in ten are refused at random, one row in 200
million is so long. Texts that a content filter refuses are often neighbors in a data set. What is too long
does not count, nor does what may pass: `CircuitBreaker` sees to that."""

MAX_REMEMBERED = 2000
"""Requests that are remembered of a role; far more than are in flight and in a row."""


@dataclass(slots=True, eq=False)
class SentRequest:
    """A request, from the moment when it is sent."""

    number: int
    """In the order of sending."""
    role: Role
    sample: str
    in_flight: bool = True
    refusal: tuple[object, ...] | None = None
    """How it was refused (`Failure.likeness`); None where it was not, or is in flight."""
    ended: int = 0
    """How many requests had been sent when it was refused."""


class RefusalCheck:
    """The requests to one endpoint since the last one that had a reply was sent: of each role, which may be
    refused alone, and of all roles together, since a sample's next call may be in any of them."""

    def __init__(self) -> None:
        self._sent = 0
        self._replied: set[Role | None] = set()
        self._requests: defaultdict[Role | None, deque[SentRequest]] = defaultdict(
            lambda: deque(maxlen=MAX_REMEMBERED)
        )
        self._last: tuple[SentRequest, Failure] | None = None
        self._suspects: defaultdict[Role, deque[SentRequest]] = defaultdict(
            lambda: deque(maxlen=MAX_REMEMBERED)
        )

    def sent(self, role: Role, sample: str) -> SentRequest:
        """Note that a request is sent."""
        request = SentRequest(self._sent, role, sample)
        self._sent += 1
        for scope in (role, None):
            self._requests[scope].append(request)
        return request

    def ended(self, request: SentRequest, failure: Failure | None, *, answered: bool) -> int:
        """Note how a request ended; `answered` says whether the model replied, usably or not.

        Return how many samples in a row failed like this one if that shows that the endpoint has begun to
        refuse all calls, else 0.
        """
        request.in_flight = False
        if failure and failure.kind in IN_A_ROW:
            request.refusal, request.ended = failure.likeness, self._sent
            self._last = request, failure
            self._suspects[request.role].append(request)
            samples = self._in_a_row(request)
            return samples if samples >= IN_A_ROW[failure.kind] else 0
        if answered:
            suspects = self._suspects[request.role]
            while suspects and suspects[0].ended <= request.number:
                suspects.popleft()
            for scope in (request.role, None):
                self._replied.add(scope)
                requests = self._requests[scope]
                while requests and requests[0].number <= request.number:
                    requests.popleft()
        return 0

    def at_the_end(self) -> tuple[Failure, int] | None:
        """Return the last failure of a run and how many samples in a row failed like it, None where they are
        less than half of what stops one: of all its rows, only one is its last."""
        if self._last is None:
            return None
        request, failure = self._last
        samples = self._in_a_row(request)
        return (failure, samples) if 2 * samples >= IN_A_ROW[failure.kind] else None

    def _in_a_row(self, request: SentRequest) -> int:
        scopes = self._replied & {request.role, None}
        return max((len(_in_a_row(self._requests[scope], request)) for scope in scopes), default=0)

    def suspects(self) -> set[str]:
        """Return the refused samples whose texts need not be the cause: no call of the role that was sent
        after the refusal has had a reply so far. Of two that were in flight together, the server may have
        taken the later one first."""
        return {request.sample for requests in self._suspects.values() for request in requests}


def _in_a_row(requests: Sequence[SentRequest], last: SentRequest) -> set[str]:
    """Return the samples of the requests around this one that were refused alike, up to those in flight."""
    found: set[str] = set()
    reached = False
    for request in requests:
        if request.in_flight:
            if reached:
                break
            found.clear()
        elif request.refusal == last.refusal:
            found.add(request.sample)
        reached = reached or request is last
    return found if reached else set()
