"""Open files whether they are compressed or not."""

import io
from pathlib import Path
from typing import Any, BinaryIO, cast

from samples.bounds import unfolds_too_far

_BUFFER_BYTES = 65_536

_CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
"""Names of codecs by the first bytes of a file."""


def codec_of(path: Path) -> str | None:
    """Return how a file is compressed: gzip, zstd or bz2; None if it is not."""
    with path.open("rb") as file:
        beginning = file.read(4)
    return next((codec for first, codec in _CODECS.items() if beginning.startswith(first)), None)


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading as it was before it was compressed. Broken data raises OSError when read."""
    codec = codec_of(path)
    if codec is None:
        return path.open("rb")
    import pyarrow as pa  # slow to load (0.1 s), and most files are not compressed

    stream = pa.CompressedInputStream(pa.OSFile(str(path)), codec)
    return cast(BinaryIO, io.BufferedReader(_Unfolding(stream, path.stat().st_size), _BUFFER_BYTES))


class _Unfolding(io.RawIOBase):
    """A stream that is decompressed, as long as it does not unfold too far for a file of its size."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream = stream
        self._size = size
        self._unfolded = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        found = self._stream.read(len(buffer))
        buffer[: len(found)] = found
        self._unfolded += len(found)
        if why := unfolds_too_far(self._size, self._unfolded):
            raise OSError(why)
        return len(found)

    def close(self) -> None:
        self._stream.close()
        super().close()
