"""Tries a model out with one real call, to find what would stop a run before it starts."""

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from openai import DefaultAioHttpClient

from models.call import Call
from models.chat import chat_model
from models.diagnosis import diagnose, unusable
from models.keys import KEY_NAMES, Keys, MissingKey
from models.line import Line, Standing
from models.pace import Traffic
from models.parameters import FORMS, formed
from models.reply import reply_text
from models.room import Room, context_length
from models.settings import Endpoint, ModelSettings, Role
from prompts.pack import Message

QUESTION = [
    Message(role="system", content="You answer in one word."),
    Message(role="user", content="Which colour is a ripe lemon?"),
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `ok` is None where it matters to no run by itself."""

    subject: str
    ok: bool | None
    text: str


async def probe(
    endpoint: Endpoint, role: Role, settings: ModelSettings, keys: Keys
) -> AsyncIterator[Finding]:
    """Call a model once as `role` would, and tell what there is to know of it.

    What depends on something that failed is not looked at. No finding holds a key.
    """
    try:
        key = keys.of(endpoint)
    except MissingKey as error:
        yield Finding("key", False, str(error))
        return
    if endpoint.provider in KEY_NAMES:
        there = keys.has(endpoint)
        yield Finding("key", True, KEY_NAMES[endpoint.provider] if there else "none, and none is needed")
    async with DefaultAioHttpClient() as client:
        model = chat_model(endpoint, role, settings, key, client)
        room = Room(endpoint, key.get_secret_value(), client, settings)
        standing = Standing(endpoint, Traffic(1).lane(), room)
        line = Line(model, standing, [], formed(endpoint, "judge", settings))
        finding = await _call(line, settings, keys)
        yield finding
        if not finding.ok or endpoint.provider == "rehearsal":
            return
        if line.standing.knows_system:
            yield Finding("system role", True, "accepted")
        else:
            yield Finding("system role", None, "not accepted: its text goes into the first user message")
        context = await context_length(endpoint, key.get_secret_value(), client)
        if context is not None:
            fits = context > settings.max_tokens
            advice = "" if fits else f", no more than --max-tokens {settings.max_tokens} for the reply alone"
            yield Finding("context", fits, f"{context:,} tokens{advice}")
        if endpoint.provider == "vllm":
            yield await _structured(line)


async def _call(line: Line, settings: ModelSettings, keys: Keys) -> Finding:
    call = Call("check", "", 0, 1, "advisor", QUESTION)
    while True:
        began = time.perf_counter()
        sent = line.shaped(call.messages)
        try:
            message = await line.model.ainvoke([dict(m) for m in sent])
        except Exception as error:
            if line.learn(error, sent, formed=False):
                continue
            failure = diagnose(error, line.endpoint, has_answered=False)
        else:
            seconds = time.perf_counter() - began
            text = reply_text(message.text)
            found = unusable(message, text, call, line.endpoint)
            if found is None:
                said = " ".join(keys.redact_reply(text).split())[:60]
                return Finding("call", True, f"answered in {seconds:.2f} s: “{said}”")
            failure = found
        return Finding("call", False, f"{failure.meaning.name}: {keys.redact(failure.message)[:1000]}")


async def _structured(line: Line) -> Finding:
    """Whether the server keeps a verdict to its form, though the question is for another reply.

    Older ones ignore the field and say nothing. A server that refuses it is asked without it in a run.
    """
    subject, otherwise = "structured verdicts", "verdicts are read from what the judge says freely"
    call = Call("check", "", 0, 1, "judge_forward", QUESTION[1:], form="compare")
    fields = line.fields(call)
    if not fields:
        return Finding(subject, None, f"`extra_body` asks for a form of its own: {otherwise}")
    try:
        message = await line.model.ainvoke([dict(m) for m in call.messages], **fields)
    except Exception as error:
        return Finding(subject, None, f"not there ({type(error).__name__}): {otherwise}")
    if re.match(FORMS["compare"], reply_text(message.text)):
        return Finding(subject, True, "kept to the form")
    return Finding(subject, None, f"not there, this server ignores `structured_outputs`: {otherwise}")
