r"""Formulas in Markdown: `$…$`, `\(…\)`, `$$…$$`, `\[…\]` and the environments that LaTeX typesets without.

They become MathML, which browsers draw without script and without fonts of ours. What the converter does not
know is shown as it was written. Backslashes are kept everywhere, since a text with formulas loses its meaning
without them, and a reader sees what the text says.
"""

import re
from collections.abc import Sequence
from functools import partial
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from math_core import LatexError, LatexToMathML

MAX_CHARS = 2_000
"""Characters of a formula that is typeset. The converter recurses into groups; this many fit on its stack."""

TAGS = {
    *("math", "mrow", "mi", "mo", "mn", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup"),
    *("msubsup", "munder", "mover", "munderover", "mmultiscripts", "mprescripts", "mtable", "mtr", "mtd"),
    *("mpadded", "menclose", "mstyle", "b", "i", "u"),
}
_SIZES = {"lspace", "rspace", "minsize", "maxsize", "width", "linethickness"}
_SIZE = re.compile(r"[0-3](\.\d+)?(em|rem|ex)?")
"""Sizes that move nothing out of sight or onto something else: small ones, and none below zero."""
ATTRIBUTES = dict.fromkeys(
    TAGS,
    _SIZES
    | {"display", "displaystyle", "scriptlevel", "mathvariant", "notation", "class"}
    | {"stretchy", "symmetric", "largeop", "movablelimits", "form", "fence", "separator", "accent"}
    | {"accentunder"},
) | {"mpadded": {"class"}}
"""The elements that formulas need, and the attributes of each, for the sanitizer. Nothing moves, hides or
squeezes what it holds."""

_STYLED = re.compile(r'(<m\w+ (?:[^<>"]|"[^"]*")*?(?<= ))style="([^"]*)"')
_CLASSES = {
    "text-align:left": "ml",
    "text-align:right": "mr",
    "padding-left:0": "pl0",
    "padding-right:0": "pr0",
    "padding-left:1em": "pl1",
    "border-left:0.05em": "bl",
    "border-right:0.05em": "br",
    "border-top:0.05em": "bt",
    "border-bottom:0.05em": "bb",
}
"""The classes that the style sheet has for what the converter writes as styles: texts may not have these."""

_CONVERTER = LatexToMathML(
    fancy_error=False,
    # A definition may double its own use again and again. Those that take arguments are refused below.
    max_expansions=50,
    macros={
        "tag": r"\qquad(\text{#1})",
        "substack": r"\begin{matrix}#1\end{matrix}",
        "mbox": r"\text{#1}",
        "hbox": r"\text{#1}",
        "mathstrut": "",
    },
)
_ENVIRONMENT = re.compile(
    r"\\(begin|end)\{(equation|gather|multline|align|flalign|split|alignat|alignedat|eqnarray)\*?\}"
    r"((?<=at\})\{\d+\}|(?<=at\*\})\{\d+\})?"
)
"""Environments that would number a formula, or are known by another name; some with a number of columns."""
_NAMES = {
    **dict.fromkeys(("equation", "gather", "multline"), "gathered"),
    **dict.fromkeys(("align", "flalign", "split", "alignat", "alignedat"), "aligned"),
    "eqnarray": "array",
}
_PART = re.compile(
    r"\\(?P<environment>begin|end)(?![A-Za-z])"
    r"|(?P<line>\\\\\*?(?:\s*\[\s*-?[\d.]+\s*[a-z]{2}\s*\])?|\\newline(?![A-Za-z]))"
    r"|\\label\s*\{[\w:.*/+-]{1,50}\}|\\[A-Za-z]+|\\.|[%{}]",
    re.DOTALL,
)
"""What is not left to the converter: comments, which would hide text that was hardly meant as one, line
breaks outside environments, which it drops, and their distances, which it shows."""
_HIDING = re.compile(
    r"\\(?:[hv]?phantom|math[lrc]lap|[lrc]lap|mathchoice|eqref|ref|[gex]?def|let|futurelet|global"
    r"|(?:re)?newcommand|providecommand|newenvironment|DeclareMathOperator)(?![A-Za-z])"
)
"""Commands that show nothing, less than is written, or one thing above another; and definitions."""

_CLOSING = {r"\(": r"\)", r"\[": r"\]", "$": "$", "$$": "$$"}
_OPENING = re.compile(r"\\[(\[]|\$\$?(?!\$)")
_DELIMITER = re.compile(r"\\.|\$+", re.DOTALL)
"""A delimiter, or an escaped character that is none."""

_BLOCK = re.compile(
    r"(?<!`)(?P<code>`+)(?!`).*?(?<!`)(?P=code)(?!`)|\\\[|\$\$(?!\$)"
    r"|\\begin(?P<environment>\{(?:equation|(?:fl)?align|alignat|gather|multline|eqnarray)\*?\})|\\.|\$+"
)
"""What begins a formula of its own lines; and what only looks like it, in code or with a backslash."""
_REFUSED = "ends of refused formulas"
"""Where the parser keeps the places of `$$` that open no formula, since they end what was refused as one."""
_REST = re.compile(r"[\s.,;:!?。，；：！？]*")
"""What may follow a formula on its last line."""

_PROSE = re.compile(r"\d[\d.,]*\S?\s+[^\W\d_]{2}|[^\W\d_]{2,}\s+[^\W\d_]{2}")
"""A price with a word after it, or two words: between dollars and without any sign of a formula."""
_SENTENCE = re.compile(r"(?<![^\W\d_])[^\W\d_]{2,}(?:\s+[^\W\d_]{2,}){2}")
"""Three words outside `\\text{}` and the like, which no formula has, whatever its signs."""
_COMMAND = re.compile(r"\\[A-Za-z]+\*?\s*(?:\{[^{}]*\})?")
_SIGN = re.compile(r"[\\^_={}<>+]")
_SURE_SIGN = re.compile(r"\\[A-Za-z]|\^")


def add_formulas(markdown: MarkdownIt) -> None:
    """Have a Markdown parser recognize formulas, and keep all backslashes."""
    markdown.inline.ruler.before("escape", "formula", inline)
    markdown.inline.ruler.at("escape", _backslash)
    alt = ["paragraph", "blockquote", "list"]
    markdown.block.ruler.before("fence", "formula", _block, {"alt": alt})
    within = partial(_block, within=True)
    markdown.block.ruler.before("lheading", "formula_within", within, {"alt": ["paragraph"]})
    markdown.add_render_rule("formula", _render)
    markdown.add_render_rule("formula_block", _render)


def allowed(name: str, value: str) -> str | None:
    """Return the value that an attribute of a formula may have; None for none."""
    return value if name not in _SIZES or _SIZE.fullmatch(value) else None


def inline(state: StateInline, silent: bool) -> bool:
    """Parse a formula in a line of text."""
    source, begin = state.src, state.pos
    found = _OPENING.match(source, begin)
    # Of three dollars and more none begins a formula.
    if not found or (found.group()[0] == "$" and source[begin - 1 : begin] == "$"):
        return False
    opening = found.group()
    end = _end(source, begin + len(opening), opening)
    if end is None or end > state.posMax:
        return False
    latex = source[begin + len(opening) : end - len(opening)]
    if not latex.strip() or "`" in latex:
        return False
    refused = state.env.setdefault(_REFUSED, set())
    if (source, begin) in refused:
        return False
    if opening[0] == "$" and not _is_formula(latex, opening, source[end : end + 1]):
        if opening == "$$":
            refused.add((source, end - 2))
        return False
    if not silent:
        token = state.push("formula", "", 0)
        token.content, token.markup = latex, opening
    state.pos = end
    return True


def _end(source: str, begin: int, opening: str) -> int | None:
    """Return where a formula ends; None where another one opens first, or nothing closes it."""
    for found in _DELIMITER.finditer(source, begin):
        if found.group() == _CLOSING[opening]:
            return found.end()
        if found.group() == opening or (opening[0] == "$" and found.group()[0] == "$"):
            return None
    return None


def _is_formula(latex: str, opening: str, after: str) -> bool:
    """Whether a text between dollars is a formula and not prices, names of variables or the like."""
    if not _SIGN.search(latex) and _PROSE.search(latex):
        return False
    if _SENTENCE.search(_COMMAND.sub(" . ", latex)):
        return False
    if opening == "$$":
        return True
    spaces = latex[0].isspace() + latex[-1].isspace()
    if spaces == 1 or (spaces and not _SURE_SIGN.search(latex)) or (after.isascii() and after.isdigit()):
        return False
    # As in $HOME/$USER or $("a").$("b").
    joined = (after.isascii() and after.isalnum()) or after in ("(", "[", "{", "'", '"', "_")
    return not (after and joined) or latex[-1].isalnum() or latex[-1] in ")}]'*! "


def _backslash(state: StateInline, silent: bool) -> bool:
    """Keep a backslash and the character that it escapes."""
    pair = state.src[state.pos : state.pos + 2]
    if state.src[state.pos] != "\\" or len(pair) < 2 or not pair[1].isascii() or pair[1].isalnum():
        return False
    if pair[1].isspace():
        return False
    if not silent:
        state.pending += pair
    state.pos += 2
    return True


def _block(state: StateBlock, begin: int, end: int, silent: bool, *, within: bool = False) -> bool:
    """Parse a formula that begins a line, or `within` a line and ends in a later one.

    What is before it is a paragraph, and what follows it on its last line is parsed as a line of its own.
    """
    if state.is_code_block(begin):
        return False
    first = state.bMarks[begin] + state.tShift[begin]
    text = state.src[first : state.eMarks[begin]]
    opened = _opened(text)
    if not opened or (opened.start() > 0) != within:
        return False
    refused = state.env.setdefault(_REFUSED, set())
    if first + opened.start() in refused:
        return False
    # A line that is lazily part of a list has less than the indent of the list.
    indent = min(state.blkIndent, state.sCount[begin])
    lines: list[str] = []
    size = 0
    for line in range(begin, end):
        if line > begin:
            if state.sCount[line] < indent and not state.isEmpty(line):
                return False
            text = state.getLines(line, line + 1, indent, False)
        stop = _end_in_line(text, opened.end() if line == begin else 0, opened)
        lines.append(text[opened.start() if line == begin else 0 : stop])
        size += len(lines[-1])
        if size > MAX_CHARS or (stop is not None and stop < 0):
            return False
        if stop is not None:
            break
    else:
        return False
    whole = "\n".join(lines)
    latex = whole if opened["environment"] else whole[2:-2]
    if not latex.strip() or (opened.group() == "$$" and not _is_formula(latex, "$$", "")):
        refused.add(state.eMarks[line] - len(text[stop:]) - 2)
        return False
    if silent:
        return True
    if before := state.src[first : first + opened.start()].strip():
        state.push("paragraph_open", "p", 1).map = [begin, begin + 1]
        paragraph = state.push("inline", "", 0)
        paragraph.content, paragraph.map, paragraph.children = before, [begin, begin + 1], []
        state.push("paragraph_close", "p", -1)
    token = state.push("formula_block", "", 0)
    token.content, token.map = latex, [begin, line + 1]
    token.markup = "" if opened["environment"] else opened.group()
    rest = text[stop:]
    if _REST.fullmatch(rest):
        token.info = rest.strip()
        state.line = line + 1
    else:
        state.bMarks[line] = state.eMarks[line] - len(rest)
        state.tShift[line] = len(rest) - len(rest.lstrip())
        state.sCount[line] = state.blkIndent
        state.line = line
    return True


def _opened(text: str) -> re.Match[str] | None:
    """Return what opens the first formula that is all of a line or does not end in it."""
    position = 0
    while opened := _BLOCK.search(text, position):
        position = opened.end()
        if opened.group() not in ("$$", r"\[") and not opened["environment"]:
            continue
        stop = _end_in_line(text, position, opened)
        if stop is None or (opened.start() == 0 and stop > 0 and _REST.fullmatch(text, stop)):
            return opened
        position = max(stop, position)
    return None


def _end_in_line(text: str, begin: int, opened: re.Match[str]) -> int | None:
    """Return where a formula ends in a line; None if it continues, -1 if it cannot be one."""
    if opened["environment"]:
        close = f"\\end{opened['environment']}"
        found = text.find(close, begin)
        return found + len(close) if found >= 0 else None
    opening = opened.group()
    for delimiter in _DELIMITER.finditer(text, begin):
        if delimiter.group() == _CLOSING[opening]:
            return delimiter.end()
        if delimiter.group() == opening:
            return -1
    return None


def _render(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    token = tokens[index]
    display = token.type == "formula_block" or token.markup in ("$$", r"\[")
    mathml = _mathml(token.content, display=display)
    if mathml is None:
        shown = f"<code>{escape(token.markup + token.content + _CLOSING.get(token.markup, ''))}</code>"
        shown = f"<pre>{shown}</pre>" if token.type == "formula_block" else shown
    else:
        shown = f'<span class="eq">{mathml}</span>' if display else mathml
    return f"{shown}{escape(token.info)}\n" if token.type == "formula_block" else shown


def _mathml(latex: str, *, display: bool) -> str | None:
    # An argument makes a definition's use as long as one likes.
    if len(latex) > MAX_CHARS or "#" in latex or _HIDING.search(latex):
        return None
    prepared = _prepared(latex)
    if prepared is None:
        return None
    try:
        mathml = _CONVERTER.convert_with_local_state(prepared, displaystyle=display)
    except (LatexError, UnicodeError):
        return None
    return _STYLED.sub(_without_style, mathml)


def _prepared(latex: str) -> str | None:
    """Return a formula as the converter shows all of it; None where it would not."""
    pieces: list[str] = []
    end = inside = groups = 0
    is_broken = False
    for found in _PART.finditer(latex):
        part = found.group()
        pieces.append(latex[end : found.start()])
        end = found.end()
        if part == "%":
            part = r"\%"
        elif part.startswith(r"\label"):
            part = "" if part.endswith("}") else part
        elif found["line"]:
            part = "\\\\ "
            if not inside and groups and r"\substack" not in latex:
                return None
            is_broken = is_broken or not (inside or groups)
        elif found["environment"]:
            inside += 1 if found["environment"] == "begin" else -1
        elif part in "{}":
            groups += 1 if part == "{" else -1
        pieces.append(part)
    whole = _ENVIRONMENT.sub(_renamed, "".join([*pieces, latex[end:]]))
    return f"\\begin{{gathered}}{whole}\\end{{gathered}}" if is_broken else whole


def _renamed(found: re.Match[str]) -> str:
    """Return the beginning or the end of an environment under the name that the converter knows."""
    name = _NAMES[found[2]]
    columns = "{rcl}" if name == "array" and found[1] == "begin" else ""
    return f"\\{found[1]}{{{name}}}{columns}"


def _without_style(found: re.Match[str]) -> str:
    # Colors are left out, too: text in that of the page would be hidden.
    styles = [style.replace(": ", ":").split(" ")[0] for style in found[2].split(";")]
    return f'{found[1]}class="{" ".join(_CLASSES[style] for style in styles if style in _CLASSES)}"'
