"""Messages in the form that a provider or a chat template accepts; no text is lost."""

from collections.abc import Iterable

from prompts.pack import Message


def alternating(messages: Iterable[Message]) -> list[Message]:
    """The messages with user and assistant strictly in turn, the user first, after any system message.

    Neighbours of one role become one message. Where the conversation would open with the assistant (a
    debater's memory cut short), what it said opens the user's message that follows, quoted as such.
    """
    shaped: list[Message] = []
    for message in messages:
        if shaped and shaped[-1]["role"] == message["role"]:
            shaped[-1] = _joined(shaped[-1], message["content"])
        else:
            shaped.append(message)
    start = 1 if shaped and shaped[0]["role"] == "system" else 0
    if len(shaped) > start and shaped[start]["role"] == "assistant":
        said = f"You said before:\n\n{shaped[start]['content']}"
        after = shaped[start + 1]["content"] if len(shaped) > start + 1 else ""
        text = f"{said}\n\n{after}" if after else said
        shaped[start : start + 2] = [Message(role="user", content=text)]
    return shaped


def without_system(messages: list[Message]) -> list[Message]:
    """The messages with the system text at the beginning of the first user message."""
    system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    rest = [m for m in messages if m["role"] != "system"]
    return alternating([Message(role="user", content=system), *rest]) if system else rest


def _joined(message: Message, text: str) -> Message:
    return Message(role=message["role"], content=f"{message['content']}\n\n{text}")
