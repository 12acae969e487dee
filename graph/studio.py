"""What LangGraph Studio loads (`langgraph.json`): each mode's graph, and a conversation in mode `evolve`.

In Studio a person steps through one sample, and the server keeps the states. So these graphs keep no ledger:
a call made again is a call paid for again.
"""

import asyncio
from weakref import WeakKeyDictionary

from graph.build import conversation_graph, exchange_graph
from graph.settings import Settings
from models.call import Call, CallRecord
from models.errors.kinds import RunStopped
from models.gateway import Door
from models.keys import Keys
from models.settings import ModelSettings
from models.tracing import begin_tracing

CONCURRENCY = 8
"""Calls in flight for each set of model settings: a person looks at few samples at a time."""

# A door belongs to one event loop, and the server may run graphs in several.
_doors: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Door]] = WeakKeyDictionary()


async def speak(call: Call, settings: Settings) -> str:
    """Make a call with the models of these settings.

    Raises:
        CallFailed: this call cannot be done.
        RunStopped: no call can be done, for instance because a key is missing.
    """
    doors = _doors.setdefault(asyncio.get_running_loop(), {})
    models = settings.model_dump_json(include=set(ModelSettings.model_fields))
    if models not in doors:
        doors[models] = Door(settings, Keys.load(), concurrency=CONCURRENCY, record=_record, recall=_recall)
    try:
        return await doors[models].ask(call)
    except RunStopped:
        # Whatever stopped it, a person puts it right and tries again.
        doors.pop(models, None)
        raise


async def _record(record: CallRecord) -> None:
    pass


def _recall(call: Call, request: str) -> str | None:
    return None


begin_tracing(Keys.load())

edit = exchange_graph("edit", speak)
advise_blind = exchange_graph("advise-blind", speak)
advise = exchange_graph("advise", speak)
debate = exchange_graph("debate", speak)
evolve = exchange_graph("evolve", speak)
conversation = conversation_graph("evolve", speak)
