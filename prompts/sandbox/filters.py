"""The filters of templates: Jinja's that make nothing larger, and others that pay for what they make."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import TemplateRuntimeError, pass_context
from jinja2.filters import do_center, do_indent, do_round, do_title, ignore_case, sync_do_map
from jinja2.runtime import Context
from jinja2.utils import htmlsafe_json_dumps

from prompts.sandbox.budget import ITEM_STEPS, MAX_INT, TooMuchWork, pay, plain, shown, spend
from prompts.sandbox.payment import counted

_MAX_PARTS = 10  # of a dotted attribute
_MAX_PRECISION = 20

_FILTERS = frozenset(
    (
        *("capitalize", "count", "d", "default", "e", "escape", "first", "int", "last", "length", "lower"),
        *("reject", "reverse", "select", "string", "trim", "truncate", "upper"),
    )
)
"""Jinja's filters that make nothing larger; `_OWN` has others."""
_TEXTS = frozenset(
    (
        *("capitalize", "center", "e", "escape", "indent", "lower", "replace", "string", "title", "tojson"),
        *("trim", "truncate", "upper", "wordcount"),
    )
)
"""Filters that make a text of what they are given."""


def _paid(filter: Callable[..., Any], shows: bool) -> Callable[..., Any]:
    """Return a filter that pays for what it is given, and where it shows that, takes only what has a text."""
    # Some filters are given the context first.
    first = int(hasattr(filter, "jinja_pass_arg"))

    def called(*args: Any, **kwargs: Any) -> Any:
        for value in (*args[first:], *kwargs.values()):
            plain(value, shows)
        return filter(*args, **kwargs)

    if first:
        called.jinja_pass_arg = filter.jinja_pass_arg  # type: ignore[attr-defined]
    return called


def _replace(value: Any, old: str, new: str, count: int = -1) -> str:
    text = str(value)
    spend(text.count(old) * len(new))
    return text.replace(old, new, count)


def _join(items: Iterable[Any], d: str = "") -> str:
    parts = [shown(item) for item in _listed(items)]
    spend(len(d) * len(parts))
    return d.join(parts)


def _indent(value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    text = str(value)
    spend((text.count("\n") + 1) * (width if isinstance(width, int) else len(width)))
    return do_indent(text, width, first, blank)


def _listed(items: Iterable[Any]) -> list[Any]:
    return [*counted(items, ITEM_STEPS)]


@pass_context
def _map(context: Context, items: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
    parts = str(kwargs.get("attribute", "")).count(".") + 1
    if parts > _MAX_PARTS:
        raise TemplateRuntimeError(f"an attribute has at most {_MAX_PARTS} parts")
    # Parts after the first one are paid for by each item.
    return counted(sync_do_map(context, items, *args, **kwargs), parts - 1)


def _numbers(items: Iterable[Any]) -> list[int | float]:
    numbers = _listed(items)
    if not all(isinstance(each, int | float) for each in numbers):
        raise TemplateRuntimeError("this is only for numbers")
    return numbers


def _sum(items: Iterable[Any], start: int | float = 0) -> int | float:
    total = sum(_numbers([start, *_listed(items)]))
    if isinstance(total, int) and abs(total) >= MAX_INT:
        raise TooMuchWork("the number is too large")
    return total


def _round(value: Any, precision: int = 0, method: Any = "common") -> float:
    _numbers([value])
    if abs(precision) > _MAX_PRECISION:  # powers of 10 are made of it
        raise TemplateRuntimeError(f"numbers are rounded to at most {_MAX_PRECISION} digits")
    return do_round(value, precision, method)


def _sort(items: Iterable[Any], reverse: bool = False, case_sensitive: bool = False) -> list[Any]:
    found = _listed(items)
    for _ in range(len(found).bit_length()):  # so often is each item compared
        pay(found)
    return sorted(found, key=None if case_sensitive else ignore_case, reverse=reverse)


def _unique(items: Iterable[Any], case_sensitive: bool = False) -> list[Any]:
    found: dict[Any, Any] = {}
    for item in _listed(items):
        pay(item)
        found.setdefault(item if case_sensitive else ignore_case(item), item)
    return list(found.values())


def _center(value: Any, width: int = 80) -> str:
    spend(max(width, 0))
    return do_center(str(value), width)


def _wordcount(value: Any) -> int:
    text = str(value)
    spend(ITEM_STEPS // 2 * len(text))
    return len(text.split())


_OWN: dict[str, Callable[..., Any]] = {
    "center": _center,
    "indent": _indent,
    "join": _join,
    "list": _listed,
    "map": _map,
    "replace": _replace,
    "round": _round,
    "sort": _sort,
    "sum": _sum,
    "title": do_title,
    "unique": _unique,
    "tojson": lambda value: htmlsafe_json_dumps(value, sort_keys=True),
    "wordcount": _wordcount,
}


def paid_filters(known: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Return the filters of templates, some of them Jinja's."""
    # Also because prompts must not be random: recorded calls are found by their text.
    found = {name: known[name] for name in _FILTERS} | _OWN
    return {name: _paid(filter, name in _TEXTS) for name, filter in found.items()}
