"""How a run is divided among its workers: samples, places in flight, and the replicas of its models."""

from collections.abc import Sequence

FEWEST = 8
"""Samples that a worker has before another one gets any. Whether failures come from the settings or from the
texts shows only where several samples fail (`models.routing`), and a worker knows its own."""


def choose(loads: Sequence[int], most: int) -> int | None:
    """Return which worker gets the next sample, given how many each has; None where all have `most`."""
    free = [number for number, load in enumerate(loads) if load < most]
    begun = [number for number in free if loads[number] < FEWEST]
    if begun:
        return max(begun, key=lambda number: loads[number])
    return min(free, key=lambda number: loads[number], default=None)


SUSPECTS = 16
"""Refused samples of all workers together, after which one of them finds out whether all are refused."""


def trusted(loads: Sequence[int], suspects: Sequence[int]) -> int | None:
    """Return the only worker that may get samples, None where all may.

    Where every worker with samples has `suspects` (samples that were refused where this need not be their own
    doing), each of many would have as many refused as it takes one to be sure.
    """
    replied = any(load and not few for load, few in zip(loads, suspects, strict=True))
    if replied or sum(suspects) < SUSPECTS:
        return None
    return max(range(len(loads)), key=lambda number: suspects[number])


def divide(total: int, loads: Sequence[int]) -> list[int]:
    """Divide places by load: all of them, where there is any load. With as many places as samples, a worker
    with a sample has at least one."""
    whole = sum(loads)
    if not whole:
        return [0] * len(loads)
    parts = [total * load // whole for load in loads]
    # What is left goes where most was cut off.
    order = sorted(range(len(loads)), key=lambda number: total * loads[number] % whole, reverse=True)
    for number in order[: total - sum(parts)]:
        parts[number] += 1
    return parts


class Homes:
    """Which replica each sample is at, of each model. Gives the one with the fewest samples; among equals,
    the one that was given none for longest.

    Args:
        replicas: the number of replicas of each model.
    """

    def __init__(self, replicas: Sequence[int]) -> None:
        self._loads = [dict.fromkeys(range(number), 0) for number in replicas]

    def take(self) -> list[int]:
        """Return the replicas of a new sample."""
        found = []
        for loads in self._loads:
            home = min(loads, key=loads.__getitem__)
            loads[home] = loads.pop(home) + 1  # it is the last now
            found.append(home)
        return found

    def leave(self, homes: Sequence[int]) -> None:
        """Note that the sample at these replicas is finished."""
        for loads, home in zip(self._loads, homes, strict=True):
            loads[home] -= 1
