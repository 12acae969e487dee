"""Texts of models and data sets as safe HTML.

Markdown is rendered with HTML switched off, so that tags appear as text, and the output passes a sanitizer
with a short list of tags. Pictures become links, since showing one would fetch it. Formulas become MathML.
Nothing of a text is hidden: what Markdown keeps to itself, such as the titles of links, is shown.
"""

import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from reporting import formulas
from reporting.markdown_tables import add_tables
from samples.differences import differences
from samples.fields import as_text

MAX_CHARS = 20_000
"""Characters of a text that are shown until the user asks for all of it. A text of 1 MB blocks the browser
for seconds, and comparing two of them blocks the server."""

_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "a", "blockquote"),
    *("ul", "ol", "li", "code", "pre", "span", "table", "thead", "tbody", "tr", "th", "td"),
    *formulas.TAGS,
}
_SCHEMES = {"http", "https", "mailto"}
_ATTRIBUTES = {"a": {"href"}, "li": {"value"}, "span": {"class"}, "th": {"class"}, "td": {"class"}}
_ATTRIBUTES |= formulas.ATTRIBUTES
_MAX_LEVEL = 16
"""Levels of blocks within blocks; the parser drops what is below level 20."""
_CODE: HtmlFormatter[str] = HtmlFormatter(nowrap=True)


def rendered(text: str) -> str:
    """Render Markdown. Each block has the direction of its own text."""
    return nh3.clean(
        _MARKDOWN.render(as_text(text)),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        # Texts may not use the classes of the page, only those that highlight code.
        attribute_filter=_allowed,
        set_tag_attribute_values={"a": {"target": "_blank"}}
        | {tag: {"dir": "auto"} for tag in ("p", "li", "h1", "h2", "h3", "h4", "blockquote", "td", "th")},
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


def plain(text: str) -> str:
    """Return a text as HTML without rendering Markdown; code in it looks like code."""
    text = as_text(text)
    return _with_code(text, [(text, "")])


UNFOLDED = 300
"""Characters around a difference that stay in sight where long unchanged parts are folded."""


def marked(old: str, new: str, *, fold: bool = False) -> tuple[str, str]:
    """Return both texts as HTML, with the words marked that only one of them has (`<del>` and `<ins>`).

    With `fold`, the inner parts of long unchanged stretches are folded (`<details>`).
    """
    old, new = as_text(old), as_text(new)
    changes = differences(old, new)
    left: list[tuple[str, str]] = []
    right: list[tuple[str, str]] = []
    for index, change in enumerate(changes):
        if change.old != change.new:
            left.append((change.old, "del"))
            right.append((change.new, "ins"))
            continue
        is_first, is_last = index == 0, index == len(changes) - 1
        whole = not fold or (is_first and is_last)
        parts = [(change.old, "")] if whole else _folded(change.old, is_first=is_first, is_last=is_last)
        left += parts
        right += parts
    return _with_code(old, left), _with_code(new, right)


def _folded(text: str, *, is_first: bool, is_last: bool) -> list[tuple[str, str]]:
    """Return the parts of an unchanged stretch beside a difference, the inner one folded if it is long."""
    begin = 0 if is_first else text.rfind("\n", 0, UNFOLDED) + 1 or UNFOLDED
    end = len(text)
    if not is_last:
        found = text.find("\n", max(0, len(text) - UNFOLDED))
        end = found if found >= 0 else len(text) - UNFOLDED
    if end - begin < 2 * UNFOLDED:
        return [(text, "")]
    return [(text[:begin], ""), (text[begin:end], "details"), (text[end:], "")]


_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}\1[^\n]*$|\Z)", re.DOTALL | re.MULTILINE)


def _with_code(text: str, pieces: Iterable[tuple[str, str]]) -> str:
    """Return the pieces of a text as HTML, each in an element of its name, if any; code is in `<code>`."""
    bounds = [bound for fenced in _FENCED.finditer(text) for bound in fenced.span()]
    html: list[str] = []
    position, passed = 0, 0
    for piece, name in pieces:
        until = position + len(piece)
        if name == "details":
            html.append(f"<details><summary>{len(piece):,} unchanged characters</summary>")
        while position < until:
            while passed < len(bounds) and bounds[passed] <= position:
                passed += 1
            stop = min(until, bounds[passed]) if passed < len(bounds) else until
            part = escape(text[position:stop])
            part = f"<{name}>{part}</{name}>" if name in ("del", "ins") else part
            html.append(f"<code>{part}</code>" if passed % 2 else part)
            position = stop
        html.append("</details>" * (name == "details"))
    return "".join(html)


def code_styles(style: str, selector: str) -> str:
    """Return the CSS rules of one of Pygments' styles, for code in elements that match `selector`."""
    formatter: Any = HtmlFormatter(style=style, nobackground=True)
    return str(formatter.get_style_defs(selector))


def _highlighted(code: str, language: str, more: str) -> str:
    info = f'<span class="inf">{escape(f"{language} {more}".strip())}</span>' if language else ""
    try:
        return info + (highlight(code, get_lexer_by_name(language), _CODE) if language else escape(code))
    except ClassNotFound:
        return info + escape(code)


def _too_deep(state: StateBlock, begin: int, end: int, _: bool) -> bool:
    if state.level < _MAX_LEVEL:
        return False
    state.push("paragraph_open", "p", 1)
    text = state.push("inline", "", 0)
    text.content, text.children = state.getLines(begin, end, state.blkIndent, False).strip(), []
    state.push("paragraph_close", "p", -1)
    state.line = end
    return True


def _show_all(state: StateCore) -> None:
    """Show the numbers of items as they are written, and what links and pictures hide."""
    for token in state.tokens:
        if token.type == "list_item_open" and token.info:
            token.attrs["value"] = int(token.info)
        elif token.children:
            token.children = [*_with_addresses(token.children)]


def _with_addresses(tokens: Iterable[Token]) -> Iterator[Token]:
    link: Token | None = None
    seen = ""
    for token in tokens:
        if token.type == "image":
            yield from _picture(token, within=link)
            seen = "picture"
            continue
        seen += token.content
        if token.type == "link_open":
            link, seen = token, ""
        elif token.type == "link_close" and link:
            if not any(each.isprintable() and not each.isspace() for each in seen):
                yield _text(_address(link, "href"))
            yield token
            yield _title(link)
            link = None
            continue
        yield token


def _picture(picture: Token, within: Token | None) -> Iterator[Token]:
    """Yield a link to a picture; its address alone where it is within a link, which can hold no other one."""
    address = _address(picture, "src")
    if within:
        yield _text(f"[picture: {picture.content} {address}]".replace(":  ", ": "))
    else:
        yield Token("link_open", "a", 1, attrs={"href": picture.attrs["src"]})
        yield _text(f"[picture: {picture.content or address}]")
        yield Token("link_close", "a", -1)
    yield _title(picture)


def _address(token: Token, name: str) -> str:
    return _MARKDOWN.normalizeLinkText(str(token.attrs[name]))


def _title(token: Token) -> Token:
    title = token.attrs.get("title")
    return _text(f" ({title})" if title else "")


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _allowed(tag: str, name: str, value: str) -> str | None:
    if name == "class":
        return value if re.fullmatch(r"[a-z0-9]{1,3}( [a-z0-9]{1,3})*", value) else None
    return value if tag in ("a", "li") else formulas.allowed(name, value)


_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True, "highlight": _highlighted})
_MARKDOWN.enable("strikethrough").disable("reference")
# What is no link is shown as it is written.
_MARKDOWN.validateLink = lambda url: url.partition(":")[0].lower() in _SCHEMES  # type: ignore[method-assign]
_MARKDOWN.block.ruler.before("code", "too_deep", _too_deep)
_MARKDOWN.core.ruler.push("show_all", _show_all)
formulas.add_formulas(_MARKDOWN)
add_tables(_MARKDOWN)
