"""Texts of models and data sets as HTML that does nothing.

Two fences stand between such a text and the page: Markdown is rendered with HTML switched off, so that tags
appear as they were written, and what comes out passes a sanitizer that knows a short list of tags. Pictures
become links, since showing one would fetch it.
"""

import difflib
import re
from collections.abc import Sequence
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

MOST = 20_000
"""Characters of a text that are shown before a person asks for all of it. A text of 1 MB in one page makes
the browser, and the comparison of two of them makes the server, wait for seconds."""

_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "a", "blockquote"),
    *("ul", "ol", "li", "code", "pre", "span", "table", "thead", "tbody", "tr", "th", "td"),
}
_CODE: HtmlFormatter[str] = HtmlFormatter(nowrap=True)

_CHARACTER = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORDS = re.compile(rf"[{_CHARACTER}]|[^\W{_CHARACTER}]+|\s+|.", re.DOTALL)
"""Words, or characters where a script has no spaces between words (Chinese, Japanese)."""


def rendered(text: str) -> str:
    """Markdown as HTML. Each block has the direction of its own text."""
    return nh3.clean(
        _MARKDOWN.render(text),
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
    """A text as it stands, as HTML."""
    return escape(text)


def differences(old: str, new: str) -> tuple[str, str]:
    """Both texts as HTML, with the words marked that only one of them has (`<del>` and `<ins>`)."""
    olds, news = _WORDS.findall(old), _WORDS.findall(new)
    first, last = _common_ends(olds, news)
    left, right = [escape("".join(olds[:first]))], [escape("".join(news[:first]))]
    a, b = olds[first : len(olds) - last], news[first : len(news) - last]
    for kind, i, j, k, m in difflib.SequenceMatcher(None, a, b).get_opcodes():
        gone, come = escape("".join(a[i:j])), escape("".join(b[k:m]))
        left.append(gone if kind == "equal" or not gone else f"<del>{gone}</del>")
        right.append(come if kind == "equal" or not come else f"<ins>{come}</ins>")
    left.append(escape("".join(olds[len(olds) - last :])))
    right.append(escape("".join(news[len(news) - last :])))
    return "".join(left), "".join(right)


def _common_ends(old: Sequence[str], new: Sequence[str]) -> tuple[int, int]:
    # Most drafts keep much of the response; what both begin and end with needs no comparison.
    shorter = min(len(old), len(new))
    first = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    rest = shorter - first
    last = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    return first, last


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
    return f'<a href="{source}">🖼 {escape(token.content) or source}</a>'


def _kept(tag: str, name: str, value: str) -> str | None:
    if name == "class":
        return value if re.fullmatch(r"[a-z0-9]{1,3}", value) else None
    return value


_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True, "highlight": _highlighted})
_MARKDOWN.enable(["table", "strikethrough"])
_MARKDOWN.add_render_rule("image", _picture)
