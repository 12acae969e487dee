"""A choice of samples from which a stranger sees what a run does, its weak sides too."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger import browse
from ledger.browse import Filter, Order
from ledger.ledger import Ledger, Result
from samples.sample import Sample

JUDGED = "evolve"
"""The mode in which more than one round may be accepted."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A sample, its results by mode, and why it was chosen."""

    sample: Sample
    results: dict[str, Result]
    why: str


def choose(ledger: Ledger, mode: str, number: int, but: Sequence[int] = ()) -> list[Chosen]:
    """At most so many samples of a mode, other than those at the positions `but`, in the data's order.

    In turns one that failed, one whose verdicts contradict each other, one that changed much (by accepted
    rounds, then by growth), and one of those that stand evenly spread over all that are done.
    """
    done, failed = Filter(mode=mode, status="done"), Filter(mode=mode, status="failed")
    groups = {
        "failed": _first(ledger, failed, "position", number),
        "verdicts contradict": _first(ledger, Filter(mode=mode, contradict=True), "position", number),
        "most rounds accepted": _changed(ledger, done, "accepted", number) if mode == JUDGED else iter(()),
        "grew most": _changed(ledger, done, "growth", number),
        "one of many": _spread(ledger, done, number),
    }
    seen, why = set(but), dict[int, str]()
    while groups and len(why) < number:
        for name, positions in list(groups.items()):
            new = next((position for position in positions if position not in seen), None)
            if new is None:
                del groups[name]
            elif len(why) < number:
                seen.add(new)
                why[new] = name
    return looked_up(ledger, why)


def looked_up(ledger: Ledger, why: dict[int, str]) -> list[Chosen]:
    """The samples at these positions, with why each was chosen."""
    return [Chosen(sample, results, why[sample.position]) for sample, results in ledger.at(why)]


def _first(ledger: Ledger, wanted: Filter, order: Order, number: int) -> Iterator[int]:
    page = browse.page(ledger, wanted, order, down=order != "position", begin=0, size=2 * number)
    yield from (found.sample.position for found in page.found)


def _changed(ledger: Ledger, wanted: Filter, order: Order, number: int) -> Iterator[int]:
    page = browse.page(ledger, wanted, order, down=True, begin=0, size=2 * number)
    yield from (found.sample.position for found in page.found if found.result.accepted_rounds)


def _spread(ledger: Ledger, wanted: Filter, number: int) -> Iterator[int]:
    total = browse.page(ledger, wanted, "position", down=False, begin=0, size=0).total
    step = max(total // number, 1)
    for begin in range(step // 2, total, step):
        page = browse.page(ledger, wanted, "position", down=False, begin=begin, size=1)
        yield from (found.sample.position for found in page.found)
