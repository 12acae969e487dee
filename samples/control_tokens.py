"""Control tokens of chat templates: which of those in a text are no part of what it says."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from fastchat.conversation import conv_templates, get_conv_template

Message = Mapping[str, Any]
"""A message of a chat, with its `content`."""

SPECIAL = r"<\|/?[A-Za-z][\w▁./:-]{2,40}\|>|<｜[^｜<>\n]{1,40}｜>"
NAMED = (
    r"<\|?(?:im_start|im_end|start_of_turn|end_of_turn|start_of_role|end_of_role|end_of_utterance)\|?>"
    r"|<\|(?:turn|channel)>|<(?:turn|channel)\|>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>"
    r"|\[\|(?:user|assistant|system|endofturn)\|\]|<role>(?:HUMAN|ASSISTANT|SYSTEM|OBSERVATION)</role>"
    r"|<unused\d{1,4}>|<reserved_\d{1,4}>|\[UNUSED_TOKEN_\d{1,4}\]|<eo[ahm]>|<seed:[be]os>"
    r"|</?tool_(?:call|response)s?>"
)
_CONTROL = re.compile(f"{SPECIAL}|{NAMED}")
# Each of them has one of these, as few other texts do, and these are found faster.
_PARTS_OF_CONTROL: tuple[str, ...] = (
    *("｜", "<|", "|>", "[|", "</s>", "INST]", "SYS>>", "_of_", "<im_", "<role>", "<unused", "<reserved_"),
    *("[UNUSED_", "<eo", "<seed:", "_PROMPT]", "_TOOLS]", "[TOOL_", "[/TOOL_", "tool_call", "tool_response"),
)
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_AT_BEGINNING_OF_LINE = re.compile(r"^[ \t]*[<\[]\S*", re.MULTILINE)


def control_token(text: str, prompt: Sequence[Message], parts: Sequence[str] = ()) -> str | None:
    """Return a token of a chat template in a text, None where it has none.

    It shows that the model continued past the end of its turn, or that the server does not use the model's
    template. One in code, or one that the sample's own texts have too, is what the text is about.

    Args:
        text: a reply as `samples.reply.read_reply` returns it.
        prompt: the messages that it answers.
        parts: the sample's own texts in them; without any, the whole prompt counts as the sample's.
    """
    if ("<" not in text and "[" not in text) or not any(part in text for part in _PARTS_OF_CONTROL):
        return None
    tokens = _tokens([CODE.sub("", text)])
    own: set[str] = set()
    for each in sample_texts(prompt, parts) if tokens else ():
        found = [{*_tokens([reading]), *(["</s>"] * ("</s>" in reading))} for reading in readings(each)]
        own |= set.intersection(*found)
    if own:  # the answer to a question about one of them speaks of the others too
        tokens = _tokens(_AT_BEGINNING_OF_LINE.findall(CODE.sub("", text)))
    return next((token for token in tokens if token not in own), None)


def _tokens(texts: Iterable[str]) -> dict[str, None]:
    """Return the control tokens in texts, in order."""
    found: dict[str, None] = {}
    for text in texts:
        found |= dict.fromkeys(_CONTROL.findall(text))
        if "</s>" in text and "<s>" not in text:  # else it is what HTML strikes out
            found["</s>"] = None
    return found


def sample_texts(prompt: Sequence[Message], parts: Sequence[str]) -> Sequence[str]:
    """Return the sample's own texts; without any, all of the prompt."""
    return parts or [message["content"] for message in prompt]


class _Form(NamedTuple):
    """What a FastChat template writes around the texts of a conversation."""

    before: str
    after_system: str
    answer: str
    """Between a request and its response."""
    request: str
    """Between a response and the next request."""
    last: str
    """After the last request."""


@cache
def _forms() -> tuple[_Form, ...]:
    """Return the forms of the templates that write marks, with a system prompt and with their own one."""
    system, turn = "\ue000", "\ue001"
    found: dict[_Form, None] = {}
    for name in conv_templates:
        for given in (system, ""):
            template = get_conv_template(name)
            if given:
                template.set_system_message(given)
            try:
                user, assistant = template.roles
                for role, text in ((user, turn), (assistant, turn), (user, turn), (assistant, None)):
                    template.append_message(role, text)
                first, *others = template.get_prompt().split(turn)
            except ValueError:
                continue  # it writes no conversation as one text
            before, _, after_system = first.partition(system)
            form = _Form(before, after_system, *others)
            if form.last.strip() and ("</s>" in "".join(form) or _tokens(form)):
                found[form] = None
    return tuple(found)


def readings(text: str) -> list[str]:
    """Return what a text says: without what a template wrote, where it may be a conversation that one made.

    Templates that are alike write the same texts, so there may be several readings. A mark is the sample's
    own where all of them have it.
    """
    found: list[str] = []
    bare = text.rstrip()
    for form in _forms():
        last = form.last.rstrip()
        if not (bare.endswith(last) and text.startswith(form.before) and form.after_system in text):
            continue
        rest = text[len(form.before) : len(bare) - len(last)]
        if form.after_system:
            rest = rest.replace(form.after_system, "\n", 1)
        *turns, request = rest.split(form.request)
        # A text may speak of these marks itself: the template writes one of each to an exchange.
        texts = [
            turn.replace(form.answer, "\n", 1) if form.answer in turn else turn + form.request
            for turn in turns
        ]
        found.append("\n".join([*texts, request]))
    return found or [text]
