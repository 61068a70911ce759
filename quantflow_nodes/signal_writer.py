"""Writes what an export has to change, in chunks that can each be repeated without harm; no earlier content is lost."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import bson
import numpy as np
from pymongo import DeleteOne, InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError

from quantflow_nodes.signal_columns import milliseconds
from quantflow_nodes.signal_difference import Difference, version_of
from schemas.collections import SIGNAL_REVISIONS, SIGNALS, Store
from schemas.errors import LockedError
from schemas.raw_write import DUPLICATE_KEY, insert_rows, packed

# Where all of a chunk are refused as doubles, their errors must fit in a reply of 16 MB.
CHUNK = 10_000


class SignalWriter:
    """Writes a difference.

    Parameters
    ----------
    db : Database
    run_id : str
        Names the run in every document written.
    now : datetime
        The server's time.
    renew : callable
        Renews the export's lease; called before each chunk.
    """

    def __init__(self, db: Store, run_id: str, now: datetime, renew: Callable[[], None]) -> None:
        self._db, self._run_id, self._renew = db, run_id, renew
        self._now, self._asked = now, time.monotonic()

    def insert(self, difference: Difference) -> None:
        """Store the signals that are missing, chunk by chunk in their order: what a kill leaves is a beginning of it.

        Within a chunk they go out by layout. One whose documents do not fit a message takes several.
        """
        for part in self._chunks(len(difference.inserts)):
            signals = difference.signals.take(difference.inserts[part])
            laid = signals.documents(difference.versions[part], self._added())
            for groups in packed((group.rows for group in laid), CHUNK):
                self._check(sum(map(len, groups)), partial(insert_rows, self._db, SIGNALS, groups))

    def replace(self, difference: Difference) -> None:
        """Put the changed signals in the place of those stored, whose contents go to the revisions first."""
        for part in self._chunks(len(difference.changes)):
            present = difference.stored.documents(difference.replaced[part])
            self._keep(present, retracted=False)
            version = np.array([version_of(one) + 1 for one in present], np.int64)
            created_ms = np.array([milliseconds(one.get("created_at", self._now)) for one in present], np.int64)
            operations: list[ReplaceOne[Any]] = []
            signals = difference.signals.take(difference.changes[part])
            for group in signals.documents(version, self._added(), created_ms):
                operations += [
                    ReplaceOne(_as_it_was(present[place]), bson.decode(row.tobytes()))
                    for place, row in zip(group.signals, group.rows, strict=True)
                ]
            self._write(SIGNALS, operations)

    def retract(self, difference: Difference) -> None:
        """Delete the signals that research no longer gives, whose contents go to the revisions first."""
        for part in self._chunks(len(difference.retracted)):
            present = difference.stored.documents(difference.retracted[part])
            self._keep(present, retracted=True)
            self._write(SIGNALS, [DeleteOne(_as_it_was(one)) for one in present])

    def _keep(self, contents: Sequence[Mapping[str, Any]], *, retracted: bool) -> None:
        """Add earlier contents to the revisions, which only ever grow.

        A run that was killed before it replaced them has left its own: who reads takes the newest of a version.
        """
        fate = {"replaced_at": self._added()["updated_at"], "replaced_by": self._run_id, "retracted": retracted}
        kept = [_without_id(one) | {"version": version_of(one)} | fate for one in contents]
        self._write(SIGNAL_REVISIONS, [InsertOne(one) for one in kept])

    def _added(self) -> dict[str, Any]:
        now = self._now + timedelta(seconds=time.monotonic() - self._asked)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        return {"run_id": self._run_id, "created_at": now, "updated_at": now}

    def _chunks(self, count: int) -> Iterator[slice]:
        for start in range(0, count, CHUNK):
            self._renew()
            yield slice(start, start + CHUNK)

    def _write(self, collection: str, operations: Sequence[Any]) -> None:
        def run() -> int:
            done = self._db[collection].bulk_write(operations, ordered=False)
            return done.inserted_count + done.matched_count + done.deleted_count

        self._check(len(operations), run)

    def _check(self, count: int, write: Callable[[], int]) -> None:
        try:
            reached = write()
        except BulkWriteError as error:
            if not _only_doubles(error):
                raise
            reached = 0
        if reached < count:
            raise LockedError(
                "Another writer changed some of these signals at the same moment. Nothing is lost; run it again."
            )


def _only_doubles(error: BulkWriteError) -> bool:
    failed = error.details["writeErrors"]
    return bool(failed) and all(item["code"] == DUPLICATE_KEY for item in failed)


def _as_it_was(present: Mapping[str, Any]) -> dict[str, Any]:
    return {"_id": present["_id"], "version": present.get("version")}


def _without_id(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "_id"}
