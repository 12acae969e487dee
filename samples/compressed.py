"""Open files whether they are compressed or not."""

import io
from pathlib import Path
from typing import BinaryIO, cast

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
    return cast(BinaryIO, io.BufferedReader(stream))
