"""The exceptions of model calls."""

from collections.abc import Mapping
from typing import Any


class CallFailed(RuntimeError):
    """A call that cannot be made. Its sample keeps its response; the run continues."""

    def __init__(self, kind: str, message: str, *, step: str = "", round: int = 0) -> None:
        super().__init__(message)
        self.kind = kind
        """The key of its `FailureKind`, by which failures are counted."""
        self.step = step
        self.round = round


class RunStopped(RuntimeError):
    """The run cannot continue. Finished work is kept, and the same command resumes it."""


class MissingExtra(RunStopped):
    """A feature needs a library that is not installed."""

    def __init__(self, feature: str, module: str | None, extra: str) -> None:
        super().__init__(
            f"{feature} needs {module}, which is not installed: "
            f"run `pip install -e '.[{extra}]'` in the folder of coevol"
        )


class BadResponse(Exception):
    """A response that is not a usable reply, from a client library that has no error of its own for it."""

    def __init__(
        self, status: int, body: Any, headers: Mapping[str, str] | None = None, *, defect: str = ""
    ) -> None:
        super().__init__(f"status {status}")
        self.status_code = status
        self.body = body
        """What the response held, JSON or text."""
        self.headers = headers or {}
        """By name, in lower case."""
        self.defect = defect
        """What is wrong with a response that should be a chat completion; it may have been billed."""
        self.request: Any = None
        """The HTTP request that it answers, where that is known."""


class UnsendableRequest(Exception):
    """A request that could not be built, so no server has seen it."""
