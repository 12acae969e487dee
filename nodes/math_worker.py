"""Compares mathematical answers with math-verify, in a process of its own: `python -I math_worker.py`.

SymPy may take forever, or all memory, over a few characters (`9^9^9^9`), and a nest may end the interpreter.
So each question has a share of processor time, after which the kernel ends the process; whoever asked takes
another one.

The first line of standard input is the caller's `sys.path` as JSON. Each following one is a question, with
`draft`, `right` (texts, of which one is enough) and `seconds`; each has one line in return, true or false.
"""

import json
import logging
import re
import resource
import sys
import time
from typing import Any


def main() -> None:
    """Answer questions until there are no more."""
    sys.path[:] = json.loads(sys.stdin.readline())
    logging.disable()
    # After `sys.path`, and slow: a second.
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    from nodes.answers import final_answers, plain
    from nodes.quantities import first_number

    kinds = (LatexExtractionConfig(), ExprExtractionConfig())

    def read(text: str) -> Any:
        # Without their time limits, which are signals.
        return parse(text, extraction_config=kinds, parsing_timeout=None)

    def meanings(text: str) -> list[Any]:
        """Return what the final answer of a text may be, the surest first."""
        found: list[Any] = []
        for answer in final_answers(text):
            inner = plain(answer.text)
            is_formula = not _WORD.search(inner)
            if answer.marked or len(inner) < _SHORT:
                found += filter(None, [read(f"${inner}$" if is_formula else inner)])
            if answer.marked and not is_formula and (number := first_number(inner)):
                found += filter(None, [read(number)])  # 72 dollars in 5 days
            if answer.marked and found:
                return found
        return [*found, *filter(None, [read(plain(text[-_END:]))])]

    print("true", flush=True)  # noqa: T201 - the protocol
    for line in sys.stdin:
        question = json.loads(line)
        _limit_time(question["seconds"])
        drafts = meanings(question["draft"])
        agrees = any(
            verify(right, draft, timeout_seconds=None)
            for text in question["right"]
            for right in meanings(text)[:1]
            for draft in drafts
        )
        print(json.dumps(agrees), flush=True)  # noqa: T201


_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
"""What is in a sentence and not in a formula."""
_SHORT = 60
"""Characters of a last line that may be nothing but the answer."""
_END = 2_000


def _limit_time(seconds: int) -> None:
    """Let the kernel end this process after so much more of processor time."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + seconds, most))


if __name__ == "__main__":
    main()
