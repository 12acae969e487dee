"""The gateway: every model call goes through it.

It keeps to the run's limits, retries what is worth retrying, shapes messages for providers that need it, and
makes one record of each call, which is on disk before the reply is used. A recorded call is answered from the
record, at no cost.

It does not know graphs, what an agent is for, or where records are kept.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from hashlib import blake2b
from json import dumps
from typing import Any, Protocol, Self

from httpx2 import Limits as ConnectionLimits
from langchain_core.messages import AIMessage

from models.attempt import Attempt, RetryState
from models.call import Call, CallRecord
from models.errors.classify import classify, refused_alike, wrong_settings
from models.errors.exceptions import BadResponse, CallFailed, RunStopped
from models.errors.kinds import (
    ABANDONED,
    AT_STARTUP,
    NO_ROOM,
    TOO_MANY_FILES,
    UNREACHABLE,
    Failure,
)
from models.keys import Keys
from models.lengths import PromptLengths, ReplyLimits
from models.limits.budget import Reservation, Spending, Usage, longest_reply
from models.limits.rate_limiter import WaitReason
from models.policy import GatewayPolicy
from models.providers.http_client import http_client
from models.providers.openai_chat import ask_model
from models.providers.proxies import through_proxy
from models.routing.circuit_breaker import Outage
from models.routing.load_balancer import Rerouted
from models.routing.refusal_check import SentRequest
from models.routing.role_client import RoleClient
from models.routing.router import Router
from models.settings import Endpoint, Limits, ModelSettings, Role
from samples.tokens import estimate_tokens

KEEPALIVE = 4.0
"""Seconds that an idle connection is kept. Servers commonly close theirs after five, and a request that meets
the closing is lost."""


class Recall(Protocol):
    """Looks a call up in the record."""

    def __call__(self, call: Call, request: str) -> str | None:
        """Return the recorded reply to this very request at this call's address, None where there is none.

        Raises:
            CallFailed: the record says that it cannot be done.
        """
        ...


class Gateway:
    """Speaks to the models of a run. An async context manager, for one event loop.

    Args:
        settings: which models, and how they are asked.
        limits: how much is asked of them.
        keys: the keys of this process.
        record: store the record of a call; when it returns, the record is on disk.
        recall: look a call up in the record.
        budget: what the run may spend.
        policy: retries and waits.
        retrying_failed: whether the samples include all those that failed before, so that refused calls say
            nothing about the settings or the endpoint.
        notify: receives what a user should know about an endpoint, once each.
        began_with: the `max_tokens` that the run began with, by which its calls are found in the record; it
            may have been raised since.

    Raises:
        MissingKey: when created, where a role's model needs a key that is not set.
    """

    def __init__(
        self,
        settings: ModelSettings,
        limits: Limits,
        keys: Keys,
        *,
        record: Callable[[CallRecord], Awaitable[None]],
        recall: Recall,
        budget: Spending | None = None,
        policy: GatewayPolicy | None = None,
        retrying_failed: bool = False,
        notify: Callable[[str], None] = lambda _: None,
        began_with: int | None = None,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._record = record
        self._recall = recall
        self._budget = budget
        self._policy = policy or GatewayPolicy()
        self._retrying_failed = retrying_failed
        self._began_with = began_with or settings.max_tokens
        self._counts_tokens = limits.tpm is not None
        # The rate limiters bound the calls in flight. 0 means "no limit" to the transport; None would mean
        # 100.
        bounds = ConnectionLimits(
            max_connections=0, max_keepalive_connections=None, keepalive_expiry=KEEPALIVE
        )
        self._http = http_client(settings, limits=bounds)
        self._router = Router(settings, limits, keys, self._http, self._policy)
        self._reply_limits = ReplyLimits(settings, notify)
        self._prompt_lengths = PromptLengths(notify)
        self._tasks: set[asyncio.Task[str]] = set()
        self._refused: RunStopped | None = None
        self._stopped: RunStopped | None = None
        self._stopping = asyncio.Event()
        self.outage: Role | None = None
        """The role for which it stopped by itself, since its model could not be reached or did not answer."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure:  # asked to stop at once
            for task in self._tasks:
                task.cancel()
        await self.drain()
        await self._router.close()
        await self._http.aclose()

    @property
    def in_flight(self) -> int:
        """Calls that a model is working on."""
        return self._router.pool.in_flight

    @property
    def places_held(self) -> int:
        """Places in flight that are here, or still taken of those that were."""
        return max(self._router.pool.concurrency, self._router.pool.in_flight)

    def resize(self, places: int) -> None:
        """Set how many of the run's places in flight are here, and with them the part of all its limits."""
        self._router.pool.resize(places)

    def trust(self, roles: Sequence[Role]) -> None:
        """Take the settings of these roles for right; see `Router.trust`."""
        self._router.trust(roles)

    def unreachable(self) -> dict[Role, float]:
        """Return for how many seconds models could not be reached anywhere, by the roles that they play."""
        return self._router.unreachable(asyncio.get_running_loop().time())

    def waiting(self) -> list[WaitReason]:
        """Return the calls that wait for more than a place in flight, and why."""
        return self._router.waiting() + (self._budget.waiting() if self._budget else [])

    def outages(self) -> list[Outage]:
        """Return the replicas that are down while others are up."""
        return self._router.outages()

    def suspects(self) -> set[str]:
        """Return the samples that were refused where this need not be their own doing: no call that was sent
        after the refusal has had a reply so far."""
        return self._router.suspects()

    def refused(self) -> RunStopped | None:
        """Return why the samples in `suspects` failed at the end of a run, if it was an endpoint that began
        to refuse all calls: a replica that others replaced, or any with the last samples."""
        if self._retrying_failed or not (found := self._router.refused_at_the_end()):
            return self._refused
        return RunStopped(refused_alike(*found).describe(self._keys.redact))

    def at_work(self, sample: str, homes: Sequence[int] = ()) -> AbstractContextManager[None]:
        """Keep all calls of a sample to a model at the same replica; see `Router.at_work`."""
        return self._router.at_work(sample, homes)

    def stop(self, reason: RunStopped) -> None:
        """Start no further call: those in flight finish and are recorded, all others raise `reason`."""
        self._stopped = self._stopped or reason
        self._stopping.set()
        self._router.stop(self._stopped)

    async def drain(self, sample: str | None = None) -> None:
        """Wait until no call is in flight, or none of a sample: one that failed may have left another
        behind."""
        while tasks := [task for task in self._tasks if sample in (None, task.get_name())]:
            await asyncio.wait(tasks)

    async def ask(self, call: Call) -> str:
        """Return the reply to a call, once it is recorded.

        Raises:
            CallFailed: this call cannot be done.
            RunStopped: the run cannot continue, or was asked to stop.
        """
        request = self._request_hash(call)
        recorded = self._recall(call, request)
        if recorded is not None:
            return recorded
        # A graph cancels a node when its neighbour fails. The call is billed all the same, so it runs in a
        # task of its own until it is recorded.
        state = RetryState(self._policy)
        task = asyncio.create_task(self._call(call, request, state), name=call.sample)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            state.is_unwanted = True
            if state.is_idle:
                task.cancel()
            raise

    async def _call(self, call: Call, request: str, state: RetryState) -> str:
        try:
            with self.at_work(call.sample):
                return await self._until_done(call, request, state)
        finally:
            state.ended()

    async def _until_done(self, stated: Call, request: str, state: RetryState) -> str:
        balancer = self._router.balancer(stated.role)
        while True:
            # For each attempt again: what was learned of the endpoint may have changed the form of the
            # messages, and the sample may have moved.
            client = self._router.client(stated.role, stated.sample, asyncio.get_running_loop().time())
            call, too_long = await client.state.context.fit(stated, client.shape)
            if too_long:
                unsent = Attempt(client.shape(call.messages), {}, time.time(), failure=too_long)
                return await self._conclude(call, request, client, unsent, state)
            if self._stopped:
                raise self._stopped
            try:
                attempt = await self._budgeted_attempt(call, client, state)
            except Rerouted:
                continue
            except asyncio.CancelledError:
                if state.abandoned:
                    state.attempts += 1
                    await self._write(call, request, client, state.abandoned, state)
                raise
            state.attempts += 1
            state.seconds += attempt.latency
            self._reply_limits.check(attempt, call.role, client.endpoint)
            self._prompt_lengths.check(attempt, client.endpoint)
            if attempt.adapted:
                continue
            failure = attempt.failure
            if failure and not state.is_unwanted and self._should_retry(failure, state, call.role):
                if not (client.state.breaker.is_open and balancer.any_up):
                    await self._wait(failure, state, client)
                continue
            if failure and failure.remedy == "abandon call" and failure.kind in AT_STARTUP:
                await client.startup.decided()
                if self._stopped:
                    raise self._stopped
            return await self._conclude(call, request, client, attempt, state)

    async def _budgeted_attempt(self, call: Call, client: RoleClient, state: RetryState) -> Attempt:
        if self._budget is None:
            return await self._attempt(call, client, state)
        attempt: Attempt | None = None
        reservation = await self._reserve(self._budget, call, client, state)
        try:
            if self._stopped:  # while it waited
                raise self._stopped
            attempt = await self._attempt(call, client, state)
            return attempt
        finally:
            # Without an attempt it never left, or the run was abandoned.
            self._budget.settle(reservation, attempt.usage if attempt else Usage(0, 0, 0))

    async def _reserve(
        self, budget: Spending, call: Call, client: RoleClient, state: RetryState
    ) -> Reservation:
        try:
            most = longest_reply(self._settings, call.role)
            with state.idle():
                messages, tier = client.shape(call.messages), self._settings.tier(call.role)
                return await budget.reserve(client.endpoint, messages, most, tier)
        except RunStopped as reason:
            self.stop(reason)
            raise

    async def _attempt(self, call: Call, client: RoleClient, state: RetryState) -> Attempt:
        endpoint, limiter = client.state, client.state.limiter
        tokens = 0.0
        if self._counts_tokens:
            prompt = sum(estimate_tokens(message["content"]) for message in call.messages)
            tokens = endpoint.expected_tokens(prompt, self._settings.max_tokens)
        with state.idle():
            permit = await limiter.acquire(tokens, retry=state.attempts > 0)
        state.sending(client)
        if endpoint.queue:
            endpoint.queue.start_polling()
        attempt = Attempt(client.shape(call.messages), client.fields(call), time.time())
        sent = endpoint.refusals.sent(call.role, call.sample)
        clock = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.timeout):
                message = await ask_model(client.model, attempt.messages, attempt.fields, call)
            _take_in(attempt, message, call, client.endpoint)
            endpoint.breaker.has_replied = True
            client.startup.reply_received()
            if attempt.output_tokens:
                endpoint.learn_output(attempt.output_tokens)
        except asyncio.CancelledError:
            state.abandoned, attempt.failure = attempt, Failure(ABANDONED, "interrupted twice")
            raise
        except Exception as error:
            attempt.failed(error)
            attempt.adapted = client.adapt(error, attempt.messages, with_form="extra_body" in attempt.fields)
            if not attempt.adapted:
                # Before its place goes to another call, which could only fail as well.
                attempt.failure = self._classify(error, call, client, state)
        finally:
            attempt.latency = time.perf_counter() - clock
            self._check_refusals(attempt, sent, client)
            failure = attempt.failure
            used = (attempt.input_tokens or 0) + (attempt.output_tokens or 0)
            limiter.release(
                permit,
                tokens=used or (0 if failure else tokens),
                refused=failure is not None and failure.remedy == "slow down",
                wait=failure.wait if failure else None,
            )
        if endpoint.queue and not attempt.error:
            length = attempt.output_tokens or estimate_tokens(attempt.reply)
            endpoint.queue.reply_received(attempt.latency, length)
        now = asyncio.get_running_loop().time()
        self._router.balancer(call.role).record(endpoint, failure, call.sample, permit.started, now)
        return attempt

    def _classify(self, error: Exception, call: Call, client: RoleClient, state: RetryState) -> Failure:
        """Classify an error; where it ends the run, stop it."""
        endpoint = client.endpoint
        failure = classify(
            error,
            endpoint,
            has_replied=client.state.breaker.has_replied or client.state.is_trusted,
            key=client.key,
            proxy=through_proxy(endpoint.base_url),
        )
        ends_run = failure.remedy == "stop run" and not self._router.balancer(call.role).can_lose(
            client.state
        )
        is_expected = self._retrying_failed and failure.remedy == "abandon call"
        if not is_expected and client.startup.shows_wrong_settings(failure, state, call.sample):
            failure, ends_run = wrong_settings(failure, call.role, endpoint), True
        if ends_run or failure.kind is TOO_MANY_FILES:
            self.stop(RunStopped(failure.describe(self._keys.redact)))
        return failure

    def _check_refusals(self, attempt: Attempt, sent: SentRequest, client: RoleClient) -> None:
        """Where an endpoint has begun to refuse all calls alike, stop the run, or the use of this replica."""
        failure = attempt.failure
        answered = attempt.error is None and not (failure and failure.kind is ABANDONED)
        samples = client.state.refusals.ended(sent, failure, answered=answered)
        if not failure or not samples or self._retrying_failed:
            return
        attempt.failure = refused_alike(failure, samples)
        self._refused = RunStopped(attempt.failure.describe(self._keys.redact))
        if not self._router.balancer(sent.role).can_lose(client.state):
            self.stop(self._refused)

    def _should_retry(self, failure: Failure, state: RetryState, role: Role) -> bool:
        if failure.remedy == "stop run":
            return not self._stopped  # other replicas do its work
        return failure.may_pass and state.is_worthwhile(failure, self._router.balancer(role))

    async def _wait(self, failure: Failure, state: RetryState, client: RoleClient) -> None:
        seconds = state.next_wait(failure)
        with state.idle(), client.state.waiting_to_retry(failure.kind.key, seconds), suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _conclude(
        self, call: Call, request: str, client: RoleClient, attempt: Attempt, state: RetryState
    ) -> str:
        failure = attempt.failure
        if failure and not state.is_unwanted:
            self._stop_in_outage(failure, call, state)
        reply = await self._write(call, request, client, attempt, state)
        if not failure:
            return reply
        if failure.remedy == "abandon call" or not self._stopped:
            message = failure.describe(self._keys.redact, state.attempts)
            raise CallFailed(failure.kind.key, message, step=call.step, round=call.round)
        raise self._stopped

    async def _write(
        self, call: Call, request: str, client: RoleClient, attempt: Attempt, state: RetryState
    ) -> str:
        """Record the call; return the reply as it is recorded."""
        record = attempt.record(call, request, client.endpoint.model, state.attempts, self._keys)
        await self._record(record)
        return record.reply

    def _stop_in_outage(self, failure: Failure, call: Call, state: RetryState) -> None:
        """Stop the run where a call is abandoned because its endpoint is down."""
        if failure.kind is not UNREACHABLE:
            since = self._router.balancer(call.role).failing_since
            if since is None or not failure.may_pass:
                return
            minutes = (asyncio.get_running_loop().time() - since) / 60
            resuming = failure.kind.advice if failure.kind is NO_ROOM else "The same command resumes the run."
            advice = f"No call had a reply for {minutes:.0f} minutes. {resuming}"
            failure = replace(failure, advice=advice)
        if not self._stopped:
            self.outage = call.role
        self.stop(RunStopped(failure.describe(self._keys.redact, state.attempts)))

    def _request_hash(self, call: Call) -> str:
        settings, client = self._settings, self._router.any_client(call.role)
        parameters = settings.temperature, settings.top_p, self._began_with
        request: list[Any] = [client.endpoint.model, *parameters, call.messages, *client.identity]
        if form := client.form(call):
            request.append(form)
        if call.draft is not None:
            request.append({"draft": call.draft, "temperature": settings.temperature_of_drafts})
        return blake2b(dumps(request).encode(), digest_size=12).hexdigest()

    def _finished(self, task: asyncio.Task[str]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved here, in case its node is gone


def _take_in(attempt: Attempt, message: AIMessage, call: Call, endpoint: Endpoint) -> None:
    """Read a reply; whatever it holds, it is the reply that cannot be read."""
    try:
        attempt.received(message, call, endpoint)
    except Exception as error:
        defect = f"a reply that cannot be read: {type(error).__name__}"
        raise BadResponse(200, "", defect=defect) from error
