"""Arranges messages as a provider or a chat template accepts them; no text is lost."""

from collections.abc import Iterable

from models.call import Message


def alternating(messages: Iterable[Message]) -> list[Message]:
    """Return messages with user and assistant strictly in turn, the user first, after any system message.

    Neighbours of one role become one message. Where the assistant would open (a debater's memory cut short),
    its text opens the user's message that follows, quoted as such. System text moves to the beginning; alone,
    it becomes the user's.
    """
    shaped: list[Message] = []
    system: list[Message] = []
    for message in messages:
        same_kind = system if message["role"] == "system" else shaped
        if same_kind and same_kind[-1]["role"] == message["role"]:
            same_kind[-1] = _joined(same_kind[-1], message["content"])
        else:
            same_kind.append(message)
    if not shaped:
        return [Message(role="user", content=message["content"]) for message in system]
    if shaped[0]["role"] == "assistant":
        before = f"You said before:\n\n{shaped[0]['content']}"
        after = shaped[1]["content"] if len(shaped) > 1 else ""
        text = f"{before}\n\n{after}" if after else before
        shaped[:2] = [Message(role="user", content=text)]
    return system + shaped


def without_system(messages: list[Message]) -> list[Message]:
    """Return messages with the system text at the beginning of the first user message."""
    system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    rest = [m for m in messages if m["role"] != "system"]
    return alternating([Message(role="user", content=system), *rest]) if system else rest


def _joined(message: Message, text: str) -> Message:
    return Message(role=message["role"], content=f"{message['content']}\n\n{text}")
