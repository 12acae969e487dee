"""What an export says of itself, in a line."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from reporting.labels import is_judged
from runners.provenance import PREFIX
from samples.fields import brief, plural
from samples.neighbors import ORIGINAL
from samples.printable import printable
from samples.trainers import DPO_TRAINERS, PAIR_KINDS

if TYPE_CHECKING:
    from runners.export_records import Export

_LEFT_ALONE = {
    "skipped": "skipped and as they were",
    "skipped and left out": "skipped and left out",
    "unreadable and left out": "unreadable and left out",
    "not accepted": "left out because no response is new",
}

_MOST_FIELDS = 8
"""Fields that are named in a summary."""


def describe(export: "Export", of: int) -> str:
    """Describe what is in the file and what is not; `of` is the number of records in the data."""
    count = export.count
    others = "judged" if is_judged(export.mode) else "rewritten"
    exchanges = plural(export.decided.total(), "exchange")
    by_user = f"{exchanges} as a user decided, the others as they were {others}"
    data = plural(of, "record")
    parts = [f"{count['written']:,} of {data}, {count['changed']:,} with new responses"]
    if export.to in DPO_TRAINERS:
        parts = [f"{plural(count['records'], 'pair')} from {count['written']:,} of {data}"]
        if export.pair_kinds:
            kinds = ", ".join(
                f"{export.pair_kinds[kind]:,} {kind}" for kind in PAIR_KINDS if export.pair_kinds[kind]
            )
            parts.append(f"--pairs {export.wanted}: {kinds}")
        if count["without a pair"]:
            parts.append(f"{count['without a pair']:,} without a pair")
        exchanges = plural(count["by users"], "exchange")
        by_user = f"{exchanges} decided by users, {export.decided.total():,} of them with pairs here"
    elif count["failed"]:
        parts.append(f"{count['failed']:,} with a failure, where the response is the old one")
    if count["by users"]:
        parts.append(by_user)
    if count["disputed"]:
        disputed = plural(count["disputed"], "exchange")
        parts.append(f"{disputed} on which reviewers disagree, where the latest decision counts")
    if count["outdated"]:
        outdated = plural(count["outdated"], "decision")
        parts.append(f"{outdated} ignored, made on an earlier result")
    for name, label in _LEFT_ALONE.items():
        if count[name]:
            parts.append(f"{count[name]:,} {label}")
    if count["inexpressible"]:
        what = "pair" if export.to in DPO_TRAINERS else "record"
        parts.append(
            f"{plural(count['inexpressible'], what)} left out because {export.to} cannot express them "
            f"(the first: {export.inexpressible})"
        )
    if count["equal"]:
        parts.append(f"{count['equal']:,} as they were, since both sides would be equal")
    if count["rejected"]:
        parts.append(f"{plural(count['rejected'], 'response')} of the rejected side")
    parts += _neighbors(export)
    if export.as_text:
        fields = ", ".join(printable(brief(name)) for name in export.as_text[:_MOST_FIELDS])
        more = ", …" if len(export.as_text) > _MOST_FIELDS else ""
        parts.append(f"as text, since their values have no type in common: {fields}{more}")
    if export.screen:
        parts.append(export.screen.describe())
    if earlier := count["of an earlier run"]:
        if export.provenance:
            originals = f"{PREFIX}original_responses"
            parts.append(f"{PREFIX}… of an earlier run replaced, but for {originals} ({earlier:,})")
        elif not export.is_for_trainer:
            parts.append(
                f"{PREFIX}… of an earlier run as they were ({earlier:,}), which say nothing of this run; "
                "--with-provenance replaces them"
            )
    if count["finished"] < of:
        parts.append(f"{of - count['finished']:,} not finished in this run")
    return "; ".join(parts)


def _neighbors(export: "Export") -> Iterator[str]:
    """Describe what became of old thoughts, and of fields next to new responses."""
    found = export.neighbors
    if found.thinking and export.to not in DPO_TRAINERS:
        kept = "with the old thoughts" if found.thoughts == "keep" else "without the old thoughts"
        yield f"{plural(found.thinking, 'new response')} {kept}"
    if export.is_for_trainer:
        return
    if found.renamed:
        yield f"{ORIGINAL}… next to a new response: {_fields(found.renamed)}"
    if found.dropped:
        yield f"dropped next to a new response: {_fields(found.dropped)}"
    if unknown := [name for name in found.stale if not found.renamed[name]]:
        yield f"no {printable(' or '.join(unknown))} next to a new response"
    if found.other_side:
        yield f"left out, since {export.to} has no place for the other side: {_fields(found.other_side)}"
    if found.clashing:
        yield f"{ORIGINAL}… where {export.to} has a field of that name: {_fields(found.clashing)}"


def _fields(counts: Counter[str]) -> str:
    shown = [f"{printable(brief(name))} ({count:,})" for name, count in counts.most_common(_MOST_FIELDS)]
    return ", ".join(shown) + (", …" if len(counts) > _MOST_FIELDS else "")
