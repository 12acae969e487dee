"""Conversations of several exchanges: how one becomes a request, and how far it is worked on."""

from collections.abc import Sequence

from fastchat.conversation import get_conv_template

from graph.settings import Settings
from graph.state import AlpacaRecord, ConversationRecord, RequestAndResponse
from models.token_counter import count_tokens
from samples.formats import detect_format, parse_record
from samples.sample import DataError
from samples.tokens import estimate_tokens

_TURNS = ("conversations", "messages")


def apart(settings: Settings) -> Settings:
    """Return the settings of a graph whose record is without thoughts already."""
    return settings if settings.thoughts == "text" else settings.model_copy(update={"thoughts": "text"})


def turns_of(record: ConversationRecord, settings: Settings) -> tuple[str, list[RequestAndResponse]]:
    """Return the system prompt and the answered exchanges of a record.

    Raises:
        ValueError: the method cannot work on this record; the message says why.
    """
    given = {name: value for name, value in record.items() if value is not None}
    if given.get("instruction"):
        raise ValueError("this record has an `instruction`: use the graph `evolve`, or that of another mode")
    given.pop("instruction", None)
    if all(given.get(name) for name in _TURNS):
        raise ValueError(
            "this record has `conversations` and `messages`: give one of the two, in a new thread (a thread "
            "keeps what it was given before)"
        )
    if any(given.get(name) for name in _TURNS):  # of two fields in a form, a person fills in one
        given = {name: value for name, value in given.items() if value or name not in _TURNS}
    form = detect_format(given)
    if form not in ("sharegpt", "messages"):
        raise ValueError("this is not a conversation: it has neither `conversations` nor `messages`")
    try:
        parsed = parse_record(given, form, settings.thoughts)
    except DataError as error:
        raise ValueError(f"this record cannot be worked on: {error}") from None
    if parsed.skip:
        raise ValueError(f"this record cannot be worked on: {parsed.skip}")
    return parsed.system, [
        RequestAndResponse(request=exchange.instruction, response=exchange.response, fixed=exchange.fixed)
        for exchange in parsed.exchanges
    ]


def request_of(
    turns: Sequence[RequestAndResponse], number: int, system: str, settings: Settings
) -> AlpacaRecord:
    """Return the request of exchange `number` (from 0) as the exchange graph takes it.

    It is one text in the form of the FastChat template: the `history_window - 1` exchanges before it and the
    request itself, ending with the assistant's empty turn. A conversation's own system prompt replaces the
    template's. A conversation of one exchange keeps its plain text.
    """
    if len(turns) == 1:
        return AlpacaRecord(instruction=turns[0]["request"], system=system)
    template = get_conv_template(settings.conversation_template)
    if system:
        template.set_system_message(system)
    user, assistant = template.roles
    for turn in turns[max(0, number + 1 - settings.history_window) : number]:
        template.append_message(user, turn["request"])
        template.append_message(assistant, turn["response"])
    template.append_message(user, turns[number]["request"])
    template.append_message(assistant, None)
    text = template.get_prompt()
    # A few templates have no place for a system prompt; there it stays separate.
    return AlpacaRecord(instruction=text, system="" if system in text else system)


async def reached_its_end(
    turns: Sequence[RequestAndResponse], done: int, system: str, settings: Settings
) -> bool:
    """Whether work on a conversation stops after its first `done` exchanges.

    `max_exchanges` decides where it is given, otherwise the length of the conversation so far, with the
    evolved responses, as text. It is counted once an exchange and not recorded: a resumed run counts the same
    text the same way. Only where a server counted at one time and not at the other may it decide otherwise,
    and then only about a conversation that was not finished.
    """
    if done >= len(turns):
        return True
    if settings.max_exchanges is not None:
        return done >= settings.max_exchanges
    so_far = [system, *(text for turn in turns[:done] for text in (turn["request"], turn["response"]))]
    tokens = await count_tokens("\n".join(filter(None, so_far)), settings.tokenizer)
    if tokens is None:
        tokens = sum(map(estimate_tokens, so_far))
    return tokens >= settings.max_conversation_tokens
