"""What a report shows, in a few sentences for those who have never heard of coevol."""

from collections.abc import Mapping
from typing import Any

from prompts.method import MODES, STEPS

ABOUT = (
    "coevol improves the responses of a data set with which chat models are trained to follow instructions. "
    "A record has a request and a response to it; language models in different roles work on the response, "
    "round by round, and every call is recorded. This report shows how far that went, what changed and at "
    "what cost, and some samples in full, so that you can judge for yourself whether the new responses are "
    "better. No person has checked them unless a decision says so."
)


def method_of(mode: str, settings: Mapping[str, Any]) -> str:
    """Describe what happens to a response in a mode."""
    roles = {STEPS[step].role for step in MODES[mode].steps}
    parts = []
    if "critical" in roles:
        parts.append("one debater defends the response and another one criticizes it")
    if "advisor" in roles:
        debated = "an advisor turns the debate into suggestions"
        parts.append(debated if parts else "an advisor suggests what to improve")
    parts.append("an editor writes a draft")
    if not MODES[mode].is_judged:
        return f"{_sentence(parts)}. That is the new response."
    parts.append("a judge compares it with the current response, shown in both orders")
    rounds = settings.get("drafts" if MODES[mode].is_best_of else "max_rounds")
    most = f", at most {rounds} times" if rounds else ""
    return (
        f"{_sentence(parts)}. A draft that wins takes the place of the response"
        + (f", and the next draft has to beat it{most}." if MODES[mode].is_best_of else _again(most))
        + " A response of which no draft is better stays as it was."
    )


def _again(most: str) -> str:
    return f", and the next round begins from it{most}; the first draft that loses ends the work."


def _sentence(parts: list[str]) -> str:
    text = ", then ".join(parts)
    return text[0].upper() + text[1:]
