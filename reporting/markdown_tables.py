"""Tables in Markdown that lose nothing: bars in code and formulas are text, and so are cells beyond the last
column. The columns keep their alignment."""

import re

from markdown_it import MarkdownIt
from markdown_it.common.utils import mdTrim
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import escapedSplit, getLine, table
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline, backtick

from reporting import formulas

_BAR = "\0"
"""A bar in code or in a formula, until the tables are known. No text has this character by then."""
_PRICE = re.compile(r"\$(?:\d[\d.,]*\s+\||\|[\d.,]+\$$)")
"""What looks like a formula and is a price, the end of its cell, and another price."""

CLASSES = {f"text-align:{side}": f"ta{side[0]}" for side in ("left", "center", "right")}
"""The classes of the style sheet by the styles that the parser gives to cells."""


def add_tables(markdown: MarkdownIt) -> None:
    """Have a Markdown parser that knows formulas recognize tables."""
    markdown.enable("table")
    markdown.block.ruler.at("table", _table, {"alt": ["paragraph"]})
    markdown.core.ruler.before("block", "hide_bars", _hide_bars)
    markdown.core.ruler.after("block", "show_bars", _show_bars)


def _hide_bars(state: StateCore) -> None:
    lines = state.src.split("\n")
    for number, line in enumerate(lines):
        if "|" in line and ("`" in line or "$" in line or r"\(" in line):
            lines[number] = _with_hidden_bars(line, state.md)
    state.src = "\n".join(lines)


def _with_hidden_bars(line: str, markdown: MarkdownIt) -> str:
    state = StateInline(line, markdown, {}, [])
    pieces: list[str] = []
    while (begin := state.pos) < len(line):
        is_code = backtick(state, True)
        if is_code or formulas.inline(state, True):
            piece = line[begin : state.pos]
            if is_code:
                # In code, too, a bar with a backslash is a bar.
                piece = re.sub(r"(?<!\\)\|", _BAR, piece)
            elif not _PRICE.match(piece):
                piece = piece.replace("|", _BAR)
        else:
            state.pos += 2 if line[begin] == "\\" else 1
            piece = line[begin : state.pos]
        pieces.append(piece)
    return "".join(pieces)


def _show_bars(state: StateCore) -> None:
    for token in state.tokens:
        token.content = token.content.replace(_BAR, "|")
        token.info = token.info.replace(_BAR, "|")


def _table(state: StateBlock, begin: int, end: int, silent: bool) -> bool:
    count = len(state.tokens)
    if not table(state, begin, end, silent):
        return False
    cells: list[str] = []
    columns = 0
    for index, token in enumerate(state.tokens[count:], count):
        if token.type == "tr_open" and token.map:
            line = token.map[0]
            cells = escapedSplit(mdTrim(getLine(state, line)))
            cells = cells[not cells[0] : len(cells) - (not cells[-1])]
            columns = columns or len(cells)
        elif token.type in ("th_open", "td_open"):
            style = token.attrs.pop("style", None)
            if style:
                token.attrs["class"] = CLASSES[str(style)]
        elif token.type == "tr_close" and len(cells) > columns:
            state.tokens[index - 2].content = mdTrim("|".join(cells[columns - 1 :]))
    return True
