"""Tries a model with one real call, to find what would stop a run before it starts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from langchain_core.messages import AIMessage

from models.call import Call, Message
from models.errors.classify import classify, classify_reply, finish_reason
from models.errors.kinds import AT_LIMIT, WHOLE, Failure, finish_key
from models.keys import Keys, MissingKey
from models.limits.budget import longest_reply
from models.limits.context_window import QUERY_TIMEOUT, model_card
from models.limits.rate_limiter import ConcurrencyPool
from models.policy import GatewayPolicy
from models.providers.chat_models import chat_model
from models.providers.http_client import http_client
from models.providers.openai_chat import SERVICE_TIER, THOUGHTS
from models.providers.parameters import OLD
from models.providers.proxies import through_proxy
from models.providers.reply_forms import form_fields, holds_form
from models.routing.role_client import RoleClient
from models.routing.router import endpoint_state, role_client
from models.settings import KEY_NAMES, PANEL, Endpoint, ModelSettings, Role
from samples.control_tokens import control_token
from samples.reply import Reply, read_reply

QUESTION = [
    Message(role="system", content="You answer in one word."),
    Message(role="user", content="Which colour is a ripe lemon?"),
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked."""

    subject: str
    ok: bool | None
    """None where it would stop no run by itself."""
    text: str


@dataclass(frozen=True, slots=True)
class VerdictTrial:
    """A small comparison for the judge, and how its verdict is read."""

    messages: list[Message]
    reminder: list[Message]
    """How it is asked again if its verdict cannot be read."""
    retries: int
    form: str
    """The regex of its reply, as in `Call`."""
    is_readable: Callable[[str], bool]


async def probe(
    endpoint: Endpoint, roles: Sequence[Role], settings: ModelSettings, keys: Keys, trial: VerdictTrial
) -> AsyncIterator[Finding]:
    """Call a model once as these roles would, which ask it in the same way, and report what was found.

    A judge is also asked for a verdict. What depends on something that failed is not checked. No finding
    holds a key.
    """
    role = roles[0]
    try:
        key = keys.of(endpoint, role)
    except MissingKey as error:
        yield Finding("key", False, str(error))
        return
    if endpoint.provider in KEY_NAMES:
        yield Finding("key", True, keys.variable(endpoint, role) or "none, and none is needed")
    async with http_client(settings) as http:
        # Before the call, which may be refused for it. Old credentials are not sent as they are.
        context = None
        if endpoint.base_url and endpoint.provider not in OLD:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(QUERY_TIMEOUT, settings.timeout)):
                    context = (await model_card(endpoint, key.get_secret_value(), http)).context
        if context is not None:
            most = longest_reply(settings, role)
            fits = context > most
            advice = "" if fits else f", no more than --max-tokens {most} for the reply alone"
            yield Finding("context", fits, f"{context:,} tokens{advice}")
            if not fits:
                return
        state = endpoint_state(endpoint, key, settings, http, ConcurrencyPool(1).limiter(), GatewayPolicy())
        model = chat_model(endpoint, role, settings, key, http)
        client = role_client(model, state, role, settings, keys)
        finding = await _call(client, role, settings, keys)
        yield finding
        if not finding.ok or endpoint.provider == "rehearsal":
            return
        if client.state.accepts_system_role:
            yield Finding("system role", True, "accepted")
        else:
            yield Finding("system role", None, "not accepted: its text goes into the first user message")
        if client.state.dialect.streams:
            yield Finding("streams", None, "this server only streams: replies are read from their streams")
        if limit := client.state.dialect.limit:
            yield Finding("limit", None, f"the limit of replies is sent as {limit}")
        if set(PANEL) & set(roles):
            async for finding in _verdict(client, settings, keys, trial):
                yield finding


async def _call(client: RoleClient, role: Role, settings: ModelSettings, keys: Keys) -> Finding:
    call = Call("check", "", 0, 1, "check", role, QUESTION)
    while True:
        began = time.perf_counter()
        sent = client.shape(call.messages)
        try:
            async with asyncio.timeout(settings.timeout):
                message = await client.model.ainvoke([dict(m) for m in sent])
        except Exception as error:
            if client.adapt(error, sent, with_form=False):
                continue
            proxy = through_proxy(client.endpoint.base_url)
            failure = classify(error, client.endpoint, has_replied=False, key=client.key, proxy=proxy)
        else:
            seconds = time.perf_counter() - began
            reply = read_reply(message.text, message.additional_kwargs.get(THOUGHTS, ""), prompt=QUESTION)
            token = control_token(reply.text, QUESTION)
            found = classify_reply(message, reply.text, call, client.endpoint, token)
            if found is None:
                shown = " ".join(keys.redact_reply(reply.text).split())[:60]
                notes = _taken_off(reply, keys) + _unknown_end(message)
                notes += _tier(message, settings.tier(role))
                return Finding("call", True, f"answered in {seconds:.2f} s: “{shown}”{notes}")
            return Finding("call", False, _unusable(found, reply, keys))
        return Finding("call", False, f"{failure.kind.key}: {failure.describe(keys.redact)}")


def _unusable(failure: Failure, reply: Reply, keys: Keys) -> str:
    """Return why a reply cannot be used, and what came in its place."""
    description = f"{failure.kind.key}: {failure.describe(keys.redact)}"
    if reply.text or not reply.thoughts:
        return description
    shown = " ".join(keys.redact_reply(reply.thoughts).split())
    shown = shown if len(shown) <= 60 else f"{shown[:30].rstrip()} … {shown[-30:].lstrip()}"
    return (
        f"{description}\nAll that it sent came as thoughts, which are never read as the reply: “{shown}”\n"
        "If they are the reply, turn thinking off, or the server's parser of thoughts."
    )


def _taken_off(reply: Reply, keys: Keys) -> str:
    """Return what was taken off a reply, for its finding; empty where it was nothing."""
    parts = ["thoughts"] if reply.thoughts else []
    parts += [keys.redact_reply(mark)[:40] for mark in reply.marks[:5]]
    return f"\nTaken off the reply, as in a run: {', '.join(parts)}" if parts else ""


def _unknown_end(message: AIMessage) -> str:
    """Return a remark on a finish reason that does not say that the reply is whole; empty where it does."""
    reason = finish_reason(message)
    if reason is None or finish_key(reason) in WHOLE | AT_LIMIT:
        return ""
    return f"\nIt ended the reply with {reason}: a draft that ends so counts as cut off"


def _tier(message: AIMessage, asked: str | None) -> str:
    """Return in which service tier a call was served; empty where it asked for none."""
    if asked is None:
        return ""
    served = message.additional_kwargs.get(SERVICE_TIER)
    if served == asked:
        return f"\nServed in the tier {served}"
    names = f"{served}, whose price counts" if served else "none, so the default price counts"
    return f"\nIt asked for the tier {asked}, and the reply names {names}"


async def _verdict(
    client: RoleClient, settings: ModelSettings, keys: Keys, trial: VerdictTrial
) -> AsyncIterator[Finding]:
    """Ask for a verdict as in a run; report whether it can be read, and whether it was held to its form."""
    messages, was_refused = trial.messages, False
    text = ""
    asked, fields = 0, {}
    while asked <= trial.retries:
        stated = Call(
            "check", "", 0, 1, "check", "judge", messages, "verdict", asked=asked + 1, form=trial.form
        )
        call, too_long = await client.state.context.fit(stated, client.shape)
        if too_long:
            yield Finding("verdict", False, too_long.summary)
            return
        sent, fields = client.shape(call.messages), client.fields(call)
        try:
            async with asyncio.timeout(settings.timeout):
                message = await client.model.ainvoke([dict(m) for m in sent], **fields)
        except Exception as error:
            if client.adapt(error, sent, with_form=bool(fields)):
                was_refused = was_refused or not client.state.accepts_forms
                continue
            proxy = through_proxy(client.endpoint.base_url)
            failure = classify(error, client.endpoint, has_replied=True, key=client.key, proxy=proxy)
            yield Finding("verdict", False, f"{failure.kind.key}: {failure.describe(keys.redact)}")
            return
        asked += 1
        reply = read_reply(message.text, message.additional_kwargs.get(THOUGHTS, ""))
        text = reply.text
        if found := classify_reply(message, text, call, client.endpoint, control_token(text, messages)):
            yield Finding("verdict", False, _unusable(found, reply, keys))
            return
        if trial.is_readable(text):
            break
        messages = [*messages, Message(role="assistant", content=text), *trial.reminder]
    shown = " ".join(keys.redact_reply(text).split())[:60]
    if trial.is_readable(text):
        yield Finding("verdict", True, f"can be read{' when asked again' if asked > 1 else ''}: “{shown}”")
    else:
        yield Finding(
            "verdict", False, f"cannot be read: “{shown}”\nAnother model may judge: --model judge=…"
        )
    otherwise = "verdicts are read from the judge's free text"
    server = client.form_server
    if was_refused:
        yield Finding("verdict's form", None, f"not taken by this server: {otherwise}")
    elif fields and server:
        name = next(iter(form_fields(server, trial.form)))
        if holds_form(server, trial.form, text):
            yield Finding("verdict's form", True, "held to the form")
        else:
            yield Finding("verdict's form", None, f"this server ignores `{name}`: {otherwise}")
    elif server:
        yield Finding("verdict's form", None, f"`extra_body` asks for a form of its own: {otherwise}")
