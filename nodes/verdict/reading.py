r"""Reads a judge's reply: which response it prefers, or its two scores.

    >>> read_verdict("assistant 2\nIt gives an example.", "compare")
    [0.0, 1.0]
    >>> read_verdict("Both have their points.\n\n**Verdict:** Both are equally good.", "compare")
    [1.0, 1.0]
    >>> read_verdict("Response 1: 8/10, Response 2: 9/10", "score")
    [8.0, 9.0]
    >>> read_verdict("Assistant 1: short.", "compare")

Each line is normalized, the names of the responses become `①` and `②`, and a clause of what remains has to be
one of a few statements as a whole. So a line that mentions an assistant, denies or hedges is not read.
"""

from nodes.settings import VerdictForm
from nodes.verdict.compare import compared
from nodes.verdict.first_line import escaped, own_better, own_scores
from nodes.verdict.lines import MAX_CHARS, without_thoughts
from nodes.verdict.score import scored
from nodes.verdict.words import POINTS
from prompts.pack import FIRST_LINES, FirstLine

LOWEST, HIGHEST = 1.0, 10.0
"""The limits of a score."""

GREATEST_LEAD: dict[VerdictForm, float] = {"compare": 1.0, "score": HIGHEST - LOWEST}
"""The most points by which a verdict can put one response before the other."""


def reply_form(first_line: FirstLine) -> str:
    """Return the regex of a verdict and its explanation, for servers that can constrain their output.

    The explanation begins with a visible character and ends where the model or the limit for replies ends it.
    (A bound here, as in `{0,1500}`, costs vLLM's xgrammar up to 100 ms for each token; this takes
    microseconds.)
    """
    if isinstance(first_line, str):
        first = escaped(first_line).replace(escaped("{score}"), r"(10|[1-9](\.5)?)")
    else:
        first = f"({'|'.join(map(escaped, first_line))})"
    return rf"{first}\n[^\s][\s\S]*"


def read_verdict(reply: str, form: VerdictForm, first_line: FirstLine | None = None) -> list[float] | None:
    """Return the points for response 1 and response 2 in a judge's reply; None where it cannot be read.

    `first_line` is the one that the judge was asked for, if that is not the usual one. Its own words are read
    first, and others only if the usual reading takes none of its words for another verdict.

    The first line with content counts, unless the next line or one with a label is another verdict; rules,
    fences and labels ("Verdict:") are not content. Where it is no verdict, the later lines count that are a
    verdict and nothing else, if all of these agree. What is in the tags of thoughts is not read. An ambiguous
    reply is not read.
    """
    text = without_thoughts(reply.strip())[:MAX_CHARS]
    own = first_line if first_line not in FIRST_LINES.values() else None
    if form == "score":
        scores = own_scores(text, own) if isinstance(own, str) else scored(text)
        return scores if scores and all(LOWEST <= score <= HIGHEST for score in scores) else None
    better = own_better(text, own) if isinstance(own, tuple) else compared(text)
    return list(POINTS[better]) if better else None
