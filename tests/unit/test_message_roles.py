"""Messages as providers accept them: roles in turn, the user first, and no text lost."""

from dataclasses import replace
from itertools import pairwise
from typing import Literal

from hypothesis import example, given
from hypothesis import strategies as st

from models.call import Call, Message
from models.providers.message_roles import alternating, without_system
from standin import StandIn
from tests.gateways import VLLM_KEY, call, gateway_to

ROLES: list[Literal["system", "user", "assistant"]] = ["system", "user", "assistant"]


def messages(roles: list[Literal["system", "user", "assistant"]]) -> list[Message]:
    """Return a conversation of these roles; each text is a mark."""
    return [Message(role=role, content=f"<{number}>") for number, role in enumerate(roles)]


def marks(shaped: list[Message]) -> list[str]:
    """Return the marks of all texts, in order."""
    text = "".join(message["content"] for message in shaped)
    return [f"<{part.partition('>')[0]}>" for part in text.split("<")[1:]]


def in_turn(shaped: list[Message]) -> bool:
    return all(
        message["role"] == ("assistant" if position % 2 else "user")
        for position, message in enumerate(shaped)
    )


conversations = st.lists(st.sampled_from(ROLES), min_size=1, max_size=12).map(messages)


@given(conversations)
@example(messages(["system"]))
@example(messages(["system", "assistant"]))
@example(messages(["user", "system", "user"]))
def test_any_conversation_comes_out_in_turn_with_every_text(given_messages: list[Message]) -> None:
    before = [Message(role=m["role"], content=m["content"]) for m in given_messages]
    shaped = alternating(given_messages)
    assert given_messages == before
    talk = shaped[1:] if shaped[0]["role"] == "system" else shaped
    assert talk
    assert in_turn(talk)
    assert sorted(marks(shaped)) == sorted(marks(given_messages))
    # The conversation keeps its order, and system texts come before it.
    system = [mark for m in given_messages if m["role"] == "system" for mark in marks([m])]
    others = [mark for m in given_messages if m["role"] != "system" for mark in marks([m])]
    assert marks(shaped) == system + others
    assert alternating(shaped) == shaped

    plain = without_system(shaped)
    assert in_turn(plain)
    assert plain
    assert marks(plain) == system + others


@given(st.lists(st.tuples(st.sampled_from(ROLES), st.text()), min_size=1, max_size=8))
def test_any_text_comes_out_whole(texts_of: list[tuple[Literal["system", "user", "assistant"], str]]) -> None:
    given_messages = [Message(role=role, content=text) for role, text in texts_of]
    for shaped in (alternating(given_messages), without_system(alternating(given_messages))):
        texts = [message["content"] for message in shaped]
        assert shaped
        for role in ROLES:
            # Those of one role keep their order, in messages of their own or joined.
            index, at = 0, 0
            for text in (text for of, text in texts_of if of == role):
                while (found := texts[index].find(text, at)) < 0:
                    index, at = index + 1, 0
                    assert index < len(texts)
                at = found + len(text)


@given(conversations.map(alternating))
def test_roles_are_kept_apart(shaped: list[Message]) -> None:
    assert all(first["role"] != second["role"] for first, second in pairwise(shaped))
    assert {m["role"] for m in shaped} >= {"user"}


async def test_concurrent_calls_learn_that_there_is_no_system_role() -> None:
    system = Message(role="system", content="You edit.")

    def with_system(number: int) -> Call:
        plain = call(number)
        return replace(plain, messages=[system, *plain.messages])

    with StandIn(vllm_key=VLLM_KEY, latency=0.05) as server:
        async with gateway_to(server, "vllm", model="vllm:standin-plain") as client:
            first = await client.ask(*map(with_system, range(10)))
            assert all(isinstance(reply, str) for reply in first), first
            refused = [request for request in server.chats() if request.status == 400]
            assert 1 <= len(refused) <= 10
            await client.ask(*map(with_system, range(10, 20)))
            assert [request for request in server.chats() if request.status == 400] == refused
        sent = server.chats()[-1].body["messages"]
    assert [message["role"] for message in sent] == ["user"]
    assert sent[0]["content"].startswith("You edit.\n\nSay something about number 1")
    assert all(record.failure is None for record in client.records)
