"""Reward models: where a server is asked for a score."""

import asyncio
from collections.abc import Sequence

import httpx2
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import SecretStr

from models.errors.exceptions import BadResponse
from models.providers.reward import RewardModel
from models.settings import Endpoint


def served(refusals: Sequence[int]) -> tuple[RewardModel, list[str]]:
    """Return a model whose server has no route for these of the calls, and where it was asked."""
    asked: list[str] = []

    async def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.path)
        number = len(asked)
        await asyncio.sleep(0)  # so that calls are in flight together
        if number in refusals:
            return httpx2.Response(404, json={"detail": "Not Found"})
        score = {"score": 0.7} if request.url.path == "/score" else {"probs": [7.0]}
        return httpx2.Response(200, json={"data": [score], "usage": {"prompt_tokens": 5}})

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(handle))
    endpoint = Endpoint("reward", "some", "http://localhost:8000/v1")
    return RewardModel(endpoint=endpoint, key=SecretStr("k"), client=client, further={}, timeout=5), asked


TALK = [HumanMessage("Ask."), AIMessage("Answer.")]


async def test_a_server_without_classify_is_asked_at_score_from_then_on() -> None:
    model, asked = served([1, 2])
    first = await asyncio.gather(model.ainvoke(TALK), model.ainvoke(TALK))
    assert [reply.text for reply in (*first, await model.ainvoke(TALK))] == ["0.7"] * 3
    assert asked == ["/classify"] * 2 + ["/score"] * 3


async def test_scores_of_two_kinds_are_never_mixed() -> None:
    model, asked = served([2])  # as of a proxy whose server starts again
    assert (await model.ainvoke(TALK)).text == "7.0"
    with pytest.raises(BadResponse):
        await model.ainvoke(TALK)
    assert (await model.ainvoke(TALK)).text == "7.0"
    assert asked == ["/classify"] * 3
