"""Reads documents without making an object of each: a query's replies, as the bytes that came."""

from collections.abc import Iterator, Mapping
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError

from schemas.collections import Store
from schemas.raw_reply import RawReply

_RAW = CodecOptions(document_class=RawBSONDocument)
_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
_BATCH_ROWS = 1_000_000  # more than fit in the 16 MB at which the server cuts a reply


def documents_of(reply: RawReply) -> list[dict[str, Any]]:
    """Return the documents decoded in full, whatever their shape."""
    return list(bson.decode(reply.data[reply.start : reply.end], _AWARE).values())


def read_replies(
    db: Store, collection: str, query: Mapping[str, Any], sort: Mapping[str, int] | None = None
) -> Iterator[RawReply]:
    """Give the replies to a query, in sorted order where one is given.

    The documents come whole: the server copies a document as it lies, while leaving `_id` out takes it a third longer.
    """
    command: dict[str, Any] = {"find": collection, "filter": query, "batchSize": _BATCH_ROWS}
    if sort:
        command["sort"] = sort
    with db.client.start_session() as session:
        while command:
            reply = RawReply.parse(bytes(_answer(db, command, session).raw))
            yield reply
            more = {"getMore": Int64(reply.cursor), "collection": collection, "batchSize": _BATCH_ROWS}
            command = more if reply.cursor else {}


def _answer(db: Store, command: dict[str, Any], session: ClientSession) -> RawBSONDocument:
    """Run a command; a find whose connection broke runs once more, as one of the driver's own would."""
    try:
        return db.command(command, codec_options=_RAW, session=session)
    except AutoReconnect as error:
        is_final = "getMore" in command or isinstance(error, ServerSelectionTimeoutError)
        if is_final or not db.client.options.retry_reads:
            raise
    return db.command(command, codec_options=_RAW, session=session)
