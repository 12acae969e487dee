"""LaTeX in texts: what is a formula, and that no formula can harm the page or stop it."""

import html
import re

import pytest

from reporting.html_text import rendered


@pytest.mark.parametrize(
    "text",
    [
        r"so $x^2$ holds",
        r"so \(x^2\) holds",
        "so $$x^2$$ holds",
        r"so \[x^2\] holds",
        "设$x^2$是",
        "the $x^2$th of",
        r"at $ \frac{a}{b} $ or",
        "**$x^2$**",
        "\\[\nx^2\n= y\n\\]",
        "so\n$$\n- x^2\n+ y\n$$\n",
        "1. so\n   \\[\n   x^2\n   \\].\n2. then",
        "> $$\n> x^2\n> $$",
        "\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}",
        r"\[\begin{split}a&=b\end{split} \tag{1}\]",
        "| a |\n|---|\n| $x^2$ |",
    ],
)
def test_formulas_become_mathml(text: str) -> None:
    shown = rendered(text)
    assert shown.count("<math") == 1
    assert not re.search(r"[$\\]", shown)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (
            "It is $$\nE = x\n$$\nHere x = 3 is the speed of light. So: $$\np\n$$\nor",
            "It is F Here x = 3 is the speed of light. So: F or",
        ),
        (
            "one\nIt is $$\n- x\n= y\n\n$$ or\n- item = 1: $$\n  x\n  $$\nSo \\[\n+ x\n\\].",
            "one It is F or item = 1:F So F.",
        ),
        ("> so $$\n> - x\n> $$\n> or", "so F or"),
        ("$$x$$ or \\[\nx\n\\]", "F or F"),
        ("- item\n\\begin{align*}\nx&=y\n\\end{align*}\nor", "item F or"),
        ("so \\begin{align}\nx&=y\n\\end{align}\nor", "so F or"),
        ("$$ or\nso much for it\n$$\nwhere x < y.\n$$", "$$ or so much for it $$ where x < y. $$"),
        ("`$$` is\n- so\n- $$", "$$ is so $$"),
    ],
)
def test_formulas_may_begin_within_a_line(text: str, seen: str) -> None:
    shown = re.sub("<math.*?</math>", "F", rendered(text))
    assert html.unescape(re.sub("<[^>]*>", "", shown)).split() == seen.split()


@pytest.mark.parametrize(
    "text",
    [
        "it costs $5 and $6",
        "$5-$6, $5/$6",
        "US$5 (A$7)",
        "costs $5 or 6$",
        "$20 million, not 30$",
        "$HOME:$PATH, $HOME/$USER",
        "$('a').$('b')",
        "$$ is cheap, $$$ is dear, $ and $",
        "$ x and $ y",
        r"not closed: \( and \[ and $x",
        r"\$5 and \$6",
        "`$x^2$` and `` \\(x\\) ``",
        "```\n$x^2$\n\\[x\\]\n```",
        "    $x^2$",
        "echo $A `b$` c",
        "$$\nHere c = 3 is the speed of light\n$$",
        "in $HOME = a and so on < b$ or",
    ],
)
def test_prices_variables_and_code_are_no_formulas(text: str) -> None:
    shown = rendered(text)
    assert "<math" not in shown
    assert shown.count("$") == text.count("$")
    assert shown.count("\\") == text.count("\\")


@pytest.mark.parametrize("text", [r"a \\ b", r"C:\_new\*.txt", r"\*so\* \[x", "end\\\nnext", r"\alpha"])
def test_backslashes_stay(text: str) -> None:
    shown = rendered(text)
    assert shown.count("\\") == text.count("\\")
    assert "<em>" not in shown


@pytest.mark.parametrize(
    "latex",
    [
        r"\href{javascript:alert(1)}{x}",
        r"\htmlClass{bar}{x}",
        r"\includegraphics{http://a.example/x.png}",
        r"\def\a{\a\a}\a",
        r"\newcommand\a[1]{\a{#1#1}}\a{x}",
        r"\foo{x}",
        r"\frac{a}{",
        "{" * 900 + "x" + "}" * 900 + "^" * 400,
        "x" * 3_000,
    ],
)
def test_what_cannot_be_typeset_is_shown_as_it_is(latex: str) -> None:
    assert rendered(rf"a \({latex}\) b") == f'<p dir="auto">a <code>\\({latex}\\)</code> b</p>\n'


def words(shown: str) -> str:
    """Return the text of a page."""
    return re.sub(r"\s", "", html.unescape(re.sub("<[^>]*>", "", shown)))


@pytest.mark.parametrize(
    ("latex", "seen"),
    [
        ("10%", "10%"),
        (r"10\% + 5%", "10%+5%"),
        ("a % b\nc", "a%bc"),
        (r"\text{50% off}", "50%off"),
        (r"a\mbox{ if }b\hbox{ or }c", "aifborc"),
        (r"x \label{eq:1}", "x"),
        (r"\begin{eqnarray}a&=&b\\c&=&d\end{eqnarray}", "a=bc=d"),
        (r"\begin{alignat*}{2}a&=b\end{alignat*}", "a=b"),
        (r"\begin{multline}a\\b\end{multline}", "ab"),
        (r"\begin{matrix}a\\[2em]b\end{matrix}", "ab"),
    ],
)
def test_nothing_of_a_formula_is_hidden_or_made_up(latex: str, seen: str) -> None:
    shown = rendered(rf"\({latex}\)")
    assert "<math" in shown
    assert words(shown) == seen


def test_line_breaks_and_colors_hide_nothing() -> None:
    assert rendered(r"\[a=b \\ c=d\]").count("<mtr") == 2
    assert "color" not in rendered(r"\(\color{white} x \textcolor{white}{y}\)")


@pytest.mark.parametrize(
    "latex",
    [
        r"\raisebox{-100em}{a}",
        r"\text{\raisebox{5em}{a}}",
        r"a\hspace{200em}b",
        r"a\hspace{-20em}b",
        r"a\mkern-500mu b \kern99cm c",
        r"\genfrac{}{}{90em}{}{a}{b}",
        r"\text{\tiny a} \mathstrut",
        r"\textcolor{white}{a} \color{white} b",
        r"\mathrel{\hspace{-3em} a}",
    ],
)
def test_nothing_moves_hides_or_resizes_what_a_formula_says(latex: str) -> None:
    shown = rendered(rf"\({latex}\)")
    assert "<math" in shown
    assert not re.search(r"<mphantom|style=|voffset|height|depth|color|size=|=\"-|\d\d(em|ex|cm|rem)", shown)
    assert not re.search(r"<mpadded [^>]*width", shown)


def test_a_label_is_a_name() -> None:
    assert r"\label{not a good answer}" in rendered(r"\(x \label{not a good answer}\)")


def test_bold_and_italic_texts_are() -> None:
    assert re.findall("<[bi]>a", rendered(r"\(\textbf{a} \text{\textit{a}}\)")) == ["<b>a", "<i>a"]


@pytest.mark.parametrize(
    "latex",
    [r"a\phantom{bc}", r"\eqref{a}", r"\def\a{b} c", r"{a \\ b}", "a & b", r"a\mathchoice{b}{c}{d}{e}"],
)
def test_what_would_be_dropped_is_shown_as_it_is(latex: str) -> None:
    assert words(rendered(rf"\({latex}\)")) == rf"\({latex}\)".replace(" ", "")


def test_markup_in_a_formula_is_text() -> None:
    shown = rendered(r"\(\text{<script>x</script>}<img src=x onerror=y>\textcolor{red}{\class{bar}}\) ok")
    assert "<script" not in shown
    assert "<img" not in shown
    shown = rendered(r"\(\text{<b title=x>}\)")
    assert "<mtext>&lt;b&nbsp;title=x&gt;</mtext>" in shown


def test_formulas_have_no_styles_of_their_own() -> None:
    shown = rendered(
        r"\[\begin{aligned}a&=b\\c&=d\end{aligned}\begin{array}{c|c}a&b\\\hline c&d\end{array}\]"
        r"\(\textcolor{red}{x} \text{<m style=\"color:red\">}\)"
    )
    assert "<math" in shown
    assert '<mtable displaystyle="true"' in shown
    assert "<mtd class" in shown
    assert " style=" not in re.sub("&lt;m.*?&gt;", "", shown)


PARTS = (r"\(", "\\[\n", "$", "$$\n", "$$\n\n", "$x ", "\\", "\\begin{align}\n", "- \\[\n", "$`", r"\[ \) $ ")
GROUPS = ("(", "[", "{", r"\left(", r"\sqrt ", r"\frac ", "x^{", r"\begin{matrix}", r"\hat ")


@pytest.mark.parametrize("part", PARTS)
def test_many_delimiters_end(part: str) -> None:
    # With quadratic or worse searches this takes minutes.
    assert rendered(part * (18_000 // len(part)))


@pytest.mark.parametrize("group", GROUPS)
def test_deep_and_broken_formulas_end(group: str) -> None:
    assert rendered(rf"\({group * (1_900 // len(group))}\)")
