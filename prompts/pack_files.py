"""The files of a prompt pack, read within bounds: a pack may come from anyone."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENDING = ".jinja"

MAX_FILES, MAX_FILE_KB, MAX_PACK_KB = 100, 64, 256
"""The built-in packs have 17 files and 10 KB."""


class PackError(ValueError):
    """A pack cannot be used. The message names the file, what is wrong with it, and what to do."""


State = tuple[tuple[str, int, int, int], ...]
"""What tells whether a folder's files are those that were read: name, inode, time and size of each."""


def find_files(folder: Path) -> State:
    """Return the files of a pack, as they are now.

    Raises:
        PackError: there are too many or too large ones, or what cannot be one.
    """
    found: list[tuple[str, int, int, int]] = []
    with _explained(folder), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.endswith(ENDING) or entry.name.startswith("."):
                continue
            if len(found) == MAX_FILES:
                raise PackError(f"{folder} has more than {MAX_FILES} files *{ENDING}")
            file = folder / entry.name
            with _explained(file):
                found.append((entry.name, *_checked(file, os.stat(_inside(folder, file)))))  # noqa: PTH116
    if sum(size for *_, size in found) > MAX_PACK_KB * 1000:
        raise PackError(f"the files *{ENDING} of {folder} are larger than {MAX_PACK_KB} KB together")
    return tuple(sorted(found))


def read_files(folder: Path) -> dict[str, str]:
    """Return the texts of a pack's files by name.

    Raises:
        PackError: as `find_files`, or one cannot be read.
    """
    sources = {}
    for name, *_ in find_files(folder):
        file = folder / name
        with _explained(file):
            # Without following what may have become a link meanwhile, and without waiting for a pipe.
            descriptor = os.open(_inside(folder, file), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as opened:  # noqa: PTH123
                _checked(file, os.fstat(descriptor))
                content = opened.read(MAX_FILE_KB * 1000)
            sources[name] = content.decode().replace("\r\n", "\n").replace("\r", "\n")
    return sources


def _inside(folder: Path, file: Path) -> Path:
    """Return where a file is. Raises PackError where a link leads out of the folder."""
    resolved = file.resolve()
    if resolved.parent != folder.resolve():
        raise PackError(f"{file} is a link to {resolved}, out of the pack: put a copy there")
    return resolved


def _checked(file: Path, found: os.stat_result) -> tuple[int, int, int]:
    if not stat.S_ISREG(found.st_mode):
        raise PackError(f"{file} is not a regular file")
    if found.st_size > MAX_FILE_KB * 1000:
        raise PackError(f"{file} is larger than {MAX_FILE_KB} KB")
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        file.name.encode()
        yield
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise PackError(f"{file}, line {line}: this is no UTF-8 text ({error.reason})") from None
    except UnicodeEncodeError:
        raise PackError(f"{file} has a name that is not UTF-8") from None
    except (OSError, RuntimeError) as error:
        raise PackError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
