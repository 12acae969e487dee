"""What a run has spent, from its ledger, and whether its models have prices."""

from collections.abc import Mapping
from datetime import UTC, datetime

from ledger.ledger import Ledger
from ledger.usage import Counted, Uncounted, counted, uncounted
from models.call import Message
from models.errors import kinds
from models.limits.budget import NOTHING, Amount, Budget, longest_reply, prompt_tokens, worst_case
from models.providers import prices
from models.settings import PANEL, REFEREES, Endpoint, Limits, ModelSettings, Role, split_model
from prompts.method import STEPS

MAYBE_BILLED = frozenset(
    kind.key
    for kind in (
        *(kinds.TIMEOUT, kinds.CONNECTION_LOST, kinds.BAD_REPLY, kinds.CUT_SHORT),
        *(kinds.EMPTY, kinds.CONTROL_TOKENS, kinds.TRUNCATED, kinds.ABANDONED),
    )
)
"""Failures of calls that a provider may have worked on, and may bill."""

NEVER_BILLED = frozenset(
    kind.key
    for kind in (
        *(kinds.UNREACHABLE, kinds.UNSENDABLE, kinds.NO_PROMPT, kinds.TOO_MANY_FILES),
        *(kinds.KEY_REFUSED, kinds.NOT_ALLOWED, kinds.NO_BALANCE, kinds.QUOTA_USED_UP, kinds.MODEL_UNKNOWN),
        *(kinds.NO_TIER, kinds.PARAMETER_REFUSED, kinds.THROTTLED, kinds.OVERLOADED, kinds.NO_ROOM),
    )
)
"""Failures of calls that never left, or that no model saw. Of others without token counts, such as those that
a content filter refused, it is not known what they cost."""


def cost(endpoints: Mapping[Role, Endpoint], line: Counted) -> float | None:
    """Return the price of some calls in US dollars, at the prices of their time; None if it is unknown.

    `endpoints` says where the models of the run are served.
    """
    role = STEPS[line.step].role
    roles = (*PANEL, *REFEREES) if role in PANEL else (role,)
    asked = (endpoints[each] for each in roles if each in endpoints)
    endpoint = next((each for each in asked if each.model == line.model), None)
    if endpoint is None:
        endpoint = Endpoint(*split_model(line.model), None)
    tokens = line.input_tokens, line.cached_tokens, line.output_tokens
    return prices.cost(endpoint, line.calls, *tokens, datetime.fromtimestamp(line.at, UTC), line.tier)


def unpriced(settings: ModelSettings) -> list[Endpoint]:
    """Return the models of a run without a known price at their address, each once; `rehearsal` is free."""
    endpoints = dict.fromkeys(endpoint for role in settings.roles for endpoint in settings.replicas(role))
    models, now = [each for each in endpoints if each.provider != "rehearsal"], datetime.now(UTC)
    return [endpoint for endpoint in models if prices.cost(endpoint, 1, 1000, 0, 1000, now) is None]


def role_of(made: Counted | Uncounted, settings: ModelSettings) -> Role:
    """Return the role that was asked: of a panel, the judge with that model."""
    role = STEPS[made.step].role
    return next((judge for judge, model in settings.panel.items() if model == made.model), role)


def amount(line: Counted, settings: ModelSettings) -> Amount:
    """Return what these calls took; 0 dollars if no price is known."""
    dollars = cost({role: settings.endpoint(role) for role in settings.roles}, line)
    return Amount(line.input_tokens + line.output_tokens, dollars or 0.0)


def spent(ledger: Ledger, settings: ModelSettings) -> Amount:
    """Return what the recorded calls took, at the prices of their time; 0 dollars for models without a price.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    total, lines = Amount(), counted(ledger)
    for line in lines:
        total = total.plus(amount(line, settings))
    for call in uncounted(ledger):
        if not _may_be_billed(call):
            continue
        prompt = prompt_tokens([Message(role="user", content=content) for content in call.messages])
        role = role_of(call, settings)
        served = {line.tier for line in lines if line.model == call.model}
        tiers = settings.tier(role), *sorted(filter(None, served))
        worst = worst_case(settings.endpoint(role), prompt, longest_reply(settings, role), *tiers)
        # If the last attempt failed this way, the earlier ones probably did too.
        total = total.plus(worst, call.attempts if call.failure_kind else 1)
    return total


def nothing_spent(ledger: Ledger) -> bool:
    """Whether no recorded call has cost anything.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return not counted(ledger) and not any(map(_may_be_billed, uncounted(ledger)))


def budget(
    ledger: Ledger, settings: ModelSettings, limits: Limits, elsewhere: Amount = NOTHING
) -> Budget | None:
    """Return the budget of a run, less what it has spent, and others with which it shares it; None if there
    is no limit."""
    if limits.budget is None and limits.budget_tokens is None:
        return None
    before = spent(ledger, settings).plus(elsewhere)
    return Budget(dollars=limits.budget, tokens=limits.budget_tokens, spent=before)


def _may_be_billed(call: Uncounted) -> bool:
    return call.failure_kind is None or call.failure_kind in MAYBE_BILLED
