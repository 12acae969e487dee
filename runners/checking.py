"""The checks of a run (`nodes.checks`): tried out before its first call, and what a command is given."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nodes.checks import Candidate, Checks, is_command
from runners.plan import Plan
from samples.sample import Sample


@asynccontextmanager
async def working_checks(plan: Plan) -> AsyncIterator[Checks]:
    """Provide the checks of a run, and make sure that the one it uses works.

    Raises:
        CheckUnusable: it does not; the message says why.
    """
    with Checks() as checks:
        if check := plan.settings.check:
            await checks.try_out(check, first_candidate(plan))
        yield checks


def of_record(candidate: Candidate, sample: Sample, number: int) -> Candidate:
    """Return a candidate with what a command is given: the record's own fields, and those of its exchange."""
    exchange = sample.exchanges[number]
    own = {"id": sample.id, "exchange": number, "request": exchange.instruction, "input": exchange.input}
    return candidate._replace(record={**sample.read, **own, "original": exchange.response})


def first_candidate(plan: Plan) -> Candidate | None:
    """Return the first response that the command of a check is asked about; None if there is none."""
    if not (plan.settings.check and is_command(plan.settings.check)):
        return None
    for sample in plan.data.samples(plan.start, plan.stop):
        for number, exchange in enumerate(sample.exchanges):
            if not exchange.fixed and (exchange.references or not plan.data.reference):
                return of_record(Candidate(exchange.response, exchange.references, {}), sample, number)
    return None
