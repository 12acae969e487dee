"""The referees of a trial: they compare the arms' responses, blind and in both orders, or score each.

It is a run of its own, in the trial's folder `referees`, over the trial's samples. Its modes are pairs of
arms, `evolve:original`, and where there are reward models the arms themselves. So a call has the address of
every call (sample, mode, exchange, round, step), and referees differ by their model as the judges of a panel
do; a result has one round, whose draft is the arm's response and whose current response is its rival's.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langgraph.runtime import Runtime

from graph.asking import asking
from graph.build import failed_exchange, reference_text
from graph.conversation import request_of
from graph.settings import RefereeSettings
from graph.state import AlpacaRecord, ExchangeFailure, ExchangeResult, RequestAndResponse
from ledger.ledger import LedgerError
from models.call import Call, CallRecord, Message
from models.errors.exceptions import CallFailed, RunStopped
from models.errors.kinds import INTERNAL_ERROR, UNUSABLE_REPLY
from models.gateway import Gateway
from models.keys import Keys
from models.policy import GatewayPolicy
from models.settings import Limits, Role
from nodes.agent import Ask
from nodes.decision import Round, merge
from nodes.judge import JudgeView, averaged, judge
from nodes.settings import AgentSettings, Order
from nodes.views import Judgment
from prompts.method import STEPS
from reporting.labels import shorten
from runners.engine import Engine
from runners.plan import Plan
from runners.worker import Worker
from samples.printable import printable
from samples.sample import Sample
from trials.pairs import Pairs, pairs_of

SIDES = ":"
"""Between an arm and its rival in the name of a mode."""

ORDERS: tuple[Order, ...] = ("forward", "reversed")

Responses = Mapping[int, Mapping[str, str]]
"""The responses of a sample by exchange and arm."""


@dataclass(frozen=True, slots=True)
class RefereePlan(Plan):
    """What the referees are to do. `modes` are all that occur, see `modes_of`."""

    arms: Sequence[str] = ()
    """The baseline first."""
    pairs: Pairs = "balanced"
    responses: Mapping[int, Responses] = field(default_factory=dict, repr=False)
    """By position."""

    def modes_of(self, position: int) -> Sequence[str]:
        """Return the pairs of a sample, and the arms where there are reward models."""
        chat, reward = referee_roles(self.settings)
        pairs = pairs_of(self.arms, self.pairs, position) if chat else []
        return [*(SIDES.join(pair) for pair in pairs), *(self.arms if reward else ())]

    def expected(self, records: int) -> int:
        """Return how many results there are in the end."""
        return sum(len(self.modes_of(position)) for position in range(records))


def referee_roles(settings: Any) -> tuple[list[Role], list[Role]]:
    """Return the referees that chat, and those that score."""
    reward = [role for role in settings.roles if settings.endpoint(role).provider == "reward"]
    return [role for role in settings.roles if role not in reward], reward


class RefereeWorker(Worker):
    """Takes the responses of a trial to its referees."""

    def __init__(self, plan: RefereePlan, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._plan = plan

    async def _outcome(self, sample: Sample, mode: str) -> list[ExchangeResult]:
        try:
            return await self._of_exchanges(sample, mode)
        except (RunStopped, LedgerError):
            raise
        except Exception as error:  # which must not stop the trial
            failed = CallFailed(INTERNAL_ERROR.key, f"{type(error).__name__}: {error}")
            return [failed_exchange(0, sample.exchanges[0].response, failed)]

    async def _of_exchanges(self, sample: Sample, mode: str) -> list[ExchangeResult]:
        settings = cast(RefereeSettings, self._plan.settings)
        arm, is_pair, rival = mode.partition(SIDES)
        chat, reward = referee_roles(settings)
        done = []
        for number, responses in self._plan.responses.get(sample.position, {}).items():
            if not is_pair:
                done.append(await self._scored(sample, arm, number, responses[arm], reward))
            elif responses[arm] == responses[rival]:
                done.append(_result(number, responses[rival], responses[arm], "unchanged"))
            else:
                view = judged_view(sample, number, responses[rival], responses[arm], settings)
                done.append(await self._compared(view, mode, chat))
        return done

    async def _compared(self, view: JudgeView, mode: str, referees: Sequence[Role]) -> ExchangeResult:
        settings = self._plan.settings
        # Without its panel, so that a referee whose call fails ends no other's.
        context = AgentSettings(**{name: getattr(settings, name) for name in AgentSettings.model_fields})
        ask = asking(mode, self._speak)
        asked = [(role, order) for role in referees for order in ORDERS]
        made = await asyncio.gather(
            *(judge(order, _as(ask, role))(view, runtime=Runtime(context=context)) for role, order in asked),
            return_exceptions=True,
        )
        panel: dict[str, dict[str, Judgment]] = {order: {} for order in ORDERS}
        failures = []
        for (role, order), one in zip(asked, made, strict=True):
            if isinstance(one, CallFailed):
                failures.append(one)
            elif isinstance(one, BaseException):
                raise one
            judged = Judgment(reply="", points=None) if isinstance(one, CallFailed) else one[order]
            panel[order][settings.endpoint(role).model] = judged
        forward, reverse = (averaged(panel[order]) for order in ORDERS)
        points = merge(forward, reverse)
        result = _result(view["exchange"], view["response"], view["draft"], "compared")
        result["rounds"] = [
            Round(
                round=1,
                suggestions=None,
                draft=view["draft"],
                forward=forward,
                reversed=reverse,
                points=points,
                accepted=points is not None and points["draft"] > points["current"],
            )
        ]
        return _with_failure(result, failures)

    async def _scored(
        self, sample: Sample, arm: str, number: int, response: str, referees: Sequence[Role]
    ) -> ExchangeResult:
        messages = scored_messages(sample, number, response)
        texts = tuple(message["content"] for message in messages)
        step = STEPS["judge_forward"]
        scores: dict[str, float | None] = {}
        failures = []
        for role in referees:
            call = Call(
                *(sample.id, arm, number, 1, step.name, role, messages), purpose="verdict", parts=texts
            )
            model = self._plan.settings.endpoint(role).model
            try:
                scores[model] = float(await self._speak(call, self._plan.settings))
            except CallFailed as failure:
                scores[model] = None
                failures.append(failure)
        result = _result(number, response, response, "scored")
        return _with_failure(cast(ExchangeResult, {**result, "scores": scores}), failures)


class RefereeEngine(Engine):
    """Works through the responses of a trial."""

    def worker(self, *given: Any, **more: Any) -> Worker:
        """Create what works on samples in this process."""
        return RefereeWorker(cast(RefereePlan, self._plan), *given, **more)

    def _no_verdicts(self, rounds: int, reply: str) -> str:
        shown = shorten(" ".join(printable(reply[:1000]).split()) or "nothing")
        other = "score" if self._plan.settings.verdict == "compare" else "compare"
        return (
            f"in none of the {rounds} comparisons so far could a verdict be read. A referee wrote, for "
            f"example: {shown}\n`coevol check --model` shows how it replies. Begin in another folder with "
            f"another referee (--referee PROVIDER:NAME), --verdict {other}, --thinking off or a higher "
            "--max-tokens."
        )


def judged_view(
    sample: Sample, number: int, response: str, draft: str, settings: RefereeSettings
) -> JudgeView:
    """Return what a referee sees of two responses. The exchanges before are the original ones, so that all
    arms answer the same request."""
    exchange = sample.exchanges[number]
    if sample.format == "alpaca":
        request = AlpacaRecord(instruction=exchange.instruction, input=exchange.input, system=sample.system)
    else:
        turns = [
            RequestAndResponse(request=each.instruction, response=each.response) for each in sample.exchanges
        ]
        request = request_of(turns, number, sample.system, settings)
    view = JudgeView(
        id=sample.id,
        exchange=number,
        round=1,
        system=request.get("system", ""),
        instruction=request["instruction"],
        input=request.get("input", ""),
        response=response,
        draft=draft,
    )
    if exchange.references:
        view["reference"] = reference_text(exchange.references)
    return view


def scored_messages(sample: Sample, number: int, response: str) -> list[Message]:
    """Return a response at the end of its conversation, as a reward model reads it."""
    messages = [Message(role="system", content=sample.system)] if sample.system else []
    for exchange in sample.exchanges[:number]:
        messages.append(Message(role="user", content=exchange.whole_request))
        messages.append(Message(role="assistant", content=exchange.response))
    messages.append(Message(role="user", content=sample.exchanges[number].whole_request))
    return [*messages, Message(role="assistant", content=response)]


def _as(ask: Ask, role: Role) -> Ask:
    async def asked(*given: Any, **more: Any) -> str:
        return await ask(*given, **{**more, "role": role})

    return asked


def _result(number: int, original: str, response: str, ending: Any) -> ExchangeResult:
    return ExchangeResult(
        exchange=number, original=original, response=response, ending=ending, accepted_rounds=0, rounds=[]
    )


def _with_failure(result: ExchangeResult, failures: Sequence[CallFailed]) -> ExchangeResult:
    """Return a result of which something is missing; what was had counts all the same."""
    for failure in failures[:1]:
        result["failure"] = ExchangeFailure(
            step=failure.step, round=1, reason=failure.kind, message=str(failure)
        )
    return result


async def ask_each(
    settings: RefereeSettings, limits: Limits, keys: Keys, policy: GatewayPolicy | None
) -> None:
    """Ask each referee something short, so that one that cannot be asked is found before arms are paid for.

    Raises:
        RunStopped: one cannot be asked; the message says why.
    """

    async def forget(record: CallRecord) -> None:
        """Leave it out of the record: it says nothing about the trial."""

    without_budget = limits.model_copy(update={"budget": None, "budget_tokens": None})
    gateway = Gateway(
        settings, without_budget, keys, record=forget, recall=lambda call, request: None, policy=policy
    )
    chat, _ = referee_roles(settings)
    async with gateway:
        for role in settings.roles:
            messages = [Message(role="user", content="Which color is a ripe lemon? Answer in one word.")]
            if role not in chat:
                messages.append(Message(role="assistant", content="Yellow."))
            try:
                await gateway.ask(Call(*("", "", 0, 1, "judge_forward", role, messages), purpose="speech"))
            except CallFailed as failure:
                if failure.kind not in UNUSABLE_REPLY:
                    raise RunStopped(f"the {role.replace('_', ' ')} cannot be asked: {failure}") from None
