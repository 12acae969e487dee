"""Families of models. A judge favors what models of its own family wrote (arXiv 2502.01534, 2604.22891).

A name may hold several: a model that was distilled from one into another is of both.
"""

import re

_FAMILIES: tuple[tuple[str, str], ...] = (
    ("Llama", r"llama|vicuna|alpaca|tulu|nemotron|hermes"),
    ("Qwen", r"qwen|qwq|qvq"),
    ("Mistral", r"mi[sx]tral|ministral|magistral|codestral|devstral|pixtral|zephyr"),
    ("Gemini", r"gemini|gemma|palm|bard"),
    ("Claude", r"claude|anthropic"),
    ("GPT", r"gpt|chatgpt|davinci|(?<![a-z0-9])o[1-9](?![a-z0-9])"),
    ("DeepSeek", r"deepseek"),
    ("GLM", r"glm|zhipu|cogview"),
    ("ERNIE", r"ernie|wenxin|completions_pro|eb-instant"),
    ("Kimi", r"kimi|moonshot"),
    ("Phi", r"(?<![a-z])phi(?![a-z])"),
    ("Yi", r"(?<![a-z])yi(?![a-z])"),
    ("Baichuan", r"baichuan"),
    ("InternLM", r"intern(?:lm|vl)"),
    ("MiniMax", r"minimax|abab"),
    ("Grok", r"grok"),
    ("Command", r"command|(?<![a-z])aya(?![a-z])|cohere"),
    ("Granite", r"granite"),
    ("Falcon", r"falcon"),
    ("OLMo", r"olmo"),
    ("Nova", r"(?<![a-z])nova(?![a-z])|titan"),
    ("Jamba", r"jamba"),
    ("Hunyuan", r"hunyuan"),
    ("Doubao", r"doubao|(?<![a-z])seed(?![a-z])"),
    ("SmolLM", r"smollm"),
    ("EXAONE", r"exaone"),
    ("StarCoder", r"starcoder"),
    ("Pythia", r"pythia|neox"),
)


def families(name: str) -> frozenset[str]:
    """Return the families of a model by its name, as its vendor or a hub writes it; empty if unknown."""
    return frozenset(found for found, pattern in _FAMILIES if re.search(pattern, name.lower()))


def is_related(one: str, other: str) -> bool | None:
    """Whether two models are of one family, by their names; None if that is unknown."""
    if one.lower() == other.lower():
        return True
    known = families(one), families(other)
    return bool(known[0] & known[1]) if all(known) else None
