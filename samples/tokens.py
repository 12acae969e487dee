"""How many tokens a text has, roughly, without a tokenizer."""


def estimate_tokens(text: str) -> int:
    """Placeholder."""
    return len(text) // 4
