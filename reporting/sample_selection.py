"""Selects samples that show what a run does, including its weaknesses."""

from collections.abc import Iterator, Sequence
from itertools import takewhile

from ledger import browse
from ledger.browse import Filter, ResultRow, SortKey
from ledger.ledger import Ledger
from reporting.labels import is_judged

BATCH = 20
"""Samples read at a time: their texts may be long."""


def select_samples(ledger: Ledger, mode: str, number: int, exclude: Sequence[int] = ()) -> dict[int, str]:
    """Select at most so many samples of a mode: positions in the data, and why each was chosen.

    In turn one that failed, one whose verdicts contradict each other, one with the most accepted rounds, one
    that grew most, and one of those spread evenly over all that are done; none at one of the positions
    `exclude`.
    """
    done = Filter(mode=mode, status="done")
    accepted = _all(ledger, done, "accepted", down=True) if is_judged(mode) else iter(())
    groups = {
        "failed": _all(ledger, Filter(mode=mode, status="failed"), "position", down=False),
        "verdicts contradict": _all(ledger, Filter(mode=mode, contradict=True), "position", down=False),
        "most rounds accepted": takewhile(lambda found: found.result.accepted_rounds, accepted),
        "grew most": takewhile(_grew, _all(ledger, done, "growth", down=True)),
        "one of many": _spread(ledger, done, number),
    }
    seen, why = set(exclude), dict[int, str]()
    while groups and len(why) < number:
        for name, some in list(groups.items()):
            new = next((found.sample.position for found in some if found.sample.position not in seen), None)
            if new is None:
                del groups[name]
            elif len(why) < number:
                seen.add(new)
                why[new] = name
    return dict(sorted(why.items()))


def _grew(found: ResultRow) -> bool:
    return found.result.final_tokens > found.result.original_tokens


def _all(ledger: Ledger, wanted: Filter, order: SortKey, *, down: bool) -> Iterator[ResultRow]:
    begin = 0
    while page := browse.page(ledger, wanted, order, down=down, begin=begin, size=BATCH).found:
        yield from page
        begin += BATCH


def _spread(ledger: Ledger, wanted: Filter, number: int) -> Iterator[ResultRow]:
    total = browse.page(ledger, wanted, "position", down=False, begin=0, size=0).total
    step = max(total // number, 1)
    for begin in range(step // 2, total, step):
        yield from browse.page(ledger, wanted, "position", down=False, begin=begin, size=1).found
