"""The sandbox in which the templates of a prompt pack are rendered: a pack may come from anyone.

Jinja's sandbox keeps templates away from the program; this one also bounds the work of a rendering, so that
time, memory and output follow from the size of what is shown. What no prompt needs is not there: most filters
and methods, `**`, recursive loops. All else that repeats, joins or copies is paid for from a `Budget`, before
it is done. The work is counted, not timed, so a record fails on every machine or on none.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import BaseLoader, Environment, StrictUndefined, Template, TemplateRuntimeError, nodes
from jinja2.exceptions import SecurityError, TemplateNotFound, TemplateSyntaxError
from jinja2.parser import Parser
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from prompts.fences import fence
from prompts.sandbox.allowed import MAX_PACK_COPIES, all_names, copies, unusable
from prompts.sandbox.budget import ITEM_STEPS, MAX_INT, NONE, VIEWS, TooMuchWork, pay, paying, shown, spend
from prompts.sandbox.filters import paid_filters
from prompts.sandbox.payment import FREE_NAMES, INSERTED, Paid, concat

_MAX_TAG = 50
_FENCE_STEPS = 2000  # of compiling what a new tag is looked for with

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
    **dict.fromkeys(VIEWS, frozenset()),
}
"""The attributes that templates may use, of types with more."""


class _Context(Context):
    """The variables of a template, which it pays for: each include or import copies all names in scope."""

    def __init__(self, environment: Environment, parent: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        spend(max(len(parent) - FREE_NAMES, 0))
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
            finalize=shown,
            autoescape=False,
            auto_reload=False,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.folder, self.sources = folder, sources
        self._trees: dict[str, nodes.Template] = {}
        self._copies = 0
        self.filters = paid_filters(self.filters) | INSERTED
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
            for complaint, node in unusable(tree, self.filters, self.tests):
                raise TemplateSyntaxError(complaint, node.lineno, name, path)
            self._copies += len(all_names(tree)) * sum(map(copies, tree.find_all(nodes.Stmt)))
            if self._copies > MAX_PACK_COPIES:
                what = "the pack has too many blocks and includes in files with many names"
                raise TemplateSyntaxError(what, 1, name, path)
            self._trees[name] = tree
        return self._trees[name]

    concat = staticmethod(concat)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Calculate `left operator right`."""
        if operator == "+" and isinstance(left, str | list | tuple):
            pay([left, right])
        elif operator == "%" and isinstance(left, str):
            raise TemplateRuntimeError("% is only for numbers here: put texts together with ~")
        elif operator == "*" and isinstance(left, str) and isinstance(right, int):
            spend(len(left) * max(right, 0))
        elif not all(isinstance(each, int | float) for each in (left, right)):
            raise TemplateRuntimeError(
                f"{operator} is only for numbers here, not {type(left).__name__} and {type(right).__name__}"
            )
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and abs(result) >= MAX_INT:
            raise TooMuchWork("the number is too large")
        return result

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls."""
        for value in args:
            pay(value)
        for value in kwargs.values():
            pay(value)
        receiver = getattr(__obj, "__self__", None)
        if receiver is not None and isinstance(receiver, str | list | tuple | dict):
            pay(receiver)
            if __obj.__name__ in ("split", "splitlines"):
                spend(ITEM_STEPS // 2 * len(receiver))
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
        tree = Paid(len(all_names(tree))).visit(tree)
        tree.set_environment(environment)
        try:
            with paying(NONE):  # nothing is calculated before it is rendered
                code = environment.compile(tree, name, path)
        except TemplateSyntaxError:
            raise
        except Exception as error:
            # Of Python, which compiles what Jinja made of the template: the line is another one.
            named = error.msg if isinstance(error, SyntaxError) else f"{type(error).__name__}: {error}"
            what = _in_our_words(error) or named
            raise TemplateSyntaxError(f"it cannot be compiled: {what}", 1, name, path) from None
        return Template.from_code(environment, code, globals or {})


class _Namespace(Namespace):
    """A namespace whose text does not repeat what is in it."""

    def __repr__(self) -> str:
        return "<namespace>"


def _fence(tag: str, text: str) -> str:
    """Call `fence`."""
    if len(tag) > _MAX_TAG:
        raise SecurityError(f"the tag of a fence has at most {_MAX_TAG} characters")
    spend(_FENCE_STEPS)
    return fence(tag, text)
