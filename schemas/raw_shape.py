"""Documents that differ in some numbers only: constant bytes with holes, filled and read as whole columns."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.raw_reply import STRING, Element, RawReply, document_length, elements

Rows = NDArray[np.uint8]
Column = NDArray[Any]

# BSON's double, ObjectId, date, int32 and int64: what can differ without moving another byte.
_HOLE_TYPES = {1: "<f8", 7: "V12", 9: "<i8", 16: "<i4", 18: "<i8"}
_WORDS = ((8, "<u8"), (4, "<u4"), (2, "<u2"), (1, "<u1"))
_MOST_SHAPES = 200  # of one length, that are looked for: each costs a comparison of all documents that are left
_BLOCK_ROWS = 2048  # so many documents stay in the processor's cache while they are compared


@dataclass(frozen=True, slots=True)
class Hole:
    """Where a value that differs from document to document lies: bytes from the document's start, and its types."""

    at: int
    dtype: str
    bson_type: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.at + np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class DocumentShape:
    """One document's bytes, of which some fields' values are holes.

    Attributes
    ----------
    template : bytes
        The document.
    holes : mapping of str to Hole
        By the field's name.
    """

    template: bytes
    holes: Mapping[str, Hole]

    @classmethod
    def of(cls, template: bytes, fields: Collection[str]) -> "DocumentShape":
        """Return the shape of a document in which the fields named, where it has them, are holes.

        Those are numbers, times, ObjectIds, and texts, which then are as long in every document as here.
        """
        try:
            found = {element.name.decode(): element for element in elements(template, 0)}
        except ValueError:  # a type whose length is not known here: a shape of its own, without holes
            found = {}
        holes = {name: _hole(element) for name, element in found.items() if name in fields}
        return cls(template, {name: hole for name, hole in holes.items() if hole is not None})

    @property
    def width(self) -> int:
        """Bytes of a document."""
        return len(self.template)

    def rows(self, columns: Mapping[str, Column], count: int) -> Rows:
        """Return documents, one a row; a hole without a column keeps the template's value."""
        rows = np.empty((count, self.width), np.uint8)
        rows[:] = np.frombuffer(self.template, np.uint8)
        for name, column in columns.items():
            hole = self.holes[name]
            rows[:, hole.at : hole.end].view(hole.dtype)[:, 0] = column
        return rows

    def column(self, rows: Rows, name: str) -> Column:
        """Return the values of one hole in documents, one a row, copied."""
        hole = self.holes[name]
        cut: Column = rows[:, hole.at : hole.end].view(hole.dtype)[:, 0].copy()
        return cut

    def fits(self, rows: Rows) -> NDArray[np.bool_]:
        """Tell which documents of this width have the template's bytes outside of the holes."""
        template = np.frombuffer(self.template, np.uint8).reshape(1, -1)
        fitting = np.ones(len(rows), np.bool_)
        start = 0
        for end, following in [*sorted((hole.at, hole.end) for hole in self.holes.values()), (self.width, self.width)]:
            fitting &= equal_bytes(rows[:, start:end], template[:, start:end])
            start = following
        return fitting


def equal_bytes(one: Rows, other: Rows) -> NDArray[np.bool_]:
    """Tell row by row whether two blocks of bytes of one width are equal; `other` may be one row for all."""
    equal = np.ones(len(one), np.bool_)
    for first in range(0, len(one), _BLOCK_ROWS):
        block = slice(first, first + _BLOCK_ROWS)
        against = other if len(other) == 1 else other[block]
        for at, dtype in _words(one.shape[1]):
            equal[block] &= _column(one[block], at, dtype) == _column(against, at, dtype)
    return equal


def _words(width: int) -> Iterator[tuple[int, str]]:
    at = 0
    for size, dtype in _WORDS:
        while at + size <= width:
            yield at, dtype
            at += size


def _column(rows: Rows, at: int, dtype: str) -> Column:
    """Return the numbers that lie `at` bytes from the start of each row, without copying them."""
    cut: Column = rows[:, at : at + np.dtype(dtype).itemsize].view(dtype)[:, 0]
    return cut


def _hole(element: Element) -> Hole | None:
    if element.bson_type == STRING:
        return Hole(element.start + 4, f"S{element.end - element.start - 5}", STRING)
    dtype = _HOLE_TYPES.get(element.bson_type)
    return None if dtype is None else Hole(element.start, dtype, element.bson_type)


@dataclass(frozen=True, slots=True)
class ShapedRows:
    """Documents of a reply that have one shape, the bytes of each in a row."""

    shape: DocumentShape
    rows: Rows

    @property
    def document(self) -> bytes:
        """One of them, whose values outside of the holes are those of all."""
        return self.shape.template

    def column(self, name: str) -> Column | None:
        """Return the values of a field, or None where it is no hole."""
        return self.shape.column(self.rows, name) if name in self.shape.holes else None


def shaped_rows(reply: RawReply, fields: Collection[str]) -> Iterator[ShapedRows]:
    """Give the documents of a reply grouped by shape, in which the fields named are the holes.

    Any document has some shape: where there are many shapes of one length, further documents come one by one.
    """
    data = np.frombuffer(reply.data, np.uint8)
    starts, lengths = _places(reply)
    for length in sorted(set(lengths.tolist())):
        windows = np.lib.stride_tricks.sliding_window_view(data, length)
        left: Rows = windows[starts[lengths == length]]
        for _ in range(_MOST_SHAPES):
            if not len(left):
                break
            shape = DocumentShape.of(left[0].tobytes(), fields)
            fitting = shape.fits(left)
            if fitting.all():
                yield ShapedRows(shape, left)
                left = left[:0]
            else:
                yield ShapedRows(shape, left[fitting])
                left = left[~fitting]
        for row in range(len(left)):
            yield ShapedRows(DocumentShape.of(left[row].tobytes(), fields), left[row : row + 1])


def _places(reply: RawReply) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each document of a reply starts, and its length."""
    runs = reply.runs()
    if runs and all(
        (run.view(reply.data, 0, "<i4") == document_length(reply.data, runs[0].offset)).all() for run in runs
    ):
        starts = np.concatenate([run.offset + run.stride * np.arange(run.count) for run in runs])
        return starts, np.full(len(starts), document_length(reply.data, runs[0].offset))
    places, lengths = [], []
    data, position, stop, index, digits, limit = reply.data, reply.start + 4, reply.end - 1, 0, 1, 10
    while position < stop:
        if index == limit:
            digits, limit = digits + 1, limit * 10
        start = position + 2 + digits
        length = document_length(data, start)
        places.append(start)
        lengths.append(length)
        position, index = start + length, index + 1
    return np.array(places, np.int64), np.array(lengths, np.int64)


def grouped(keys: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    """Give the positions of each distinct key, ascending."""
    order = np.argsort(keys, kind="stable")
    ends = np.flatnonzero(np.diff(keys[order])) + 1
    yield from np.split(order, ends) if len(order) else ()
