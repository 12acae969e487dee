"""What is said of samples, rounds and calls: the same on pages and in reports."""

import json
import time
from collections.abc import Mapping
from html import escape
from typing import Any, cast

from ledger.decisions import Decision, Kind
from ledger.ledger import SKIPPED, Result
from models.call import Step
from nodes.decision import Round, favoured_position
from prompts.method import JUDGED
from reporting.theme import seconds

STEP_NAMES: dict[Step, str] = {
    "positive_opening": "Positive debater · opening",
    "critical_opening": "Critical debater · opening",
    "positive_free": "Positive debater · free debate",
    "critical_free": "Critical debater · free debate",
    "advisor": "Advisor · suggestions",
    "editor": "Editor · draft",
    "judge_forward": "Judge · current response first",
    "judge_reversed": "Judge · draft first",
}

ENDINGS = {
    "max_rounds": "all rounds used",
    "not_accepted": "the draft was not preferred",
    "judge_error": "no judgement could be read",
    "one_pass": "one pass, no judge",
    "failed": "failed",
}


DECIDED: Mapping[Kind, str] = {
    "accepted": "accepted",
    "rejected": "rejected: the original is kept",
    "chosen": "another draft chosen",
    "edited": "edited",
}


def decided_tags(decision: Decision) -> str:
    """What a person decided and when, as HTML tags."""
    good = "good" if decision.kind == "accepted" else ""
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(decision.decided))
    tags = f'<span class="tag {good}">{DECIDED[decision.kind]}</span> <span class="faint small">{at}</span>'
    if not decision.stands:
        tags += ' <span class="tag bad">on an earlier result: not followed until it is decided anew</span>'
    return tags


def outcome_tags(result: Result) -> str:
    """What came of a sample, as HTML tags."""
    if result.status != "done":
        reason = result.reason or ""
        # Of a failure its short name: all of it is long, and stands with the sample.
        brief = reason.partition(": ")[0] if result.status == "failed" else reason
        return f'<span class="tag bad">{escape(result.status)}: {escape(brief[:60])}</span>'
    if result.mode == SKIPPED:
        return ""
    rounds = result.accepted_rounds
    accepted = f"{rounds} accepted" if result.mode == JUDGED else "rewritten"
    word = accepted if rounds else "kept"
    tags = f'<span class="tag {"good" if rounds else ""}">{word}</span>'
    if result.contradictions:
        tags += ' <span class="tag bad">verdicts contradict</span>'
    return tags


def record_text(record: Mapping[str, Any]) -> str:
    """A record as it is, as JSON."""
    return json.dumps(record, ensure_ascii=False, indent=2)


def brief(done: Mapping[str, Any]) -> str:
    """What came of an exchange, in a word or two."""
    if "failure" in done:
        return "failed"
    if not done["accepted_rounds"]:
        return "kept"
    return "rewritten" if done["ending"] == "one_pass" else f"{done['accepted_rounds']} accepted"


def decision(outcome: Mapping[str, Any]) -> str:
    """How a round was decided, as HTML tags."""
    points: Any = outcome["points"]
    if outcome["forward"] is None:
        return '<span class="tag">not judged</span>'
    score = f" {points['draft']:g} : {points['current']:g}" if points else ""
    word = "draft accepted" if outcome["accepted"] else "current response kept"
    tags = f'<span class="tag {"good" if outcome["accepted"] else ""}">{word}{score}</span>'
    if outcome["reversed"] is None:
        tags += ' <span class="tag">the first judgement decides, no second was asked for</span>'
    favoured = favoured_position(cast(Round, outcome))
    if favoured:
        place = "first" if favoured == 1 else "second"
        tags += f' <span class="tag bad">verdicts contradict: both prefer the {place} shown</span>'
    return tags


def verdict(step: Step, outcome: Mapping[str, Any]) -> str:
    """What a judgement says, as an HTML tag."""
    judgement: Any = outcome["forward" if step == "judge_forward" else "reversed"]
    if not judgement:
        return ""
    if not judgement["points"]:
        return '<span class="tag bad">cannot be read</span>'
    current, draft = judgement["points"] if step == "judge_forward" else reversed(judgement["points"])
    word = (
        "prefers the draft" if draft > current else "prefers the current one" if draft < current else "a tie"
    )
    return f'<span class="tag {"good" if draft > current else ""}">{word} {draft:g} : {current:g}</span>'


def cost(call: Mapping[str, Any]) -> str:
    """Who made a call and what it took."""
    tokens = [
        f"{call[name]:,}" if call[name] is not None else "?" for name in ("input_tokens", "output_tokens")
    ]
    says = f"{call['model']} · {' + '.join(tokens)} tokens · {seconds(call['latency'])}"
    says += " · debate shortened to fit" if call["shortened_to"] is not None else ""
    return says + (f" · {call['attempts']} attempts" if call["attempts"] > 1 else "")
