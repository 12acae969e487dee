"""Families of models. A judge favors what models of its own family wrote (arXiv 2502.01534, 2604.22891).

A name may hold several: a model that was distilled from one into another is of both. It may also hold the
name of a tool or a format (GPTQ, llama.cpp, ollama), which is none.
"""

import re

_FAMILIES: tuple[tuple[str, str], ...] = (
    (
        "Llama",
        r"(?<!^o)(?<![^a-z]o)llama(?![-_. ]?(?:factory|cpp|index|file|swap|stack|server))"
        r"|vicuna|alpaca|tulu|nemotron|hermes",
    ),
    ("Qwen", r"qwen|qwq|qvq"),
    (
        "Mistral",
        r"mi[sx]tral|ministral|magistral|mathstral|codestral|devstral|pixtral|voxtral"
        r"|(?<!stablelm-)(?<!stablelm-2-)zephyr",
    ),
    ("Gemini", r"gemini|gemma|(?<![a-z])palm(?![a-z])|(?<![a-z])bard(?![a-z])"),
    ("Claude", r"claude|anthropic"),
    # GPT as a word of its own, as many call theirs SomethingGPT; o1 and o3 where that is the name.
    ("GPT", r"(?<![a-z])(?:chat)?gpt(?!q|-?neo|-?j(?![a-z]))|davinci|(?:^|/)o[1-9](?![a-z0-9])"),
    ("DeepSeek", r"deepseek"),
    ("GLM", r"glm|zhipu|cogview"),
    ("ERNIE", r"(?<![a-z])ernie|wenxin|completions_pro|eb-instant"),
    ("Kimi", r"kimi|moonshot|moonlight"),
    ("Phi", r"(?<![a-z])phi(?![a-z])"),
    ("Yi", r"(?<![a-z])yi(?![a-z])"),
    ("Baichuan", r"baichuan"),
    ("InternLM", r"intern(?:lm|vl)"),
    ("MiniMax", r"minimax|(?<![a-z])abab\d"),
    ("Grok", r"grok(?!k)"),
    ("Command", r"(?<![a-z])command(?![a-z]|-line)|(?<![a-z])aya(?![a-z])|cohere"),
    ("Granite", r"granite"),
    ("Falcon", r"falcon"),
    ("OLMo", r"olmo"),
    ("Nova", r"(?<![a-z])nova(?![a-z])|(?<![a-z])titan(?![a-z])"),
    ("Jamba", r"jamba"),
    ("Hunyuan", r"hunyuan"),
    ("Doubao", r"doubao|(?<![a-z])seed-?(?:oss|coder|thinking|\d\.\d)"),
    ("SmolLM", r"smollm"),
    ("EXAONE", r"exaone"),
    ("StarCoder", r"starcoder"),
    ("Pythia", r"pythia|neox|gpt-?neo|gpt-?j(?![a-z])"),
    ("StableLM", r"stablelm"),
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
