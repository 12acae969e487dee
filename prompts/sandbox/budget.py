"""The work that a rendering may take, and what is paid for it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2 import TemplateRuntimeError
from jinja2.runtime import Undefined

BASE, TIMES = 200_000, 10
"""A rendering may take so many steps (about one a node of the template, or a character that is copied), and
beyond that so many for each character it is given. The built-in packs take 20,000, and 3 a character."""

ITEM_STEPS = 16
"""Steps for an item of a list, which takes memory of its own."""

MAX_INT = 2**63

_MAX_NESTING = 20

VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, range, *VIEWS)
_COUNTED: tuple[Any, ...] = (int, *_CONTAINERS)
_WITH_TEXT = (str, int, float, *_CONTAINERS, Undefined, type(None))


class TooMuchWork(TemplateRuntimeError):
    """A rendering takes more work than a prompt may."""


class Budget:
    """The steps that are left to a rendering."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Take steps off what is left. Raises `TooMuchWork` if it is less."""
        self.left -= steps
        if self.left < 0:
            raise TooMuchWork(
                "this takes more work than a prompt may (loops, or texts that are repeated, joined or copied)"
            )


NONE = Budget(0)
BUDGET: ContextVar[Budget] = ContextVar("budget", default=NONE)


@contextmanager
def paying(budget: Budget) -> Iterator[None]:
    """Make renderings pay from this budget until the context ends."""
    token = BUDGET.set(budget)
    try:
        yield
    finally:
        BUDGET.reset(token)


def budget_for(values: Mapping[str, Any]) -> Budget:
    """Return the budget of one rendering of these values."""
    shown = 0
    for value in values.values():
        if isinstance(value, str):
            shown += len(value)
        elif isinstance(value, tuple):  # the debate
            shown += sum(map(len, value))
    return Budget(BASE + TIMES * shown)


def spend(steps: int) -> None:
    """Take steps off the budget of the rendering. Raises `TooMuchWork` if there are not so many left."""
    BUDGET.get().spend(steps)


def pay(value: object, shown: bool = False) -> None:
    """Pay for going through a value, however often its parts are repeated in it.

    Raises:
        TemplateRuntimeError: it is `shown`, and a part of it has no text of its own.
    """
    if isinstance(value, str):
        spend(len(value))
        return
    if not isinstance(value, _COUNTED):
        return
    level: list[Any] = [value]
    for _ in range(_MAX_NESTING):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, str):
                spend(len(each))
            elif isinstance(each, int):
                spend(each.bit_length() // 8)
            elif isinstance(each, _CONTAINERS):
                spend(ITEM_STEPS * len(each))
                if not isinstance(each, range):
                    inner += each
                if isinstance(each, dict):
                    inner += each.values()
            elif shown and not isinstance(each, _WITH_TEXT):
                raise TemplateRuntimeError(_no_text(each))
        if not inner:
            return
        level = inner
    raise TooMuchWork(f"lists are nested more than {_MAX_NESTING} levels deep")


def plain(value: Any, shown: bool = False) -> Any:
    """Return a value. Raises TemplateRuntimeError for a macro, a module or the like, which is no text, and
    for one inside of what is `shown`."""
    if not isinstance(value, _WITH_TEXT) and (shown or not isinstance(value, Iterator)):
        raise TemplateRuntimeError(_no_text(value))
    pay(value, shown)
    return value


def _no_text(value: Any) -> str:
    # Their texts would hold an address in memory, another one in each run.
    if isinstance(value, Iterator):
        return "this is no text: join its parts"
    return f"a {type(value).__name__.strip('_').lower()} is no text"


def shown(value: Any) -> str:
    """Return a value as a template shows it."""
    return value if type(value) is str else str(plain(value, shown=True))
