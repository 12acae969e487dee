"""What did not succeed in a run, for its last line: the commonest reasons, and what to do about each."""

import re
from collections import Counter
from typing import get_args

from ledger.ledger import Ledger
from models.errors import kinds
from models.errors.kinds import without_details
from nodes.decision import Refused, WithoutText
from prompts.method import STEPS
from reporting.labels import ENDINGS, failure_label, plural, shorten

MAX_NAMED = 3
"""Reasons that are named."""

MAX_SHOWN = 200
"""Characters of a message that are shown."""

MAX_REASONS = 1000
"""Reasons that are told apart. A run has few; what differs after so many counts as others."""

NOTABLE_SHARE = 0.1
"""Share of judged rounds without a verdict, or of exchanges without a draft, from which it is reported."""

MOST, MIN_MOST, MIN_ALL = 0.5, 20, 5
"""Share of the exchanges, at least so many, from which it is reported that one guard refused their drafts;
all of them are reported from fewer."""

MAX_CALLS = 1000
"""Last calls that are read for why they gave nothing."""

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


def nothing_written(ledger: Ledger) -> str:
    """Describe how many exchanges kept their response because agents wrote nothing usable, and why; empty
    where they are few.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    exchanges, kept = ledger.endings()
    without = sum(kept.get(ending, 0) for ending in get_args(WithoutText))
    if not without or without < NOTABLE_SHARE * exchanges:
        return ""
    return (
        f"{without:,} of {plural(exchanges, 'exchange')}: no usable draft, so the response was kept. "
        f"{why_nothing_written(ledger)}"
    ).rstrip(". ")


def why_nothing_written(ledger: Ledger) -> str:
    """Describe the commonest reason for which agents wrote nothing usable, with the agent and what to do.

    Empty where none is recorded.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    steps = [step.name for step in STEPS.values() if step.purpose != "verdict"]
    counted: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for step, kind, failure in ledger.last_unusable(kinds.UNUSABLE_REPLY, steps, MAX_CALLS):
        if STEPS[step].purpose == "draft" and kind not in kinds.ASKED_AGAIN:
            continue  # a failure
        # Without both openings there is no debate.
        who = "Debaters" if STEPS[step].purpose == "speech" else STEPS[step].label
        counted[who, kind] += 1
        examples.setdefault((who, kind), failure or "")
    if not counted:
        return ""
    ((who, kind), _), *others = counted.most_common()
    message, _, advice = examples[who, kind].partition("\n")
    mostly = ", mostly" if others else ""
    return f"{who}{mostly}: {_described(kind, _ATTEMPTS.sub('', message), advice)}"


def refused_drafts(ledger: Ledger) -> str:
    """Describe how many drafts one guard refused; empty where it is not most of them.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    exchanges, kept = ledger.endings()
    for ending in get_args(Refused):
        refused = kept.get(ending, 0)
        if (exchanges >= MIN_MOST and refused >= MOST * exchanges) or refused == exchanges >= MIN_ALL:
            return (
                f"{refused:,} of {plural(exchanges, 'exchange')}: {ENDINGS[ending]}, so the response was "
                "kept; `coevol show` has the drafts"
            )
    return ""


def _reason(number: int, kind: str | None, message: str, advice: str) -> str:
    return f"{number:,} × {_described(kind, message, advice)}"


def _described(kind: str | None, message: str, advice: str) -> str:
    todo = _ADVICE.get(kind or "", advice)
    todo = todo[:1].lower() + todo[1:].rstrip(".")
    label = f"{failure_label(kind)}: " if kind else ""
    return f"{label}{shorten(message, MAX_SHOWN)}{f' — {todo}' if todo else ''}"
