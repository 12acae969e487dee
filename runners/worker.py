"""What works on samples: takes them through the graphs, with the gateway that their calls go through.

A run has one in its own process, or several in processes of their own (`runners.remote_worker`). A worker
knows no data set, no ledger and no other worker: it is given a sample and the calls on record for it, and
yields a result and new calls.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol, Self, cast, get_args

from langchain_core.runnables import RunnableConfig

from graph.build import ExchangeGraph, exchange_graph, failed_exchange
from graph.conversation import ConversationGraph, apart, conversation_graph
from graph.settings import Settings
from graph.state import AlpacaRecord, ConversationRecord, ExchangeResult
from ledger.encoding import Row
from ledger.ledger import LedgerError, RecordedReply, Result, Unwritable
from models.call import Call, CallRecord
from models.errors.exceptions import CallFailed, RunStopped
from models.errors.kinds import FINAL, INTERNAL_ERROR, NO_PROMPT, UNWRITABLE
from models.gateway import Gateway
from models.keys import Keys
from models.limits.budget import Spending
from models.limits.rate_limiter import WaitReason
from models.policy import GatewayPolicy
from models.routing.circuit_breaker import Outage
from models.settings import Limits
from models.tracing import sample_config
from nodes.checks import Candidate, Check, Outcome, is_command
from nodes.decision import WithoutText, favoured_position
from prompts.method import MODES
from prompts.pack import PackError
from runners.checking import of_record
from samples.sample import Sample
from samples.tokens import estimate_tokens

Replies = Mapping[tuple[int, int, str, int, str], RecordedReply]
"""The calls on record for a sample in a mode, as `ledger.Ledger.replies` returns them."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all workers of a run are to know of it."""

    run: str
    """Its name, for traces."""
    settings: Settings
    limits: Limits
    modes: list[str]
    began_with: int
    """See `Gateway`."""
    retry_failed: bool
    has_references: bool
    depths: Mapping[int, int] = field(default_factory=dict)
    """By position: the most rounds or drafts of samples that have a limit of their own."""
    policy: GatewayPolicy = field(default_factory=GatewayPolicy)


class Count(NamedTuple):
    """Of a result, what tells whether a run comes to anything."""

    with_draft: int = 0
    """Exchanges."""
    without_draft: int = 0
    judged: int = 0
    """Rounds."""
    unread: int = 0
    """Judged rounds without a verdict that can be read."""
    unread_reply: str | None = None
    """What the judge wrote in the last of them."""


class Finished(NamedTuple):
    """What came of a sample."""

    result: Result
    counted: Count = Count()
    rows: list[Row] | None = None
    """The result as rows of the ledger, where it is encoded already; then it has no outcome."""


class Workplace(Protocol):
    """Where the samples of a run are worked on: in this process, or in several others. An async context
    manager; leaving it waits for the calls in flight, or abandons them if there was an exception."""

    @property
    def in_flight(self) -> int:
        """Calls that a model is working on."""
        ...

    async def evolve(self, sample: Sample, mode: str, recorded: Replies) -> Finished:
        """Take a sample through the graphs of a mode, given the calls on record for it.

        Raises:
            RunStopped, LedgerError: the run cannot continue.
        """
        ...

    def waiting(self) -> list[WaitReason]:
        """Return how many calls wait for something other than a free slot, and why."""
        ...

    def outages(self) -> list[Outage]:
        """Return the replicas that are down while others are up."""
        ...

    def suspects(self) -> set[str]:
        """Return the samples whose failures may be the endpoint's; see `Gateway.suspects`."""
        ...

    def refused(self) -> RunStopped | None:
        """Return why they failed, at the end of a run; see `Gateway.refused`."""
        ...

    def loads(self) -> list[int] | None:
        """Return how many samples each worker has; None where this process is the only one."""
        ...

    def stop(self, reason: RunStopped) -> None:
        """Finish the calls in flight and start no others."""
        ...

    async def __aenter__(self) -> Self:
        """Begin."""
        ...

    async def __aexit__(self, failure: type[BaseException] | None, *_: object) -> None:
        """End."""
        ...


class Worker:
    """Works on samples in this process.

    Args:
        job: what to do.
        keys: the keys of this process.
        checks: the checks of drafts.
        record: store the record of a call; when it returns, the record is on disk. It may raise `Unwritable`
            or LedgerError.
        recalled: told of each call that was answered from the record.
        budget: what the run may spend.
        notify: receives what a user should know about an endpoint.

    Raises:
        MissingKey: when created, where a model needs a key that is not set.
    """

    def __init__(
        self,
        job: Job,
        keys: Keys,
        checks: Check,
        *,
        record: Callable[[CallRecord], Awaitable[None]],
        recalled: Callable[[], None],
        budget: Spending | None,
        notify: Callable[[str], None],
    ) -> None:
        self._job = job
        self._checks = checks
        self._store = record
        self._recalled = recalled
        self._at_work: dict[tuple[str, str], Sample] = {}
        self._recorded: dict[tuple[str, str], Replies] = {}
        self.gateway = Gateway(
            job.settings,
            job.limits,
            keys,
            record=self._record,
            recall=self._recall,
            budget=budget,
            policy=job.policy,
            retrying_failed=job.retry_failed,
            notify=notify,
            began_with=job.began_with,
        )
        self._graphs: dict[str, tuple[ExchangeGraph, ConversationGraph]] = {
            mode: (exchange_graph(*parts), conversation_graph(*parts))
            for mode in job.modes
            if mode in MODES
            for parts in [(MODES[mode], self._speak, partial(self._check, mode))]
        }

    @property
    def in_flight(self) -> int:
        """Calls that a model is working on."""
        return self.gateway.in_flight

    def waiting(self) -> list[WaitReason]:
        """Do what `Workplace` says."""
        return self.gateway.waiting()

    def outages(self) -> list[Outage]:
        """Do what `Workplace` says."""
        return self.gateway.outages()

    def suspects(self) -> set[str]:
        """Do what `Workplace` says."""
        return self.gateway.suspects()

    def refused(self) -> RunStopped | None:
        """Do what `Workplace` says."""
        return self.gateway.refused()

    def loads(self) -> list[int] | None:
        """Return None: there is no other worker."""
        return None

    def stop(self, reason: RunStopped) -> None:
        """Do what `Workplace` says."""
        self.gateway.stop(reason)

    async def __aenter__(self) -> Self:
        await self.gateway.__aenter__()
        return self

    async def __aexit__(self, failure: type[BaseException] | None, *rest: object) -> None:
        await self.gateway.__aexit__(failure, *rest)

    async def evolve(
        self, sample: Sample, mode: str, recorded: Replies, homes: Sequence[int] = ()
    ) -> Finished:
        """Do what `Workplace` says. `homes` are the sample's replicas, where they were chosen elsewhere."""
        key = (sample.id, mode)
        self._at_work[key] = sample
        self._recorded[key] = recorded
        try:
            with self.gateway.at_work(sample.id, homes):
                outcome = await self._outcome(sample, mode)
                await self.gateway.drain(sample.id)
        finally:
            self._recorded.pop(key, None)
            self._at_work.pop(key, None)
        result = result_of(mode, outcome)
        return Finished(result, _count(result))

    async def _outcome(self, sample: Sample, mode: str) -> list[ExchangeResult]:
        settings = self._job.settings
        if depth := self._job.depths.get(sample.position):
            settings = settings.model_copy(update={"max_rounds": depth, "drafts": depth})
        traced = sample_config(self._job.run, sample.id, mode)
        return await evolve_sample(sample, *self._graphs[mode], settings, traced)

    async def _check(self, mode: str, check: str, candidate: Candidate) -> Outcome | None:
        if is_command(check):
            if self._job.has_references and not candidate.references:
                return None
            sample = self._at_work[candidate.record["id"], mode]
            candidate = of_record(candidate, sample, candidate.record["exchange"])
        return await self._checks(check, candidate)

    def _speak(self, call: Call, settings: Settings) -> Any:
        return self.gateway.ask(call)

    async def _record(self, record: CallRecord) -> None:
        try:
            await self._store(record)
        except Unwritable as error:
            at = record.call
            raise CallFailed(UNWRITABLE.key, str(error), step=at.step, round=at.round) from error

    def _recall(self, call: Call, request: str) -> str | None:
        replies = self._recorded.get((call.sample, call.mode), {})
        recorded = replies.get((call.exchange, call.round, call.step, call.asked, request))
        if recorded is None:
            return None
        if kind := recorded.failure_kind:
            if kind not in FINAL or self._job.retry_failed:
                return None
            self._recalled()
            raise CallFailed(kind, recorded.failure or "", step=call.step, round=call.round)
        self._recalled()
        return recorded.reply


async def evolve_sample(
    sample: Sample,
    exchange: ExchangeGraph,
    conversation: ConversationGraph,
    settings: Settings,
    traced: RunnableConfig | None = None,
) -> list[ExchangeResult]:
    """Take one sample through the graphs of a mode; return a result for each exchange worked on.

    `traced` is for a tracer (`models.tracing.sample_config`). A call that fails ends its exchange; so does an
    internal error, which must not stop the run.

    Raises:
        RunStopped, LedgerError: the run cannot continue.
    """
    # At most eight supersteps a round, one an exchange, and the ends: this stops an endless loop.
    steps = 8 * max(settings.max_rounds, settings.drafts) + len(sample.exchanges) + 5
    config = RunnableConfig(recursion_limit=steps, **(traced or {}))
    settings = apart(settings)
    try:
        if sample.format == "alpaca":
            (only,) = sample.exchanges
            record = AlpacaRecord(
                id=sample.id,
                system=sample.system,
                instruction=only.instruction,
                input=only.input,
                output=only.response,
                references=list(only.references),
            )
            result: Any = await exchange.ainvoke(record, config, context=settings)
            return [result]
        references = [list(each.references) for each in sample.exchanges]
        turns = cast(ConversationRecord, {**sample.record, "id": sample.id, "references": references})
        state: Any = await conversation.ainvoke(turns, config, context=settings)
        results: list[ExchangeResult] = state["results"]
        return results
    except (RunStopped, LedgerError):
        raise
    except CallFailed as failure:
        return [failed_exchange(0, sample.exchanges[0].response, failure)]
    except PackError as error:
        failed = CallFailed(NO_PROMPT.key, str(error))
        return [failed_exchange(0, sample.exchanges[0].response, failed)]
    except Exception as error:
        failed = CallFailed(INTERNAL_ERROR.key, f"{type(error).__name__}: {error}")
        return [failed_exchange(0, sample.exchanges[0].response, failed)]


def result_of(mode: str, outcome: list[ExchangeResult]) -> Result:
    """Return the result of a sample whose exchanges came to this."""
    failure = next((done["failure"] for done in outcome if "failure" in done), None)
    return Result(
        mode=mode,
        status="failed" if failure else "done",
        reason=failure["message"] if failure else None,
        failure_kind=failure["reason"] if failure else None,
        accepted_rounds=sum(done["accepted_rounds"] for done in outcome),
        exchanges=len(outcome),
        original_tokens=sum(estimate_tokens(done["original"]) for done in outcome),
        final_tokens=sum(estimate_tokens(done["response"]) for done in outcome),
        contradictions=sum(favoured_position(r) is not None for done in outcome for r in done["rounds"]),
        outcome=[{**done} for done in outcome],
        finished=time.time(),
    )


def failed_result(sample: Sample, mode: str, failure: CallFailed) -> Result:
    """Return the result of a sample that failed as a whole."""
    return result_of(mode, [failed_exchange(0, each.response, failure) for each in sample.exchanges[:1]])


def unwritable(sample: Sample, mode: str, error: Exception) -> Result:
    """Return the result of a sample whose own result cannot be written."""
    return failed_result(sample, mode, CallFailed(UNWRITABLE.key, str(error)))


def _count(result: Result) -> Count:
    with_draft = without_draft = judged = unread = 0
    unread_reply: str | None = None
    for done in result.outcome:
        if done["ending"] in get_args(WithoutText) and not done["accepted_rounds"]:
            without_draft += 1
        elif done["ending"] != "failed":
            with_draft += 1
        for each in done["rounds"]:
            if forward := each["forward"]:
                judged += 1
                if each["points"] is None:
                    unread += 1
                    unread_reply = next(iter(forward.get("panel", {}).values()), forward)["reply"]
    return Count(with_draft, without_draft, judged, unread, unread_reply)
