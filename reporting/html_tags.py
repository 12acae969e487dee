"""Labels as HTML tags."""

from collections.abc import Mapping
from html import escape
from typing import Any

from ledger.decisions import Decision
from ledger.ledger import Result
from reporting import labels


def _tag(text: str, style: str = "") -> str:
    return f'<span class="tag {style}">{escape(text)}</span>' if text else ""


def decision(made: Decision) -> str:
    """Return what a user decided, who and when."""
    tags = _tag(labels.DECISIONS[made.kind], "good" if made.kind == "accepted" else "")
    by = f"<bdi>{escape(made.reviewer)}</bdi>, " if made.reviewer else ""
    tags += f' <span class="faint small">{by}{labels.minute(made.decided)}</span>'
    if made.disputed:
        tags += f" {_tag(labels.REVIEWERS_DISAGREE, 'bad')}"
    return f"{tags} {_tag(labels.not_followed(made).strip(', '), '' if made.stands else 'bad')}".rstrip()


def sample_outcome(result: Result) -> str:
    """Return the outcome of a sample."""
    style = "bad" if result.status != "done" else "good" if result.accepted_rounds else ""
    tags = _tag(labels.sample_outcome(result), style)
    return f"{tags} {_tag('verdicts contradict', 'bad')}" if result.contradictions else tags


def round_outcome(done: Mapping[str, Any]) -> str:
    """Return how a round was decided."""
    judged = done["forward"] is not None
    style = "good" if judged and done["accepted"] else "bad" if "guard" in done else ""
    tags = [_tag(labels.round_outcome(done), style)]
    return " ".join(tags + [_tag(remark, "bad") for remark in labels.round_remarks(done)])


def verdict(call: Mapping[str, Any], done: Mapping[str, Any]) -> str:
    """Return the verdict of a judgment."""
    label = labels.verdict(call, done)
    good = label.startswith("prefers the draft")
    return _tag(label, "good" if good else "bad" if label.startswith("cannot") else "")
