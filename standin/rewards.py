"""vLLM's pooling models: `/classify` and `/score`, as vLLM 0.32 serves a model for sequence classification.

    standin-rewards     one number for a conversation, which its chat template makes a text
    standin-scores      the same without a chat template: it takes texts, and pairs of them at `/score`
    standin-classifies  two labels, which is no reward model

A text's number is a tenth of its words, or of those of the response where there is one; unless
`use_activation` is false, the sigmoid of that, or the softmax of labels.
"""

import math
from collections.abc import Mapping
from typing import Any

from standin.provider import count_prompt_tokens
from standin.wire import Answer, Incoming, Refused, json_answer, read_messages

LABELS: Mapping[str, int] = {"standin-rewards": 1, "standin-scores": 1, "standin-classifies": 2}

_NO_TEMPLATE = (
    "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat "
    "template if the tokenizer does not define one."
)


def answer(incoming: Incoming) -> Answer:
    """Answer a request for a classification or a score."""
    body = incoming.json()
    model = str(body.get("model"))
    if model not in LABELS:
        raise Refused("unknown_model")
    if incoming.path == "/classify":
        if "messages" in body and model == "standin-scores":
            raise Refused("bad_request", _NO_TEMPLATE)
        return _classify(body, LABELS[model])
    return _score(body, LABELS[model])


def _classify(body: Mapping[str, Any], labels: int) -> Answer:
    if "messages" in body:
        messages = read_messages(body, ("system", "user", "assistant"))
    elif isinstance(body.get("input"), str):
        messages = [{"role": "user", "content": body["input"]}]
    else:
        raise Refused("bad_request", "Field required", param="input")
    tokens = count_prompt_tokens(messages)
    logits = [len(messages[-1]["content"].split()) / 10, *[0.0] * (labels - 1)]
    data = [{"index": 0, "label": "LABEL_0", "probs": _activated(logits, body), "num_classes": labels}]
    return _answer(body, data, tokens)


def _score(body: Mapping[str, Any], labels: int) -> Answer:
    pair = [body.get("text_1", body.get("queries")), body.get("text_2", body.get("documents"))]
    if labels > 1:
        raise Refused("bad_request", "Score API is only enabled for num_labels == 1.")
    if not all(isinstance(text, str) for text in pair):
        raise Refused("bad_request", "Field required", param="text_1")
    tokens = count_prompt_tokens([{"role": "user", "content": text} for text in pair])
    (score,) = _activated([len(pair[1].split()) / 10], body)
    return _answer(body, [{"index": 0, "object": "score", "score": score}], tokens)


def _activated(logits: list[float], body: Mapping[str, Any]) -> list[float]:
    if body.get("use_activation") is False:
        return logits
    if len(logits) == 1:
        return [1 / (1 + math.exp(-logits[0]))]
    total = sum(map(math.exp, logits))
    return [math.exp(logit) / total for logit in logits]


def _answer(body: Mapping[str, Any], data: list[dict[str, Any]], tokens: int) -> Answer:
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0}
    return json_answer(
        {"id": "pool-standin", "object": "list", "model": body["model"], "data": data, "usage": usage}
    )
