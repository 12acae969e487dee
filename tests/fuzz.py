"""Fuzz targets: what reads strangers' data and models' replies. Each raises nothing but the errors it states.

`tests/unit/test_fuzz.py` tries each for seconds, `tests/long/test_fuzz.py` for minutes.
"""

import gzip
import itertools
import json
import math
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from ledger.texts import TextStore, json_text
from models.attempt import Attempt
from models.errors.classify import classify
from models.errors.exceptions import BadResponse
from models.providers.openai_chat import ChatCompletions, read_response
from models.providers.streams import StreamCut
from models.settings import Endpoint
from nodes.guards.chatter import has_chatter
from nodes.guards.loop import is_loop
from nodes.guards.no_answer import is_no_answer
from nodes.guards.refusal import is_refusal
from nodes.guards.unchanged import is_unchanged
from nodes.verdict.reading import read_verdict
from prompts.cleaning import clean_draft
from samples.bounds import MAX_DEPTH
from samples.reader import open_data
from samples.sample import DataError
from tests.gateways import call

_PIECES = (
    *(
        "[",
        "](",
        "{",
        '{"a":',
        "]",
        "(",
        "`",
        "```\n",
        "*",
        "#",
        "\n",
        " ",
        "\t",
        ">",
        "|",
        "-",
        "- ",
        "1. ",
        "\\",
    ),
    *("<think>", "</think>", "<|im_end|>", "<answer>", "</s>", "[INST]", "assistantfinal", "analysis"),
    *("8 9", "10/10", "Response 1", "[[A]]", "<assistant 1>", "Score:", "tie", "9" * 400, "1e999", "½", "①"),
    *("\x00", "\x1b[2J", "\u200b", "\u202e", "\u2028", "\ud800", "\U000e0001", "ﷺ", "́" * 50, "\ufeff"),
    *("Sure! ", "I'm sorry, ", "User: ", "Assistant: ", "a", "aa ", "the same "),
)
_REPEATED = st.builds(lambda piece, times: piece * times, st.sampled_from(_PIECES), st.integers(1, 300))
TEXTS = st.lists(st.one_of(st.text(max_size=20), st.sampled_from(_PIECES), _REPEATED), max_size=8).map(
    lambda pieces: "".join(pieces)[:20_000]
)

_NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, -(10**300), 1e308]))
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
_DEEP = st.builds(
    lambda depth, pair: pair[0] * depth + pair[1] * depth,
    st.one_of(st.integers(MAX_DEPTH - 3, MAX_DEPTH + 3), st.sampled_from([300, 800, 3000])),
    st.sampled_from([("[", "]"), ('{"a":', "1}"), ('[{"a":', "1}]")]),
)
_JSON = st.one_of(
    _VALUES.map(json.dumps), _DEEP, st.sampled_from(["9" * 5000, "1e400", "NaN", '"\\ud800"', "[", '"'])
)


def _objects(*names: str) -> st.SearchStrategy[str]:
    """JSON objects with some of these fields, which hold anything."""
    fields = st.lists(st.tuples(st.sampled_from(names), _JSON), max_size=5)
    return fields.map(lambda some: "{" + ", ".join(f'"{name}": {value}' for name, value in some) + "}")


_RECORDS = st.one_of(
    _objects("id", "instruction", "input", "output", "history", "system", "meta", "chosen", "label"),
    _objects("messages", "conversations", "role", "content", "data", "prompt", "completion"),
    st.lists(_objects("role", "content", "from", "value", "weight"), max_size=3).map(
        lambda turns: f'{{"messages": [{", ".join(turns)}]}}'
    ),
    _JSON,
)
FILES = st.tuples(
    st.one_of(
        st.lists(_RECORDS, max_size=4).map("\n".join),
        st.lists(_RECORDS, max_size=4).map(lambda some: f"[{', '.join(some)}]"),
        st.lists(st.lists(TEXTS, max_size=4).map(",".join), max_size=4).map(
            lambda rows: "\n".join(["instruction,output", *rows])
        ),
        TEXTS,
    ).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([".json", ".jsonl", ".csv", ".jsonl.gz"]),
    st.booleans(),
)
"""The bytes of a file, the end of its name, and whether bad records are passed over."""


def read_data(content: bytes, ending: str, skip_bad: bool) -> None:
    """Read a file as a run does, and encode its records as the ledger does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"data{ending}"
        path.write_bytes(gzip.compress(content, 1) if ending.endswith(".gz") else content)
        with suppress(DataError):
            data = open_data(path, skip_bad=skip_bad)
            count = data.check().count
            texts = TextStore(itertools.count(1))
            samples = list(data.samples())
            for sample in samples:
                json_text(texts.put(sample.read, sample.id)).encode()
            assert [sample.position for sample in samples] == list(range(count))


def read_verdicts(text: str) -> None:
    """Read a verdict in both forms."""
    for form in ("compare", "score"):
        points = read_verdict(text, form)
        assert points is None or (len(points) == 2 and all(map(math.isfinite, points)))


def read_draft(draft: str, request: str, response: str) -> None:
    """Clean a draft, and let the guards look at it."""
    cleaned = clean_draft(draft, request, response)
    assert bool(cleaned.strip()) == bool(draft.strip())
    is_unchanged(cleaned, response)
    for guard in (is_refusal, is_loop, is_no_answer, has_chatter):
        guard(cleaned, request, response)


_MESSAGES = _objects("content", "role", "reasoning_content", "tool_calls", "refusal", "function_call")
_CHOICES = st.builds(
    lambda message, more: f'{{"message": {message}, "delta": {message}, {more[1:]}',
    _MESSAGES,
    _objects("finish_reason", "index", "logprobs", "error", "usage").map(
        lambda text: text.replace("{}", '{"a": 1}')
    ),
)
_USAGE = _objects("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details")
_COMPLETIONS = st.builds(
    lambda choice, usage, more: f'{{"choices": [{choice}], "usage": {usage}, "x": {more}}}',
    _CHOICES,
    _USAGE,
    _JSON,
)
BODIES = st.one_of(
    _COMPLETIONS,
    st.lists(_COMPLETIONS, max_size=4).map(
        lambda some: "\n\n".join(f"data: {each}" for each in [*some, "[DONE]"])
    ),
    _objects("choices", "error", "message", "detail", "usage", "object"),
    _JSON,
    TEXTS,
)
"""The texts of responses."""


@cache
def _model() -> Any:
    return ChatCompletions(model="x", api_key="x")


def read_reply(body: str) -> None:
    """Read a response of status 200, and then the reply in it; or else classify the error."""
    endpoint = Endpoint("openai", "x", "http://127.0.0.1/v1")
    response = httpx2.Response(200, headers={"content-type": "application/json"})
    try:
        result = read_response(response, body, _model()._create_chat_result)
    except BadResponse as error:
        failure = classify(error, endpoint, has_replied=True)
        assert failure.kind.key != "mistake of the program"
        assert len(failure.describe(str)) < 5000
        return
    except StreamCut:
        return
    attempt = Attempt([], {}, 0.0)
    message = result.generations[0].message
    assert isinstance(message, AIMessage)
    for purpose in ("draft", "verdict"):
        attempt.received(message, call(purpose=purpose), endpoint)
    assert all(count is None or 0 <= count < 2**63 for count in (attempt.input_tokens, attempt.output_tokens))


Target = tuple[Callable[..., None], tuple[st.SearchStrategy[Any], ...]]

TARGETS: dict[str, Target] = {
    "any data is read or refused": (lambda file: read_data(*file), (FILES,)),
    "any text has a verdict or none": (read_verdicts, (TEXTS,)),
    "any text is cleaned as a draft": (read_draft, (TEXTS, TEXTS, TEXTS)),
    "any response is a reply or a failure of its call": (read_reply, (BODIES,)),
}
"""What holds of each, with what it reads and what it is given."""


def attack(name: str, max_examples: int) -> None:
    """Give a target so many inputs."""
    target, inputs = TARGETS[name]

    @settings(
        max_examples=max_examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.reuse, Phase.generate],  # shrinking has no bound
    )
    @given(st.tuples(*inputs))
    def attacked(values: tuple[Any, ...]) -> None:
        target(*values)

    attacked()
