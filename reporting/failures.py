"""What did not succeed in a run, for its last line: the commonest reasons, and what to do about each."""

import re
from collections import Counter
from typing import get_args

from ledger.ledger import Ledger
from models.errors import kinds
from models.errors.kinds import without_details
from nodes.decision import Refused, WithoutText, points_by_judge
from nodes.settings import VerdictForm
from prompts.method import STEPS
from reporting.labels import ENDINGS, failure_label, shorten
from samples.fields import plural
from samples.json_values import read_json
from samples.printable import printable

MAX_NAMED = 3
"""Reasons that are named."""

MAX_SHOWN = 200
"""Characters of a message that are shown."""

MAX_REASONS = 1000
"""Reasons that are counted separately. A run has few; what differs after so many counts as others."""

NOTABLE_SHARE = 0.1
"""Share of judged rounds without a verdict, or of exchanges without a draft, from which it is reported."""

ONE_SIDED, MIN_JUDGED = 0.9, 20
"""Share of the rounds with two readable judgments in which the judge preferred the same place in both orders,
and judged rounds, from which it is reported."""

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


def failures(ledger: Ledger, effect: str = "They keep their responses") -> str:
    """Describe how many results failed, and the commonest reasons with what to do; empty where none failed.
    `effect` says what that means.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    by_kind: Counter[str | None] = Counter()
    counted: dict[str | None, Counter[str]] = {}
    examples: dict[tuple[str | None, str], tuple[str, str]] = {}
    for kind, reason in ledger.failures():
        by_kind[kind] += 1
        message, _, advice = reason.partition("\n")
        message = _ATTEMPTS.sub("", message)
        which = kind, without_details(message)
        if which in examples or kind not in counted or len(examples) < MAX_REASONS:
            counted.setdefault(kind, Counter())[which[1]] += 1
            examples.setdefault(which, (message, advice))
    if not (failed := by_kind.total()):
        return ""
    named = []
    for kind, number in by_kind.most_common(MAX_NAMED):
        ((alike, _), *unlike) = counted[kind].most_common(2)
        described = _described(kind, *examples[kind, alike], is_example=bool(unlike))
        named.append(f"{number:,} × {described}")
    others = failed - sum(number for _, number in by_kind.most_common(MAX_NAMED))
    reasons = "; ".join([*named, *([f"{others:,} for other reasons"] if others else [])])
    return f"{failed:,} failed: {reasons}. {effect}; --retry-failed tries them again"


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


def unread_judges(ledger: Ledger) -> str:
    """Describe which judge of a panel could never be read; empty where each could.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    judged: Counter[str] = Counter()
    read = set()
    for outcome in ledger.judged_by_panels():
        for done in (done for exchange in read_json(outcome) for done in exchange["rounds"]):
            for model, points in points_by_judge(done).items():
                judged[model] += 1
                if points:
                    read.add(model)
    unread = {model: n for model, n in judged.items() if n >= MIN_JUDGED and model not in read}
    if not read or not unread:  # `unread_verdicts` says that none could be read
        return ""
    named = " and ".join(printable(model) for model in unread)
    rounds = plural(max(unread.values()), "judged round")
    return (
        f"in none of {rounds} could a verdict of {named} be read, so the "
        "other judges decided; `coevol check` shows how each replies"
    )


def one_sided_verdicts(ledger: Ledger, verdict: VerdictForm) -> str:
    """Describe in how many rounds the judge preferred the same place in both orders; empty where it did not
    nearly always. `verdict` is how the run asks for it.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    rounds, _ = ledger.judged_rounds()
    readable, *favored = ledger.one_sided_rounds()
    most = max(favored)
    # Of rounds that the first order decided (`lazy_judge`), or that cannot be read, little is known.
    if rounds < MIN_JUDGED or most < ONE_SIDED * readable or most < MOST * rounds:
        return ""
    place = "first" if most == favored[0] else "second"
    other = "score" if verdict == "compare" else "compare"
    return (
        f"{most:,} of {plural(rounds, 'judged round')}: the judge preferred what it was shown {place} in "
        f"both orders, so the response was kept; another judge model or --verdict {other} may do better"
    )


def nothing_written(ledger: Ledger) -> str:
    """Describe how many exchanges kept their response because agents wrote nothing usable, and why; empty
    where they are few.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    exchanges, kept = ledger.endings()
    endings = {ENDINGS[ending]: kept[ending] for ending in get_args(WithoutText) if kept.get(ending)}
    without = sum(endings.values())
    if not without or without < NOTABLE_SHARE * exchanges:
        return ""
    named = " or ".join(
        f"{label} ({number:,})" if len(endings) > 1 else label for label, number in endings.items()
    )
    return (
        f"{without:,} of {plural(exchanges, 'exchange')}: {named}, so the response was kept. "
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


def _described(kind: str | None, message: str, advice: str, *, is_example: bool = False) -> str:
    todo = _ADVICE.get(kind or "", advice)
    todo = todo[:1].lower() + todo[1:].rstrip(".")
    label = f"{failure_label(kind)}{', for example' if is_example else ''}: " if kind else ""
    return f"{label}{shorten(message, MAX_SHOWN)}{f' — {todo}' if todo else ''}"
