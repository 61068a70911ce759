"""Views the documents of a raw find reply as NumPy columns: one Python object for each bar is what makes reading slow.

The documents of one projection of bars hold doubles and a time, so all have one length. In BSON an array's element is
0x03, its decimal index, NUL and the document: documents whose index has the same number of digits lie at a constant
distance, and a strided view is a column. Every byte that belongs to no value must be the same in all documents, which
is checked; a reply with a document of any other shape is left to the general decoder.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions, DatetimeConversion
from numpy.typing import NDArray

Column = NDArray[Any]

_DOUBLE, _STRING, _DOCUMENT, _ARRAY, _DATETIME, _INT32, _INT64, _TIMESTAMP = 1, 2, 3, 4, 9, 16, 18, 17
_FIXED_WIDTH = {_DOUBLE: 8, _DATETIME: 8, _INT32: 4, _INT64: 8, _TIMESTAMP: 8, 8: 1, 10: 0}
_LENGTH = struct.Struct("<i")
_BLOCK_ROWS = 2048  # so many documents stay in the processor's cache while they are compared and copied
_PLAIN = CodecOptions[dict[str, Any]](datetime_conversion=DatetimeConversion.DATETIME_MS)


@dataclass(frozen=True, slots=True)
class Cell:
    """How a field lies in a document: its BSON type, and the bytes of its value as a NumPy type."""

    bson_type: int
    dtype: str
    frame: tuple[int, int] = (0, 0)  # bytes of the value before and after those that hold what is wanted

    @property
    def size(self) -> int:
        """Bytes of the whole value."""
        return self.frame[0] + np.dtype(self.dtype).itemsize + self.frame[1]


DOUBLE = Cell(_DOUBLE, "<f8")
DATETIME_MS = Cell(_DATETIME, "<i8")
TEXT_OF_8 = Cell(_STRING, "S8", frame=(4, 1))  # between the string's length and its NUL


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the wanted values lie in a document, and which integers its other bytes make up."""

    values: dict[str, tuple[int, str]]
    constants: tuple[tuple[int, str, int], ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """Documents at a constant distance in the reply."""

    offset: int
    stride: int
    count: int

    def view(self, reply: bytes, at: int, dtype: str) -> Column:
        return np.ndarray((self.count,), dtype, reply, self.offset + at, (self.stride,))


def reply_columns(reply: bytes, wanted: Mapping[str, Cell]) -> dict[str, Column] | None:
    """Return the fields of all documents in a find reply as columns, or None where any document has another shape.

    Parameters
    ----------
    reply : bytes
        The server's whole answer to a `find` command with an inclusion projection of the wanted fields.
    wanted : mapping of str to Cell
        The fields, each with the form it must have in every document.

    Returns
    -------
    dict of str to array, or None
        One column, copied, for each wanted field, in the server's order. None: some document lacks a field, has one
        more, has one in another type, or has them in another order than the first; use `reply_documents`.
    """
    runs = _runs(reply, *_first_batch(reply))
    if runs is None:
        return None
    columns = {name: np.empty(sum(run.count for run in runs), cell.dtype) for name, cell in wanted.items()}
    layout = _learn(reply, runs[0].offset, wanted) if runs else _Layout({}, ())
    if layout is None:
        return None
    row = 0
    for run in runs:
        if not _copy(reply, run, layout, {name: column[row : row + run.count] for name, column in columns.items()}):
            return None
        row += run.count
    return columns


def reply_documents(reply: bytes) -> list[dict[str, Any]]:
    """Return the documents of a find reply, decoded one by one; times are `DatetimeMS`."""
    documents: list[dict[str, Any]] = bson.decode(reply, _PLAIN)["cursor"]["firstBatch"]
    return documents


def _copy(reply: bytes, run: _Run, layout: _Layout, targets: Mapping[str, Column]) -> bool:
    """Copy a run's values into the targets; False where one of its documents is not of the layout."""
    constants = [(run.view(reply, at, dtype), value) for at, dtype, value in layout.constants]
    values = [(targets[name], run.view(reply, at, dtype)) for name, (at, dtype) in layout.values.items()]
    for first in range(0, run.count, _BLOCK_ROWS):
        block = slice(first, first + _BLOCK_ROWS)
        if any((found[block] != needed).any() for found, needed in constants):
            return False
        for target, found in values:
            target[block] = found[block]
    return True


def _first_batch(reply: bytes) -> tuple[int, int]:
    """Return where the array of documents begins and ends in the reply."""
    for _, key, start, _ in _elements(reply, 0):
        if key == b"cursor":
            for _, inner_key, inner_start, inner_end in _elements(reply, start):
                if inner_key == b"firstBatch":
                    return inner_start, inner_end
    raise ValueError("A find reply was needed, found one without cursor.firstBatch.")


def _runs(reply: bytes, start: int, end: int) -> list[_Run] | None:
    """Return a run for each number of index digits, or None where documents of the first one's length do not fit.

    That every document has that length is only assumed here. The length is among the bytes that `_copy` compares, and
    a document that has it proves where the next one begins.
    """
    position, stop, digits, index = start + 4, end - 1, 1, 0
    if position == stop:
        return []
    width = _LENGTH.unpack_from(reply, position + 3)[0]
    runs = []
    while position < stop:
        stride = 2 + digits + width
        count = min(10**digits - index, (stop - position) // stride)
        if count == 0:
            return None
        runs.append(_Run(position + 2 + digits, stride, count))
        position, index, digits = position + count * stride, index + count, digits + 1
    return runs


def _learn(reply: bytes, offset: int, wanted: Mapping[str, Cell]) -> _Layout | None:
    """Return the layout of the document at `offset`, or None where it is not exactly the wanted fields."""
    values: dict[str, tuple[int, str]] = {}
    constants: list[tuple[int, str, int]] = []
    constant_from = offset
    try:
        for bson_type, key, start, end in _elements(reply, offset):
            name = key.decode(errors="replace")
            cell = wanted.get(name)
            if cell is None or name in values or bson_type != cell.bson_type or end - start != cell.size:
                return None
            value_start, value_end = start + cell.frame[0], end - cell.frame[1]
            constants += _integers(reply, constant_from, value_start, offset)
            values[name] = (value_start - offset, cell.dtype)
            constant_from = value_end
    except ValueError:
        return None
    document_end = offset + _LENGTH.unpack_from(reply, offset)[0]
    constants += _integers(reply, constant_from, document_end, offset)
    return _Layout(values, tuple(constants)) if len(values) == len(wanted) else None


def _integers(reply: bytes, start: int, end: int, origin: int) -> Iterator[tuple[int, str, int]]:
    """Yield the bytes from start to end as few unsigned integers: (distance from origin, dtype, value)."""
    while start < end:
        size = next(size for size in (8, 4, 2, 1) if size <= end - start)
        yield start - origin, f"<u{size}", int.from_bytes(reply[start : start + size], "little")
        start += size


def _elements(buffer: bytes, start: int) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield (BSON type, key, start of the value, its end) for each element of the document at `start`."""
    end = start + _LENGTH.unpack_from(buffer, start)[0]
    position = start + 4
    while position < end - 1:
        bson_type = buffer[position]
        key_end = buffer.index(0, position + 1)
        value_start = key_end + 1
        if bson_type in (_DOCUMENT, _ARRAY):
            width = _LENGTH.unpack_from(buffer, value_start)[0]
        elif bson_type == _STRING:
            width = 4 + _LENGTH.unpack_from(buffer, value_start)[0]
        elif bson_type in _FIXED_WIDTH:
            width = _FIXED_WIDTH[bson_type]
        else:
            raise ValueError(f"A bar has no field of BSON type {bson_type}.")
        yield bson_type, buffer[position + 1 : key_end], value_start, value_start + width
        position = value_start + width
