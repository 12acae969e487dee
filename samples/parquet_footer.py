"""Read from the footer of a Parquet file how much its column chunks hold.

pyarrow has these sizes too, but a damaged footer makes its `RowGroupMetaData.column` end the process: Arrow
throws an exception there that Cython does not catch. So these few numbers are read here. The footer is one
struct in Thrift's compact protocol (parquet.thrift, `FileMetaData`; Thrift, "Thrift compact protocol
encoding").
"""

from pathlib import Path
from typing import Any

_NUM_VALUES, _UNCOMPRESSED = 5, 6
_WANTED: dict[int, Any] = {4: {1: {3: {_NUM_VALUES: None, _UNCOMPRESSED: None}}}}
"""The numbers of the fields that lead to a chunk's: row_groups, columns, meta_data."""

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = 1, 2, 3, 7, 8, 9, 10, 11, 12, 13
_INTEGERS = (4, 5, 6)
_FIXED = {_BYTE: 1, _DOUBLE: 8, _UUID: 16}
_DEEPEST = 30
_TAIL = 8
"""Bytes at the end: the length of the footer, and PAR1."""


def chunk_sizes(path: Path) -> list[list[int]]:
    """Return for each row group how many bytes the file says that each of its column chunks holds.

    A chunk counts at least one byte for each of its values. Raises ValueError if the footer is damaged.
    """
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - _TAIL))
        length = int.from_bytes(file.read(4), "little")
        if not 0 < length <= end - _TAIL:
            raise ValueError("the length of its footer is damaged")
        file.seek(end - _TAIL - length)
        found = _Compact(file.read(length)).struct(_WANTED)
    try:
        return [
            [max(chunk[3][_UNCOMPRESSED], chunk[3][_NUM_VALUES]) for chunk in group[1]]
            for group in found.get(4, [])
        ]
    except (KeyError, TypeError):
        raise ValueError("its footer does not say how large its columns are") from None


class _Compact:
    """Bytes in Thrift's compact protocol, read from the first on."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self, wanted: dict[int, Any], depth: int = 0) -> dict[int, Any]:
        """Return the `wanted` fields of a struct by their numbers; others are passed over."""
        if depth > _DEEPEST:
            raise ValueError("its footer is nested too deeply")
        found: dict[int, Any] = {}
        number = 0
        while header := self._byte():
            delta, kind = header >> 4, header & 15
            number = number + delta if delta else self._integer()
            value = self._value(kind, wanted.get(number) or {}, depth, is_field=True)
            if number in wanted:
                found[number] = value
        return found

    def _value(self, kind: int, wanted: dict[int, Any], depth: int, *, is_field: bool = False) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE if is_field else self._byte()
        if kind in _INTEGERS:
            return self._integer()
        if kind in _FIXED:
            return self._skip(_FIXED[kind])
        if kind == _BINARY:
            return self._skip(self._varint())
        if kind == _STRUCT:
            return self.struct(wanted, depth + 1)
        if kind in (_LIST, _SET):
            header = self._byte()
            count = header >> 4 if header >> 4 < 15 else self._varint()
            values = (self._value(header & 15, wanted, depth + 1) for _ in range(count))
            if wanted:
                return list(values)
            for _ in values:
                pass
            return None
        if kind == _MAP:
            if count := self._varint():
                header = self._byte()
                for _ in range(count):
                    self._value(header >> 4, {}, depth + 1)
                    self._value(header & 15, {}, depth + 1)
            return None
        raise ValueError("its footer is damaged")

    def _byte(self) -> int:
        self._at += 1
        if self._at > len(self._data):
            raise ValueError("its footer ends too early")
        return self._data[self._at - 1]

    def _skip(self, count: int) -> None:
        self._at += count
        if self._at > len(self._data):
            raise ValueError("its footer ends too early")

    def _varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
            if shift > 63:
                raise ValueError("its footer is damaged")

    def _integer(self) -> int:
        number = self._varint()
        return number >> 1 ^ -(number & 1)
