"""Tracing with LangSmith, where its own variables ask for it (LANGSMITH_TRACING, LANGSMITH_API_KEY, …).

What is traced is LangChain's and LangGraph's doing. Here is what they cannot know: by what one filters the
traces of a data set, what must not be in them, and that a run goes on whatever becomes of them.
"""

import logging
import os
from collections.abc import Callable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langsmith import Client, configure
from langsmith.utils import tracing_is_enabled

from models.call import Call
from models.keys import Keys

LAST_WORDS = 10.0
"""Seconds that a finished run waits for LangSmith to take the traces that are left."""

LONGEST_WORDS = 200
"""Characters kept of what LangSmith says of a failure."""


def begin_tracing(keys: Keys, tell: Callable[[str], None] | None = None) -> Callable[[], None]:
    """Keep keys out of traces; does nothing where no traces are wanted.

    With `tell`, the first failure to deliver a trace is told there, once, and the library's own log of them
    is silent. At most 10,000 parts of traces wait to be delivered (LANGSMITH_TRACING_QUEUE_MAX_SIZE); more
    are dropped. What it gives is for the end of a run: it lets the last traces go, for a few seconds at most.
    """
    if not tracing_is_enabled():
        return lambda: None
    # A thread that waits for an answer must not keep the finished program alive.
    os.environ.setdefault("LANGSMITH_USE_DAEMON", "true")
    told = False

    def failed(error: Exception) -> None:
        nonlocal told
        if tell and not told:
            told = True
            words = " ".join(keys.redact(str(error)).split())[:LONGEST_WORDS]
            tell(f"LangSmith does not take the traces, and the run goes on without: {words}")

    if tell:
        logging.getLogger("langsmith").setLevel(logging.CRITICAL)
    client = Client(anonymizer=_without(keys), tracing_error_callback=failed)
    configure(client=client)

    def end() -> None:
        client.close(LAST_WORDS)
        if client.tracing_queue is not None and client.tracing_queue.unfinished_tasks:
            failed(TimeoutError(f"some were left after {LAST_WORDS:g} seconds at the end"))

    return end


def sample_config(run: str, sample: str, mode: str) -> RunnableConfig:
    """The name, tags and metadata of one sample's trace; nothing where no traces are wanted."""
    if not tracing_is_enabled():
        return RunnableConfig()
    return RunnableConfig(
        run_name=f"{mode} {sample}",
        tags=[f"run:{run}", f"sample:{sample}"],
        metadata={"run": run, "sample": sample, "mode": mode},
    )


def call_config(call: Call) -> RunnableConfig:
    """The name, tags and metadata of one call's trace, besides those of its sample."""
    return RunnableConfig(
        run_name=call.step,
        tags=[f"sample:{call.sample}", f"role:{call.role}"],
        metadata={
            "sample": call.sample,
            "mode": call.mode,
            "exchange": call.exchange,
            "round": call.round,
            "step": call.step,
            "role": call.role,
            "asked": call.asked,
        },
    )


def _without(keys: Keys) -> Callable[[Any], Any]:
    def redacted(value: Any) -> Any:
        match value:
            case {"error": str(words)} if len(value) == 1:
                return {"error": keys.redact(words)}
            case str():
                return keys.redact_reply(value)
            case dict():
                return {name: redacted(item) for name, item in value.items()}
            case list():
                return [redacted(item) for item in value]
        return value

    return redacted
