"""What is put into templates so that they pay for what they repeat and copy."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from jinja2 import nodes, pass_context
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer

from prompts.sandbox.budget import BUDGET, pay, shown, spend

FREE_NAMES = 50
"""Names in scope of an include or import, which copies them all, that cost nothing."""

_SPEND, _LOOPED, _JOINED, _WEIGHED = "spend ", "looped ", "joined ", "weighed "
"""Filters that `Paid` puts into templates; no template can write such a name."""


class Paid(NodeTransformer):
    """Makes a template pay for what it repeats and copies: loops by the number of items, bodies by their
    size."""

    def __init__(self, names: int) -> None:
        self.copied = max(names - FREE_NAMES, 0)

    def _size(self, node: nodes.Node) -> int:
        size = 1
        if isinstance(node, nodes.Include | nodes.Import | nodes.FromImport):
            size += self.copied  # each goes through all names, also those that are not set yet
        if isinstance(node, nodes.FromImport):
            size += len(node.names)  # which are no nodes
        return size

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        """Return a node that pays."""
        size = sum(map(self._size, node.find_all(nodes.Node))) + 1 if isinstance(node, _REPEATED) else 0
        super().generic_visit(node, *args, **kwargs)
        match node:
            case nodes.For():
                node.iter = _filter(cast(nodes.Expr, node.iter), _LOOPED, nodes.Const(size))
            case nodes.Template() | nodes.Macro() | nodes.CallBlock() | nodes.Block():
                paying = nodes.ExprStmt(_filter(nodes.Const(size), _SPEND), lineno=node.lineno)
                node.body.insert(0, paying)
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
    spend(max(steps, 0))
    return ""


def _looped(items: Any, size: int) -> Any:
    """Pay for a loop over items whose body has this size."""
    if not hasattr(items, "__len__"):  # what `map` and `select` return
        items = [*counted(items, max(size, 1))]
    else:
        spend(len(items) * max(size, 1))
    return items


def counted(items: Iterable[Any], size: int) -> Iterator[Any]:
    """Yield items, each of which is paid for."""
    for item in items:
        spend(size)
        yield item


def concat(parts: Iterable[str]) -> str:
    """Join what a template, a macro or a block has written."""
    budget, written = BUDGET.get(), []
    for part in parts:
        budget.left -= len(part) + 1
        if budget.left < 0:
            budget.spend(0)
        written.append(part)
    return "".join(written)


def _joined(parts: list[Any]) -> str:
    return concat(shown(part) for part in parts)


def _weighed(value: Any) -> Any:
    pay(value)
    return value


INSERTED: dict[str, Callable[..., Any]] = {
    _SPEND: _spend_filter,
    _LOOPED: _looped,
    _JOINED: _joined,
    _WEIGHED: _weighed,
}
