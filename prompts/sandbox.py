"""The sandbox in which the templates of a prompt pack are rendered: a pack may come from anyone.

Jinja's sandbox keeps templates away from the program; this one also bounds the work of a rendering, so that
time, memory and output follow from the size of what is shown. What no prompt needs is not there: most filters
and methods, `**`, recursive loops. All else that repeats, joins or copies is paid for from a `Budget`, before
it is done. The work is counted, not timed, so a record fails on every machine or on none.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

from jinja2 import (
    BaseLoader,
    Environment,
    StrictUndefined,
    Template,
    TemplateRuntimeError,
    nodes,
    pass_context,
)
from jinja2.exceptions import SecurityError, TemplateNotFound, TemplateSyntaxError
from jinja2.filters import do_indent
from jinja2.parser import Parser
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, htmlsafe_json_dumps
from jinja2.visitor import NodeTransformer

from prompts.fences import fence

BASE, TIMES = 200_000, 10
"""A rendering may take so many steps (about one a node of the template, or a character that is copied), and
beyond that so many for each character it is given. The built-in packs take 20,000, and 3 a character."""

MAX_DEPTH, MAX_BLOCKS = 60, 15
"""Levels of expressions and blocks in a template, and of blocks alone; Python compiles 20 loops."""

_MAX_TAG = 50
_FENCE_STEPS = 2000  # of compiling what a new tag is looked for with
_ITEM_STEPS = 16  # of an item of a list, which takes memory of its own
_MAX_NESTING = 20
_MAX_INT = 2**63

_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, range, *_VIEWS)
_COUNTED: tuple[Any, ...] = (int, *_CONTAINERS)

_FILTERS = frozenset(
    (
        *("capitalize", "count", "d", "default", "e", "escape", "first", "int", "last", "length", "lower"),
        *("map", "reject", "reverse", "select", "string", "trim", "truncate", "upper"),
    )
)
"""Jinja's filters that make nothing larger; `_OWN` has others."""
_TESTS = frozenset(
    (
        *("boolean", "defined", "even", "false", "float", "integer", "iterable", "mapping", "none", "number"),
        *("odd", "sequence", "string", "true", "undefined"),
    )
)
_METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(
        (
            *("capitalize", "casefold", "count", "endswith", "find", "isalpha", "isdigit", "islower"),
            *("isspace", "isupper", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "rfind"),
            *("rpartition", "rstrip", "split", "splitlines", "startswith", "strip", "title", "upper"),
        )
    ),
    dict: frozenset(("get", "items", "keys", "values")),
    list: frozenset(("count", "index")),
    tuple: frozenset(("count", "index")),
    range: frozenset(),
    int: frozenset(),
    float: frozenset(),
    **dict.fromkeys(_VIEWS, frozenset()),
}
"""The attributes that templates may use, of types with more."""

_SPEND, _LOOPED, _JOINED, _WEIGHED = "spend ", "looped ", "joined ", "weighed "
"""Filters that `_Paid` puts into templates; no template can write such a name."""


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


_NONE = Budget(0)
_budget: ContextVar[Budget] = ContextVar("budget", default=_NONE)


@contextmanager
def paying(budget: Budget) -> Iterator[None]:
    """Make renderings pay from this budget until the context ends."""
    token = _budget.set(budget)
    try:
        yield
    finally:
        _budget.reset(token)


def budget_for(values: Mapping[str, Any]) -> Budget:
    """Return the budget of one rendering of these values."""
    shown = 0
    for value in values.values():
        if isinstance(value, str):
            shown += len(value)
        elif isinstance(value, tuple):  # the debate
            shown += sum(map(len, value))
    return Budget(BASE + TIMES * shown)


def _spend(steps: int) -> None:
    _budget.get().spend(steps)


def _pay(value: object) -> None:
    """Pay for going through a value, however often its parts are repeated in it."""
    if isinstance(value, str):
        _spend(len(value))
        return
    if not isinstance(value, _COUNTED):
        return
    level: list[Any] = [value]
    for _ in range(_MAX_NESTING):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, str):
                _spend(len(each))
            elif isinstance(each, int):
                _spend(each.bit_length() // 8)
            elif isinstance(each, _CONTAINERS):
                _spend(_ITEM_STEPS * len(each))
                if not isinstance(each, range):
                    inner += each
                if isinstance(each, dict):
                    inner += each.values()
        if not inner:
            return
        level = inner
    raise TooMuchWork(f"lists are nested more than {_MAX_NESTING} levels deep")


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of a pack: its sources as they were read, and nothing else on the disk.

    Names of templates are those of `sources`; `folder` is where they are, for messages.
    """

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))

    def __init__(self, folder: Path, sources: Mapping[str, str]) -> None:
        super().__init__(
            loader=_Loader(),
            undefined=StrictUndefined,
            finalize=_shown,
            autoescape=False,
            auto_reload=False,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.folder, self.sources = folder, sources
        self._trees: dict[str, nodes.Template] = {}
        # Also because prompts must not be random: recorded calls are found by their text.
        self.filters = {name: _paid(self.filters[name]) for name in _FILTERS}
        self.filters |= {name: _paid(filter) for name, filter in _OWN.items()} | _INSERTED
        self.tests = {name: self.tests[name] for name in _TESTS}
        self.globals = {
            "range": self.globals["range"],
            "namespace": _Namespace,
            "fence": _fence,
        }

    def tree(self, name: str) -> nodes.Template:
        """Parse a file of the pack.

        Raises:
            TemplateSyntaxError: it is no template, or has what templates of a pack may not.
        """
        if name not in self._trees:
            path, parser = str(self.folder / name), None
            try:
                parser = Parser(self, self.sources[name], name, path)
                tree = parser.parse()
            except TemplateSyntaxError as error:
                error.filename = path  # where the lexer leaves it out
                raise
            except Exception as error:  # among them RecursionError, and ValueError of long numbers
                line = parser.stream.current.lineno if parser else 1
                what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
                raise TemplateSyntaxError(what, line, name, path) from None
            for complaint, node in _unusable(tree, self.filters, self.tests):
                raise TemplateSyntaxError(complaint, node.lineno, name, path)
            self._trees[name] = tree
        return self._trees[name]

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """Join what a template, a macro or a block has written."""
        budget, written = _budget.get(), []
        for part in parts:
            budget.left -= len(part) + 1
            if budget.left < 0:
                budget.spend(0)
            written.append(part)
        return "".join(written)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Calculate `left operator right`."""
        if operator == "+" and isinstance(left, str | list | tuple):
            _pay([left, right])
        elif operator == "*" and isinstance(left, str) and isinstance(right, int):
            _spend(len(left) * max(right, 0))
        elif not all(isinstance(each, int | float) for each in (left, right)):
            raise TemplateRuntimeError(
                f"{operator} is only for numbers here, not {type(left).__name__} and {type(right).__name__}"
            )
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and abs(result) >= _MAX_INT:
            raise TooMuchWork("the number is too large")
        return result

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls."""
        for value in args:
            _pay(value)
        for value in kwargs.values():
            _pay(value)
        receiver = getattr(__obj, "__self__", None)
        if receiver is not None and isinstance(receiver, str | list | tuple | dict):
            _pay(receiver)
            if __obj.__name__ in ("split", "splitlines"):
                _spend(_ITEM_STEPS // 2 * len(receiver))
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> None:
        """Return None: texts have no method `format`."""

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return `obj[argument]`."""
        if not isinstance(argument, str | int):
            raise TemplateRuntimeError("only numbers and texts can be in brackets")
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Return whether a template may use an attribute of a value."""
        known = next((methods for kind, methods in _METHODS.items() if isinstance(obj, kind)), None)
        # The parts of the debate are fields of a tuple.
        if known is not None and attr not in known and attr not in getattr(type(obj), "_fields", ()):
            return False
        return super().is_safe_attribute(obj, attr, value)


class _Loader(BaseLoader):
    def load(self, environment: Environment, name: str, globals: Any = None, *_: object) -> Template:
        assert isinstance(environment, Sandbox)  # noqa: S101 - for the type
        if name not in environment.sources:
            raise TemplateNotFound(name)
        path = str(environment.folder / name)
        tree = _Paid().visit(environment.tree(name))
        tree.set_environment(environment)
        try:
            with paying(_NONE):  # nothing is calculated before it is rendered
                code = environment.compile(tree, name, path)
        except TemplateSyntaxError:
            raise
        except Exception as error:
            # Of Python, which compiles what Jinja made of the template: the line is another one.
            what = error.msg if isinstance(error, SyntaxError) else f"{type(error).__name__}: {error}"
            raise TemplateSyntaxError(f"it cannot be compiled: {what}", 1, name, path) from None
        return Template.from_code(environment, code, globals or {})


def _unusable(
    tree: nodes.Template, filters: Collection[str], tests: Collection[str]
) -> Iterator[tuple[str, nodes.Node]]:
    """Yield what templates of a pack may not have, with its node, the first one first."""
    waiting: list[tuple[nodes.Node, int, int]] = [(tree, 0, 0)]
    while waiting:
        node, depth, blocks = waiting.pop()
        blocks += isinstance(node, nodes.Stmt)
        if depth > MAX_DEPTH or blocks > MAX_BLOCKS:
            yield f"nested more than {MAX_DEPTH if depth > MAX_DEPTH else MAX_BLOCKS} levels deep", node
        match node:
            case nodes.If() if len(node.elif_) > MAX_DEPTH:
                yield f"there are more than {MAX_DEPTH} elif", node
            case nodes.Filter() if node.name not in filters:
                yield _no_such("filter", node.name, filters), node
            case nodes.Test() if node.name not in tests:
                yield _no_such("test", node.name, tests), node
            case nodes.Pow():
                yield "templates have no **", node
            case nodes.For(recursive=True):
                yield "templates have no recursive loops", node
            case nodes.ScopedEvalContextModifier():
                yield "templates have no autoescape", node
            case nodes.Pair() if not isinstance(node.key, nodes.Const):
                yield "the keys of a dictionary must be written out", node
        waiting += [(child, depth + 1, blocks) for child in reversed([*node.iter_child_nodes()])]


def _no_such(kind: str, name: str, known: Collection[str]) -> str:
    listed = ", ".join(sorted(each for each in known if not each.endswith(" ")))
    return f"No {kind} named {name!r}. There are {listed}"


class _Paid(NodeTransformer):
    """Makes a template pay for what it repeats and copies: loops by the number of items, bodies by their
    size."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        size = sum(1 for _ in node.find_all(nodes.Node)) + 1 if isinstance(node, _REPEATED) else 0
        super().generic_visit(node, *args, **kwargs)
        match node:
            case nodes.For():
                node.iter = _filter(cast(nodes.Expr, node.iter), _LOOPED, nodes.Const(size))
            case nodes.Template() | nodes.Macro() | nodes.CallBlock() | nodes.Block():
                pay = nodes.ExprStmt(_filter(nodes.Const(size), _SPEND), lineno=node.lineno)
                node.body.insert(0, pay)
            case nodes.Concat():
                return _filter(nodes.List(node.nodes, lineno=node.lineno), _JOINED)
            case nodes.Compare():
                node.expr = _filter(node.expr, _WEIGHED)
            case nodes.Operand():
                node.expr = _filter(node.expr, _WEIGHED)
            case nodes.Getitem(arg=nodes.Slice()):
                return _filter(node, _WEIGHED)
        return node


_REPEATED = (nodes.For, nodes.Template, nodes.Macro, nodes.CallBlock, nodes.Block)


def _filter(value: nodes.Expr, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, list(args), [], None, None, lineno=value.lineno)


@pass_context
def _spend_filter(_: Context, steps: int) -> str:
    _spend(max(steps, 0))
    return ""


def _looped(items: Any, size: int) -> Any:
    """Pay for a loop over items whose body has this size."""
    if not hasattr(items, "__len__"):  # what `map` and `select` return
        items = [*_counted(items, size)]
    else:
        _spend(len(items) * max(size, 1))
    return items


def _counted(items: Iterable[Any], size: int) -> Iterator[Any]:
    for item in items:
        _spend(max(size, 1))
        yield item


def _joined(parts: list[Any]) -> str:
    return Sandbox.concat(_shown(part) for part in parts)


def _weighed(value: Any) -> Any:
    _pay(value)
    return value


_INSERTED: dict[str, Callable[..., Any]] = {
    _SPEND: _spend_filter,
    _LOOPED: _looped,
    _JOINED: _joined,
    _WEIGHED: _weighed,
}


class _Namespace(Namespace):
    """A namespace whose text does not repeat what is in it."""

    def __repr__(self) -> str:
        return "<namespace>"


_PLAIN = (str, int, float, *_CONTAINERS, Iterator, Undefined, type(None))


def _plain(value: Any) -> Any:
    """Return a value. Raises TemplateRuntimeError for a macro, a module or the like, which is no text."""
    if not isinstance(value, _PLAIN):
        raise TemplateRuntimeError(f"a {type(value).__name__} is no text")
    _pay(value)
    return value


def _shown(value: Any) -> str:
    """Return a value as a template shows it."""
    if type(value) is str:
        return value
    if isinstance(value, Iterator):  # its text would hold an address in memory
        raise TemplateRuntimeError("this is no text: join its parts")
    return str(_plain(value))


def _fence(tag: str, text: str) -> str:
    """Call `fence`."""
    if len(tag) > _MAX_TAG:
        raise SecurityError(f"the tag of a fence has at most {_MAX_TAG} characters")
    _spend(_FENCE_STEPS)
    return fence(tag, text)


def _paid(filter: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that pays for what it is given."""
    # Some filters are given the context first.
    first = int(hasattr(filter, "jinja_pass_arg"))

    def called(*args: Any, **kwargs: Any) -> Any:
        for value in (*args[first:], *kwargs.values()):
            _plain(value)
        return filter(*args, **kwargs)

    if first:
        called.jinja_pass_arg = filter.jinja_pass_arg  # type: ignore[attr-defined]
    return called


def _replace(value: Any, old: str, new: str, count: int = -1) -> str:
    text = str(value)
    _spend(text.count(old) * len(new))
    return text.replace(old, new, count)


def _join(items: Iterable[Any], d: str = "") -> str:
    parts = [_shown(item) for item in _listed(items)]
    _spend(len(d) * len(parts))
    return d.join(parts)


def _indent(value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    text = str(value)
    _spend((text.count("\n") + 1) * (width if isinstance(width, int) else len(width)))
    return do_indent(text, width, first, blank)


def _listed(items: Iterable[Any]) -> list[Any]:
    return [*_counted(items, _ITEM_STEPS)]


def _wordcount(value: Any) -> int:
    text = str(value)
    _spend(_ITEM_STEPS // 2 * len(text))
    return len(text.split())


_OWN: Mapping[str, Callable[..., Any]] = {
    "indent": _indent,
    "join": _join,
    "list": _listed,
    "replace": _replace,
    "tojson": lambda value: htmlsafe_json_dumps(value, sort_keys=True),
    "wordcount": _wordcount,
}
