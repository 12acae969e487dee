"""The lines of a reply, normalized: the names of the two responses become `①` and `②`."""

import re
import unicodedata
from collections.abc import Iterator

from nodes.verdict.labels import is_label
from nodes.verdict.words import NOUN, ZH_NOUN

MAX_CHARS = 20_000
"""How many characters of a reply are read, thoughts not counted."""

MAX_LINE = 1_000
"""How many characters of a line are read."""

_THOUGHTS = re.compile(
    r"^[ \t]*<(think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad|explanation)>", re.M | re.I
)
_THOUGHTS_END = re.compile(r"^[ \t]*</(?:think|thinking|thoughts?|reasoning)>", re.M | re.I)
FENCE = re.compile(r"\s*(?:```|~~~)\s*\w*\s*$")
_MARKS = str.maketrans(dict.fromkeys('*_`#"“”„«»「」『』【】《》[]{}$~', " ") | {"’": "'", "‘": "'"})
_STRUCK = re.compile(r"(~~?)[^~]+\1")
_CROSSED = str.maketrans(dict.fromkeys("❌❎✖✗✘☒🚫⛔👎🙅\u0335\u0336", "×"))
"""What denies that which it stands next to. Other pictures are left out."""
_SIMPLIFIED = str.maketrans(
    "勝獲應較優於兩樣當輸論結終斷選擇沒會個條種總體認覺傾歡雖儘盡並顯評質響為這與們難數決遜強過來說綜現內別區復複覆無雙對後項標題類",
    "胜获应较优于两样当输论结终断选择没会个条种总体认觉倾欢虽尽尽并显评质响为这与们难数决逊强过来说综现内别区复复复无双对后项标题类",
)
_LATEX = re.compile(r"\\[a-z]+|\\.")
_COPIED_HEADING = re.compile(r"([①②]),? \(?(?:by|from) \1\)?:?")
TAG = re.compile(
    r"</?(?:(?:final )?(?:verdict|winner|answer|output|result|choice|decision|judge?ment|preference|rating)"
    r"|scores?|better|p|b|i|u|em|strong|h\d|center|span|div|br|code|pre|li|ul)\s?/?>"
)
_BULLET = re.compile(r"(?:[-+>•·–—=|:.]\s+|[-=>]+(?=[^\W\d]))+")
_NUMBERED = re.compile(r"\d{1,2}[.)] (?=[①②])")
LETTER = r"[a-zà-öø-ÿа-я]"
_NAME = re.compile(
    rf"(?<![a-z0-9])(?:the |la |le |die )?{NOUN} ?(?:#|no\.? ?|number |-)?"
    r"(?P<number>[12ab]|one|two)(?![a-z0-9]|[.,/:]\d|%)"
    rf"(?:(?:'s?)? (?:response|answer|reply|output|version|text)(?!{LETTER})|'s(?=[.,;:!]|$))?"
    rf"|(?<![a-z])(?:the )?(?P<nth>first|second|1st|2nd) {NOUN}(?!{LETTER})"
    rf"|(?<![a-z])the (?P<the>first|second|1st|2nd|former|latter)(?: one(?!{LETTER})|(?= (?:is|was|wins)\b))"
    rf"|(?<![两个])(?:{ZH_NOUN}|assistant|response) ?(?P<zh>[12ab一二])号?"
    rf"(?![a-z0-9下个些样般致直定旦种段项])(?: ?的 ?{ZH_NOUN})?(?: ?的?表现|的内容)?"
    rf"|第 ?(?P<zh_nth>[12一二]) ?[个份条种位款]? ?{ZH_NOUN}|(?P<zh_the>前者|后者)"
    r"|第 ?(?P<zh_one>[12一二]) ?[个份条种位款](?=[更较比要最优胜好没]|明显|略|稍)(?!更?[好优佳]的)"
    rf"|(?<!{LETTER})(?:die |der )?(?P<de>erste|zweite) {NOUN}(?!{LETTER})"
    r"|^(?:die|der) (?P<de_is>erste|zweite)(?= ist\b)|(?<= than )the (?P<than>first|second)(?=[.!]?$)"
    r"|(?<=选)第 ?(?P<zh_pick>[12一二]) ?个(?=[.!。]?$)"
)
SECOND = {"2", "b", "two", "second", "2nd", "latter", "二", "后者", "zweite"}
_PLURAL = re.compile(rf"(?:both )?{NOUN}s? (?:1|a) (?:and|&) (?:2|b)(?![a-z0-9])")
_PAIR = re.compile(
    r"(?:both )?(?:①(?: and | & |和|与|、|跟)②|②(?: and | & |和|与)①"
    r"|(?<!to )(?<!with )(?<!like )(?<!than )①, ②)"
)
_TWICE = re.compile(r"([①②])[ ,/=-]*\(?(?:by |from |i\.e\.,? )?\1(?:'s)?\)?")
_NOT_THE_OTHER = re.compile(
    r"([①②])(?:(?:, | )(?:and )?(?:rather than|instead of|not) |[, ]?(?:而不是|而非|不是) ?)(?!\1)[①②]"
    r"(?=\s*(?:$|[.;!。,:(—–]))"
)
_QUOTED = re.compile(r"^(?:'(.*)')$|^\((?=.{1,20}\)$)(.*)\)$")
_TIGHT = re.compile(
    r"(?<=[①②\u3040-\u9fff]) (?=[\u3040-\u9fff])|(?<=[\u3040-\u9fff]) (?=[①②])|(?<=[<]) | (?=[>])"
)


def without_thoughts(text: str) -> str:
    """Return a reply without what is in the tags of thoughts."""
    lower, kept, at = text.lower(), "", 0
    while opening := _THOUGHTS.search(text, at):
        kept += text[at : opening.start()]
        closing = f"</{opening[1].lower()}>"
        end = lower.find(closing, opening.end())
        if end < 0:
            return kept
        at = end + len(closing)
        if len(kept) > MAX_CHARS:
            break
    kept += text[at:]
    # Many a chat template opens the thoughts in the prompt, so that the reply only closes them.
    closing_only = _THOUGHTS_END.search(kept)
    return kept[closing_only.end() :] if closing_only and kept[closing_only.end() :].strip() else kept


def lines_of(text: str) -> Iterator[str]:
    """Yield the lines with content, normalized: plain lower-case text that names the responses ① and ②."""
    label = ""
    for raw in text.splitlines():
        if not FENCE.match(raw) and (line := normalized(raw[:MAX_LINE])):
            if is_label(line.rstrip(":= ")):
                label = f"{line.rstrip(':= ')}: "
            else:
                yield label + line
                label = ""


def normalized(raw: str) -> str:
    """Return a line in lower case, without marks of Markdown, with the responses as `①` and `②`."""
    line = unicodedata.normalize("NFKC", raw).lower().replace("->", ":").replace("→", ":")
    line = re.sub(r"(?<=[^\W\d])】(?=[^\s。.])", ": ", line)  # 【Verdict】…
    line = _STRUCK.sub(" × ", line.translate(_SIMPLIFIED)).translate(_CROSSED)
    line = _LATEX.sub(" ", line).translate(_MARKS)
    line = "".join(char for char in line if unicodedata.category(char) not in ("So", "Sk", "Cf", "Mn"))
    line = _PLURAL.sub("both", " ".join(TAG.sub(" ", line).split()))
    line = _NAME.sub(lambda found: "②" if found[found.lastgroup or 0] in SECOND else "①", line)
    line = _PAIR.sub("both", _TIGHT.sub("", line))
    line = _COPIED_HEADING.sub(r"\1:", line) if _COPIED_HEADING.fullmatch(line) else _TWICE.sub(r"\1", line)
    line = _NOT_THE_OTHER.sub(r"\1", line)
    for beginning in (_NUMBERED, _BULLET):
        line = line[found.end() :] if (found := beginning.match(line)) else line
    line = line.strip(" |").replace(" ;", ";").replace(" ,", ",").replace(" .", ".")
    line = _QUOTED.sub(r"\1\2", line)
    return line if re.search(r"[^\W_]|[①②]", line) else ""
