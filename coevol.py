"""coevol: better responses for instruction-tuning data.

    >>> import coevol
    >>> run = coevol.run("data.json", "runs/first", coevol.Settings(model="openai:gpt-5.4-mini"))

`run` (in a running event loop: `arun`) does what `coevol evolve` does, `load_run` opens the record of a run
for analysis, `Settings` and `Limits` hold the options.
"""

from graph.settings import Settings
from models.settings import Limits
from runners.api import arun, load_run, run

__all__ = ["Limits", "Settings", "arun", "load_run", "run"]
