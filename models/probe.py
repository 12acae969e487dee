"""Tries a model out with one real call, to find what would stop a run before it starts."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from openai import DefaultAioHttpClient

from models.call import Call
from models.errors.classify import diagnose, unusable
from models.errors.kinds import Diagnosis
from models.keys import KEY_NAMES, Keys, MissingKey
from models.limits.budget import longest_reply
from models.limits.context_window import WAIT, Room, context_length
from models.limits.rate_limiter import Traffic
from models.providers.chat_models import chat_model
from models.providers.parameters import FORMS, OLD, formed
from models.providers.reply import reply_text
from models.routing.endpoint_state import Line, Standing
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
    endpoint: Endpoint, roles: Sequence[Role], settings: ModelSettings, keys: Keys
) -> AsyncIterator[Finding]:
    """Call a model once as these roles would, which ask it in the same way, and tell what there is to know.

    What depends on something that failed is not looked at. No finding holds a key.
    """
    role = roles[0]
    try:
        key = keys.of(endpoint, role)
    except MissingKey as error:
        yield Finding("key", False, str(error))
        return
    if endpoint.provider in KEY_NAMES:
        yield Finding("key", True, keys.variable(endpoint, role) or "none, and none is needed")
    async with DefaultAioHttpClient() as client:
        model = chat_model(endpoint, role, settings, key, client)
        room = Room(endpoint, key.get_secret_value(), client, settings)
        standing = Standing(endpoint, Traffic(1).lane(), room)
        line = Line(model, standing, [], formed(endpoint, "judge", settings), keys.variable(endpoint, role))
        # Before the call, which may be refused for it.
        context = None
        if endpoint.base_url and endpoint.provider not in OLD:  # whose keys are not sent as they are
            with suppress(TimeoutError):
                async with asyncio.timeout(min(WAIT, settings.timeout)):
                    context = await context_length(endpoint, key.get_secret_value(), client)
        if context is not None:
            most = longest_reply(settings, role)
            fits = context > most
            advice = "" if fits else f", no more than --max-tokens {most} for the reply alone"
            yield Finding("context", fits, f"{context:,} tokens{advice}")
            if not fits:
                return
        finding = await _call(line, settings, keys)
        yield finding
        if not finding.ok or endpoint.provider == "rehearsal":
            return
        if line.standing.knows_system:
            yield Finding("system role", True, "accepted")
        else:
            yield Finding("system role", None, "not accepted: its text goes into the first user message")
        if endpoint.provider == "vllm" and "judge" in roles:
            yield await _structured(line, settings)


async def _call(line: Line, settings: ModelSettings, keys: Keys) -> Finding:
    call = Call("check", "", 0, 1, "advisor", QUESTION)
    while True:
        began = time.perf_counter()
        sent = line.shaped(call.messages)
        try:
            async with asyncio.timeout(settings.timeout):
                message = await line.model.ainvoke([dict(m) for m in sent])
        except Exception as error:
            if line.learn(error, sent, formed=False):
                continue
            failure = diagnose(error, line.endpoint, has_answered=False, key=line.key)
        else:
            seconds = time.perf_counter() - began
            text = reply_text(message.text)
            found = unusable(message, text, call, line.endpoint)
            if found is None:
                said = " ".join(keys.redact_reply(text).split())[:60]
                return Finding("call", True, f"answered in {seconds:.2f} s: “{said}”")
            failure = found
        words = f"{failure.meaning.name}: {failure.told(keys.redact)}"
        return Finding("call", False, words + _better_address(failure, line.endpoint))


def _better_address(failure: Diagnosis, endpoint: Endpoint) -> str:
    """What to try where nothing is found at an address without a version."""
    url = endpoint.base_url or ""
    if failure.code != "404" or endpoint.provider not in ("openai", "vllm") or re.search(r"/v\d", url):
        return ""
    return f"\nMost servers have their API below /v1: try --base-url {url}/v1"


async def _structured(line: Line, settings: ModelSettings) -> Finding:
    """Whether the server keeps a verdict to its form, though the question is for another reply.

    Older ones ignore the field and say nothing. A server that refuses it is asked without it in a run.
    """
    subject, otherwise = "structured verdicts", "verdicts are read from what the judge says freely"
    call = Call("check", "", 0, 1, "judge_forward", QUESTION[1:], form="compare")
    fields = line.fields(call)
    if not fields:
        return Finding(subject, None, f"`extra_body` asks for a form of its own: {otherwise}")
    try:
        async with asyncio.timeout(settings.timeout):
            message = await line.model.ainvoke([dict(m) for m in call.messages], **fields)
    except Exception as error:
        return Finding(subject, None, f"not there ({type(error).__name__}): {otherwise}")
    if re.match(FORMS["compare"], reply_text(message.text)):
        return Finding(subject, True, "kept to the form")
    return Finding(subject, None, f"not there, this server ignores `structured_outputs`: {otherwise}")
