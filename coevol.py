"""coevol: better responses for instruction-tuning data.

    >>> import coevol
    >>> run = coevol.run("data.json", "runs/first", coevol.Settings(model="openai:gpt-5.4-mini"))

`run` (in a running event loop: `arun`) does what `coevol evolve` does, `load_run` opens the record of a run
for analysis and `load_trial` that of a trial, `Settings` and `Limits` hold the options, `GatewayPolicy`
retries and waits. The rest is what they raise.
"""

from graph.settings import Settings
from ledger.ledger import LedgerError
from models.errors.exceptions import MissingExtra, RunStopped
from models.keys import MissingKey
from models.policy import GatewayPolicy
from models.providers.proxies import ProxyUnusable
from models.settings import Limits
from prompts.pack import PackError
from reporting.manifest import RunError
from runners.api import arun, load_run, load_trial, run
from samples.sample import DataError

__all__ = [
    "DataError", "GatewayPolicy", "LedgerError", "Limits", "MissingExtra", "MissingKey",
    "PackError", "ProxyUnusable", "RunError", "RunStopped", "Settings", "arun", "load_run",
    "load_trial", "run",
]  # fmt: skip
