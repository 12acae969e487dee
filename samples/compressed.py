"""Open files whether they are compressed or not and in UTF-8 or UTF-16, and compress what is written."""

import codecs
import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from samples.bounds import unfolds_too_far

_BUFFER_BYTES = 65_536
_PLAIN_BUFFER_BYTES = 1024 * 1024
"""Each reading lets other threads run, such as the one that hashes the file: with 8 KiB a check took half as
long again."""

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_OTHERS = (codecs.BOM_UTF32_LE, b"\xff\xff")
"""Bytes that begin as those do: UTF-32, and Arrow's."""

_CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
"""Names of codecs by the first bytes of a file."""


def codec_of(path: Path) -> str | None:
    """Return how a file is compressed: gzip, zstd or bz2; None if it is not."""
    with path.open("rb") as file:
        beginning = file.read(4)
    return next((codec for first, codec in _CODECS.items() if beginning.startswith(first)), None)


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading as it was before it was compressed, and text in UTF-16 as UTF-8.

    Broken data raises OSError when read.
    """
    codec = codec_of(path)
    if codec is None:
        return _in_utf8(io.BufferedReader(path.open("rb", 0), _PLAIN_BUFFER_BYTES))
    import pyarrow as pa  # slow to load (0.1 s), and most files are not compressed

    stream = pa.CompressedInputStream(pa.OSFile(str(path)), codec)
    return _in_utf8(io.BufferedReader(_Unfolding(stream, path.stat().st_size), _BUFFER_BYTES))


@contextmanager
def compressing(file: BinaryIO, ending: str) -> Iterator[BinaryIO]:
    """Give what compresses to a file as its `ending` says: .gz or .zst; the file itself for any other."""
    if ending == ".gz":
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as compressed:
            yield cast(BinaryIO, compressed)
    elif ending == ".zst":
        import pyarrow as pa  # slow to load (0.1 s)

        with pa.CompressedOutputStream(pa.PythonFile(_Kept(file), mode="w"), "zstd") as compressed:
            yield compressed
    else:
        yield file


def _in_utf8(file: io.BufferedReader) -> BinaryIO:
    """Return the file, or one that reads it as UTF-8 if it begins with the mark of UTF-16."""
    if file.peek(4)[:4].startswith(_UTF16) and not file.peek(4)[:4].startswith(_OTHERS):
        return cast(BinaryIO, io.BufferedReader(_Transcoded(file), _BUFFER_BYTES))
    return cast(BinaryIO, file)


class _Transcoded(io.RawIOBase):
    """A file in UTF-16, with a mark of its order of bytes, as UTF-8."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-16")()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._rest:
            found = self._file.read(len(buffer))
            try:
                self._rest = self._decoder.decode(found, final=not found).encode()
            except UnicodeError as error:
                raise OSError(f"expected UTF-16, as its first bytes say: {error}") from None
            if not found:
                break
        given, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(given)] = given
        return len(given)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Kept(io.RawIOBase):
    """A file that is still open when this is closed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return self._file.write(data)


class _Unfolding(io.RawIOBase):
    """A stream that is decompressed, as long as it does not unfold too far for a file of its size."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream = stream
        self._size = size
        self._unfolded = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            found = self._stream.read(len(buffer))
        except OSError as error:
            what = "it ends too early" if "runcated" in str(error) else f"it is damaged ({error})"
            raise OSError(f"{what}; get or compress it again") from None
        buffer[: len(found)] = found
        self._unfolded += len(found)
        if why := unfolds_too_far(self._size, self._unfolded):
            raise OSError(why)
        return len(found)

    def close(self) -> None:
        self._stream.close()
        super().close()
