"""A choice of samples from which a stranger sees what a run does, its weak sides too."""

from collections.abc import Iterator, Sequence
from itertools import takewhile

from ledger import browse
from ledger.browse import Filter, Found, Order
from ledger.ledger import Ledger
from prompts.method import JUDGED

AT_ONCE = 20
"""Samples that are looked at at a time: their texts may be long."""


def choose(ledger: Ledger, mode: str, number: int, but: Sequence[int] = ()) -> dict[int, str]:
    """At most so many samples of a mode, by position in the data, and why each was chosen.

    In turns one that failed, one whose verdicts contradict each other, one that changed much (by accepted
    rounds, then by growth), and one of those that stand evenly spread over all that are done. None is at one
    of the positions `but`.
    """
    done = Filter(mode=mode, status="done")
    accepted = _all(ledger, done, "accepted", down=True) if mode == JUDGED else iter(())
    groups = {
        "failed": _all(ledger, Filter(mode=mode, status="failed"), "position", down=False),
        "verdicts contradict": _all(ledger, Filter(mode=mode, contradict=True), "position", down=False),
        "most rounds accepted": takewhile(lambda found: found.result.accepted_rounds, accepted),
        "grew most": takewhile(_grew, _all(ledger, done, "growth", down=True)),
        "one of many": _spread(ledger, done, number),
    }
    seen, why = set(but), dict[int, str]()
    while groups and len(why) < number:
        for name, some in list(groups.items()):
            new = next((found.sample.position for found in some if found.sample.position not in seen), None)
            if new is None:
                del groups[name]
            elif len(why) < number:
                seen.add(new)
                why[new] = name
    return dict(sorted(why.items()))


def _grew(found: Found) -> bool:
    return found.result.final_tokens > found.result.original_tokens


def _all(ledger: Ledger, wanted: Filter, order: Order, *, down: bool) -> Iterator[Found]:
    begin = 0
    while page := browse.page(ledger, wanted, order, down=down, begin=begin, size=AT_ONCE).found:
        yield from page
        begin += AT_ONCE


def _spread(ledger: Ledger, wanted: Filter, number: int) -> Iterator[Found]:
    total = browse.page(ledger, wanted, "position", down=False, begin=0, size=0).total
    step = max(total // number, 1)
    for begin in range(step // 2, total, step):
        yield from browse.page(ledger, wanted, "position", down=False, begin=begin, size=1).found
