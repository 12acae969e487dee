"""Statistics of comparisons: which way to improve responses wins, and how sure that is.

The package knows no run and no ledger: `judgments.py` has the rows that everything is computed from.
`blind`, `families`, `judgments`, `libraries`, `matching`, `pairs`, `size` and `style` need the standard
library alone, the other modules the extra `trial`.
"""
