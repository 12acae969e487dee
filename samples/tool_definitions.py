"""The definitions of the tools that a record's responses may call, as trainers take them.

Sources: OpenAI, "Function calling"; TRL, "Dataset formats and types"; LLaMA-Factory, `data/README.md`; Vertex
AI, "Function calling".
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from samples.bounds import load_if_json
from samples.nested import unpack
from samples.turns import Turn

_FIELDS = ("tools", "functions")
_DECLARATIONS = ("functionDeclarations", "function_declarations")


def tools_of(record: dict[str, Any], turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Return the tools of a record, or of its system turn, in OpenAI's terms; empty if it has none."""
    for fields in (record, *(turn.source or {} for turn in turns if turn.role == "system")):
        for name in _FIELDS:
            if found := list(_definitions(fields.get(name))):
                return found
    return []


def as_text(tools: Sequence[dict[str, Any]]) -> str:
    """Return tools as LLaMA-Factory takes them: the JSON of a list of functions; empty if there are none."""
    return json.dumps([tool.get("function", tool) for tool in tools], ensure_ascii=False) if tools else ""


def _definitions(value: Any) -> Iterator[dict[str, Any]]:
    unpacked = unpack(loaded := load_if_json(value))
    for item in map(load_if_json, unpacked[0] if unpacked else [loaded]):
        if not isinstance(item, dict):
            continue
        for name in _DECLARATIONS:
            yield from _definitions(item.get(name))
        if isinstance(item.get("function"), dict):
            yield item
        elif isinstance(item.get("name"), str):
            function = {name: item[name] for name in item if name != "type"}
            yield {"type": "function", "function": function}
