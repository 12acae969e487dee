"""When an endpoint is taken to refuse all calls, in simulated runs: refusals are faster than replies."""

import heapq
import random
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors.kinds import FILTERED, REFUSED, SERVER_ERROR, TOO_LONG, TRUNCATED, Failure, FailureKind
from models.routing.refusal_check import IN_A_ROW, RefusalCheck
from models.settings import Role

ROLES: list[Role] = ["positive", "critical", "advisor", "editor", "judge"]
BOUND = IN_A_ROW[REFUSED]

Fate = Callable[[int, int, Role], Failure | None]
"""How the call of a sample ends, given how many were sent before it."""


def refusal(
    number: int = 0, kind: FailureKind = REFUSED, message: str = "Access to 'a{}' denied."
) -> Failure:
    return Failure(kind, "the model answered 400", message.format(number), code="400")


class Run:
    """A run of so many samples by so many workers, on a clock of its own."""

    def __init__(self, fate: Fate, samples: int, workers: int, seed: int = 0) -> None:
        self.check = RefusalCheck()
        self.refused: list[int] = []
        self.stopped = False
        self.calls = 0
        self._fate = fate
        self._chance = random.Random(seed)
        self._samples = iter(range(samples))
        events: list[tuple[float, int, Iterator[float]]] = []
        order = count()
        for _ in range(workers):
            heapq.heappush(events, (0.0, next(order), self._worker()))
        while events and not self.stopped:
            now, _, worker = heapq.heappop(events)
            lasts = next(worker, None)
            if lasts is not None:
                heapq.heappush(events, (now + lasts, next(order), worker))

    def _worker(self) -> Iterator[float]:
        for sample in self._samples:
            for role in ROLES:
                failure = self._fate(sample, self.calls, role)
                self.calls += 1
                sent = self.check.sent(role, str(sample))
                yield self._chance.uniform(0.05, 0.2) if failure else self._chance.uniform(1, 30)
                answered = failure is None or failure.kind is TRUNCATED
                if self.check.ended(sent, failure, answered=answered):
                    self.stopped = True
                if failure:
                    self.refused.append(sample)
                    break


@given(st.floats(0, 0.3), st.integers(1, 64), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_texts_that_are_refused_here_and_there_never_stop_a_run(
    share: float, workers: int, seed: int
) -> None:
    chance = random.Random(seed)
    run = Run(lambda *_: refusal() if chance.random() < share else None, 600, workers, seed)
    assert not run.stopped
    assert run.calls >= 600


@pytest.mark.parametrize("workers", [1, 4, 40, 200])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_refusals_of_all_calls_stop_it_within_the_bound(workers: int, share: float) -> None:
    chance = random.Random(1)

    def fate(sample: int, sent: int, role: Role) -> Failure | None:
        return refusal(sent) if sent >= 400 or chance.random() < share else None

    run = Run(fate, 1000, workers)
    assert run.stopped
    # Replies that are still on their way do not keep it going.
    assert run.calls <= 400 + BOUND + workers
    lately = set(map(str, run.refused[-BOUND:]))
    assert lately <= run.check.suspects()


def test_one_role_that_is_refused_stops_it_too() -> None:
    run = Run(lambda sample, sent, role: refusal() if sample >= 30 and role == "judge" else None, 1000, 4)
    assert run.stopped
    assert 30 + BOUND <= len({*run.refused, *range(30)}) <= 30 + BOUND + 4


@pytest.mark.parametrize(
    ("failures", "in_a_row"),
    [
        ([refusal()], BOUND),
        ([refusal(kind=FILTERED)], IN_A_ROW[FILTERED]),
        # Where a gateway has two servers with words of their own
        ([refusal(), refusal(message="No.")], 2 * BOUND - 1),
        # Texts that are too long say nothing.
        ([refusal(), refusal(kind=TOO_LONG)], 2 * BOUND - 1),
        ([refusal(kind=TOO_LONG)], None),
        ([refusal(kind=SERVER_ERROR)], None),
        # These are replies.
        ([refusal(kind=TRUNCATED)], None),
        ([refusal(), *[refusal(kind=TRUNCATED)] * BOUND], None),
    ],
)
def test_how_many_in_a_row_stop_it(failures: list[Failure], in_a_row: int | None) -> None:
    def fate(sample: int, sent: int, role: Role) -> Failure | None:
        return failures[(sample - 5) % len(failures)] if sample >= 5 else None

    assert not Run(fate, 5 + (in_a_row or 500) - 1, 1).stopped
    assert Run(fate, 5 + (in_a_row or 500), 1).stopped == (in_a_row is not None)


def test_calls_of_one_sample_count_once() -> None:
    check = RefusalCheck()
    check.ended(check.sent("editor", "first"), None, answered=True)
    for number in range(10 * BOUND):
        sample = str(number % (BOUND - 1))
        assert not check.ended(check.sent("editor", sample), refusal(), answered=False)


def test_nothing_is_concluded_before_a_reply() -> None:
    assert not Run(lambda *_: refusal(), 500, 4).stopped


def test_a_refused_sample_is_suspect_until_a_call_sent_after_the_refusal_has_a_reply() -> None:
    check = RefusalCheck()
    early = check.sent("editor", "early")
    refused = check.sent("editor", "refused")
    together = check.sent("editor", "together")
    check.ended(refused, refusal(), answered=False)
    after, other_role = check.sent("editor", "after"), check.sent("judge", "other role")
    # The server may have received this one before the one that it refused.
    for request in (early, together, other_role):
        check.ended(request, None, answered=True)
        assert check.suspects() == {"refused"}
    check.ended(after, None, answered=True)
    assert check.suspects() == set()


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Denied (request id: 1f3a-99)", "Denied (request id: 77be-0c)", True),
        ("req_kQzXw: quota", "req_pLmNo: quota", True),
        ("您的账户 12345 已停用", "您的账户 99 已停用", True),
        (
            "The model refuses the input at hand, which is: a poem",
            "The model refuses the input at hand, which is: a recipe",
            True,
        ),
        ("This model is gone", "This key is revoked", False),
        ("a" * 100_000, "b" * 100_000, False),
        ("'" * 100_000, "-" * 100_000, False),
    ],
)
def test_what_is_alike(one: str, other: str, alike: bool) -> None:
    assert (refusal(message=one).likeness == refusal(message=other).likeness) is alike
