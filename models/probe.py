"""Tries a model with one real call, to find what would stop a run before it starts."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from openai import DefaultAioHttpClient

from models.call import Call, Message
from models.errors.classify import classify, classify_reply
from models.errors.kinds import Failure
from models.keys import Keys, MissingKey
from models.limits.budget import longest_reply
from models.limits.context_window import QUERY_TIMEOUT, model_card
from models.limits.rate_limiter import ConcurrencyPool
from models.policy import GatewayPolicy
from models.providers.chat_models import chat_model
from models.providers.parameters import OLD
from models.providers.proxies import through_proxy
from models.providers.reply import reply_text
from models.providers.reply_forms import form_fields, holds_form
from models.routing.role_client import RoleClient
from models.routing.router import endpoint_state, role_client
from models.settings import KEY_NAMES, Endpoint, ModelSettings, Role

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
    async with DefaultAioHttpClient() as http:
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
        if "judge" in roles:
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
            text = reply_text(message.text)
            found = classify_reply(message, text, call, client.endpoint)
            if found is None:
                reply = " ".join(keys.redact_reply(text).split())[:60]
                return Finding("call", True, f"answered in {seconds:.2f} s: “{reply}”")
            failure = found
        description = f"{failure.kind.key}: {failure.describe(keys.redact)}"
        return Finding("call", False, description + _suggested_address(failure, client.endpoint))


def _suggested_address(failure: Failure, endpoint: Endpoint) -> str:
    """Return what to try where nothing is found at an address without a version."""
    url = endpoint.base_url or ""
    if failure.code != "404" or endpoint.provider not in ("openai", "vllm") or re.search(r"/v\d", url):
        return ""
    return f"\nMost servers have their API below /v1: try --base-url {url}/v1"


async def _verdict(
    client: RoleClient, settings: ModelSettings, keys: Keys, trial: VerdictTrial
) -> AsyncIterator[Finding]:
    """Ask for a verdict as in a run; report whether it can be read, and whether it was held to its form."""
    messages, was_refused = trial.messages, False
    text = written = ""
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
        written = message.text
        text = reply_text(written)
        if found := classify_reply(message, text, call, client.endpoint):
            yield Finding("verdict", False, f"{found.kind.key}: {found.describe(keys.redact)}")
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
    if marks := list(dict.fromkeys(_MARKS.findall(written))):
        shown = ", ".join(f"`{mark}`" for mark in marks[:3])
        yield Finding("reply", None, f"holds {shown}: the server should take thoughts and control tokens off")


_MARKS = re.compile(
    r"</?(?:think|thinking|thought)>|\[/?(?:THINK|INST)\]|<\|[a-z_]{2,30}\|>|<｜[^｜<>]{2,30}｜>"
    r"|<(?:start|end)_of_turn>|</?s>"
)
"""What chat templates and thinking models put around a reply."""
