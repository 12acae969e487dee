"""Agreement of the people who review a run."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec


def alpha(decided: Sequence[Mapping[str, int]]) -> float | None:
    """Return Krippendorff's alpha of decisions, numbers without an order, by reviewer for each exchange.

    1 is full agreement, 0 that of chance. (K. Krippendorff: Content Analysis, chapter 12.) None if all are
    the same, which cannot be told from chance, or if the library is not installed.
    """
    if len({value for by in decided for value in by.values()}) < 2 or not find_spec("krippendorff"):
        return None
    # They take a while to load.
    import krippendorff
    import numpy as np

    reviewers = sorted({name for by in decided for name in by})
    table = np.array([[by.get(name, np.nan) for by in decided] for name in reviewers])
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement="nominal"))
