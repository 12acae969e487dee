"""The folder of a run: begins a run in it or resumes one, with a lock.

A run holds what a data set and models said, so it is its owner's alone: the folder and its files are created
with such modes. A run that is shared leaves them to the umask. One that goes on keeps what it has, also if an
earlier version began it, unless `--shared` opens it; no mode of a folder that was there before is changed.
"""

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout

from graph.settings import FREE_ON_RESUME, WHAT_IT_COSTS
from ledger.ledger import Ledger
from models.keys import Keys
from reporting import manifest, workers
from reporting.cost import nothing_spent
from reporting.manifest import (
    LaterLimit,
    Manifest,
    RunError,
    differences,
    read_manifest,
    reply_limits,
    without_keys,
)
from reporting.run import DRAFTS, LEDGER, LOCK, Run
from samples.reader import Checked, DataSet

_LEDGER = (LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", f"{LEDGER}-journal")
_DRAFTS = (DRAFTS, f"{DRAFTS}-journal")
_NEW_MANIFEST = f"{manifest.FILE}.new"
_OURS = (manifest.FILE, _NEW_MANIFEST, LOCK, *_LEDGER, workers.FILE, f"{workers.FILE}.new", *_DRAFTS)
"""The files of a run, all that the folder of a new one may hold."""


def checked_before(folder: Path, data: DataSet) -> Checked | None:
    """Return the result of the data check when the run in a folder began; None if it must be repeated.

    Another version of the program may check other things, and another format needs another check.
    """
    if not (folder / manifest.FILE).is_file():
        return None
    try:
        made = read_manifest(folder)
    except RunError:
        return None
    before = made["data"]
    same_program = made["versions"].get("coevol") == version("coevol")
    same_fields = before.get("reference") == data.reference
    if same_program and same_fields and (before["format"], before["layout"]) == (data.format, data.layout):
        return Checked(before["records"], before["sha256"], before.get("thinking", 0))
    return None


def format_before(folder: Path) -> str:
    """Return the format of the data with which the run in a folder began; empty if there is no run."""
    try:
        return read_manifest(folder)["data"]["format"]
    except RunError:
        return ""


def prepare(folder: Path, wanted: Manifest, keys: Keys, *, shared: bool = False) -> Ledger:
    """Return the ledger to write to: a new one, or that of a run with the same manifest.

    Files of a new run are for others too if it is `shared`.

    A run in which nothing was spent or finished begins again if its manifest differs. What is a key in the
    settings is not recorded.

    Raises:
        RunError: the folder holds another run, or something else; the message names each difference.
        LedgerError: the ledger cannot be used.
    """
    ledger = in_progress(folder, wanted)
    try:
        if ledger:
            made = read_manifest(folder)
            before = deepcopy(made)
            limit = wanted["settings"]["max_tokens"]
            if limit != reply_limits(made)[-1]:
                made.setdefault("later", []).append(LaterLimit(at=wanted["created"], max_tokens=limit))
            for name in WHAT_IT_COSTS:
                if wanted["settings"][name] or name in made["settings"]:
                    made["settings"][name] = wanted["settings"][name]
            made.pop("part", None)
            if "part" in wanted:
                made["part"] = wanted["part"]
            if made != before:
                _write(folder, made)
            return ledger
        mode = _mode(folder, shared)
        # In this order, so that a manifest implies a ledger.
        for name in (manifest.FILE, *_LEDGER):
            (folder / name).unlink(missing_ok=True)
        ledger = Ledger.create(folder / LEDGER, mode)
        _write(folder, without_keys(wanted, keys))
    except OSError as error:
        raise RunError(f"{folder} cannot hold a run: {error.strerror}") from None
    return ledger


def renew(folder: Path, change: Callable[[Manifest], Manifest]) -> None:
    """Let the run in a folder, if there is one, go on with another manifest: as a part of a trial.

    Raises:
        RunError: its manifest is damaged, or cannot be written.
    """
    if not (folder / manifest.FILE).is_file():
        return
    made = read_manifest(folder)
    if (changed := change(deepcopy(made))) == made:
        return
    try:
        _write(folder, changed)
    except OSError as error:
        raise RunError(f"{folder} cannot hold a run: {error.strerror}") from None


def in_progress(folder: Path, wanted: Manifest) -> Ledger | None:
    """Return the ledger of the run in a folder, with the same manifest; None if a run can begin.

    Raises:
        RunError, LedgerError: as `prepare`.
    """
    if Ledger.exists(folder / LEDGER):
        ledger = Ledger.open(folder / LEDGER)
        is_empty = nothing_spent(ledger) and not ledger.has_results()
        if is_empty and not (folder / manifest.FILE).exists():
            return None
        different = [
            (name, there, here)
            for name, there, here in differences(read_manifest(folder), wanted)
            if name not in FREE_ON_RESUME
        ]
        if different and is_empty:
            return None
        if different:
            raise RunError(
                f"{folder} holds a run that was made differently:\n"
                + "\n".join(f"  {name}: {there} there, {here} here" for name, there, here in different)
                + "\nUse another folder for this run, or the same settings and data as before"
                + (
                    ": --prompts names the pack that it began with, or a copy of it."
                    if any(name == "texts of the prompts" for name, _, _ in different)
                    else "."
                )
            )
        return ledger
    if (folder / manifest.FILE).exists():
        raise RunError(
            f"{folder} has lost its {LEDGER}, which holds all finished work: put it back, "
            f"or delete {manifest.FILE} to start over"
        )
    others = [p.name for p in folder.iterdir() if p.name not in _OURS] if folder.is_dir() else []
    if others:
        raise RunError(f"{folder} is not a coevol run (found {others[0]}); choose another folder")
    return None


def refuse_to_overwrite(file: Path, run: Run) -> None:
    """Make sure that a file to be written is not the run's data or one of its own.

    Raises:
        RunError: it is.
    """
    if not file.exists():
        return
    data = Path(run.manifest["data"]["path"])
    if data.exists() and (file.samefile(data) or data.resolve() in file.resolve().parents):
        raise RunError(f"{file} is the data of this run; choose another file")
    if any(file.samefile(own) for own in (run.folder / name for name in _OURS) if own.exists()):
        raise RunError(f"{file} belongs to the run itself; choose another file")


@contextmanager
def locked(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Lock a run's folder, creating it if need be, so that no other command works on it.

    With `shared` what is created is for others too, and a run that was its owner's alone is opened to them.

    Raises:
        RunError: another command holds it, or it cannot be created.
    """
    try:
        folder.mkdir(0o777 if shared else _OWNER_FOLDER, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "it is read-only")
        # Pages look whether it is locked, which takes microseconds (`reporting.run.is_at_work`).
        if (mode := _mode(folder, shared)) == OWNER_FILE:
            lock = FileLock(folder / LOCK, mode=mode, timeout=0.2)
        else:  # a mode that is given is set whatever the umask
            lock = FileLock(folder / LOCK, timeout=0.2)
        lock.acquire()
    except Timeout:
        raise RunError(f"another command is working on {folder}: wait until it is done") from None
    except OSError as error:
        raise RunError(f"{folder} cannot hold a run: {error.strerror}") from None
    try:
        if shared:
            _share(folder)
        yield
    finally:
        lock.release()


OWNER_FILE, _OWNER_FOLDER = 0o600, 0o700


def _mode(folder: Path, shared: bool) -> int:
    """Return the mode of a new file of a run: that of its ledger, so far as the umask is not to decide."""
    ledger = folder / LEDGER
    is_private = not _is_open(ledger) if ledger.exists() else not shared
    return OWNER_FILE if is_private else 0o666


def _is_open(path: Path) -> bool:
    """Return whether a file or folder is for others than its owner."""
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _share(folder: Path) -> None:
    """Open a run that is its owner's alone to others, as far as the umask does."""
    umask = os.umask(0o077)  # the only way to read it
    os.umask(umask)
    try:
        for file in (folder / name for name in _OURS):
            if file.exists() and not _is_open(file):
                file.chmod(0o666 & ~umask)
        # A folder that holds other things too may be closed for these.
        others = [path for path in folder.iterdir() if path.name not in _OURS]
        if not others and not _is_open(folder):
            folder.chmod(0o777 & ~umask)
    except OSError as error:
        raise RunError(f"{folder} cannot be shared: {error.strerror}; only its owner can do that") from None


def _write(folder: Path, made: Manifest) -> None:
    # Atomically: a ledger without a manifest would be useless.
    new = folder / _NEW_MANIFEST
    new.unlink(missing_ok=True)  # with a mode of its own
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _mode(folder, shared=False))
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(json.dumps(made, indent=2, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / manifest.FILE)


def may_begin(folder: Path) -> bool:
    """Whether a run may begin in a folder: there is nothing in it, or what a run writes first."""
    if not folder.exists():
        return True
    return folder.is_dir() and all(each.name in _OURS for each in folder.iterdir())
