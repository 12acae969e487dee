"""Tracing with LangSmith, where its own variables ask for it (LANGSMITH_TRACING, LANGSMITH_API_KEY, …).

LangChain and LangGraph write the traces. Added here is what they cannot know: tags to filter the traces of a
data set by, what must not be in them, and that failures to trace do not affect a run.
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
from models.secret_fields import masked, secrets_in

FLUSH_SECONDS = 10.0
"""How long a finished run waits for LangSmith to accept the remaining traces."""

MAX_MESSAGE_CHARS = 200
"""Characters kept of LangSmith's error message."""


def start_tracing(keys: Keys, notify: Callable[[str], None] | None = None) -> Callable[[], None]:
    """Keep keys out of traces; do nothing where tracing is off.

    With `notify`, the first failure to deliver a trace is reported there, once, and the library's own log of
    them is silent. At most 10,000 parts of traces wait for delivery (LANGSMITH_TRACING_QUEUE_MAX_SIZE); more
    are dropped. Call the returned function at the end of a run: it delivers the last traces, for a few
    seconds at most.
    """
    if not tracing_is_enabled():
        return lambda: None
    # A thread that waits for an answer must not keep the finished program alive.
    os.environ.setdefault("LANGSMITH_USE_DAEMON", "true")
    notified = False

    def failed(error: Exception) -> None:
        nonlocal notified
        if notify and not notified:
            notified = True
            message = " ".join(keys.redact(str(error)).split())[:MAX_MESSAGE_CHARS]
            notify(f"LangSmith does not accept the traces; the run continues without them: {message}")

    if notify:
        logging.getLogger("langsmith").setLevel(logging.CRITICAL)
    client = Client(anonymizer=_without(keys), tracing_error_callback=failed)
    client.session.max_redirects = 0  # traces hold prompts
    configure(client=client)

    def end() -> None:
        client.close(FLUSH_SECONDS)
        if client.tracing_queue is not None and client.tracing_queue.unfinished_tasks:
            failed(TimeoutError(f"some were left after {FLUSH_SECONDS:g} seconds"))

    return end


def sample_config(run: str, sample: str, mode: str) -> RunnableConfig:
    """Return the name, tags and metadata of one sample's trace; nothing where tracing is off."""
    if not tracing_is_enabled():
        return RunnableConfig()
    return RunnableConfig(
        run_name=f"{mode} {sample}",
        tags=[f"run:{run}", f"sample:{sample}"],
        metadata={"run": run, "sample": sample, "mode": mode},
    )


def call_config(call: Call) -> RunnableConfig:
    """Return the name, tags and metadata of one call's trace, in addition to its sample's."""
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
            case {"error": str(message)} if len(value) == 1:
                return {"error": keys.redact(message)}
            case str():
                return keys.redact_reply(value)
            case dict():
                return {name: redacted(_without_secrets(name, item)) for name, item in value.items()}
            case list():
                return [redacted(item) for item in value]
        return value

    return redacted


def _without_secrets(name: object, item: Any) -> Any:
    """Mask what is a key in the fields of requests, which LangChain reports with the model and its calls."""
    return masked(item, set(secrets_in(item))) if name in ("extra_body", "role_extra_body") else item
