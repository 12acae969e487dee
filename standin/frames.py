"""What servers send around a reply: a model's thoughts and the marks of its chat template, by family."""

from collections.abc import Callable, Mapping
from typing import Any

THOUGHTS = "Let me weigh what the request asks for against what the response gives."

TEXTS: Mapping[str, str] = {
    # thoughts
    "think": "<think>\n{thoughts}\n</think>\n\n{text}",
    "think_opened_by_prompt": "{thoughts}\n</think>\n\n{text}",
    "think_unclosed": "<think>\n{thoughts}",
    "thinking": "<thinking>\n{thoughts}\n</thinking>\n{text}",
    "exaone": "<thought>\n{thoughts}\n</thought>\n\n{text}[|endofturn|]",
    "hunyuan": "<think>\n{thoughts}\n</think>\n<answer>\n{text}\n</answer>",
    "seed": "<seed:think>{thoughts}</seed:think>{text}<seed:eos>",
    "magistral": "[THINK]{thoughts}[/THINK]{text}</s>",
    "kimi": "◁think▷{thoughts}◁/think▷{text}",
    "cohere": "<|START_THINKING|>{thoughts}<|END_THINKING|><|START_RESPONSE|>{text}<|END_RESPONSE|>",
    "gemma4": "<|channel>thought\n{thoughts}<channel|>{text}<turn|>",
    "granite": "Here is my thought process:\n{thoughts}\n\nHere is my response:\n\n{text}",
    "harmony": "<|channel|>analysis<|message|>{thoughts}<|end|><|start|>assistant"
    "<|channel|>final<|message|>{text}",
    # marks
    "chatml": "<|im_start|>assistant\n{text}<|im_end|>",
    "llama2": " {text} </s>",
    "llama3": "<|start_header_id|>assistant<|end_header_id|>\n\n{text}<|eot_id|>",
    "gemma": "<start_of_turn>model\n{text}<end_of_turn>\n",
    "deepseek": "{text}<｜end▁of▁sentence｜>",
    # a model that continued with the next turn
    "chatml_runs_on": "{text}<|im_end|>\n<|im_start|>user\nThank you. And now?<|im_end|>\n",
    "mistral_runs_on": "{text} [INST] Thank you. And now? [/INST] As you wish.",
    # white space
    "spaced": "\n\n  {text} \n\t\n",
}
"""Templates of texts."""

MESSAGES: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "reasoning_content": lambda text: {"content": text, "reasoning_content": THOUGHTS},
    "reasoning": lambda text: {"content": text, "reasoning": THOUGHTS},
    "reasoning_only": lambda text: {"content": None, "reasoning_content": text},
    "parts": lambda text: {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHTS}]},
            {"type": "text", "text": text},
        ]
    },
    "tool_call": lambda text: {"content": None, "tool_calls": []},
}
"""Fields of messages in OpenAI's format, for families that have no text of their own around the reply."""
