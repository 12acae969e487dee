"""The table of results as HTML: its columns, and the words around what was searched for."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ledger.browse import ResultRow, SortKey
from ledger.decisions import Decision, DecisionFilter
from ledger.search import occurrences
from reporting import html_tags
from reporting.labels import DECISION_FILTERS
from samples.fields import as_text
from samples.sample import Sample

EXCERPT = 160
"""Characters of a text that a cell shows."""

BEFORE = 20
"""How many of them come before what was searched for, so that it is in sight in a narrow column."""

COMPARED = 5_000
"""Characters in which two responses are looked at for where they differ."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that users can choose."""

    name: str
    style: str = ""
    """Its CSS classes."""
    order: SortKey | None = None
    """The order that its header leads to."""


COLUMNS = {
    "mode": Column("Mode", "mode"),
    "request": Column("Request", "excerpt"),
    "old": Column("Old response", "excerpt"),
    "new": Column("New response", "excerpt"),
    "outcome": Column("Outcome", "outcome", "accepted"),
    "exchanges": Column("Exchanges", "number exchanges"),
    "tokens": Column("Tokens, old → new", "number tokens", "length"),
    "growth": Column("Growth", "number growth", "growth"),
    "finished": Column("Finished", "number finished"),
}

SHOWN = ("mode", "request", "outcome", "exchanges", "tokens", "growth")
"""The columns that are shown unless others are chosen."""

FIRST = Column("Id", "id", "position")


def table(
    columns: Sequence[str],
    heads: Callable[[Column], tuple[str, str]],
    rows: Sequence[ResultRow],
    link: Callable[[ResultRow], str],
    tags: Callable[[ResultRow], str],
    text: str,
) -> str:
    """Return the table of these results.

    `heads` returns where the header of a column with an order leads, and how the table is sorted by it
    ("ascending", "descending" or nothing), `link` where a row leads, and `tags` what is said of its
    decisions. `text` is what was searched for.
    """
    head = "".join(_head(column, heads) for column in (FIRST, *(COLUMNS[name] for name in columns)))
    body = "".join(_row(columns, row, link(row), tags(row), text) for row in rows)
    return f'<table class="data results"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _head(column: Column, heads: Callable[[Column], tuple[str, str]]) -> str:
    name, sort = escape(column.name), ""
    if column.order:
        address, sort = heads(column)
        arrow = {"ascending": " ↑", "descending": " ↓"}.get(sort, "")
        name = f'<a href="{escape(address)}" title="sort by this column">{name}{arrow}</a>'
    style = column.style.replace("excerpt", "")
    return f'<th scope=col class="{style}"{f" aria-sort={sort}" if sort else ""}>{name}</th>'


def _row(columns: Sequence[str], row: ResultRow, address: str, tags: str, text: str) -> str:
    link, result = escape(address), row.result
    texts = shown_texts(row, text)
    differ = _differ_at(texts["old"], texts["new"])
    begins = {"old": differ, "new": differ}
    excerpts = {
        name: excerpt(whole, text, begins.get(name, 0)) for name, whole in texts.items() if name in columns
    }
    where = next((name for name, whole in texts.items() if _has(whole, text)), "") if text else ""
    if where and excerpts and not any("<mark>" in each for each in excerpts.values()):
        # What was found is in no column that is shown.
        words = f"{COLUMNS[where].name.lower()}: {excerpt(texts[where], text)}"
        excerpts[next(iter(excerpts))] += f'<div class="faint small">{words}</div>'
    growth = f"{result.final_tokens / result.original_tokens:.2f}×" if result.original_tokens else "–"
    tokens = f"{result.original_tokens:,} → <span>{result.final_tokens:,}</span>" if result.exchanges else "–"
    at = time.strftime("%m-%d %H:%M:%S", time.localtime(result.finished))
    cells = {
        "mode": escape(result.mode or "–"),
        **{name: f'<a href="{link}">{words or "–"}</a>' for name, words in excerpts.items()},
        "outcome": html_tags.sample_outcome(result) + tags,
        "exchanges": str(result.exchanges or "–"),
        "tokens": tokens,
        "growth": growth,
        "finished": at,
    }
    id = marked(row.sample.id, text)
    first = f'<td class=id title="{escape(row.sample.id[:EXCERPT])}"><a href="{link}">{id}</a></td>'
    others = (
        f'<td class="{COLUMNS[name].style}"{" dir=auto" if name in excerpts else ""}>{cells[name]}</td>'
        for name in columns
    )
    return f"<tr>{first}{''.join(others)}</tr>"


def shown_texts(row: ResultRow, text: str) -> dict[str, str]:
    """Return the request and the responses of a result: those with the text, or the first that changed."""
    exchanges, outcome = row.sample.exchanges, row.result.outcome
    requests = [" ".join(filter(None, (each.instruction, each.input))) for each in exchanges]
    new = [done["response"] for done in outcome]
    old = [exchanges[done["exchange"]].response for done in outcome]
    changed = next((i for i, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1]), 0)
    return {
        "request": _chosen(requests, text, 0) or "(no request)",
        "old": _chosen(old or [each.response for each in exchanges], text, changed),
        "new": _chosen(new, text, changed),
    }


def _chosen(texts: Sequence[str], text: str, number: int) -> str:
    found = next((each for each in texts if _has(each, text)), None) if text else None
    return found if found is not None else texts[number] if texts else ""


def _has(whole: str, text: str) -> bool:
    return occurrences(text).search(whole) is not None


def _differ_at(old: str, new: str) -> int:
    """Return where two different texts begin to differ, a few characters earlier; 0 near their beginning."""
    one, other = old[:COMPARED], new[:COMPARED]
    if one == other:
        return 0
    pairs = enumerate(zip(one, other, strict=False))
    same = next((at for at, pair in pairs if pair[0] != pair[1]), min(len(one), len(other)))
    return same - BEFORE if same > 1.5 * BEFORE else 0


def excerpt(whole: str, text: str = "", begin: int = 0) -> str:
    """Return a text from a position as HTML on one line, or what is around another text in it."""
    found = occurrences(text).search(whole) if text else None
    if found:
        begin = max(0, found.start() - BEFORE) if found.end() > 2 * BEFORE else 0
    shown = whole[begin : begin + 4 * EXCERPT]  # of which spaces may be left out
    shown = " ".join(as_text(shown).split())[:EXCERPT]
    return ("… " if begin else "") + marked(shown, text)


def marked(whole: str, text: str) -> str:
    """Return a text as HTML with all occurrences of another marked."""
    if not text:
        return escape(whole)
    return "".join(_pieces(whole, text))


def _pieces(whole: str, text: str) -> Iterator[str]:
    end = 0
    for found in occurrences(text).finditer(whole):
        yield f"{escape(whole[end : found.start()])}<mark>{escape(found[0])}</mark>"
        end = found.end()
    yield escape(whole[end:])


def request_excerpt(sample: Sample) -> str:
    """Return the beginning of a sample's first request, as HTML on one line."""
    first = next((f"{each.instruction} {each.input}" for each in sample.exchanges), "")
    return excerpt(first) or "(no request)"


def decision_tags(decided: Mapping[int, Decision]) -> str:
    """Return what was decided on the exchanges of a result."""
    kinds = Counter[DecisionFilter](each.kind if each.stands else "outdated" for each in decided.values())
    disputed = any(each.disputed for each in decided.values())
    return "".join(
        f' <span class="tag user {kind}">✓ {DECISION_FILTERS[kind]}{f" {number}×" * (number > 1)}</span>'
        for kind, number in kinds.items()
    ) + (f' <span class="tag bad">{DECISION_FILTERS["disputed"]}</span>' if disputed else "")
