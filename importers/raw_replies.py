"""Reads documents without making an object of each: a query's raw replies, seen as rows of bytes.

An array element in BSON is a type byte, its decimal index, a NUL and the document. Documents of one length whose
index has the same number of digits thus lie at a constant distance, and numpy can see them where they are.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from importers.bar_documents import Rows
from schemas.collections import Store

_RAW = CodecOptions(document_class=RawBSONDocument)
_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
_BATCH_ROWS = 100_000
_DOUBLE, _STRING, _DOCUMENT, _ARRAY, _BINARY = 1, 2, 3, 4, 5
_FIXED_BYTES = {_DOUBLE: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16}


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply to a query: the bytes, where its array of documents lies, and the cursor that goes on (0: none)."""

    data: bytes
    start: int
    end: int
    cursor: int

    def views(self, width: int) -> list[Rows] | None:
        """Return the documents as views of shape (n, width), or None where they are not all of that length."""
        views: list[Rows] = []
        position, seen, digits = self.start + 4, 0, 1
        while position < self.end - 1:
            stride = 2 + digits + width
            count = min(10**digits - seen, (self.end - 1 - position) // stride)
            if count == 0:
                return None
            view: Rows = np.ndarray((count, width), np.uint8, self.data, position + 2 + digits, (stride, 1))
            lengths = np.ndarray((count,), "<i4", self.data, position + 2 + digits, (stride,))
            if (lengths != width).any():
                return None
            views.append(view)
            position, seen, digits = position + count * stride, seen + count, digits + 1
        return views if position == self.end - 1 else None

    def documents(self) -> list[dict[str, Any]]:
        """Return the documents decoded in full, whatever their shape."""
        array = bson.decode(self.data[self.start : self.end], _AWARE)
        return list(array.values())


def read_replies(db: Store, collection: str, query: Mapping[str, Any], sort: Mapping[str, int]) -> Iterator[Reply]:
    """Give the replies to a query, without the documents' `_id`, in sorted order."""
    command: dict[str, Any] = {
        "find": collection,
        "filter": query,
        "projection": {"_id": 0},
        "sort": sort,
        "batchSize": _BATCH_ROWS,
    }
    with db.client.start_session() as session:
        while command:
            answer: Any = db.command(command, codec_options=_RAW, session=session)
            reply = _reply(answer.raw)
            yield reply
            more = {"getMore": Int64(reply.cursor), "collection": collection, "batchSize": _BATCH_ROWS}
            command = more if reply.cursor else {}


def _reply(data: bytes) -> Reply:
    start = end = cursor = 0
    for name, outer_start, _ in _elements(data, 0):
        if name != b"cursor":
            continue
        for inner, value_start, value_end in _elements(data, outer_start):
            if inner in (b"firstBatch", b"nextBatch"):
                start, end = value_start, value_end
            elif inner == b"id":
                (cursor,) = struct.unpack_from("<q", data, value_start)
    return Reply(data, start, end, cursor)


def _elements(data: bytes, start: int) -> Iterator[tuple[bytes, int, int]]:
    """Give name, value's start and value's end of each element of the document at `start`."""
    (length,) = struct.unpack_from("<i", data, start)
    position, last = start + 4, start + length - 1
    while position < last:
        kind, name_end = data[position], data.index(0, position + 1)
        value = name_end + 1
        if kind in _FIXED_BYTES:
            size = _FIXED_BYTES[kind]
        else:
            (size,) = struct.unpack_from("<i", data, value)
            size += {_STRING: 4, _DOCUMENT: 0, _ARRAY: 0, _BINARY: 5}[kind]
        yield data[position + 1 : name_end], value, value + size
        position = value + size
