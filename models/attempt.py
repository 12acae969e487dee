"""One attempt at a call, and the state of all attempts at it."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from models.call import Call, CallRecord, Message
from models.errors.classify import classify_reply, finish_reason
from models.errors.exceptions import BadResponse
from models.errors.kinds import NO_ROOM, UNREACHABLE, UNSENDABLE, WHOLE, Failure, finish_key
from models.keys import Keys
from models.limits.budget import Usage
from models.policy import GatewayPolicy
from models.providers.openai_chat import SERVICE_TIER, THOUGHTS, service_tier, usage
from models.routing.load_balancer import LoadBalancer
from models.routing.role_client import RoleClient
from models.settings import Endpoint
from samples.control_tokens import control_token
from samples.reply import damage, read_reply


@dataclass(slots=True)
class Attempt:
    """One attempt at a call: what was sent, and its outcome."""

    messages: list[Message]
    fields: dict[str, Any]
    started: float
    """Unix time."""
    latency: float = 0.0
    reply: str = ""
    thoughts: str = ""
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    service_tier: str | None = None
    """The tier that the server says it was served in."""
    failure: Failure | None = None
    error: Exception | None = None
    adapted: bool = False
    """Whether the error showed in which form the endpoint takes the call, so that it is to be sent again."""

    @property
    def usage(self) -> Usage | None:
        """What it used; None where that is unknown. What a provider refused used nothing."""
        if self.input_tokens is not None and self.output_tokens is not None:
            return Usage(self.input_tokens, self.cached_tokens or 0, self.output_tokens, self.service_tier)
        status = getattr(self.error, "status_code", None)
        refused = status is not None and status != HTTPStatus.GATEWAY_TIMEOUT
        defective = isinstance(self.error, BadResponse) and self.error.defect
        unsent = self.failure is not None and self.failure.kind in (UNREACHABLE, UNSENDABLE)
        return Usage(0, 0, 0) if (refused and not defective) or unsent else None

    def received(self, message: AIMessage, call: Call, endpoint: Endpoint) -> None:
        """Take in a reply, usable or not."""
        thoughts = message.additional_kwargs.get(THOUGHTS, "")
        is_draft = call.purpose == "draft"
        # A verdict is no text of the sample's, whatever that is about: a mark at its end is the template's.
        prompt, parts = ([], ()) if call.purpose == "verdict" else (call.messages, call.parts)
        found = read_reply(message.text, thoughts, prompt=prompt, parts=parts, indented=is_draft)
        self.reply, self.thoughts = found.text, found.thoughts
        self.finish_reason = finish_reason(message)
        self._count(message.usage_metadata)
        self.service_tier = message.additional_kwargs.get(SERVICE_TIER)
        token = control_token(found.text, call.messages, call.parts)
        if is_draft and token is None:
            token = damage(message.text, (each["content"] for each in call.messages))
        self.failure = classify_reply(message, found.text, call, endpoint, token)

    def failed(self, error: Exception) -> None:
        """Take in an error."""
        self.error = error
        if isinstance(error, BadResponse):
            self._count(usage(error.body))  # useless, and billed all the same
            self.service_tier = service_tier(error.body)

    def record(self, call: Call, request: str, model: str, attempts: int, keys: Keys) -> CallRecord:
        """Return the record of a call of which this is the last attempt, without keys."""
        failure, reason = self.failure, self.finish_reason
        return CallRecord(
            call=replace(call, shortenable=None),
            request=request,
            model=model,
            messages=self.messages,
            reply=keys.redact_reply(self.reply),
            finish_reason=reason if not reason or finish_key(reason) in WHOLE else keys.redact(reason),
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=self.cached_tokens,
            started=self.started,
            latency=self.latency,
            attempts=attempts,
            failure_kind=failure.kind.key if failure else None,
            failure=failure.describe(keys.redact, attempts) if failure else None,
            code=keys.redact(failure.code) if failure and failure.code else None,
            thoughts=keys.redact_reply(self.thoughts),
            service_tier=self.service_tier,
        )

    def _count(self, used: UsageMetadata | None) -> None:
        if used:
            self.input_tokens, self.output_tokens = used["input_tokens"], used["output_tokens"]
            self.cached_tokens = used.get("input_token_details", {}).get("cache_read")


@dataclass(slots=True, eq=False)
class RetryState:
    """What one call has taken so far, and whether it is worth another attempt."""

    policy: GatewayPolicy
    attempts: int = 0
    counted: int = 0
    """The attempts that count towards `max_attempts`."""
    seconds: float = 0.0
    is_idle: bool = False
    """Whether nothing of it is in flight, so that nothing is lost if it is cancelled."""
    is_unwanted: bool = False
    """Whether the node that asked is gone, so that it is not sent again."""
    abandoned: Attempt | None = None
    """The attempt in flight when the run was asked to stop at once; it may be billed."""
    client: RoleClient | None = None

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Mark the call as waiting, with nothing in flight."""
        self.is_idle = True
        try:
            yield
        finally:
            self.is_idle = False

    def sending(self, client: RoleClient) -> None:
        """Note that an attempt is about to be sent."""
        if self.client is not client:
            self.ended()
            self.client = client
        client.startup.call_started(self)

    def ended(self) -> None:
        """Note that the call is finished, or goes to another server."""
        if self.client:
            self.client.startup.call_ended(self)

    def is_worthwhile(self, failure: Failure, balancer: LoadBalancer) -> bool:
        """Whether to try again after a failure that may pass."""
        policy, now = self.policy, asyncio.get_running_loop().time()
        if failure.kind is NO_ROOM:
            return self.seconds < policy.max_call_seconds
        if failure.kind is not UNREACHABLE:
            self.counted += 1
            if self.counted < policy.max_attempts and self.seconds < policy.max_call_seconds:
                return True
            since = balancer.failing_since
            return since is not None and now < since + policy.outage_patience
        if balancer.any_up:
            return True
        if not balancer.has_replied:
            return self.attempts < policy.first_contact_attempts
        # While nothing can be reached, time counts and not the number of attempts.
        since = balancer.unreachable_since
        return since is None or now < since + policy.outage_patience

    def next_wait(self, failure: Failure) -> float:
        """Return the seconds to wait before the next attempt."""
        policy = self.policy
        longest = policy.probe_interval if failure.kind is UNREACHABLE else policy.max_wait
        # Jitter spreads out the calls that failed together.
        backoff = min(longest, policy.first_wait * 2.0 ** (self.attempts - 1))
        seconds = backoff * random.uniform(0.5, 1)  # noqa: S311
        if failure.wait:
            seconds = max(failure.wait, seconds)
        # A wait that a server asked for counts only where nothing else ends the attempts.
        if not failure.wait or failure.kind is NO_ROOM:
            self.seconds += seconds
        return seconds
