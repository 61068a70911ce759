"""Reads documents without making an object of each: a query's replies, seen as rows of bytes."""

from collections.abc import Iterator, Mapping
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from importers.bar_documents import Rows
from schemas.collections import Store
from schemas.raw_reply import RawReply

_RAW = CodecOptions(document_class=RawBSONDocument)
_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
_BATCH_ROWS = 100_000


def rows_of(reply: RawReply, width: int) -> list[Rows] | None:
    """Return the documents as views of shape (n, width), or None where they are not all of that length."""
    runs = reply.runs()
    if runs is None or any((run.view(reply.data, 0, "<i4") != width).any() for run in runs):
        return None
    return [np.ndarray((run.count, width), np.uint8, reply.data, run.offset, (run.stride, 1)) for run in runs]


def documents_of(reply: RawReply) -> list[dict[str, Any]]:
    """Return the documents decoded in full, whatever their shape."""
    return list(bson.decode(reply.data[reply.start : reply.end], _AWARE).values())


def read_replies(db: Store, collection: str, query: Mapping[str, Any], sort: Mapping[str, int]) -> Iterator[RawReply]:
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
            reply = RawReply.parse(answer.raw)
            yield reply
            more = {"getMore": Int64(reply.cursor), "collection": collection, "batchSize": _BATCH_ROWS}
            command = more if reply.cursor else {}
