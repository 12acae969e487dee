"""What a run has spent, from its ledger, and whether its models have prices."""

from datetime import UTC, datetime

from graph.settings import Settings
from ledger.ledger import Ledger
from ledger.usage import Counted, Uncounted, counted, uncounted
from models.call import ROLE_OF_STEP
from models.limits.budget import Amount, Budget, longest_reply, prompt_tokens, worst_case
from models.providers.prices import cost
from models.settings import ROLES, Endpoint, Role
from prompts.pack import Message

UNSEEN = ("timeout", "connection lost", "bad reply", "broken off", "empty reply", "truncated", "given up")
"""Failures that a provider may bill: it worked on the call, or may have."""


def unpriced(settings: Settings) -> list[Endpoint]:
    """The models of a run that have no known price where they are served, each once."""
    endpoints = dict.fromkeys(endpoint for role in ROLES for endpoint in settings.replicas(role))
    now = datetime.now(UTC)
    return [endpoint for endpoint in endpoints if cost(endpoint, 1, 1000, 0, 1000, now) is None]


def bill(line: Counted, settings: Settings) -> Amount:
    """What these calls took, at the prices of their time; 0 dollars where there are none."""
    tokens = line.input_tokens, line.cached_tokens, line.output_tokens
    at = datetime.fromtimestamp(line.at, UTC)
    dollars = cost(settings.endpoint(_role(line.step)), line.calls, *tokens, at)
    return Amount(line.input_tokens + line.output_tokens, dollars or 0.0)


def spent(ledger: Ledger, settings: Settings) -> Amount:
    """What the calls on file took, at the prices of their time; 0 dollars for models without a price.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    whole = Amount()
    for line in counted(ledger):
        whole = whole.plus(bill(line, settings))
    for call in uncounted(ledger):
        if not _may_be_billed(call):
            continue
        prompt = prompt_tokens([Message(role="user", content=content) for content in call.messages])
        role = _role(call.step)
        worst = worst_case(settings.endpoint(role), prompt, longest_reply(settings, role))
        # Of a call that failed this way in the end, the attempts before it most likely did so as well.
        whole = whole.plus(worst, call.attempts if call.failure else 1)
    return whole


def nothing_spent(ledger: Ledger) -> bool:
    """Whether no call on file has cost anything.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return not counted(ledger) and not any(map(_may_be_billed, uncounted(ledger)))


def budget(ledger: Ledger, settings: Settings, dollars: float | None, tokens: int | None) -> Budget | None:
    """The budget of a run, less what it has spent; None where there is no limit."""
    if dollars is None and tokens is None:
        return None
    return Budget(dollars=dollars, tokens=tokens, spent=spent(ledger, settings))


def _may_be_billed(call: Uncounted) -> bool:
    reason, _, _ = (call.failure or "").partition(":")
    return not call.failure or reason in UNSEEN


def _role(step: str) -> Role:
    return next(role for known, role in ROLE_OF_STEP.items() if known == step)
