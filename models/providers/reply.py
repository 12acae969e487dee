"""The reply in what a model said."""

import re

_THOUGHT = re.compile(r"\s*<think>.*?(?:</think>\s*|\Z)", re.DOTALL)
_END_OF_THOUGHT = "</think>"


def reply_text(said: str) -> str:
    """The reply without the thinking that a local model writes before it.

    The thinking stands between `<think>` and `</think>`; with some chat templates the first of the two is
    part of the prompt, so that what the model says begins in the middle of a thought. Thinking that was cut
    off leaves an empty reply.
    """
    # Half a surrogate pair, which JSON can carry and UTF-8 cannot, would fit in no file.
    text = said.encode("utf-8", "replace").decode()
    if thought := _THOUGHT.match(text):
        return text[thought.end() :]
    before, end, after = text.partition(_END_OF_THOUGHT)
    return after.lstrip() if end and "<think>" not in before else text
