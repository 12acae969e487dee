"""Texts of models and data sets as HTML that does nothing.

Two fences stand between such a text and the page: Markdown is rendered with HTML switched off, so that tags
appear as they were written, and what comes out passes a sanitizer that knows a short list of tags. Pictures
become links, since showing one would fetch it.
"""

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from samples.differences import differences
from samples.fields import as_text

MOST = 20_000
"""Characters of a text that are shown before a person asks for all of it. A text of 1 MB in one page makes
the browser, and the comparison of two of them makes the server, wait for seconds."""

_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "a", "blockquote"),
    *("ul", "ol", "li", "code", "pre", "span", "table", "thead", "tbody", "tr", "th", "td"),
}
_CODE: HtmlFormatter[str] = HtmlFormatter(nowrap=True)


def rendered(text: str) -> str:
    """Markdown as HTML. Each block has the direction of its own text."""
    return nh3.clean(
        _MARKDOWN.render(as_text(text)),
        tags=_TAGS,
        attributes={"a": {"href", "title"}, "span": {"class"}, "ol": {"start"}},
        # A class is only ever one that marks code; those of the page are not for texts to use.
        attribute_filter=_kept,
        set_tag_attribute_values={"a": {"target": "_blank"}}
        | {tag: {"dir": "auto"} for tag in ("p", "li", "h1", "h2", "h3", "h4", "blockquote", "td", "th")},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def plain(text: str) -> str:
    """A text as it stands, as HTML; code in it looks like code."""
    text = as_text(text)
    return _with_code(text, [(text, "")])


def marked(old: str, new: str) -> tuple[str, str]:
    """Both texts as HTML, with the words marked that only one of them has (`<del>` and `<ins>`)."""
    old, new = as_text(old), as_text(new)
    changes = differences(old, new)
    left = ((gone, "" if gone == come else "del") for gone, come in changes)
    right = ((come, "" if gone == come else "ins") for gone, come in changes)
    return _with_code(old, left), _with_code(new, right)


_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}\1[^\n]*$|\Z)", re.DOTALL | re.MULTILINE)


def _with_code(text: str, pieces: Iterable[tuple[str, str]]) -> str:
    """The pieces of a text as HTML, each in an element of the name beside it, if any; code is in `<code>`."""
    bounds = [bound for fenced in _FENCED.finditer(text) for bound in fenced.span()]
    html, place, passed = [], 0, 0
    for piece, name in pieces:
        until = place + len(piece)
        while place < until:
            while passed < len(bounds) and bounds[passed] <= place:
                passed += 1
            stop = min(until, bounds[passed]) if passed < len(bounds) else until
            part = escape(text[place:stop])
            part = f"<{name}>{part}</{name}>" if name else part
            html.append(f"<code>{part}</code>" if passed % 2 else part)
            place = stop
    return "".join(html)


def code_styles(style: str, where: str) -> str:
    """The CSS rules for the colours of code in one of Pygments' styles, for elements in `where`."""
    formatter: Any = HtmlFormatter(style=style, nobackground=True)
    return str(formatter.get_style_defs(where))


def _highlighted(code: str, language: str, _: str) -> str:
    try:
        return highlight(code, get_lexer_by_name(language), _CODE) if language else escape(code)
    except ClassNotFound:
        return escape(code)


def _picture(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    token = tokens[index]
    source = escape(str(token.attrs.get("src", "")))
    return f'<a href="{source}">[picture: {escape(token.content) or source}]</a>'


def _kept(tag: str, name: str, value: str) -> str | None:
    if name == "class":
        return value if re.fullmatch(r"[a-z0-9]{1,3}", value) else None
    return value


_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True, "highlight": _highlighted})
_MARKDOWN.enable(["table", "strikethrough"])
_MARKDOWN.add_render_rule("image", _picture)
