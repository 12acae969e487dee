"""The one door through which every model call goes.

It keeps to the limits on calls in flight, tries again what is worth trying again, shapes messages for
providers that need it, and makes one record of each call, which is on file before the reply is used. A call
that is on file already is answered from there, at no cost.

What it does not know: graphs, what an agent is for, and where records are kept.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import blake2b
from json import dumps
from typing import Any, Protocol, Self

from httpx2 import Limits
from langchain_core.language_models import BaseChatModel
from openai import DefaultAioHttpClient
from pydantic import SecretStr

from models.attempt import Attempt, Effort
from models.call import Call, CallRecord
from models.errors.classify import diagnose, never_right
from models.errors.kinds import (
    GIVEN_UP,
    NEVER_RIGHT,
    TOO_MANY_FILES,
    UNREACHABLE,
    CallFailed,
    Diagnosis,
    RunStopped,
)
from models.keys import Keys
from models.limits.budget import Budget, Reservation, Usage, longest_reply
from models.limits.context_window import Room
from models.limits.rate_limiter import Traffic
from models.limits.vllm_queue import Pressure
from models.providers.chat_models import chat_model
from models.providers.openai_chat import answer
from models.providers.parameters import formed, identity, reply_limit
from models.routing.circuit_breaker import KNOCK, Outage
from models.routing.endpoint_state import Line, Standing, Waiting, name_apart
from models.routing.load_balancer import Elsewhere, Replicas
from models.settings import ROLES, Endpoint, ModelSettings, Role, located
from samples.tokens import estimate_tokens

MOST_ATTEMPTS = 12
"""Attempts at one call. Where three in ten fail, one call in two million fails this often; and with the waits
between them (1, 2, 4 … 60 seconds) they last six minutes: long enough for a server's restart."""

LONGEST_CALL = 1800.0
"""Seconds that the attempts at one call and the waits between them may take, those not counted that the
server asked for: all attempts at the default time limit."""

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds to wait before a second attempt, and at most before any; a server may ask for longer."""

ATTEMPTS_AT_FIRST = 3
"""Attempts to reach an endpoint that never answered: a wrong address shows itself within seconds."""

PATIENCE = 300.0
"""Seconds without a sign of a model that did answer before, or with nothing but failures of all calls, until
the run stops. A server's restart with a large model takes minutes."""

IDLE = 4.0
"""Seconds that an unused connection is kept. Servers commonly close theirs after five, and a request that
meets the closing is lost."""

LONGER = 1.25
"""A reply that is so many times as long as its limit shows that the limit was ignored: providers count
differently, but not that much."""


class Recall(Protocol):
    """Looks a call up on file."""

    def __call__(self, call: Call, request: str) -> str | None:
        """The reply to this very request at this call's address, None where there is none.

        Raises:
            CallFailed: it is on file as one that cannot be done.
        """
        ...


class Door:
    """Speaks to the models of a run. Use it as an async context manager, in one event loop.

    Args:
        settings: which models, and how they are asked.
        keys: the keys of this process.
        concurrency: the most calls in flight.
        rpm: the most calls a minute to each endpoint (a model and where it is served; each replica alone).
        tpm: the most tokens a minute to each endpoint, of prompts and replies.
        record: keeps the record of a call; when it returns, the record is safe.
        recall: looks a call up on file.
        budget: what the run may spend.
        failed_before: whether the samples include all those that failed before. That their calls are refused
            once more says nothing of the settings.
        tell: told what a person should know of an endpoint, once.
        began_with: the `max_tokens` that the run began with, by which its calls are found on file. As a limit
            it may be another by now.

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
        rpm: float | None = None,
        tpm: float | None = None,
        budget: Budget | None = None,
        failed_before: bool = False,
        tell: Callable[[str], None] = lambda _: None,
        began_with: int | None = None,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._record = record
        self._recall = recall
        self._budget = budget
        self._failed_before = failed_before
        self._tell = tell
        self._began_with = began_with or settings.max_tokens
        self._counts_tokens = tpm is not None
        self._traffic = Traffic(concurrency)
        # The lanes are the limit on calls in flight. 0 is what the transport takes for "no limit"; for
        # None it would fall back to 100.
        limits = Limits(max_connections=0, max_keepalive_connections=None, keepalive_expiry=IDLE)
        self._client = DefaultAioHttpClient(limits=limits)
        self._standings: dict[Endpoint, Standing] = {}
        self._replicas: dict[Role, Replicas] = {}
        self._lines: dict[Role, dict[Standing, Line]] = {role: {} for role in ROLES}
        self._at_work: Counter[str] = Counter()
        self._unlimited: set[Endpoint] = set()
        self._limits = {role: reply_limit(settings.endpoint(role), role, settings) for role in ROLES}
        models: dict[tuple[Endpoint, SecretStr, str], BaseChatModel] = {}
        shared: dict[tuple[Endpoint, ...], Replicas] = {}
        for role in ROLES:
            endpoints = tuple(map(located, settings.replicas(role)))
            for endpoint in endpoints:
                key = keys.of(endpoint, role)
                if endpoint not in self._standings:
                    at = endpoint, key.get_secret_value(), self._client
                    room, lane = Room(*at, settings), self._traffic.lane(rpm, tpm)
                    pressure = Pressure(*at, lane) if endpoint.provider == "vllm" else None
                    self._standings[endpoint] = Standing(endpoint, lane, room, pressure)
                # Making one takes a while; the rehearsal's know their role, others what is sent for it.
                extra = settings.further(role)
                which = (
                    endpoint,
                    key,
                    role if endpoint.provider == "rehearsal" else dumps(extra, sort_keys=True),
                )
                if which not in models:
                    models[which] = chat_model(endpoint, role, settings, key, self._client)
                standing = self._standings[endpoint]
                self._lines[role][standing] = Line(
                    models[which],
                    standing,
                    identity(endpoint, role, settings),
                    formed(endpoint, role, settings),
                    keys.variable(endpoint, role),
                )
            self._replicas[role] = shared.setdefault(endpoints, Replicas(tuple(self._lines[role])))
        name_apart(tuple(self._standings.values()))
        self._calls: set[asyncio.Task[str]] = set()
        self._stopped: RunStopped | None = None
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure:  # told to stop at once
            for task in self._calls:
                task.cancel()
        await self.drain()
        for standing in self._standings.values():
            if standing.pressure:
                await standing.pressure.close()
        await self._client.aclose()

    @property
    def in_flight(self) -> int:
        """Calls that a model is working on."""
        return self._traffic.concurrency - self._traffic.free

    def waiting(self) -> list[Waiting]:
        """The calls that wait for more than a place in flight, and for what."""
        now = asyncio.get_running_loop().time()
        waiting = [waiting for standing in self._standings.values() for waiting in standing.waiting(now)]
        return waiting + (self._budget.waiting() if self._budget else [])

    def outages(self) -> list[Outage]:
        """The replicas that do not work, while others do."""
        found = (outage for replicas in self._replicas.values() for outage in replicas.outages())
        return list(dict.fromkeys(found))

    @contextmanager
    def at_work(self, sample: str) -> Iterator[None]:
        """While a sample is worked on, all its calls to a model go to the same replica of it."""
        self._at_work[sample] += 1
        try:
            yield
        finally:
            self._at_work[sample] -= 1
            if not self._at_work[sample]:
                del self._at_work[sample]
                for replicas in self._replicas.values():
                    replicas.leave(sample)

    def stop(self, reason: RunStopped) -> None:
        """Start no further call: those in flight are finished and recorded, all others raise `reason`."""
        self._stopped = self._stopped or reason
        self._stopping.set()
        for standing in self._standings.values():
            standing.lane.stop(self._stopped)

    async def drain(self) -> None:
        """Wait until no call is in flight."""
        while self._calls:
            await asyncio.wait(self._calls)

    async def landed(self, sample: str) -> None:
        """Wait until no call of a sample is in flight: one that failed may have left another behind."""
        if calls := [task for task in self._calls if task.get_name() == sample]:
            await asyncio.wait(calls)

    async def ask(self, call: Call) -> str:
        """The reply to a call, once it is on file.

        Raises:
            CallFailed: this call cannot be done.
            RunStopped: the run cannot go on, or was told to stop.
        """
        request = self._fingerprint(call)
        known = self._recall(call, request)
        if known is not None:
            return known
        # A graph cancels a node when the one beside it fails. The call is paid for all the same, so it
        # runs in a task of its own to its end and onto file.
        effort = Effort()
        task = asyncio.create_task(self._make(call, request, effort), name=call.sample)
        self._calls.add(task)
        task.add_done_callback(self._landed)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Nobody waits for it any more: it is not sent once more.
            effort.is_unwanted = True
            if effort.is_idle:
                task.cancel()
            raise

    async def _make(self, call: Call, request: str, effort: Effort) -> str:
        try:
            with self.at_work(call.sample):
                return await self._insist(call, request, effort, self._replicas[call.role])
        finally:
            effort.leave()

    async def _insist(self, stated: Call, request: str, effort: Effort, replicas: Replicas) -> str:
        while True:
            # Each time anew: what was learned of the endpoint meanwhile may have changed the messages' form,
            # and the sample may have moved.
            now = asyncio.get_running_loop().time()
            line = self._lines[stated.role][replicas.of(stated.sample, now)]
            call, too_long = await line.standing.room.fit(stated, line.shaped)
            if too_long:
                unsent = Attempt(line.shaped(call.messages), {}, time.time(), failure=too_long)
                return await self._conclude(call, request, line, unsent, effort)
            if self._stopped:
                raise self._stopped
            try:
                attempt = await self._paid_attempt(call, line, effort)
            except Elsewhere:
                continue
            except asyncio.CancelledError:
                if effort.given_up:
                    effort.attempts += 1
                    await self._put_down(call, request, line, effort.given_up, effort)
                raise
            effort.attempts += 1
            effort.seconds += attempt.latency
            self._measure(attempt, call.role, line.endpoint)
            if attempt.taught:
                continue
            failure = attempt.failure
            if failure and not effort.is_unwanted and self._worth_another(failure, effort, replicas):
                if not (line.standing.health.down and replicas.one_lives):
                    await self._wait(failure, effort, line.standing)
                continue
            if failure and failure.remedy == "give up call" and failure.meaning in NEVER_RIGHT:
                await line.debut.judged()
                if self._stopped:
                    raise self._stopped
            return await self._conclude(call, request, line, attempt, effort)

    def _measure(self, attempt: Attempt, role: Role, endpoint: Endpoint) -> None:
        """Tell of an endpoint that does not keep to the limit on replies."""
        said, limit = attempt.output_tokens or 0, self._limits[role]
        if limit is None or said <= LONGER * limit or endpoint in self._unlimited:
            return
        self._unlimited.add(endpoint)
        self._tell(
            f"{endpoint.model} at {endpoint.base_url} ignores the limit on replies: one of {said:,} tokens "
            f"came, and the limit is {limit:,}. Give it in a field that this server knows with --extra-body"
        )

    async def _paid_attempt(self, call: Call, line: Line, effort: Effort) -> Attempt:
        if self._budget is None:
            return await self._attempt(call, line, effort)
        attempt: Attempt | None = None
        reservation = await self._reserve(self._budget, call, line, effort)
        try:
            if self._stopped:  # while it waited
                raise self._stopped
            attempt = await self._attempt(call, line, effort)
            return attempt
        finally:
            # Without an attempt it never left, or the run was given up.
            self._budget.settle(reservation, attempt.usage if attempt else Usage(0, 0, 0))

    async def _reserve(self, budget: Budget, call: Call, line: Line, effort: Effort) -> Reservation:
        try:
            most = longest_reply(self._settings, call.role)
            with effort.idle():
                return await budget.reserve(line.endpoint, line.shaped(call.messages), most)
        except RunStopped as reason:
            self.stop(reason)
            raise

    async def _attempt(self, call: Call, line: Line, effort: Effort) -> Attempt:
        standing, replicas = line.standing, self._replicas[call.role]
        tokens = 0.0
        if self._counts_tokens:
            prompt = sum(estimate_tokens(message["content"]) for message in call.messages)
            tokens = standing.expect(prompt, self._settings.max_tokens)
        with effort.idle():
            flight = await standing.lane.enter(tokens, again=effort.attempts > 0)
        effort.set_out(line)
        if standing.pressure:
            standing.pressure.watch()
        attempt = Attempt(line.shaped(call.messages), line.fields(call), time.time())
        clock = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.timeout):
                message = await answer(line.model, attempt.messages, attempt.fields, call)
            attempt.answered(message, call, line.endpoint)
            standing.health.has_answered = True
            line.debut.answered()
            if attempt.output_tokens:
                standing.learn_output(attempt.output_tokens)
        except asyncio.CancelledError:
            effort.given_up, attempt.failure = attempt, Diagnosis(GIVEN_UP, "interrupted twice")
            raise
        except Exception as error:
            attempt.refused(error)
            attempt.taught = line.learn(error, attempt.messages, formed=bool(attempt.fields))
            if not attempt.taught:
                # Before its place goes to another call, which could only fail as well.
                attempt.failure = self._diagnosed(error, call, line, effort)
        finally:
            attempt.latency = time.perf_counter() - clock
            failure = attempt.failure
            used = (attempt.input_tokens or 0) + (attempt.output_tokens or 0)
            standing.lane.leave(
                flight,
                tokens=used or (0 if failure else tokens),
                refused=failure is not None and failure.remedy == "slow down",
                wait=failure.wait if failure else None,
            )
        if standing.pressure and not attempt.error:
            said = attempt.output_tokens or estimate_tokens(attempt.reply)
            standing.pressure.answered(attempt.latency, said)
        replicas.heard(standing, failure, call.sample, flight.started, asyncio.get_running_loop().time())
        return attempt

    def _diagnosed(self, error: Exception, call: Call, line: Line, effort: Effort) -> Diagnosis:
        """What the error means; where that is the end of the run, it is told to stop."""
        standing, replicas = line.standing, self._replicas[call.role]
        has_answered = standing.health.has_answered
        failure = diagnose(error, line.endpoint, has_answered=has_answered, key=line.key)
        ends = failure.remedy == "stop run" and not replicas.can_spare(standing)
        expected = self._failed_before and failure.remedy == "give up call"
        if not expected and line.debut.is_mistake(failure, effort, call.sample):
            failure, ends = never_right(failure, call.role, line.endpoint), True
        if ends or failure.meaning is TOO_MANY_FILES:
            self.stop(RunStopped(failure.told(self._keys.redact)))
        return failure

    def _worth_another(self, failure: Diagnosis, effort: Effort, replicas: Replicas) -> bool:
        if failure.remedy == "stop run":
            return not self._stopped  # other replicas do its work
        if failure.remedy == "give up call":
            return False
        if failure.meaning is not UNREACHABLE:
            effort.tries += 1
            if effort.tries < MOST_ATTEMPTS and effort.seconds < LONGEST_CALL:
                return True
            since = replicas.fruitless_since
            return since is not None and asyncio.get_running_loop().time() < since + PATIENCE
        if replicas.one_lives:
            return True
        if not replicas.has_answered:
            return effort.attempts < ATTEMPTS_AT_FIRST
        # As long as nobody can be reached, time counts and not how often a call knocked.
        since = replicas.silent_since
        return since is None or asyncio.get_running_loop().time() < since + PATIENCE

    async def _wait(self, failure: Diagnosis, effort: Effort, standing: Standing) -> None:
        longest = KNOCK if failure.meaning is UNREACHABLE else LONGEST_WAIT
        # Jitter spreads out the calls that failed together.
        seconds = min(longest, FIRST_WAIT * 2 ** (effort.attempts - 1)) * random.uniform(0.5, 1)  # noqa: S311
        if failure.wait:
            seconds = max(failure.wait, seconds)
        else:
            effort.seconds += seconds
        with effort.idle(), standing.resting(failure.meaning.name, seconds), suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _conclude(self, call: Call, request: str, line: Line, attempt: Attempt, effort: Effort) -> str:
        failure = attempt.failure
        if failure and not effort.is_unwanted:
            self._stop_in_outage(failure, call, effort)
        reply = await self._put_down(call, request, line, attempt, effort)
        if not failure:
            return reply
        if failure.remedy == "give up call" or not self._stopped:
            words = failure.told(self._keys.redact, effort.attempts)
            raise CallFailed(failure.meaning.name, words, step=call.step, round=call.round)
        raise self._stopped

    async def _put_down(self, call: Call, request: str, line: Line, attempt: Attempt, effort: Effort) -> str:
        """Put the call's record on file; gives the reply as it stands there."""
        failure = attempt.failure
        words = failure.told(self._keys.redact, effort.attempts) if failure else ""
        record = CallRecord(
            call=replace(call, shortenable=None),
            request=request,
            model=line.endpoint.model,
            messages=attempt.messages,
            reply=self._keys.redact_reply(attempt.reply),
            finish_reason=attempt.finish_reason,
            input_tokens=attempt.input_tokens,
            output_tokens=attempt.output_tokens,
            cached_tokens=attempt.cached_tokens,
            started=attempt.started,
            latency=attempt.latency,
            attempts=effort.attempts,
            failure=f"{failure.meaning.name}: {words}" if failure else None,
            code=self._keys.redact(failure.code) if failure and failure.code else None,
        )
        await self._record(record)
        return record.reply

    def _stop_in_outage(self, failure: Diagnosis, call: Call, effort: Effort) -> None:
        """Stop the run where a call that may pass is given up for what is no fault of its own."""
        since = self._replicas[call.role].fruitless_since
        if failure.meaning is not UNREACHABLE and failure.remedy in ("retry", "slow down"):
            if since is None:
                return
            minutes = (asyncio.get_running_loop().time() - since) / 60
            advice = f"No call had a reply for {minutes:.0f} minutes. The same command goes on from here."
            failure = replace(failure, advice=advice)
        elif failure.meaning is not UNREACHABLE:
            return
        self.stop(RunStopped(failure.told(self._keys.redact, effort.attempts)))

    def _fingerprint(self, call: Call) -> str:
        s, line = self._settings, next(iter(self._lines[call.role].values()))  # the same for all replicas
        asked: list[Any] = [line.endpoint.model, s.temperature, s.top_p, self._began_with, call.messages]
        asked += line.identity
        if call.form and call.form in line.forms:
            asked.append(line.forms[call.form]["structured_outputs"])
        return blake2b(dumps(asked).encode(), digest_size=12).hexdigest()

    def _landed(self, task: asyncio.Task[str]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # seen here, in case its node is gone
