"""Uploads a data set to the Hugging Face Hub, in one commit.

All requests are those of `huggingface_hub`, which has its own retries; `HF_ENDPOINT` names another Hub. Files
go over HTTP to Git LFS, which every Hub speaks, and what a first try has sent is not sent again.
"""

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors.exceptions import RunStopped
from reporting.manifest import RunError

TIMEOUT = 120.0
"""Seconds without any progress after which a request has failed."""

CARD = "README.md"

_ADVICE = {
    400: "the Hub does not accept this",
    401: "the Hub does not know this token: make a new one in the settings of your account",
    403: "the token may not write there: it needs write access to this name",
    404: "there is no such data set, or the token may not see it",
    409: "it is being changed, or there is one of this name that the token may not see",
    412: "something else changed it at the same time; try again",
    413: "a file is too large, or the storage of the account is full",
    429: "too many requests; wait a while, and try again",
}


@dataclass(frozen=True, slots=True)
class Remote:
    """A data set on the Hub, as it was looked at."""

    files: Sequence[str]
    private: bool
    commit: str
    card: str
    """Its README.md; empty if there is none."""


class Hub:
    """The Hub, with the user's token: that of `HF_TOKEN`, or of `hf auth login`."""

    def __init__(self) -> None:
        """Connect.

        Raises:
            RunError: there is no token.
        """
        import huggingface_hub
        from huggingface_hub.utils.tqdm import disable_progress_bars

        token = huggingface_hub.get_token()
        if token is None:
            raise RunError("there is no token for the Hub: set HF_TOKEN, or run `hf auth login`")
        disable_progress_bars()
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        huggingface_hub.constants.HF_HUB_DISABLE_XET = True
        huggingface_hub.get_session().timeout = TIMEOUT
        self.endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or huggingface_hub.constants.ENDPOINT
        self._token = token
        self._api = huggingface_hub.HfApi(self.endpoint, token, library_name="coevol")

    def look(self, repo: str) -> Remote | None:
        """Return the data set of this name; None if there is none that the token may see.

        Raises:
            RunError: the Hub cannot be asked.
        """
        from huggingface_hub.errors import RepositoryNotFoundError

        with self._errors(f"{repo} cannot be looked at on {self.endpoint}", RunError):
            try:
                found = self._api.dataset_info(repo, timeout=TIMEOUT)
            except RepositoryNotFoundError as error:
                # A wrong token gets the same answer, but for its status.
                if _status(error) == 401:
                    raise
                return None
            files = sorted(each.rfilename for each in found.siblings or ())
            card = ""
            if CARD in files:
                with tempfile.TemporaryDirectory() as folder:
                    path = self._api.hf_hub_download(
                        repo, CARD, repo_type="dataset", revision=found.sha, local_dir=folder
                    )
                    card = Path(path).read_text(encoding="utf-8", errors="replace")
            return Remote(files, bool(found.private), found.sha or "", card)

    def upload(
        self,
        repo: str,
        files: Mapping[str, Path],
        deleted: Sequence[str],
        remote: Remote | None,
        *,
        private: bool,
    ) -> str:
        """Create the data set if there is none (`remote` is None), and commit files; return its address.

        Raises:
            RunStopped: it failed; what was sent need not be sent again.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = [
            *(CommitOperationDelete(path) for path in deleted),
            *(CommitOperationAdd(path, file) for path, file in files.items()),
        ]
        with (
            self._errors(f"the upload to {repo} on {self.endpoint} failed", RunStopped),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of the Hub, about what a card might say as well
            if remote is None:
                self._api.create_repo(repo, repo_type="dataset", private=private)
            self._api.create_commit(
                repo,
                operations,
                commit_message="Data set made with coevol",
                repo_type="dataset",
                parent_commit=remote.commit if remote and remote.commit else None,
            )
        return f"{self.endpoint}/datasets/{repo}"

    @contextmanager
    def _errors(self, what: str, kind: type[Exception]) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of several libraries: HTTP, file system, what the Hub sent
            raise kind(f"{what}: {self._explain(error)}") from None

    def _explain(self, error: BaseException) -> str:
        """Describe an error in one line, without the token."""
        causes = [error]
        while (cause := causes[-1].__cause__ or causes[-1].__context__) and len(causes) < 10:
            causes.append(cause)
        status = next((status for each in causes if (status := _status(each))), None)
        said = next((text for each in causes if (text := getattr(each, "server_message", None))), None)
        if status is None:
            said = said or " ".join(str(error).split()) or type(error).__name__
            if any(
                type(each).__name__ in ("ConnectError", "ConnectTimeout", "ReadTimeout") for each in causes
            ):
                said = f"it cannot be reached ({said})"
            return said.replace(self._token, "…")
        advice = _ADVICE.get(status, "the Hub has a problem; try again later" if status >= 500 else "")
        parts = [f"status {status}", advice, " ".join(str(said).split())[:300] if said else ""]
        return ": ".join(filter(None, parts)).replace(self._token, "…")


def _status(error: BaseException) -> int | None:
    found = getattr(getattr(error, "response", None), "status_code", None)
    return found if isinstance(found, int) else None
