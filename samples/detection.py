"""Detect the format of a data set from its first records, or say what a user has to choose or do."""

import re
from dataclasses import asdict
from itertools import combinations
from typing import Any, NamedTuple

from samples.fields import brief, field_names, number_text
from samples.formats import READ_FORMATS
from samples.layout_fields import columns_of, columns_of_side
from samples.layout_turns import several_on_side
from samples.layouts import (
    COLUMNS,
    KTO,
    LISTS,
    NAMED,
    candidates,
    columns_layout,
    has_ranking,
    preference_layout,
    side_of,
    unnamed_turns,
)
from samples.nested import unpack
from samples.preferences import (
    Side,
    label_field,
    names_sides,
    other_label,
    rejected_field,
    several_message,
    several_responses,
    side_fields,
)
from samples.sample import DataError
from samples.text_lists import is_texts
from samples.turn_names import names_of, role_of
from samples.unread_parts import (
    named_columns,
    part_question,
    response_question,
    unread_parts,
    with_unread_parts,
)

_MARK_OF_ROLE = re.compile(
    r"<\|im_start\|>|<\|user\|>|<start_of_turn>|\[INST\]|### ?(?:Human|User|Instruction)\b"
)
_LOOKED_AT = 5000
"""Characters of a text in which marks of a chat template are looked for."""

_RESPONSES = {"reply", *(columns.response for columns in COLUMNS.values())}
"""Fields that may have the response to turns in another field."""

_PLAIN_NAME = re.compile(r"[A-Za-z_]\w{0,40}", re.ASCII).fullmatch

NO_FORMAT = "cannot detect the format"
_CHOOSE = "choose {what} with --improve chosen or --improve rejected"


def records_inside(record: dict[str, Any]) -> str:
    """Say where the records seem to be in the only object of a file; empty if it may be a record."""
    fields = dict(record)
    for name, value in record.items():
        if isinstance(value, dict):
            fields |= {f"{name}.{inner}": found for inner, found in value.items()}
    for name, value in fields.items():
        if (
            isinstance(value, list)
            and value
            and isinstance(value[0], dict)
            and not unnamed_turns({name: value})
        ):
            where = f'the file is one object, with what may be records in "{brief(name)}"'
            return f"; {where}: write that list to a file"
    if record and all(isinstance(value, dict) for value in record.values()):
        return "; the file is one object of objects: write them as a list to a file"
    return ""


class Found(NamedTuple):
    """What was found out about the format of a record."""

    format: str | None
    why: str = ""
    """Why it has none, or what is to be chosen first."""
    before: str | None = None
    """The format that earlier versions took it for."""


def find_format(record: dict[str, Any], given: str, improve: Side | None, reference: str | None) -> Found:
    """Return the format of a record, as `samples.reader.open_data` was given it."""
    if form := _table_message(record, given):
        return Found(None, form)
    found = [given] if given != "auto" else _candidates(record, reference)
    only = found[0] if len(found) == 1 else None
    others = {name: value for name, value in record.items() if name != reference}
    several = several_responses(others) if given == "auto" else []
    whole = _whole(record, only, reference) if only and given == "auto" else only
    if improve is not None:
        layout = before = preference_layout(record, improve, only)
        if layout is not None and (refused := _several_on_side(record, improve, layout)):
            return Found(layout, refused, layout)
        if layout is not None and only and whole and layout.startswith(KTO):
            return Found(layout.removesuffix(only) + whole, _part_question(record, whole, reference), before)
        if layout is not None:
            if given.startswith(NAMED):
                return Found(layout, "--columns has no say in preference records: name the request prompt")
            before = only if rejected_field(record) and improve == "chosen" else None
            return Found(layout, _side_question(record, improve), before)
        if len(found) < 2:
            why = several_message(several) if several else other_label(record)
            return Found(
                None,
                f"--improve {improve} is for preference records, with chosen and rejected, or with a label; "
                + (why or f"found {field_names(record)}"),
            )
    elif given != "auto":
        return Found(given)
    elif side_fields(record) or (has_ranking(record, only) if only else not found and names_sides(record)):
        return Found(None, _two_sides_message(found))
    if len(found) > 1:
        return Found(None, f"may be of several formats: name it with --format {' or '.join(found)}")
    if several and not _has_response(record, only):
        alone = f"; or read the turns alone with --format {only}" if only in LISTS else ""
        return Found(None, several_message(several) + alone)
    if shape := _shape_message(record, only):
        return Found(None, shape)
    unnamed = unnamed_turns(record) if only is None else []
    turns = LISTS.get(only or "", "") or next(iter(unnamed), "")
    if turns and (apart := _response_apart(record, turns, reference)):
        why = (
            f'the turns in "{brief(turns)}" end with a request, and its response seems to be in "{apart}": '
            f"read both with --columns request={brief(turns)},response={apart}"
        )
        return Found(only, f"{why}, or the turns alone with --format {only}" if only else why, only)
    if only is None:
        return Found(None, _unknown_message(record, unnamed))
    return Found(whole, question_about(record, whole or only, reference), only)


def _unknown_message(record: dict[str, Any], turns: list[str]) -> str:
    """Say what would do for a record of no format; `turns` are its fields of turns."""
    first = _inside_hint(record) or _template_hint(record)
    if len(turns) == 1:
        first = f'rename "{brief(turns[0])}", which has turns, to messages; or '
    elif turns:
        both = " and ".join(f'"{brief(name)}"' for name in turns[:2])
        first = (
            f'{both} have turns: rename the better one to "chosen" and the worse one to "rejected", or '
            "one of them to messages; or "
        )
    return (
        f"{NO_FORMAT}; found {field_names(record)}: {first}name the fields with "
        f"--columns request=…,response=…, or the format with --format ({', '.join(READ_FORMATS)})"
    )


def _table_message(record: dict[str, Any], given: str) -> str:
    """Say what a file is that is one object with a table of records; empty if the record is none."""
    would_do = 'write its records one a line, in pandas by to_json(FILE, orient="records", lines=True)'
    values = list(record.values())
    rows = record.get("rows")
    if isinstance(rows, list) and rows and isinstance(rows[0], dict) and isinstance(rows[0].get("row"), dict):
        return 'an answer of the Hub\'s viewer: write the objects in "row" of its "rows" one a line'
    data = record.get("data")
    if isinstance(record.get("columns"), list) and isinstance(data, list) and data and type(data[0]) is list:
        return f'a table as pandas writes it with orient="split": {would_do}'
    if len(values) < 2 or len({type(value) for value in values}) > 1 or not values[0]:
        return ""
    first = values[0]
    if isinstance(first, dict):
        if all(name.isdecimal() for name in first) and all(each.keys() == first.keys() for each in values):
            return f"a table by columns, as pandas writes it by itself: {would_do}"
    elif _are_turns_in_columns(record, given):
        return ""
    elif isinstance(first, list) and len({len(each) for each in values}) == 1:
        texts = [each for each in values if is_texts(each)]
        if len(texts) > 1 and not any(isinstance(item, dict | list) for each in values for item in each):
            return (
                f"a table by columns, each a list: {would_do}; or, where two lists are the turns of one "
                "conversation, name them with --columns request=…,response=…"
            )
    return ""


def _several_on_side(record: dict[str, Any], side: Side, layout: str) -> str:
    try:
        return several_on_side(record, side) if side_of(layout) else ""
    except DataError:  # which is reported when the record is read
        return ""


def _are_turns_in_columns(record: dict[str, Any], given: str) -> bool:
    """Return whether lists of texts are the turns of one record, as far as that can be known."""
    sides = [record[name] for name in side_fields(record).values()]
    begin_alike = bool(sides) and all(isinstance(side, list) and side[:1] == sides[0][:1] for side in sides)
    return given.startswith("columns ") or {"src", "tgt"} <= record.keys() or begin_alike


def _response_apart(record: dict[str, Any], field: str, reference: str | None) -> str:
    """Return the field with the response to turns that end with a request; empty if none seems to have it."""
    if not _ends_with_request(record.get(field)):
        return ""
    named = (name for name in record if name in _RESPONSES and name not in (field, reference))
    return next((name for name in named if _is_response(record[name])), "")


def _ends_with_request(turns: Any) -> bool:
    last = ((unpack(turns) or ([], None))[0] or [None])[-1]
    return isinstance(last, dict) and role_of(str(last.get(names_of(last)[0]))) == "user"


def _has_response(record: dict[str, Any], layout: str | None) -> bool:
    """Return whether a record has one response in its layout, whatever is next to it."""
    if layout in LISTS:
        return not _ends_with_request(record.get(LISTS[layout]))
    columns = columns_of(layout, record) if layout else None
    value = record.get(columns.response) if columns else None
    return isinstance(value, str) or bool(number_text(value))


def _is_response(value: Any) -> bool:
    """Return whether a value is a text, or turns of a response."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        return role_of(str(value.get(names_of(value)[0]))) == "assistant"
    return isinstance(value, str) and bool(value.strip())


def _shape_message(record: dict[str, Any], layout: str | None) -> str:
    """Say what would do for records of a known kind that are not read; empty if a record is of none."""
    role, content = names_of(record)
    if layout is None and content in record and role_of(str(record.get(role))):
        return (
            "expected a record, found one turn of a conversation: write each list of turns as an object, as "
            "jq -c '{messages: .}' does"
        )
    columns = COLUMNS.get(layout or "")
    answers = record.get(columns.response) if columns else None
    if columns and isinstance(answers, list) and answers and all(isinstance(each, list) for each in answers):
        return (
            f'expected a text in "{columns.response}", found lists of several: write each list of exchanges '
            "as an object with a text each, as jq -c "
            f"'{{conversation: map(.{columns.response} |= .[0][0])}}' does"
        )
    return ""


def _whole(record: dict[str, Any], layout: str, reference: str | None) -> str:
    """Return the layout of a record with the parts of the request that only this record has."""
    columns = columns_of(layout, record)
    if columns is None or (found := with_unread_parts(columns, record, reference)) == columns:
        return layout
    return columns_layout({part: name for part, name in asdict(found).items() if name})


def _part_question(record: dict[str, Any], layout: str, reference: str | None) -> str:
    """Say what would do where a field may be a part of the request, or the response; empty if none may."""
    columns = columns_of(layout, record)
    if columns is None or columns.request not in record:  # then it cannot be read at all
        return ""
    leave = f"--format {layout}" if layout in COLUMNS else f"--columns {named_columns(columns, record)}"
    return part_question(record, columns, leave, reference) or response_question(
        record, columns, leave, reference
    )


def _side_question(record: dict[str, Any], side: Side) -> str:
    """Say what would do where a preference record has more of a request than is read; empty if it has not."""
    columns = columns_of_side(record, side)
    if not (unread := unread_parts(columns, record)):
        return ""
    named = " and ".join(f'"{brief(name)}"' for name in unread[:4])
    return (
        f'{named} may be a part of what is asked: write it into "{brief(columns.request)}" as text, or give '
        "it another name to leave it out"
    )


def _inside_hint(record: dict[str, Any]) -> str:
    """Say which objects have the request and the response in them; empty if none have."""
    objects = {name: each for name, each in record.items() if isinstance(each, dict) and _PLAIN_NAME(name)}
    first = [*objects][:8]
    for names in (*combinations(first, 1), *combinations(first, 2)):
        whole = dict(record)
        for name in names:
            whole |= objects[name]
        if candidates(whole):
            at = ", ".join(f".{name}" for name in names)
            inside = " and ".join(f'"{brief(name)}"' for name in names)
            return (
                f"what is asked and answered seems to be inside {inside}: write it next to the other fields, "
                f"as jq -c '. + {at.replace(', ', ' + ')} | del({at})' does; or "
            )
    return ""


def _template_hint(record: dict[str, Any]) -> str:
    """Say which field has whole conversations as one text; empty if none has."""
    for name, value in record.items():
        if isinstance(value, str) and _MARK_OF_ROLE.search(value, 0, _LOOKED_AT):
            return (
                f'"{brief(name)}" has whole conversations as one text: write them as turns in messages; or '
            )
    return ""


def _in_other_case(record: dict[str, Any]) -> list[str]:
    """Return the layout of a record whose names are those of a known one but for their case."""
    named = {name.strip().lower(): name for name in record}
    found = candidates({lower: record[name] for lower, name in named.items()})
    if len(named) < len(record) or len(found) != 1 or found[0] not in COLUMNS:
        return []
    parts = asdict(COLUMNS[found[0]])
    return [columns_layout({part: named[name] for part, name in parts.items() if name in named})]


def _two_sides_message(found: list[str]) -> str:
    lists = [f", or the conversation alone with --format {name}" for name in found if name in LISTS]
    return f"a preference record: {_CHOOSE.format(what='the response to improve')}{''.join(lists)}"


def question_about(record: dict[str, Any], layout: str, reference: str | None) -> str:
    """Return what is to be chosen for records that are more than a conversation; empty if nothing is."""
    if side_fields(record):
        return _two_sides_message([layout])
    if worse := rejected_field(record):
        choose = _CHOOSE.format(what="the response to improve")
        return f"a preference record, with {worse}: {choose}, or read it without that by --format {layout}"
    if (label := label_field(record, layout)) and label != reference:
        choose = _CHOOSE.format(what="those to improve")
        return f"records with a {label} of good or bad: {choose}, or read all alike by --format {layout}"
    return _part_question(record, layout, reference)


def _candidates(record: dict[str, Any], reference: str | None) -> list[str]:
    found = candidates(record) or _in_other_case(record)
    if reference not in record:
        return found
    columns = columns_of(found[0], record) if len(found) == 1 else None
    if columns and columns.response != reference:
        return found
    # A reference is the response only where nothing else is.
    return candidates({name: record[name] for name in record if name != reference}) or found
