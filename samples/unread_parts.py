"""Parts of a request next to its layout's own fields: a second part, a system prompt, earlier exchanges.

Without them agents would work on half of what was asked. What they are goes by the words of their names.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from samples.fields import LONGEST_NAME, brief, is_empty, is_missing, words, words_of
from samples.layouts import OTHER_SYSTEM_FIELDS, Columns, system_fields
from samples.nested import unpack

_SECOND = words("""
    context contexts input inputs article articles passage passages document documents paragraph paragraphs
    excerpt story background dialogue transcript schema options choices
""")
_MAYBE = words("""
    definition code hint hints evidence knowledge facts premise hypothesis table tables abstract snippet
    snippets
""")
"""What may also lead to the answer, or be a part of it."""
_FIRST = words("definition question query prompt")
"""What the material in `input` or `inputs` is asked about with."""
_AFTER: dict[str, frozenset[str]] = {
    "instruction": words("question query"),
    "prompt": words("question query"),
    "question": words("text"),
    "query": words("text"),
}
"""What else is a second part, by the field of the request."""
_AROUND = words("task text")
"""Words that say nothing next to others."""

_SYSTEMS = {words_of(name) for name in (*system_fields("gemini"), *OTHER_SYSTEM_FIELDS)}

_RESPONSES = words("output response completion generation reply")
_RESULTS = words("answer solution")
_SOLUTIONS = _RESULTS | words("explanation derivation")
"""Fields that may have the response in place of the layout's, those last where that is a bare result."""
_OTHERS = words("reference gold golden expected correct incorrect wrong original final chosen rejected")
_BARE = 5
"""Words of a result."""


def with_unread_parts(columns: Columns, record: Mapping[str, Any], reference: str | None = None) -> Columns:
    """Return the fields of a layout with those of the record that belong to them beyond doubt.

    The field of a `reference` is none of them.
    """
    columns = replace(columns, system=_system(columns, record))
    if not columns.history and "history" in record and unpack(record["history"]):
        columns = replace(columns, history="history")
    if columns.input and columns.input in record:  # and if it is empty, another record may have it
        return columns
    unread = [name for name in unread_parts(columns, record) if name != reference]
    unread = [name for name in unread if not _is_named(name, _MAYBE)]
    if columns.request in ("input", "inputs"):
        first = [name for name in _of_words(record, _FIRST) if _is_apart(record, name, columns.request)]
        if len(first) == 1 and not set(unread) - {*first} and isinstance(record[first[0]], str):
            second = columns.request if _is_apart(record, columns.request, first[0]) else ""
            return replace(columns, request=first[0], input=second)
    if not unread and not columns.input:
        named = _of_words(record, _second(columns))
        unread = [name for name in named if name not in columns.parts() and name != reference]
        unread = [name for name in unread if is_missing(record[name]) or record[name] == ""]
    if len(unread) == 1 and (is_missing(value := record[unread[0]]) or isinstance(value, str)):
        return replace(columns, input=unread[0])
    return columns


def _system(columns: Columns, record: Mapping[str, Any]) -> str:
    """Return the field with the system prompt: the layout's, unless another one has it."""
    if not is_empty(record.get(columns.system)):
        return columns.system
    may_be = [name for name in record if words_of(name) in _SYSTEMS and name not in columns.parts()]
    may_be = [name for name in may_be if isinstance(record[name], str | list | dict | None)]
    filled = [name for name in may_be if not is_empty(record[name])]
    return next(iter(filled or ([columns.system] if columns.system in record else may_be)), columns.system)


def unread_parts(columns: Columns, record: Mapping[str, Any]) -> list[str]:
    """Return the fields that may be parts of a request that is a text, and are not read as such."""
    if not isinstance(record.get(columns.request), str):
        return []
    named = _of_words(record, _second(columns) | _MAYBE)
    return [
        name for name in named if name not in columns.parts() and _is_apart(record, name, columns.request)
    ]


def part_question(record: Mapping[str, Any], columns: Columns, leave: str, reference: str | None) -> str:
    """Say what would do for parts of the request that are not read; empty if there are none.

    `leave` are the options that read the record without them.
    """
    unread = [name for name in unread_parts(columns, record) if name != reference]
    if not unread:
        return ""
    named = " and ".join(f'"{brief(name)}"' for name in unread[:4])
    texts = [name for name in unread if isinstance(record[name], str)]
    if texts and not (columns.input and not is_empty(record.get(columns.input))):
        second = f"read it with --columns {named_columns(replace(columns, input=texts[0]), record)}"
    else:
        second = f'write it into "{brief(columns.request)}" as text'
    return f"{named} may be a part of what is asked: {second}, or read the record without by {leave}"


def response_question(record: Mapping[str, Any], columns: Columns, leave: str, reference: str | None) -> str:
    """Say what would do where another field may have the response; empty if none may."""
    mine, kind = record.get(columns.response), columns.response.lower()
    said = "" if is_missing(mine) else str(mine).strip()
    if kind not in _RESPONSES | _RESULTS:
        return ""
    is_bare = kind in _RESULTS and len(said.split()) <= _BARE
    for name, value in record.items():
        if not isinstance(value, str) or name in (*columns.parts(), reference) or len(name) > LONGEST_NAME:
            continue
        text, named = value.strip(), {*words_of(name)}
        solves = is_bare and len(text) > len(said) and named & _SOLUTIONS and not named & _OTHERS
        if text and text != said and (name in _RESPONSES or solves):
            other = named_columns(replace(columns, response=name), record)
            return (
                f'the response may be "{brief(columns.response)}" or "{brief(name)}": name it with {leave}, '
                f"or with --columns {other}"
            )
    return ""


def named_columns(columns: Columns, record: Mapping[str, Any]) -> str:
    """Return the fields as --columns takes them."""
    parts = {"request": columns.request, "response": columns.response}
    for part in ("input", "system", "history"):
        if getattr(columns, part) in record:
            parts[part] = getattr(columns, part)
    return ",".join(f"{part}={brief(name)}" for part, name in parts.items())


def _second(columns: Columns) -> frozenset[str]:
    return _SECOND | _AFTER.get(columns.request, frozenset())


def _of_words(record: Mapping[str, Any], known: frozenset[str]) -> list[str]:
    return [name for name in record if _is_named(name, known)]


def _is_named(name: str, known: frozenset[str]) -> bool:
    named = {*words_of(name)} if len(name) <= LONGEST_NAME else set()
    return bool(named) and (named - _AROUND or named) <= known


def _is_apart(record: Mapping[str, Any], name: str, request: str) -> bool:
    """Return whether a field has something that the request does not say."""
    value, asked = record[name], record.get(request)
    if name == request or is_empty(value) or not isinstance(value, str | list | dict):
        return False
    if not (isinstance(value, str) and isinstance(asked, str)):
        return True
    # A text with the request in it is the whole conversation, as a template writes it.
    return value.strip() not in asked and not (name == "text" and asked.strip() in value)
