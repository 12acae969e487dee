"""The folder of a run: the ledger, what made it, and a lock."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NotRequired

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from graph.settings import FREE_ON_RESUME, WHERE_NOT_WHAT, Settings
from ledger.ledger import Ledger
from models.settings import ROLES, Endpoint, ModelSettings, Role
from prompts.method import Mode
from prompts.pack import load_pack
from reporting.cost import nothing_spent
from samples.reader import Checked, DataSet

PACKAGES = ("coevol", "langgraph", "langchain-core", "langchain-openai", "openai", "fschat")
"""Whose versions a run notes down: what could change a request or the way a reply is read."""


class _Data(TypedDict):
    path: str
    sha256: str
    records: int
    format: str
    layout: str


class _Prompts(TypedDict):
    pack: str
    sha256: str


class Later(TypedDict):
    """Another limit on replies, and since when the run goes on with it."""

    at: str
    max_tokens: int


class _Facts(TypedDict):
    """What `facts` gives, as far as other commands need it, and what was noted later."""

    created: datetime
    data: _Data
    modes: list[Mode]
    settings: dict[str, Any]
    prompts: _Prompts
    versions: dict[str, str]
    later: NotRequired[list[Later]]


class RunError(Exception):
    """The folder cannot be used for this run. The message says why and what to do."""


def open_run(folder: Path) -> Ledger:
    """The ledger of a run's folder, for reading.

    Raises:
        LedgerError: the folder holds no run, or one that cannot be read.
    """
    return Ledger.open(folder / "ledger.sqlite")


def made_by(folder: Path) -> dict[str, Any]:
    """What made the run in a folder, as `facts` gave it.

    Raises:
        RunError: it is not noted there, or damaged.
    """
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder} is not a run: {folder / 'run.json'} cannot be read ({error})") from None
    try:
        TypeAdapter(_Facts).validate_python(facts)
        endpoints(facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise RunError(f"{folder / 'run.json'} is damaged: {where}: {first['msg']}") from None
    made: dict[str, Any] = facts
    return made


def endpoints(made: Mapping[str, Any]) -> dict[Role, Endpoint]:
    """The models that a run was made with, from what `made_by` gives."""
    fields = {name: made["settings"][name] for name in ModelSettings.model_fields if name in made["settings"]}
    settings = ModelSettings(**fields)
    return {role: settings.endpoint(role) for role in ROLES}


def facts(data: DataSet, checked: Checked, settings: Settings, modes: Sequence[Mode]) -> dict[str, Any]:
    """What makes a run: the data, the settings, the prompts, and the versions of the programs."""
    pack = load_pack(settings.prompts)
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": {
            "path": str(data.path),
            "sha256": checked.sha256,
            "records": checked.count,
            "format": data.format,
            "layout": data.layout,
        },
        "modes": list(modes),
        "settings": settings.model_dump(mode="json"),
        "prompts": {"pack": pack.name, "sha256": pack.digest},
        "versions": {package: version(package) for package in PACKAGES},
    }


def checked_before(folder: Path, data: DataSet) -> Checked | None:
    """What the check of the data found when the run in a folder began; None where that cannot be relied on.

    The run notes it down once the check is done. A version of the program that checks other things, or
    another format, needs a check of its own.
    """
    if not (folder / _FACTS).is_file():
        return None
    try:
        made = made_by(folder)
    except RunError:
        return None
    noted = made["data"]
    if made["versions"].get("coevol") != version("coevol"):
        return None
    if (noted["format"], noted["layout"]) != (data.format, data.layout):
        return None
    return Checked(noted["records"], noted["sha256"])


def prepare(folder: Path, now: Mapping[str, Any]) -> Ledger:
    """The ledger to write to: a new one, or that of a run which the same facts made.

    A run in which nothing was spent or finished begins again where the facts are others.

    Raises:
        RunError: the folder holds another run, or something else; the message names each difference.
        LedgerError: the ledger cannot be used.
    """
    ledger = in_progress(folder, now)
    try:
        if ledger:
            made = made_by(folder)
            limit = now["settings"]["max_tokens"]
            if limit != _limits(made)[-1]:
                made.setdefault("later", []).append(Later(at=now["created"], max_tokens=limit))
                _note(folder, made)
            return ledger
        # In this order: where there is `run.json`, there is a ledger.
        for name in (_FACTS, *_LEDGER):
            (folder / name).unlink(missing_ok=True)
        ledger = Ledger.create(folder / "ledger.sqlite")
        _note(folder, now)
    except OSError as error:
        raise RunError(f"{folder} cannot hold a run: {error.strerror}") from None
    return ledger


def began_with(folder: Path) -> int:
    """The limit on replies that a run began with."""
    return _limits(made_by(folder))[0]


def _limits(made: Mapping[str, Any]) -> list[int]:
    """The limits on replies that a run was worked through with, in their order."""
    return [made["settings"]["max_tokens"], *(later["max_tokens"] for later in made.get("later", []))]


def _note(folder: Path, made: Mapping[str, Any]) -> None:
    # Whole or not at all: a ledger without it would be of no use.
    new = folder / f"{_FACTS}.new"
    with new.open("w", encoding="utf-8") as file:
        file.write(json.dumps(made, indent=2, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / _FACTS)


def in_progress(folder: Path, now: Mapping[str, Any]) -> Ledger | None:
    """The ledger of a run in a folder, which the same facts made; None where a run can begin.

    Raises:
        RunError, LedgerError: as `prepare`.
    """
    if Ledger.exists(folder / "ledger.sqlite"):
        ledger = open_run(folder)
        empty = nothing_spent(ledger) and not ledger.has_results()
        if empty and not (folder / _FACTS).exists():
            return None
        different = [
            (name, there, here)
            for name, there, here in differences(made_by(folder), now)
            if name not in FREE_ON_RESUME
        ]
        if different and empty:
            return None
        if different:
            raise RunError(
                f"{folder} holds a run that was made differently:\n"
                + "\n".join(f"  {name}: {there} there, {here} here" for name, there, here in different)
                + "\nGive this run a folder of its own, or use what that one was begun with."
            )
        return ledger
    if (folder / _FACTS).exists():
        raise RunError(
            f"{folder} has lost its ledger.sqlite, which holds all that was done: put it back, "
            f"or delete {_FACTS} to begin anew"
        )
    strangers = [p.name for p in folder.iterdir() if p.name not in _OURS] if folder.is_dir() else []
    if strangers:
        raise RunError(f"{folder} is not empty and holds no run (but {strangers[0]}): name another")
    return None


_LEDGER = ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite-journal")
_FACTS = "run.json"
_OURS = (_FACTS, f"{_FACTS}.new", "lock", *_LEDGER)
"""What may stand in a folder in which a run was about to begin."""


def refuse_to_overwrite(file: Path, run: Path, made: Mapping[str, Any]) -> None:
    """Sees to it that a file to be written is not the run's data or one of its own.

    Raises:
        RunError: it is.
    """
    if not file.exists():
        return
    data = Path(made["data"]["path"])
    if data.exists() and file.samefile(data):
        raise RunError(f"{file} is the data that this run works on: name another file")
    if any(file.samefile(own) for own in (run / name for name in _OURS) if own.exists()):
        raise RunError(f"{file} belongs to the run itself: name another file")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a run's folder, making it where there is none, so that no second command works on it.

    Raises:
        RunError: another command holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "it is read-only")
        lock = FileLock(folder / "lock", blocking=False)
        lock.acquire()
    except Timeout:
        raise RunError(f"another command works on {folder}: wait until it is done") from None
    except OSError as error:
        raise RunError(f"{folder} cannot hold a run: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """In what runs were made differently, from what `facts` gave for each: a name, and what it is in each.

    What does not change a result, such as how many calls are in flight, is left out.
    """
    # A setting that did not exist then was what it is by default now.
    defaults = Settings().model_dump(mode="json")
    for name, default in defaults.items():
        there, here = (made["settings"].get(name, default) for made in (one, other))
        if name == "max_tokens":
            limits = (_limits(made) for made in (one, other))
            there, here = (all_[0] if len(all_) == 1 else all_ for all_ in limits)
        if there != here and name not in WHERE_NOT_WHAT:
            yield name, _brief(there), _brief(here)
    for key in ("sha256", "format"):
        if one["data"][key] != other["data"][key]:
            there, here = (f"{made['data']['path']} ({made['data'][key]:.12})" for made in (one, other))
            yield "data", there, here
    if one["prompts"]["sha256"] != other["prompts"]["sha256"]:
        there, here = (
            f"{made['prompts']['pack']} ({made['prompts']['sha256']:.12})" for made in (one, other)
        )
        yield "texts of the prompts", there, here
    if one["modes"] != other["modes"]:
        there, here = (", ".join(made["modes"]) for made in (one, other))
        yield "modes", there, here


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
