"""How one endpoint wants to be asked, as far as its refusals have shown.

None of this changes what is asked, so it is no part of what identifies a request.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

LimitName = Literal["max_tokens", "max_completion_tokens"]

_OTHER_NAME: dict[str, LimitName] = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}


@dataclass(slots=True)
class Dialect:
    """The form of an endpoint's requests."""

    streams: bool = False
    """Whether it only streams."""
    counts_streams: bool = True
    """Whether it takes `stream_options`, which ask for the tokens that a stream used."""
    limit: LimitName | None = None
    """The name under which it takes the limit of a reply; None as long as it refused neither."""

    def apply(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a request in this form."""
        if self.limit and (other := _OTHER_NAME[self.limit]) in body:
            body = {self.limit: body[other], **{k: v for k, v in body.items() if k != other}}
        if self.streams:
            body = {**body, "stream": True}
            if self.counts_streams:
                body = {"stream_options": {"include_usage": True}, **body}
        return body

    def learn(self, refusal: str, sent: Mapping[str, Any]) -> bool:
        """Whether the words of a refusal show another form to ask in, which `sent` did not have.

        Each form is tried once, so that no request is sent for ever. A refusal of what was sent before the
        form was known counts as well.
        """
        text = refusal.lower()
        if not sent.get("stream") and _ONLY_STREAMS.search(text):
            self.streams = True
            return True
        if "stream_options" in sent and ("stream_options" in text or "include_usage" in text):
            self.counts_streams = False
            return True
        for name, other in _OTHER_NAME.items():
            known = re.search(rf"\b{name}\b", text) and _UNKNOWN_FIELD.search(text)
            if name in sent and known and not _SIZE.search(text) and self.limit in (None, other):
                self.limit = other
                return True
        return False


def refuses_system_role(refusal: str) -> bool:
    """Whether the words of a refusal say that the conversation must begin with the user's message.

    Chat templates say it in words of their own, and servers pass those on with any status.
    """
    return _NO_SYSTEM.search(refusal.lower()) is not None


# Every gap in these is bounded, so that none of them takes long on a strange text.
_ONLY_STREAMS = re.compile(
    r"non[- _]?stream"
    r"|\bonly\b[^.;\n]{0,50}\bstream(?:ing|ed|s)?\b(?!_)"
    r"|\bstream['\"`]?(?: parameter| option| field)? ?(?:=+|:|(?:must|should|has to|needs? to) be|to|as) ?"
    r"(?:set |equal )?(?:to )?['\"`]?(?:true|enabled|on\b)"
    r"|\b(?:please|must|should|need(?:s|ed)? to|ha(?:s|ve) to|requires?|required to)\b[^.;\n]{0,40}"
    r"\bstream(?:ing|ed)?\b(?!_)(?![^.;\n]{0,20}(?:false|disab|off))"
    r"|\bstreaming(?: mode| output)? (?:is |must be )?(?:required|mandatory|strongly recommended|enabled)"
    r"|[仅只][^。\n]{0,12}(?:流式|stream)|非流式"
    r"|(?:请|需|必须)[^。\n]{0,12}(?:流式|stream)(?!_)"
)
"""What servers say that only stream."""

_UNKNOWN_FIELD = re.compile(
    r"unsupported|not supported|n't support|not support|unrecogni[sz]ed|unknown|unexpected|not permitted"
    r"|not allowed|forbidden|instead|deprecated|no longer|不支持|未知"
)
_SIZE = re.compile(
    r"too (?:large|high|big|small)|exceed|greater|larger|less than|at (?:most|least)|\bmaximum\b|\brange\b"
    r"|between|[<>]=?"
)
"""What is wrong with the value of a field rather than with its name."""

_SYSTEM = r"['\"`]?(?:system|developer)['\"`]?"
_NOT = r"(?:not|n't|never|no longer|un)"
_NO_SYSTEM = re.compile(
    rf"\b{_SYSTEM}[ _-](?:role|message|prompt|instruction)s?\b[^.\n]{{0,40}}{_NOT} ?"
    r"(?:be )?(?:support|allow|accept|enabl|permit|available|valid|implement)"
    rf"|(?:{_NOT}|cannot|can't) (?:support|accept|allow|handle|take|use|have)\w* (?:for )?"
    r"(?:the |an? |any )?(?:role )?(?:['\"`](?:system|developer)['\"`]"
    r"|(?:system|developer)[ _-](?:role|message|prompt|instruction))"
    rf"|(?:unexpected|unknown|unsupported|invalid|unrecogni[sz]ed)[ a-z_]{{0,20}}\brole\b"
    rf"[ :=]{{0,3}}{_SYSTEM}"
    rf"|\brole\b[ :=]{{0,3}}{_SYSTEM}[^.\n]{{0,40}}(?:{_NOT} |invalid|unsupported|unknown)"
    r"|['\"`](?:system|developer)['\"`] is not (?:one of|among|a valid|an allowed|a supported|valid)"
    r"|\bdeveloper instruction is not enabled"
    r"|\broles? (?:must|should|need to|have to) (?:strictly )?(?:alternate|be alternat)|must alternate"
    r"|only ['\"`]?user['\"`]?,? ?(?:and|or|/|&)? ?['\"`]?(?:assistant|model)"
    r"|\b(?:first|1st) (?:non-system )?message[^.\n]{0,40}\b(?:user|human)\b"
    r"|conversations? (?:must|should|needs? to|has to|have to) (?:start|begin)[^.\n]{0,30}\b(?:user|human)\b"
    r"|input should be 'user'"
    r"|(?:must|should) be (?:one of )?[\[(]?['\"`]?user['\"`]?,? ?(?:or|and|/)? ?['\"`]?(?:assistant|model)"
    r"|不支持[^。\n]{0,12}system|system[^。\n]{0,20}(?:不支持|不允许|非法|无效)"
    r"|第一[条个]?[^。\n]{0,20}(?:user|用户)"
)
"""What chat templates in use say, which servers pass on, and servers that have no system role."""
