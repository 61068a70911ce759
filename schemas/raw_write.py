"""Sends documents to the server as the bytes that they are: one command for many, with no Python object for each.

The driver copies a document's `raw` into the message as it stands. A message holds documents one after the other, so
what many rows give, laid end to end, is sent as if it were one.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from bson.raw_bson import RawBSONDocument
from pymongo.errors import AutoReconnect, BulkWriteError, ServerSelectionTimeoutError

from schemas.collections import Store
from schemas.raw_shape import Rows

DUPLICATE_KEY = 11_000
_ID_BYTES = 12
_ID_HEAD = b"\x07_id\x00"
ID_PLACE = 4 + len(_ID_HEAD)  # of an ObjectId that is a document's first field, behind the document's length
WITH_ID = len(_ID_HEAD) + _ID_BYTES  # so much longer a document is with it
_MOST_BYTES = 16_000_000  # of one message; the server takes 48 MB


class _EndToEnd(RawBSONDocument):
    """Documents laid end to end, which the driver sends in the place of one."""

    __slots__ = ("_all",)

    def __init__(self, data: bytes) -> None:
        super().__init__(data[: int.from_bytes(data[:4], "little")])
        self._all = data

    @property
    def raw(self) -> bytes:
        """All of the documents."""
        return self._all


def with_new_ids(rows: Rows) -> Rows:
    """Return documents without `_id`, one a row, as documents with a new ObjectId each; at most 2²⁴ of them."""
    return with_ids(rows, _new_ids(len(rows)))


def with_ids(rows: Rows, ids: Rows) -> Rows:
    """Return documents without `_id`, one a row, with the ObjectIds given: twelve bytes a row."""
    count, width = rows.shape
    whole = np.empty((count, width + WITH_ID), np.uint8)
    whole[:, :4] = _int32(width + WITH_ID)
    whole[:, 4:ID_PLACE] = np.frombuffer(_ID_HEAD, np.uint8)
    whole[:, ID_PLACE : 4 + WITH_ID] = ids
    whole[:, 4 + WITH_ID :] = rows[:, 4:]
    return whole


def insert_rows(db: Store, collection: str, groups: Sequence[Rows]) -> int:
    """Insert documents in one command, which goes on past those that are refused, and return how many were stored.

    Parameters
    ----------
    db : Database
        Its write concern is the command's.
    collection : str
    groups : sequence of uint8 array, shape (n, width)
        Documents without `_id`, one a row, of another width in each group. All of them together must fit a message
        of 48 MB, and the errors of all of them a reply of 16 MB.

    Raises
    ------
    BulkWriteError
        Where the server refused documents, as the driver's own `insert_many` does; the others are stored.
    PyMongoError
        Where the server failed. A command whose connection broke was sent once more: since the `_id` are ours, it is
        known which documents the first try had stored.
    """
    whole = [with_new_ids(rows) for rows in groups]
    data = b"".join(rows.tobytes() for rows in whole)
    return _write(db, {"insert": collection}, "documents", data) if data else 0


def replace_rows(db: Store, collection: str, ids: Rows, rows: Rows) -> int:
    """Replace stored documents in one command, and return how many were still there to be replaced.

    Parameters
    ----------
    db, collection
        As in `insert_rows`.
    ids : uint8 array, shape (n, 12)
        The ObjectIds of the stored documents.
    rows : uint8 array, shape (n, width)
        What takes their place, without `_id`; as many as `insert_rows` takes.

    Raises
    ------
    BulkWriteError, PyMongoError
        As in `insert_rows`.
    """
    data = _replacements(ids, with_ids(rows, ids)).tobytes()
    return _write(db, {"update": collection}, "updates", data) if data else 0


def _replacements(ids: Rows, whole: Rows) -> Rows:
    """Return the statements {q: {_id: ...}, u: document}, one a row."""
    count, width = whole.shape
    query = 4 + WITH_ID + 1
    head = b"\x03q\x00" + query.to_bytes(4, "little") + _ID_HEAD
    between = b"\x00\x03u\x00"
    total = 4 + len(head) + _ID_BYTES + len(between) + width + 1
    rows = np.zeros((count, total), np.uint8)
    place = 0
    for piece in (_int32(total), np.frombuffer(head, np.uint8), ids, np.frombuffer(between, np.uint8), whole):
        rows[:, place : place + piece.shape[-1]] = piece
        place += piece.shape[-1]
    return rows


def packed(groups: Iterable[Rows], most: int) -> Iterator[list[Rows]]:
    """Give the groups' rows in lists of at most `most` rows and so many bytes as one message should have."""
    parts: list[Rows] = []
    count = size = 0
    for group in groups:
        width = group.shape[1] + WITH_ID
        start = 0
        while start < len(group):
            room = min(most - count, (_MOST_BYTES - size) // width)
            if room < 1 and parts:
                yield parts
                parts, count, size = [], 0, 0
                continue
            taken = group[start : start + max(room, 1)]
            parts.append(taken)
            start, count, size = start + len(taken), count + len(taken), size + len(taken) * width
    if parts:
        yield parts


def _write(db: Store, head: Mapping[str, Any], field: str, data: bytes) -> int:
    """Run a command over documents laid end to end, and return how many it reached."""
    command = {**head, "ordered": False, field: [_EndToEnd(data)]}
    if db.write_concern.document:
        command["writeConcern"] = db.write_concern.document
    answer, is_second = _answer(db, command)
    failed = list(answer.get("writeErrors", ()))
    # Of a second try: nobody else makes our `_id`, so the first one stored these before its connection broke.
    ours = [error for error in failed if is_second and _is_of_id(error)]
    reached = int(answer["n"]) + len(ours)
    unmet = [answer["writeConcernError"]] if "writeConcernError" in answer else []
    if len(failed) > len(ours) or unmet:
        errors = [one for one in failed if one not in ours] if ours else failed
        raise BulkWriteError({"writeErrors": errors, "writeConcernErrors": unmet, "nInserted": reached})
    return reached


def _is_of_id(error: Mapping[str, Any]) -> bool:
    return error["code"] == DUPLICATE_KEY and set(error.get("keyPattern", ())) == {"_id"}


def _answer(db: Store, command: dict[str, Any]) -> tuple[Mapping[str, Any], bool]:
    try:
        return db.command({**command}), False
    except AutoReconnect as error:
        if isinstance(error, ServerSelectionTimeoutError) or not db.client.options.retry_writes:
            raise
    return db.command(command), True


def _new_ids(count: int) -> Rows:
    """Return ObjectIds of now, a random part of their own, and a counter."""
    ids = np.empty((count, _ID_BYTES), np.uint8)
    ids[:, :4] = np.frombuffer(int(time.time()).to_bytes(4, "big"), np.uint8)
    ids[:, 4:9] = np.frombuffer(os.urandom(5), np.uint8)
    ids[:, 9:] = np.arange(count, dtype=">u4").view(np.uint8).reshape(-1, 4)[:, 1:]
    return ids


def _int32(number: int) -> Rows:
    return np.frombuffer(number.to_bytes(4, "little"), np.uint8)
