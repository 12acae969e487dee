"""Takes the reply out of what a model wrote."""

import re

_THOUGHT = re.compile(r"\s*<think>.*?(?:</think>\s*|\Z)", re.DOTALL)
_END_OF_THOUGHT = "</think>"


def reply_text(text: str) -> str:
    """Return the reply without the thinking that a local model writes before it.

    The thinking is between `<think>` and `</think>`; with some chat templates the opening tag is part of the
    prompt, so that the text starts in the middle of a thought. Thinking that was cut off leaves an empty
    reply.
    """
    # An unpaired surrogate, which JSON can carry and UTF-8 cannot, would fit in no file.
    text = text.encode("utf-8", "replace").decode()
    if thought := _THOUGHT.match(text):
        return text[thought.end() :]
    before, end, after = text.partition(_END_OF_THOUGHT)
    return after.lstrip() if end and "<think>" not in before else text
