"""The one door through which every model call goes.

It bounds the calls in flight, tries again what is worth trying again, shapes messages for providers that
need it, and makes one record of each call, which is on file before the reply is used. A call that is on
file already is answered from there, at no cost.

What it does not know: graphs, what an agent is for, and where records are kept.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from json import dumps
from typing import Any, Protocol, Self

from httpx2 import Limits
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from openai import DefaultAioHttpClient

from models.call import Call, CallRecord
from models.chat import chat_model, located
from models.failures import CallFailed, Diagnosis, RunStopped, diagnose
from models.keys import KEY_NAMES, Keys
from models.settings import ROLES, Endpoint, ModelSettings, Role
from models.shaping import alternating, without_system
from prompts.pack import Message

MAX_ATTEMPTS = 8
"""Attempts at one call. With the waits between them (1, 2, 4 … 60 seconds) about four minutes: long enough
for a server's restart, short enough that a sample is not held for hours."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds to wait before a second attempt, and at most before any; a server may ask for longer."""

ATTEMPTS_AT_FIRST = 3
"""Attempts while an endpoint has never answered: a wrong address shows itself within seconds."""


class Recall(Protocol):
    """Looks a call up on file."""

    def __call__(self, call: Call, request: str) -> str | None:
        """The reply to this very request at this call's address, None where there is none."""
        ...


class Door:
    """Speaks to the models of a run. Use it as an async context manager, in one event loop.

    Args:
        settings: which models, and how they are asked.
        keys: the keys of this process.
        concurrency: the most calls in flight.
        record: keeps the record of a call; when it returns, the record is safe.
        recall: looks a call up on file.

    Raises:
        MissingKey: when it is made, where a role's model needs a key that there is not.
    """

    def __init__(
        self,
        settings: ModelSettings,
        keys: Keys,
        *,
        concurrency: int,
        record: Callable[[CallRecord], Awaitable[None]],
        recall: Recall,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._record = record
        self._recall = recall
        self._slots = asyncio.Semaphore(concurrency)
        # The slots are the limit on calls in flight; the pool must not be a second one.
        self._client = DefaultAioHttpClient(
            limits=Limits(max_connections=None, max_keepalive_connections=None)
        )
        self._lines: dict[Role, _Line] = {}
        shared: dict[Endpoint, _Standing] = {}
        for role in ROLES:
            endpoint = located(settings.endpoint(role))
            model = chat_model(endpoint, role, settings, keys.of(endpoint), self._client)
            standing = shared.setdefault(endpoint, _Standing())
            self._lines[role] = _Line(endpoint, model, standing)
        self._in_flight: set[asyncio.Task[str]] = set()
        self._stopped: RunStopped | None = None
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure:  # told to stop at once
            for task in self._in_flight:
                task.cancel()
        await self.drain()
        await self._client.aclose()

    @property
    def in_flight(self) -> int:
        """Calls that have been started and are not finished."""
        return len(self._in_flight)

    def stop(self, reason: RunStopped) -> None:
        """Start no further call: those in flight are finished and recorded, all others raise `reason`."""
        self._stopped = self._stopped or reason
        self._stopping.set()

    async def drain(self) -> None:
        """Wait until no call is in flight."""
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    async def ask(self, call: Call) -> str:
        """The reply to a call, once it is on file.

        Raises:
            CallFailed: this call cannot be done.
            RunStopped: the run cannot go on, or was told to stop.
        """
        line = self._lines[call.role]
        request = self._fingerprint(call, line)
        known = self._recall(call, request)
        if known is not None:
            return known
        # A graph cancels a node when the one beside it fails. The call is paid for all the same, so it
        # runs in a task of its own to its end and onto file.
        task = asyncio.create_task(self._make(call, request, line))
        self._in_flight.add(task)
        task.add_done_callback(self._landed)
        return await asyncio.shield(task)

    def _landed(self, task: asyncio.Task[str]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled():
            task.exception()  # seen here, in case its node is gone

    def _fingerprint(self, call: Call, line: "_Line") -> str:
        s = self._settings
        asked = [line.endpoint.model, s.temperature, s.top_p, s.max_tokens, call.messages]
        if line.endpoint.provider == "rehearsal":
            asked.append(s.rehearsal_wins)
        return blake2b(dumps(asked).encode(), digest_size=12).hexdigest()

    async def _make(self, call: Call, request: str, line: "_Line") -> str:
        async with self._slots:
            attempts = 0
            while True:
                if self._stopped:
                    raise self._stopped
                attempts += 1
                messages = line.shaped(call.messages)
                started, clock = time.time(), time.perf_counter()
                try:
                    message = await line.model.ainvoke([dict(m) for m in messages])
                    diagnosis = None
                except Exception as error:
                    message = AIMessage(content="")
                    if line.learn(error):
                        continue
                    diagnosis = diagnose(error, line.endpoint, self._key_name(line.endpoint))
                latency = time.perf_counter() - clock
                if diagnosis is None:
                    line.standing.has_answered = True
                    diagnosis = _unusable(message, call)
                elif diagnosis.remedy == "retry" and attempts < self._most_attempts(line, diagnosis):
                    await self._wait(attempts, diagnosis)
                    continue
                record = _record(call, request, line, messages, message, started, latency, attempts)
                return await self._conclude(record, diagnosis, attempts)

    async def _conclude(self, record: CallRecord, diagnosis: Diagnosis | None, attempts: int) -> str:
        if diagnosis is None:
            await self._record(record)
            return record.reply
        words = self._keys.redact(diagnosis.message)
        if attempts > 1:
            words += f" (after {attempts} attempts)"
        if diagnosis.remedy == "stop run" or diagnosis.reason == "unreachable":
            self.stop(RunStopped(words))
            raise RunStopped(words)
        failure = CallFailed(diagnosis.reason, words, step=record.call.step, round=record.call.round)
        await self._record(replace(record, failure=f"{diagnosis.reason}: {words}"))
        raise failure

    def _most_attempts(self, line: "_Line", diagnosis: Diagnosis) -> int:
        if diagnosis.reason == "unreachable" and not line.standing.has_answered:
            return ATTEMPTS_AT_FIRST
        return MAX_ATTEMPTS

    async def _wait(self, attempts: int, diagnosis: Diagnosis) -> None:
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempts - 1))
        # Jitter spreads out the calls that failed together.
        seconds = diagnosis.wait or longest * random.uniform(0.5, 1)  # noqa: S311 - no secret
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _key_name(self, endpoint: Endpoint) -> str:
        return KEY_NAMES.get(endpoint.provider, "the environment")


class _Standing:
    """What has been learned of an endpoint; shared by the roles that use it."""

    def __init__(self) -> None:
        self.has_answered = False
        self.knows_system = True


class _Line:
    """The model of one role and how its messages are shaped."""

    def __init__(self, endpoint: Endpoint, model: BaseChatModel, standing: _Standing) -> None:
        self.endpoint = endpoint
        self.model = model
        self.standing = standing

    def shaped(self, messages: list[Message]) -> list[Message]:
        shaped = alternating(messages)
        return shaped if self.standing.knows_system else without_system(shaped)

    def learn(self, error: Exception) -> bool:
        """Whether the error is a chat template's refusal of system messages, which are left out from now on.

        The words are those of templates in use, which vLLM hands on with status 400.
        """
        refusal = getattr(error, "status_code", None) == 400 and any(
            sign in str(error).lower()
            for sign in (
                "system role not supported",
                "roles must alternate",
                "only user and assistant",
            )
        )
        if refusal and self.standing.knows_system:
            self.standing.knows_system = False
            return True
        return False


def _unusable(message: AIMessage, call: Call) -> Diagnosis | None:
    finish = message.response_metadata.get("finish_reason")
    if finish in ("content_filter", "sensitive"):
        return Diagnosis("give up call", "content filter", "the provider withheld the reply")
    if not message.text.strip():
        return Diagnosis("give up call", "empty reply", "the model's reply is empty")
    if call.whole and finish == "length":
        return Diagnosis(
            "give up call",
            "truncated",
            "the draft was cut off at the limit for replies; max_tokens may be too low",
        )
    return None


def _record(
    call: Call,
    request: str,
    line: _Line,
    messages: list[Message],
    message: AIMessage,
    started: float,
    latency: float,
    attempts: int,
) -> CallRecord:
    usage: Any = message.usage_metadata or {}
    return CallRecord(
        call=call,
        request=request,
        model=line.endpoint.model,
        messages=messages,
        # Half a surrogate pair, which JSON can carry and UTF-8 cannot, would fit in no file.
        reply=message.text.encode("utf-8", "replace").decode(),
        finish_reason=message.response_metadata.get("finish_reason"),
        input_tokens=usage.get("input_tokens"),
        output_tokens=usage.get("output_tokens"),
        cached_tokens=usage.get("input_token_details", {}).get("cache_read"),
        started=started,
        latency=latency,
        attempts=attempts,
    )
