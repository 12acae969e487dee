"""What the templates of a pack may hold, which is looked at before they are compiled."""

from collections.abc import Collection, Iterator

from jinja2 import nodes

MAX_DEPTH, MAX_BLOCKS = 60, 15
"""Levels of expressions and blocks in a template, and of blocks alone; Python compiles 20 loops."""

MAX_COPIES, MAX_PACK_COPIES = 30_000, 100_000
"""The names in a file times its blocks, includes and imports, and the sum of this over a pack: Jinja copies
the names for each of these while it compiles. The files of the built-in packs have 60 at most."""


def unusable(
    tree: nodes.Template, filters: Collection[str], tests: Collection[str]
) -> Iterator[tuple[str, nodes.Node]]:
    """Yield what templates of a pack may not have, with its node, the first one first."""
    waiting: list[tuple[nodes.Node, int, int]] = [(tree, 0, 0)]
    names, copied = set[str](), 1
    while waiting:
        node, depth, blocks = waiting.pop()
        blocks += isinstance(node, nodes.Stmt)
        names.update(_names(node))
        copied += copies(node)
        if len(names) * copied > MAX_COPIES:
            what = f"{len(names)} names and {copied} blocks and includes up to here are too many for a file"
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


def copies(node: nodes.Node) -> bool:
    """Return whether Jinja copies the names in scope to compile a node."""
    return isinstance(node, nodes.Stmt) and not isinstance(node, _COPYING_NOTHING)


def all_names(tree: nodes.Template) -> set[str]:
    """Return the names in a template, bound or not."""
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
