"""Turns the documents of a find reply into NumPy columns, where all of them hold exactly the wanted fields.

Every byte that belongs to no value must be the same in all documents, which is checked; a reply with a document of any
other shape is left to the general decoder.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions, DatetimeConversion
from numpy.typing import NDArray

from schemas import raw_reply
from schemas.raw_reply import RawReply, Run

Column = NDArray[Any]

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


DOUBLE = Cell(raw_reply.DOUBLE, "<f8")
DATETIME_MS = Cell(raw_reply.DATETIME, "<i8")
TEXT_OF_8 = Cell(raw_reply.STRING, "S8", frame=(4, 1))  # between the string's length and its NUL


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the wanted values lie in a document, and which integers its other bytes make up."""

    values: dict[str, tuple[int, str]]
    constants: tuple[tuple[int, str, int], ...]


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
    runs = RawReply.parse(reply).runs()
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


def _copy(reply: bytes, run: Run, layout: _Layout, targets: Mapping[str, Column]) -> bool:
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


def _learn(reply: bytes, offset: int, wanted: Mapping[str, Cell]) -> _Layout | None:
    """Return the layout of the document at `offset`, or None where it is not exactly the wanted fields."""
    values: dict[str, tuple[int, str]] = {}
    constants: list[tuple[int, str, int]] = []
    constant_from = offset
    try:
        for element in raw_reply.elements(reply, offset):
            name, size = element.name.decode(errors="replace"), element.end - element.start
            cell = wanted.get(name)
            if cell is None or name in values or element.bson_type != cell.bson_type or size != cell.size:
                return None
            value_start, value_end = element.start + cell.frame[0], element.end - cell.frame[1]
            constants += _integers(reply, constant_from, value_start, offset)
            values[name] = (value_start - offset, cell.dtype)
            constant_from = value_end
    except ValueError:
        return None
    document_end = offset + raw_reply.document_length(reply, offset)
    constants += _integers(reply, constant_from, document_end, offset)
    return _Layout(values, tuple(constants)) if len(values) == len(wanted) else None


def _integers(reply: bytes, start: int, end: int, origin: int) -> Iterator[tuple[int, str, int]]:
    """Yield the bytes from start to end as few unsigned integers: (distance from origin, dtype, value)."""
    while start < end:
        size = next(size for size in (8, 4, 2, 1) if size <= end - start)
        yield start - origin, f"<u{size}", int.from_bytes(reply[start : start + size], "little")
        start += size
