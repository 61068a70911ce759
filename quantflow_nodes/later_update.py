"""Writes what becomes of one document beside the work that tells it: a little later, and all that came up at once."""

import threading
from collections.abc import Mapping
from typing import Any

from pymongo.errors import PyMongoError

from schemas.collections import Store

LATEST_AFTER_S = 0.05


class LaterUpdate:
    """Fields of one document that a thread of its own writes, each `LATEST_AFTER_S` at most after it was set.

    Parameters
    ----------
    db : Store
    collection : str
    key : mapping
        Finds the document.
    """

    def __init__(self, db: Store, collection: str, key: Mapping[str, Any]) -> None:
        self._documents, self._key = db[collection], key
        self._lock = threading.Lock()
        self._waiting: dict[str, Any] = {}
        self._failure: PyMongoError | None = None
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def set(self, fields: Mapping[str, Any]) -> None:
        """Have fields written soon, the newest value of each.

        Raises
        ------
        PyMongoError
            What an earlier write has raised: told once, and tried again with the next one.
        """
        with self._lock:
            failure, self._failure = self._failure, None
            self._waiting |= fields
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_on, name="later_update", daemon=True)
                self._thread.start()
        if failure is not None:
            raise failure

    def close(self) -> dict[str, Any]:
        """End the thread, and return what it has not written: it is the caller's to write."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            rest, self._waiting = self._waiting, {}
        return rest

    def _write_on(self) -> None:
        while not self._closed.wait(LATEST_AFTER_S):
            with self._lock:
                fields, self._waiting = self._waiting, {}
            if not fields:
                continue
            try:
                self._documents.update_one(self._key, {"$set": fields})
            except PyMongoError as error:
                with self._lock:
                    self._failure, self._waiting = error, fields | self._waiting
