"""What did not succeed in a run, for its last line: the commonest reasons, and what to do about each."""

import re
from collections import Counter

from ledger.ledger import Ledger
from models.errors import kinds
from models.errors.kinds import without_details
from reporting.labels import failure_label, plural, shorten

MAX_NAMED = 3
"""Reasons that are named."""

MAX_SHOWN = 200
"""Characters of a message that are shown."""

MAX_REASONS = 1000
"""Reasons that are told apart. A run has few; what differs after so many counts as others."""

NOTABLE_SHARE = 0.1
"""Share of judged rounds without a verdict from which it is reported."""

_ATTEMPTS = re.compile(r" \(after \d+ attempts\)$")

_ADVICE = {
    kinds.REFUSED.key: "see what the message says; `coevol check` makes such a call",
    kinds.EMPTY.key: "try --thinking off or another model",
    kinds.FILTERED.key: "another model may take it",
    kinds.INTERNAL_ERROR.key: "this is a bug in coevol: please report it",
    kinds.TOO_LONG.key: "pass --max-input-tokens, or a model with a longer context",
}
"""What to do, by the kind's key, where the recorded advice says little."""


def failures(ledger: Ledger) -> str:
    """Describe how many results failed, and the commonest reasons with what to do; empty where none failed.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    counted: Counter[tuple[str | None, str]] = Counter()
    examples: dict[tuple[str | None, str], tuple[str, str]] = {}
    failed = 0
    for kind, reason in ledger.failures():
        failed += 1
        message, _, advice = reason.partition("\n")
        message = _ATTEMPTS.sub("", message)
        which = kind, without_details(message)
        if which in examples or len(examples) < MAX_REASONS:
            counted[which] += 1
            examples.setdefault(which, (message, advice))
    if not failed:
        return ""
    named = [_reason(n, which[0], *examples[which]) for which, n in counted.most_common(MAX_NAMED)]
    others = failed - sum(n for _, n in counted.most_common(MAX_NAMED))
    reasons = "; ".join([*named, *([f"{others:,} for other reasons"] if others else [])])
    return f"{failed:,} failed: {reasons}. They keep their responses; --retry-failed tries them again"


def unread_verdicts(ledger: Ledger) -> str:
    """Describe in how many rounds no verdict could be read; empty where they are few.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    rounds, unread = ledger.judged_rounds()
    if not unread or unread < NOTABLE_SHARE * rounds:
        return ""
    return (
        f"{unread:,} of {plural(rounds, 'judged round')}: no verdict could be read, so the response was "
        "kept; `coevol check` shows how the judge replies"
    )


def _reason(number: int, kind: str | None, message: str, advice: str) -> str:
    todo = _ADVICE.get(kind or "", advice)
    todo = todo[:1].lower() + todo[1:].rstrip(".")
    label = f"{failure_label(kind)}: " if kind else ""
    return f"{number:,} × {label}{shorten(message, MAX_SHOWN)}{f' — {todo}' if todo else ''}"
