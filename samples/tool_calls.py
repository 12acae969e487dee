"""Function calls that a response has as text, in the forms of chat templates and of ReAct.

Sources: the chat templates of Hermes, Qwen, GLM, Llama, Mistral, DeepSeek, Kimi, InternLM, LFM2 and MiniMax;
the cards of the function calling data of Glaive and Salesforce; Yao et al., "ReAct" (arXiv 2210.03629).
"""

import re
from typing import Any

from samples.bounds import load_json
from samples.control_tokens import CODE

TEXT_CALL = "a function call written as text"
TEXT_RESULT = "the result of a function call written as text"

_PARTS = (
    "tool",
    "TOOL",
    "unction",
    "FUNCTION",
    "ction:",
    "ction ",
    "python_tag",
    "action_start",
    "invoke",
    '"name"',
)
"""Few texts have one of these, and calls do."""

_BEGINS_CALL = r"\s{0,20}(?:[{\[<]|[\w.:-]{1,64}(?:\n?<|[({\[]))"
_CALL = re.compile(
    rf"<(?:tool_?calls?|function_?calls?|minimax:tool_call|start_function_call)>{_BEGINS_CALL}"
    rf"|\[/?TOOL_CALLS?\]{_BEGINS_CALL}"
    r"|<\|(?:tool_?calls?|function_?calls?|tool_calls?_(?:section_)?(?:begin|start)|python_tag|action_start)\|?>"
    r"|<\|tool_call>|<｜tool▁calls?▁begin｜>|✿FUNCTION✿|<\|channel\|>commentary to=functions"
    r"|<function=[\w.-]{1,64}>|<(?:\w{1,10}:)?invoke name=|<tool_use>\s{0,20}<"
    r"|to=functions\.\w{1,64}",
    re.IGNORECASE,
)
_THOUGHT = re.compile(r"^[ \t*]{0,6}Thought(?: \d{1,3})?:", re.MULTILINE)
_ACTION = re.compile(r"^[ \t*]{0,6}Action(?: \d{1,3})?:[ \t*]{0,4}([^\n]{0,200})", re.MULTILINE)
_FOLLOWS = re.compile(r"^[ \t*]{0,6}(?:Action Input|Observation)(?: \d{1,3})?:", re.MULTILINE)
_STEP = re.compile(r"\w[\w .-]{0,60}[\[({]")
_RESULT = re.compile(
    r"\s*(?:Observation(?: \d{1,3})?:|<\|?(?:tool|function)_|\[TOOL_RESULTS|FUNCTION RESPONSE|[\[{])"
)

_KEYS = frozenset({"name", "arguments", "parameters", "id", "type"})


def calls_function(text: str) -> bool:
    """Return whether a text calls a function. Tags in code, or in a sentence about them, are no call."""
    if not any(part in text for part in _PARTS):
        return False
    text = CODE.sub("", text)
    return bool(_CALL.search(text)) or _acts(text) or _is_call(text.strip())


def gives_result(text: str) -> bool:
    """Return whether a request seems to be the result of a call that came before it."""
    return bool(_RESULT.match(text))


def _acts(text: str) -> bool:
    """Return whether a text has an action as ReAct's prompts have it."""
    action = _ACTION.search(text)
    if action is None:
        return False
    if _FOLLOWS.search(text, action.end()):
        return True
    return bool(_THOUGHT.search(text)) and bool(_STEP.match(action[1]))


def _is_call(text: str) -> bool:
    """Return whether a text is nothing but calls in JSON."""
    if not (text.startswith(("{", "[")) and text.endswith(("}", "]"))):
        return False
    try:
        found: Any = load_json(text)
    except ValueError:
        return False
    calls = found if isinstance(found, list) else [found]
    return bool(calls) and all(
        isinstance(call, dict)
        and "name" in call
        and ("arguments" in call or "parameters" in call)
        and _KEYS.issuperset(call)
        for call in calls
    )
