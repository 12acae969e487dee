"""The wording of endings, failures, verdicts and decisions in commands, pages and reports.

Stored keys and shown labels are separate, so that the wording can change without the ledger.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from ledger.decisions import KINDS, Decision, DecisionFilter, DecisionKind
from ledger.ledger import SKIPPED, Result
from nodes.decision import Round, favoured_position, judges_disagree, points_by_judge
from prompts.method import MODES, STEPS
from samples.fields import plural, raw_text

ENDINGS = {
    "not_accepted": "the last draft was not accepted",
    "max_rounds": "the limit of rounds was reached",
    "judge_error": "no verdict could be read",
    "one_pass": "rewritten, without a judge",
    "all_drafts": "all drafts were compared",
    "guard_repeated": "draft refused: it repeats an earlier one",
    "guard_unchanged": "draft refused: it is the current response",
    "guard_refusal": "draft refused: it refuses the request",
    "guard_loop": "draft refused: it runs in a loop",
    "guard_instructions": "draft refused: it repeats its instructions",
    "guard_chatter": "draft refused: chatter around the answer",
    "guard_language": "draft refused: another language",
    "guard_disagrees": "draft refused: the check says it is wrong",
    "guard_check_failed": "draft refused: the check came to no result",
    "no_suggestions": "no usable suggestions",
    "no_draft": "no usable draft",
    "failed": "failed",
}
"""How exchanges end."""

NOT_JUDGED = "Kept without a verdict, by reason"
"""The title of a table of the exchanges with one of the endings `nodes.decision.STOPPED`."""

JUDGING = {
    "accepted": "draft accepted",
    "agreed": "both orders agree",
    "one_tie": "one order sees a tie, the other none",
    "contradicted": "the orders contradict each other",
    "favoured_first": "both prefer the first shown",
    "favoured_second": "both prefer the second shown",
    "one_unreadable": "one verdict unreadable",
    "both_unreadable": "both verdicts unreadable",
    "calls_saved": "decided by the first order, a call saved",
}
"""Judged rounds, by the fields of `reporting.judging.Judging`; their shares are of all judged rounds."""

AGREEMENT = "agreement of readable verdicts"
"""`Judging.agreement`: of the rounds in which both orders can be read, the share in which they agree."""

USER_AGREES = "user and judge agree"
REVIEWERS_AGREE = "reviewers agree"
REVIEWERS_ALPHA = "alpha of the reviewers"
REVIEWERS_DISAGREE = "reviewers disagree"
"""The share of results that users accepted, of those that the judge decided too."""

CHECKING = {
    "with_reference": "exchanges with a reference",
    "original_agrees": "original responses that pass the check",
    "final_agrees": "final responses that pass the check",
    "no_result": "checks of the original without a result",
}
"""References and checks, by the fields of `reporting.statistics.Checking`."""

REFERENCE = "Reference, shown to the judge"

NO_PRICE = "no price list has {model} at {address} (--price gives it one)"
"""Why the price of a model is unknown."""

DECISIONS: Mapping[DecisionKind, str] = {
    "accepted": "accepted",
    "rejected": "rejected, the original kept",
    "chosen": "another draft chosen",
    "edited": "edited",
}
"""What users decide."""

NAMELESS = "someone without a name"

OUTDATED = "on an earlier result"
LATER = "another reviewer decided later"

DECISION_FILTERS: Mapping[DecisionFilter, str] = {
    "all": "decided",
    "some": "undecided",
    **{kind: DECISIONS[kind] for kind in KINDS},
    "disagree": "user and judge disagree",
    "disputed": REVIEWERS_DISAGREE,
    "outdated": OUTDATED,
}

_FAILURES = {
    "broken off": "cut short",
    "cannot be sent": "unsendable request",
    "given up": "abandoned",
    "mistake of the program": "internal error",
    "not found": "model not found",
}
"""Labels of failure kinds whose keys are not what users should read."""


def failure_label(kind: str) -> str:
    """Return the label of a failure's kind, or of any other reason."""
    return _FAILURES.get(kind, kind)


def failure_line(failure: Mapping[str, Any]) -> str:
    """Describe the failure of an exchange."""
    why, step = reason(failure["reason"], failure["message"]), failure["step"]
    return f"{STEPS[step].label}, round {failure['round']}: {why}" if step else why


def reason(kind: str | None, message: str | None) -> str:
    """Describe why a call or a sample failed, or a sample, without a kind, was skipped."""
    return f"{failure_label(kind)}: {message}" if kind else message or ""


def not_counted(why: str) -> str:
    """Describe calls that do not count, by a reason of `reporting.transcript`."""
    return f"not counted ({why})"


def is_judged(mode: str) -> bool:
    """Whether drafts of this mode are judged; results of a skipped sample have no mode."""
    return mode in MODES and MODES[mode].is_judged


def is_best_of(modes: Iterable[str]) -> bool:
    """Whether one of these modes compares several drafts from one prompt."""
    return any(mode in MODES and MODES[mode].is_best_of for mode in modes)


def sample_outcome(result: Result) -> str:
    """Describe the outcome of a sample in a word or two."""
    if result.status != "done":
        why = failure_label(result.failure_kind) if result.failure_kind else result.reason or ""
        return f"{result.status}: {why[:60]}"
    if result.mode == SKIPPED or not result.accepted_rounds:
        return "" if result.mode == SKIPPED else "kept"
    return accepted(result.accepted_rounds, result.mode)


def accepted(rounds: int, mode: str) -> str:
    """Describe accepted rounds."""
    return f"{rounds} accepted" if is_judged(mode) else "rewritten"


def exchange_outcome(done: Mapping[str, Any]) -> str:
    """Describe the outcome of an exchange in a word or two."""
    if "failure" in done:
        return "failed"
    if not done["accepted_rounds"]:
        return "kept"
    return "rewritten" if done["ending"] == "one_pass" else f"{done['accepted_rounds']} accepted"


def round_outcome(done: Mapping[str, Any]) -> str:
    """Describe how a round was decided, with the points of draft and current response."""
    points = done["points"]
    if guard := done.get("guard"):
        remark = done.get("remark")
        return f"{refused(guard)} ({remark})" if remark else refused(guard)
    if done["forward"] is None:
        return "not judged" if done["draft"] else ENDINGS["no_draft"]
    score = f" ({_points(points['draft'], points['current'])})" if points else ""
    return f"{'draft accepted' if done['accepted'] else 'current response kept'}{score}"


def refused(guard: str) -> str:
    """Describe why a guard refused a draft."""
    return ENDINGS[f"guard_{guard}"]


def round_remarks(done: Mapping[str, Any]) -> list[str]:
    """Describe what is unusual about the judgments of a round."""
    remarks = []
    if done["forward"] and done["reversed"] is None:
        remarks.append("decided by the first judgment, the second was not asked for")
    if favoured := favoured_position(cast(Round, done)):
        remarks.append(f"verdicts contradict: both prefer the {'first' if favoured == 1 else 'second'} shown")
    if judges_disagree(cast(Round, done)):
        remarks.append(f"judges disagree: {', '.join(map(' '.join, _words_of_judges(cast(Round, done))))}")
    return remarks


def _words_of_judges(done: Round) -> Iterator[tuple[str, str]]:
    for model, points in points_by_judge(done).items():
        if points is None:
            yield model, "cannot be read"
        else:
            lead = points["draft"] - points["current"]
            yield model, "prefers the draft" if lead > 0 else "the current one" if lead < 0 else "neither"


def speaker(call: Mapping[str, Any], done: Mapping[str, Any] | None) -> str:
    """Return who made a call of a round: the step, and of a panel which judge."""
    label = STEPS[call["step"]].label
    of_panel = done and call["model"] in _panel(call["step"], done)
    return f"{label} ({call['model']})" if of_panel else label


def _panel(step: str, done: Mapping[str, Any]) -> Mapping[str, Any]:
    judgment = done[STEPS[step].order] if STEPS[step].order else None
    panel: Mapping[str, Any] = (judgment or {}).get("panel", {})
    return panel


def verdict(call: Mapping[str, Any], done: Mapping[str, Any]) -> str:
    """Describe the judgment of a round that a call was made for, with the points of draft and current
    response; empty if none."""
    order = STEPS[call["step"]].order
    judgment = _panel(call["step"], done).get(call["model"], done[order])
    if not judgment:
        return ""
    if not judgment["points"]:
        return "cannot be read"
    current, draft = judgment["points"] if order == "forward" else reversed(judgment["points"])
    winner = "prefers the draft" if draft > current else "prefers the current one"
    return f"{winner if draft != current else 'a tie'} ({_points(draft, current)})"


def _points(draft: float, current: float) -> str:
    return f"draft {draft:g}, current {current:g}"


def decision(made: Decision) -> str:
    """Describe what a user decided and when."""
    return f"{DECISIONS[made.kind]} ({minute(made.decided)}){not_followed(made)}"


def not_followed(made: Decision) -> str:
    """Say why a decision is not followed, if it is not."""
    if made.stands and made.counts:
        return ""
    return f", {LATER if made.stands else OUTDATED}: not followed"


def minute(at: float) -> str:
    """Format a Unix time to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def call_summary(call: Mapping[str, Any]) -> str:
    """Describe which model answered a call and what it took."""

    def tokens(name: str) -> str:
        return "?" if call[name] is None else f"{call[name]:,}"

    cached = f" ({call['cached_tokens']:,} cached)" if call["cached_tokens"] else ""
    parts = [
        call["model"],
        f"{tokens('input_tokens')}{cached} + {tokens('output_tokens')} tokens",
        seconds(call["latency"]),
    ]
    if call["shortened_to"] is not None:
        parts.append(f"debate shortened to {call['shortened_to']:,} characters a speech")
    if call["service_tier"] not in (None, "default"):
        parts.append(f"served as {call['service_tier']}")
    if call["attempts"] > 1:
        parts.append(f"{call['attempts']} attempts")
    return " · ".join(parts)


def thoughts(call: Mapping[str, Any]) -> str:
    """Describe the thoughts of a call that has some."""
    return f"thoughts of {plural(len(call['thoughts']), 'character')}"


def seconds(value: float) -> str:
    """Format a latency."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def duration(seconds: float) -> str:
    """Format a time as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def dollars(numbers: Mapping[str, Any]) -> str:
    """Format a cost of `coevol stats --json`."""
    known = numbers["cost_usd"]
    if known is None:
        return "unknown"
    return f"{'' if numbers['cost_complete'] else '≥ '}${known:,.4f}"


def record_text(record: Mapping[str, Any]) -> str:
    """Format a record as JSON, and one that cannot be read as it is."""
    if (raw := raw_text(record)) is not None:
        return raw.encode(errors="surrogateescape").decode(errors="replace")
    return json.dumps(record, ensure_ascii=False, indent=2)


def shorten(text: str, most: int = 160) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
