"""A reply to a find command as the bytes that came: where its documents lie, so that NumPy can view them in place.

One Python object for each document is what makes reading slow. In BSON an array's element is 0x03, its decimal index,
NUL and the document: documents of one length whose index has the same number of digits lie at a constant distance.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DOUBLE, STRING, DATETIME = 1, 2, 9
_DOCUMENT, _ARRAY, _BINARY = 3, 4, 5
_FIXED_BYTES = {DOUBLE: 8, 6: 0, 7: 12, 8: 1, DATETIME: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16}
_COUNTED_BYTES = {STRING: 4, _DOCUMENT: 0, _ARRAY: 0, _BINARY: 5}
_LENGTH = struct.Struct("<i")
_CURSOR_ID = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a document: its BSON type, its name, and where its value begins and ends."""

    bson_type: int
    name: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Run:
    """Documents at a constant distance: where the first lies, the distance, and how many there are."""

    offset: int
    stride: int
    count: int

    def view(self, data: bytes, at: int, dtype: str) -> NDArray[Any]:
        """Return the values that lie `at` bytes from the start of each document, without copying them."""
        return np.ndarray((self.count,), dtype, data, self.offset + at, (self.stride,))


@dataclass(frozen=True, slots=True)
class RawReply:
    """A server's whole answer to `find` or `getMore`.

    Attributes
    ----------
    data : bytes
        The answer.
    start, end : int
        Where its array of documents lies.
    cursor : int
        The cursor that goes on; 0 where this is all.
    """

    data: bytes
    start: int
    end: int
    cursor: int

    @classmethod
    def parse(cls, data: bytes) -> "RawReply":
        """Return the reply that the bytes are.

        Raises
        ------
        ValueError
            Where they hold no batch of documents.
        """
        batch: Element | None = None
        cursor = 0
        for outer in elements(data, 0):
            if outer.name != b"cursor":
                continue
            for inner in elements(data, outer.start):
                if inner.name in (b"firstBatch", b"nextBatch"):
                    batch = inner
                elif inner.name == b"id":
                    (cursor,) = _CURSOR_ID.unpack_from(data, inner.start)
        if batch is None:
            raise ValueError("A reply to find or getMore was needed, found one without a batch of documents.")
        return cls(data, batch.start, batch.end, cursor)

    def runs(self) -> list[Run] | None:
        """Return a run for each number of index digits, or None where documents of the first one's length do not fit.

        That every document has that length is only assumed. Whoever views a run must compare the length that each
        document begins with: one that has it proves where the next one begins.
        """
        position, stop, digits, seen = self.start + 4, self.end - 1, 1, 0
        if position == stop:
            return []
        width = document_length(self.data, position + 2 + digits)
        runs = []
        while position < stop:
            stride = 2 + digits + width
            count = min(10**digits - seen, (stop - position) // stride)
            if count == 0:
                return None
            runs.append(Run(position + 2 + digits, stride, count))
            position, seen, digits = position + count * stride, seen + count, digits + 1
        return runs


def document_length(data: bytes, start: int) -> int:
    """Return the length in bytes of the document at `start`."""
    return int(_LENGTH.unpack_from(data, start)[0])


def elements(data: bytes, start: int) -> Iterator[Element]:
    """Yield the elements of the document at `start`.

    Raises
    ------
    ValueError
        Where an element has a BSON type that no stored bar and no reply has.
    """
    end = start + document_length(data, start)
    position = start + 4
    while position < end - 1:
        bson_type, name_end = data[position], data.index(0, position + 1)
        value = name_end + 1
        if bson_type in _FIXED_BYTES:
            size = _FIXED_BYTES[bson_type]
        elif bson_type in _COUNTED_BYTES:
            size = _COUNTED_BYTES[bson_type] + document_length(data, value)
        else:
            raise ValueError(f"A bar has no field of BSON type {bson_type}.")
        yield Element(bson_type, data[position + 1 : name_end], value, value + size)
        position = value + size
