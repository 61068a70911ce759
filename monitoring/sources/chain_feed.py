"""Keeps the newest signals and what became of them current: by a change stream, or by asking where there is none.

Both ways end in the same documents. What grows older than so many bars is dropped, so that memory does not grow with
time.
"""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import structlog
from pymongo.errors import OperationFailure, PyMongoError

from monitoring.chain.document_shape import OddDocuments
from monitoring.sources.chain_window import CHAIN_COLLECTIONS, ChainKey, ChainWindow, Document, window_start, windows_of
from schemas.collections import Store

WINDOW_BARS = 120
log = structlog.get_logger()

_AWAIT_MS = 1
_DRAIN_S = 1.0
# The stream's past is gone from the oplog, its token is of another kind, or the collection was dropped.
_CAN_NOT_RESUME = {136, 222, 260, 280, 286}
_NOT_FOR_US = {13, 40573}  # this user may not watch the database, or it is no replica set after all


class ChainFeed:
    """The signals, exports, receipts and fills of some strategies' newest bars, as they are stored now.

    Parameters
    ----------
    db : Database
    bars : int
        How many of each strategy's newest bars are kept.
    """

    def __init__(self, db: Store, bars: int = WINDOW_BARS) -> None:
        self._db, self._bars = db, bars
        self._odd = OddDocuments()
        self._windows: dict[ChainKey, ChainWindow] = {}
        self._is_whole = False
        self._stream: Any = None
        self._token: Document | None = None
        self._refused = False

    @property
    def is_streaming(self) -> bool:
        """Whether a change stream tells what happens."""
        return self._stream is not None

    def __len__(self) -> int:
        """Return how many documents are held in memory."""
        return sum(map(len, self._windows.values()))

    def window(self, key: ChainKey) -> ChainWindow:
        """Return what is kept of a key that was given to the last `refresh`."""
        return self._windows[key]

    def refresh(self, keys: Iterable[ChainKey], at: datetime, *, has_streams: bool) -> None:
        """Bring all windows up to date.

        Parameters
        ----------
        keys : iterable of ChainKey
            What is followed from now on.
        at : datetime
            The market's time: windows end here.
        has_streams : bool
            Whether the server is of a kind that has change streams.

        Raises
        ------
        PyMongoError
            Where MongoDB does not answer; the next call goes on from there.
        """
        self._settle(set(keys), at)
        try:
            if has_streams and not self._refused:
                self._follow()
            else:
                self._read_all()
        except PyMongoError:
            self._stream = None  # not closed: the server may be away, and the driver ends it when it is back
            raise

    def close(self) -> None:
        """End the stream."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _settle(self, keys: set[ChainKey], at: datetime) -> None:
        """Move the windows to a time; where other keys are wanted all begins anew."""
        if keys != set(self._windows):
            self.close()
            self._windows, self._token, self._is_whole = windows_of(keys, at, self._bars, self._odd), None, False
        for key, window in self._windows.items():
            window.move(window_start(key.timeframe, at, self._bars))

    def _follow(self) -> None:
        """Take in what the stream tells; read all where it does not go on from what is known."""
        if self._stream is None:
            self._open()
        if self._stream is None or not self._is_whole:  # read after the stream was opened: nothing falls in between
            self._read_all()
        if self._stream is not None and not self._drain():
            self._stream, self._token = None, None
            self._read_all()

    def _open(self) -> None:
        if self._token is not None and self._is_whole:
            try:
                self._stream = self._watch(self._token)
                return
            except OperationFailure as error:
                if error.code not in _CAN_NOT_RESUME:
                    raise
        self._token, self._is_whole = None, False
        try:
            self._stream = self._watch(None)
        except OperationFailure as error:
            if error.code not in _NOT_FOR_US:
                raise
            self._refused = True
            log.warning("change_streams_refused", reason=(error.details or {}).get("errmsg"), instead="asking")

    def _watch(self, token: Document | None) -> Any:
        strategies = sorted({key.strategy_id for key in self._windows})
        of_ours = {"ns.coll": {"$in": CHAIN_COLLECTIONS}, "fullDocument.strategy_id": {"$in": strategies}}
        removed = {"ns.coll": {"$in": CHAIN_COLLECTIONS}, "operationType": {"$in": ["delete", "drop", "rename"]}}
        ended = {"operationType": {"$in": ["dropDatabase", "invalidate"]}}
        pipeline = [{"$match": {"$or": [of_ours, removed, ended]}}]
        return self._db.watch(pipeline, full_document="updateLookup", resume_after=token, max_await_time_ms=_AWAIT_MS)

    def _drain(self) -> bool:
        """Take in all that the stream tells by now; False where it can not be told from here what is stored."""
        deadline = time.monotonic() + _DRAIN_S
        try:
            while time.monotonic() < deadline:
                change = self._stream.try_next()
                self._token = self._stream.resume_token
                if change is None:
                    return True
                if not self._apply(change):
                    return False
        except OperationFailure as error:
            if error.code not in _CAN_NOT_RESUME:
                raise
            return False
        return True

    def _apply(self, change: Document) -> bool:
        kind = change["operationType"]
        if kind == "delete":
            for window in self._windows.values():
                window.remove(change["ns"]["coll"], change["documentKey"]["_id"])
        elif kind in ("insert", "replace", "update"):
            document = change.get("fullDocument")
            if document is not None:  # else it has been deleted since, which comes next
                for window in self._windows.values():
                    window.put(change["ns"]["coll"], document)
        else:
            return False
        return True

    def _read_all(self) -> None:
        self._is_whole = False
        for window in self._windows.values():
            window.read(self._db)
        self._is_whole = True
