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
from typing import Any, NoReturn, cast

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
from jinja2.filters import do_center, do_indent, do_round, do_title, ignore_case, sync_do_map
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

MAX_COPIES, MAX_PACK_COPIES = 30_000, 100_000
"""The names in a file times its blocks, includes and imports, and the sum of this over a pack: Jinja copies
the names for each of these while it compiles. The files of the built-in packs have 60 at most."""

_MAX_TAG = 50
_FENCE_STEPS = 2000  # of compiling what a new tag is looked for with
_ITEM_STEPS = 16  # of an item of a list, which takes memory of its own
_FREE_NAMES = 50  # in scope of an include or import, which copies them all
_MAX_PARTS = 10  # of a dotted attribute
_MAX_PRECISION = 20
_MAX_NESTING = 20
_MAX_INT = 2**63

_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, range, *_VIEWS)
_COUNTED: tuple[Any, ...] = (int, *_CONTAINERS)

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


def _pay(value: object, shown: bool = False) -> None:
    """Pay for going through a value, however often its parts are repeated in it.

    Raises:
        TemplateRuntimeError: it is `shown`, and a part of it has no text of its own.
    """
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
            elif shown and not isinstance(each, _WITH_TEXT):
                raise TemplateRuntimeError(_no_text(each))
        if not inner:
            return
        level = inner
    raise TooMuchWork(f"lists are nested more than {_MAX_NESTING} levels deep")


class _Context(Context):
    """The variables of a template, which it pays for: each include or import copies all names in scope."""

    def __init__(self, environment: Environment, parent: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        _spend(max(len(parent) - _FREE_NAMES, 0))
        super().__init__(environment, parent, *args, **kwargs)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of a pack: its sources as they were read, and nothing else on the disk.

    Names of templates are those of `sources`; `folder` is where they are, for messages.
    """

    context_class = _Context
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
        self._copies = 0
        # Also because prompts must not be random: recorded calls are found by their text.
        self.filters = {name: _paid(self.filters[name], name in _TEXTS) for name in _FILTERS}
        self.filters |= {name: _paid(filter, name in _TEXTS) for name, filter in _OWN.items()} | _INSERTED
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
                nested = isinstance(error, RecursionError)
                what = "nested too deeply" if nested else _in_our_words(error) or str(error)
                raise TemplateSyntaxError(what, line, name, path) from None
            for complaint, node in _unusable(tree, self.filters, self.tests):
                raise TemplateSyntaxError(complaint, node.lineno, name, path)
            self._copies += len(_all_names(tree)) * sum(map(_copies, tree.find_all(nodes.Stmt)))
            if self._copies > MAX_PACK_COPIES:
                what = "the pack has too many blocks and includes in files with many names"
                raise TemplateSyntaxError(what, 1, name, path)
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
        elif operator == "%" and isinstance(left, str):
            raise TemplateRuntimeError("% is only for numbers here: put texts together with ~")
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

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """Return what refuses an attribute, and says what to write instead."""
        kind = type(obj).__name__
        if attribute in self.filters:
            instead = f": write `|{attribute}(…)`"
        elif isinstance(obj, str) and attribute.startswith("format"):
            instead = ": put texts together with ~"
        else:
            known = next((methods for each, methods in _METHODS.items() if isinstance(obj, each)), ())
            instead = f". There are {', '.join(sorted(known))}" if known else ""
        what = f"templates cannot use {attribute!r} of {kind!r}{instead}"
        return self.undefined(what, name=attribute, obj=obj, exc=SecurityError)

    def handle_exception(self, source: str | None = None) -> NoReturn:
        """Raise what a rendering has raised, in words that help the author of a template."""
        try:
            super().handle_exception(source)
        except Exception as error:
            if what := _in_our_words(error):
                # The traceback names the line.
                raise TemplateRuntimeError(what).with_traceback(error.__traceback__) from None
            raise


def _in_our_words(error: Exception) -> str | None:
    """Return what an error of Python means in a template, where its own words do not say it."""
    match error:
        case RecursionError():
            return "it includes or calls itself, or too many others in each other"
        case OverflowError() if not str(error).startswith("Range too big"):
            return "a number is too large"
        case ValueError() if "set_int_max_str_digits" in str(error):
            return "a number has too many digits"
    return None


class _Loader(BaseLoader):
    def load(self, environment: Environment, name: str, globals: Any = None, *_: object) -> Template:
        assert isinstance(environment, Sandbox)  # noqa: S101 - for the type
        if name not in environment.sources:
            raise TemplateNotFound(name)
        path = str(environment.folder / name)
        tree = environment.tree(name)
        tree = _Paid(len(_all_names(tree))).visit(tree)
        tree.set_environment(environment)
        try:
            with paying(_NONE):  # nothing is calculated before it is rendered
                code = environment.compile(tree, name, path)
        except TemplateSyntaxError:
            raise
        except Exception as error:
            # Of Python, which compiles what Jinja made of the template: the line is another one.
            named = error.msg if isinstance(error, SyntaxError) else f"{type(error).__name__}: {error}"
            what = _in_our_words(error) or named
            raise TemplateSyntaxError(f"it cannot be compiled: {what}", 1, name, path) from None
        return Template.from_code(environment, code, globals or {})


def _unusable(
    tree: nodes.Template, filters: Collection[str], tests: Collection[str]
) -> Iterator[tuple[str, nodes.Node]]:
    """Yield what templates of a pack may not have, with its node, the first one first."""
    waiting: list[tuple[nodes.Node, int, int]] = [(tree, 0, 0)]
    names, copies = set[str](), 1
    while waiting:
        node, depth, blocks = waiting.pop()
        blocks += isinstance(node, nodes.Stmt)
        names.update(_names(node))
        copies += _copies(node)
        if len(names) * copies > MAX_COPIES:
            what = f"{len(names)} names and {copies} blocks and includes up to here are too many for a file"
            yield f"{what}: put a part into another one", node
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


_COPYING_NOTHING = (nodes.Output, nodes.Assign, nodes.ExprStmt)


def _copies(node: nodes.Node) -> bool:
    """Return whether Jinja copies the names in scope to compile a node."""
    return isinstance(node, nodes.Stmt) and not isinstance(node, _COPYING_NOTHING)


def _all_names(tree: nodes.Template) -> set[str]:
    return {name for node in tree.find_all(nodes.Node) for name in _names(node)}


def _names(node: nodes.Node) -> Collection[str]:
    """Return the names that a node itself has, bound or not."""
    match node:
        case nodes.Name() | nodes.NSRef() | nodes.Macro():
            return (node.name,)
        case nodes.Import():
            return (node.target,)
        case nodes.FromImport():
            return [each if isinstance(each, str) else each[1] for each in node.names]
    return ()


def _no_such(kind: str, name: str, known: Collection[str]) -> str:
    listed = ", ".join(sorted(each for each in known if not each.endswith(" ")))
    return f"No {kind} named {name!r}. There are {listed}"


class _Paid(NodeTransformer):
    """Makes a template pay for what it repeats and copies: loops by the number of items, bodies by their
    size."""

    def __init__(self, names: int) -> None:
        self.copied = max(names - _FREE_NAMES, 0)

    def _size(self, node: nodes.Node) -> int:
        size = 1
        if isinstance(node, nodes.Include | nodes.Import | nodes.FromImport):
            size += self.copied  # each goes through all names, also those that are not set yet
        if isinstance(node, nodes.FromImport):
            size += len(node.names)  # which are no nodes
        return size

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        size = sum(map(self._size, node.find_all(nodes.Node))) + 1 if isinstance(node, _REPEATED) else 0
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
        items = [*_counted(items, max(size, 1))]
    else:
        _spend(len(items) * max(size, 1))
    return items


def _counted(items: Iterable[Any], size: int) -> Iterator[Any]:
    for item in items:
        _spend(size)
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


_WITH_TEXT = (str, int, float, *_CONTAINERS, Undefined, type(None))


def _plain(value: Any, shown: bool = False) -> Any:
    """Return a value. Raises TemplateRuntimeError for a macro, a module or the like, which is no text, and
    for one inside of what is `shown`."""
    if not isinstance(value, _WITH_TEXT) and (shown or not isinstance(value, Iterator)):
        raise TemplateRuntimeError(_no_text(value))
    _pay(value, shown)
    return value


def _no_text(value: Any) -> str:
    # Their texts would hold an address in memory, another one in each run.
    if isinstance(value, Iterator):
        return "this is no text: join its parts"
    return f"a {type(value).__name__.strip('_').lower()} is no text"


def _shown(value: Any) -> str:
    """Return a value as a template shows it."""
    return value if type(value) is str else str(_plain(value, shown=True))


def _fence(tag: str, text: str) -> str:
    """Call `fence`."""
    if len(tag) > _MAX_TAG:
        raise SecurityError(f"the tag of a fence has at most {_MAX_TAG} characters")
    _spend(_FENCE_STEPS)
    return fence(tag, text)


def _paid(filter: Callable[..., Any], shows: bool) -> Callable[..., Any]:
    """Return a filter that pays for what it is given, and where it shows that, takes only what has a text."""
    # Some filters are given the context first.
    first = int(hasattr(filter, "jinja_pass_arg"))

    def called(*args: Any, **kwargs: Any) -> Any:
        for value in (*args[first:], *kwargs.values()):
            _plain(value, shows)
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


@pass_context
def _map(context: Context, items: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
    parts = str(kwargs.get("attribute", "")).count(".") + 1
    if parts > _MAX_PARTS:
        raise TemplateRuntimeError(f"an attribute has at most {_MAX_PARTS} parts")
    # Parts after the first one are paid for by each item.
    return _counted(sync_do_map(context, items, *args, **kwargs), parts - 1)


def _numbers(items: Iterable[Any]) -> list[int | float]:
    numbers = _listed(items)
    if not all(isinstance(each, int | float) for each in numbers):
        raise TemplateRuntimeError("this is only for numbers")
    return numbers


def _sum(items: Iterable[Any], start: int | float = 0) -> int | float:
    total = sum(_numbers([start, *_listed(items)]))
    if isinstance(total, int) and abs(total) >= _MAX_INT:
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
        _pay(found)
    return sorted(found, key=None if case_sensitive else ignore_case, reverse=reverse)


def _unique(items: Iterable[Any], case_sensitive: bool = False) -> list[Any]:
    found: dict[Any, Any] = {}
    for item in _listed(items):
        _pay(item)
        found.setdefault(item if case_sensitive else ignore_case(item), item)
    return list(found.values())


def _center(value: Any, width: int = 80) -> str:
    _spend(max(width, 0))
    return do_center(str(value), width)


def _wordcount(value: Any) -> int:
    text = str(value)
    _spend(_ITEM_STEPS // 2 * len(text))
    return len(text.split())


_OWN: Mapping[str, Callable[..., Any]] = {
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
