"""What LangGraph Studio loads (`langgraph.json`): each mode's graph, and a conversation in mode `evolve`.

In Studio a person steps through one sample, and the server keeps the states. So these graphs keep no ledger:
a repeated call is billed again.
"""

import asyncio
from weakref import WeakKeyDictionary

from graph.build import ExchangeGraph, exchange_graph
from graph.conversation import conversation_graph
from graph.settings import Settings
from graph.streaming import streaming
from models.call import Call, CallRecord
from models.errors.exceptions import RunStopped
from models.gateway import Gateway
from models.keys import Keys
from models.settings import Limits, ModelSettings
from models.tracing import start_tracing
from nodes.checks import Checks
from prompts.method import MODES

LIMITS = Limits(concurrency=8)
"""For each set of model settings: a person looks at few samples at a time."""

# A gateway belongs to one event loop, and the server may run graphs in several.
_gateways: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Gateway]] = WeakKeyDictionary()


async def speak(call: Call, settings: Settings) -> str:
    """Make a call with the models of these settings.

    Raises:
        CallFailed: this call cannot be done.
        RunStopped: no call can be done, for instance because a key is missing.
    """
    gateways = _gateways.setdefault(asyncio.get_running_loop(), {})
    models = settings.model_dump_json(include=set(ModelSettings.model_fields))
    if models not in gateways:
        gateways[models] = Gateway(settings, LIMITS, Keys.load(settings), record=_record, recall=_recall)
    try:
        return await gateways[models].ask(call)
    except RunStopped:
        # Whatever stopped it, the person corrects it and tries again.
        gateways.pop(models, None)
        raise


async def _record(record: CallRecord) -> None:
    pass


def _recall(call: Call, request: str) -> str | None:
    return None


start_tracing(Keys.load())

check = Checks(commands=False)


def _steppable(mode: str) -> ExchangeGraph:
    return streaming(exchange_graph(MODES[mode], speak, check))


edit = _steppable("edit")
advise_blind = _steppable("advise-blind")
advise = _steppable("advise")
debate = _steppable("debate")
evolve = _steppable("evolve")
refine = _steppable("refine")
best_of_n = _steppable("best-of-n")
conversation = conversation_graph(MODES["evolve"], speak, check, steppable=True)
