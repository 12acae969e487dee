"""How servers are asked to hold a reply to a form, which is stated as a regex.

- vLLM: `structured_outputs`, SGLang: `regex`. Both take the regex as it is.
- llama.cpp's server: `grammar`, in GBNF.
- OpenAI: `response_format` with a JSON schema (Structured Outputs), in which the first line is the value of
  `verdict` and the rest that of `explanation`.
"""

import json
import re
from typing import Any, Literal

FormServer = Literal["vllm", "sglang", "llamacpp", "openai"]
"""Servers that can hold a reply to a form; most are named as their lists of models name them (`owned_by`)."""

FORM_FIELDS = frozenset(
    {
        "structured_outputs", "response_format", "regex", "grammar", "json_schema", "ebnf",
        "guided_regex", "guided_json", "guided_choice", "guided_grammar",
    }
)  # fmt: skip
"""The fields by which a user may ask for a form."""


def form_fields(server: FormServer, form: str) -> dict[str, Any]:
    """Return the fields of a request whose reply is to have this form."""
    match server:
        case "vllm":
            return {"structured_outputs": {"regex": form}}
        case "sglang":
            return {"regex": form}
        case "llamacpp":
            return {"grammar": gbnf(form)}
        case "openai":
            return {"response_format": {"type": "json_schema", "json_schema": _json_schema(form)}}


def holds_form(server: FormServer, form: str, reply: str) -> bool:
    """Whether a reply has the form, as far as it goes: it may have been cut off."""
    if server != "openai":
        return bool(re.match(form, reply))
    first, _, _ = form.partition(r"\n")
    return bool(re.match(rf'\s*\{{\s*"verdict"\s*:\s*"{first}"', reply))


_PART = re.compile(
    r"(?P<set>\[(?:\\.|[^\]\\])*\])|(?P<repeat>[?*+])|(?P<mark>[()|])|\\(?P<escaped>.)|(?P<char>.)", re.DOTALL
)


def gbnf(form: str) -> str:
    """Return a regex as a grammar in GBNF.

    It knows what forms are made of: characters, sets of them, groups, alternatives, `?`, `*` and `+`.
    """
    parts: list[str] = []
    text = ""

    def end_text(text: str) -> str:
        if text:
            parts.append(json.dumps(text, ensure_ascii=False))
        return ""

    for part in _PART.finditer(form):
        if part["char"] or part["escaped"]:
            text += {"n": "\n", "t": "\t"}.get(part["escaped"] or "", part["escaped"] or part["char"])
            continue
        if part["repeat"]:  # of the last character alone
            end_text(text[:-1])
            text = end_text(text[-1:])
            parts[-1] += part["repeat"]
            continue
        text = end_text(text)
        if part["set"]:
            parts.append(r"[^\x00]" if part["set"] == r"[\s\S]" else part["set"].replace(r"\s", r" \t\r\n"))
        else:
            parts.append(part["mark"])
    end_text(text)
    return f"root ::= {' '.join(parts)}\n"


def _json_schema(form: str) -> dict[str, Any]:
    first, _, _ = form.partition(r"\n")
    properties = {"verdict": {"type": "string", "pattern": f"^{first}$"}, "explanation": {"type": "string"}}
    return {
        "name": "verdict",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
    }
