"""Which fields of JSON records have values without a type in common, so that Parquet has them as texts.

Not all records are compared, since that would take a third of the time of a check: the first 1,000 are, every
64th of the others, and the ids of all. So a field is mostly found, and costs nothing noticeable; where it is
not, an export finds it.
"""

from itertools import islice
from typing import Any

from samples.fields import is_missing, json_type

_LOOKED_AT, _EVERY = 1000, 64
"""So many first records are compared, and every so many of the others."""
_MOST_NAMES = 300
"""Fields of a record, or of an object in one, that are compared."""

_INTEGERS = range(-(2**63), 2**64)
_LARGE = "a large integer"


class _Mixed(Exception):
    """Two values have no type in common."""


class CommonTypes:
    """The types of fields, as far as records were looked at."""

    def __init__(self, id_field: str) -> None:
        self._id_field = id_field
        self._id_types: set[type] = set()
        """The types of the ids of all records."""
        self._kinds: dict[str, Any] = {}
        self._mixed: dict[str, str] = {}

    def look(self, position: int, record: dict[str, Any]) -> None:
        """Compare a record, if it is one of those that are, with those before."""
        self._id_types.add(type(record.get(self._id_field)))
        if position >= _LOOKED_AT and position % _EVERY:
            return
        for name in islice(record, _MOST_NAMES):
            if name not in self._mixed and (name in self._kinds or len(self._kinds) < _MOST_NAMES):
                try:
                    self._kinds[name] = _merged(self._kinds.get(name), record[name])
                except _Mixed as error:
                    self._mixed[name] = str(error)

    def found(self) -> dict[str, str]:
        """Return the fields without a type, and what was found in them."""
        empty = {name: "an empty object" for name, kind in self._kinds.items() if _has_empty_object(kind)}
        ids = (
            {self._id_field: "a number and a string"}
            if str in self._id_types and self._id_types & {int, float}
            else {}
        )
        return {**ids, **empty, **self._mixed}


def _merged(kind: Any, value: Any) -> Any:
    """Return the kind that a value and those before have: the name of a type, a list of one, or a dict.

    Raises _Mixed, which says what was found, if there is none.
    """
    match value:
        case list():
            if kind is not None and type(kind) is not list:
                raise _Mixed(f"{_name(kind)} and a list")
            inner = kind[0] if kind else None
            for item in value:
                inner = _merged(inner, item)
            return [inner]
        case dict():
            if kind is not None and type(kind) is not dict:
                raise _Mixed(f"{_name(kind)} and an object")
            fields = kind if kind is not None else {}
            for name, item in value.items():
                if name in fields or len(fields) < _MOST_NAMES:
                    fields[name] = _merged(fields.get(name), item)
            return fields
        case int() if value not in _INTEGERS:
            raise _Mixed(_LARGE)
    if is_missing(value):
        return kind
    found = "true or false" if type(value) is bool else json_type(value)
    if kind is not None and kind != found:
        raise _Mixed(f"{_name(kind)} and {found}")
    return found


def _name(kind: Any) -> str:
    return "a list" if type(kind) is list else "an object" if type(kind) is dict else str(kind)


def _has_empty_object(kind: Any) -> bool:
    match kind:
        case [inner]:
            return _has_empty_object(inner)
        case dict():
            return not kind or any(map(_has_empty_object, kind.values()))
    return False
