"""Carries what waits in a bot's outbox to MongoDB, in a thread of its own: no loop waits for a write."""

import logging
import threading
import time
from collections.abc import Callable

import pymongo
from pymongo.errors import ConnectionFailure, PyMongoError

from schemas.bot.outbox import Outbox, Waiting
from schemas.errors import StoreError

logger = logging.getLogger(__name__)

_WRITE_TIMEOUT_S = 5.0
_LOOK_AGAIN_S = 1.0


class OutboxWriter:
    """Writes each document in the order in which it was put, and forgets it when MongoDB has it.

    While MongoDB is away all waits, and is tried again `retry_after_s` later. A document that MongoDB refuses waits
    too, and does not keep back those behind it. Both are logged once, and once more when all has been written.

    Parameters
    ----------
    outbox : Outbox
    write : callable
        Writes one document, given its kind; raises the driver's errors.
    say : callable
        Turns an error of the driver into a sentence without any password.
    retry_after_s : float
    also : callable
        Further work for this thread at each turn; raises StoreError or the driver's errors where MongoDB is away.
    """

    def __init__(
        self,
        outbox: Outbox,
        write: Callable[[str, dict[str, object]], None],
        say: Callable[[PyMongoError], StoreError],
        retry_after_s: float,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        self._outbox, self._write, self._say, self._also = outbox, write, say, also
        self._retry_after_s = max(retry_after_s, 0.05)
        self._wake, self._ended = threading.Event(), threading.Event()
        self._written_since = 0
        self._has_failed = False
        self._thread = threading.Thread(target=self._run, name="outbox-writer", daemon=True)

    def start(self) -> None:
        """Begin, with what an earlier process left."""
        self._wake.set()
        self._thread.start()

    def wake(self) -> None:
        """Say that something was put."""
        self._wake.set()

    def close(self, patience_s: float) -> bool:
        """End after what can be written within `patience_s`, and return whether the thread ended; the rest is kept."""
        deadline = time.monotonic() + patience_s
        while not self._has_failed and self._thread.is_alive() and time.monotonic() < deadline and self._count():
            self._wake.set()
            time.sleep(0.01)
        self._ended.set()
        self._wake.set()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    def turn(self) -> bool:
        """Write what waits, do the further work, and return whether MongoDB took all of it."""
        refused: StoreError | None = None
        try:
            refused = self._write_waiting()
            with pymongo.timeout(_WRITE_TIMEOUT_S):
                self._also()
        except PyMongoError as error:
            return self._failed(self._say(error))
        except StoreError as error:
            return self._failed(error)
        return self._failed(refused) if refused is not None else self._recovered()

    def _write_waiting(self) -> StoreError | None:
        after, refused = 0, None
        while batch := self._outbox.waiting(after):
            for item in batch:
                after = item.seq
                try:
                    self._write_one(item)
                except ConnectionFailure:
                    raise
                except PyMongoError as error:
                    if error.timeout:
                        raise
                    refused = refused or self._say(error)
                    continue
                except ValueError as error:  # another version of this program put it there
                    refused = refused or StoreError(f"What waits as number {item.seq} can not be written: {error}")
                    continue
                self._outbox.written(item.seq)
                self._written_since += self._has_failed
        return refused

    def _write_one(self, item: Waiting) -> None:
        with pymongo.timeout(_WRITE_TIMEOUT_S):
            self._write(item.kind, item.document)

    def _failed(self, error: StoreError) -> bool:
        if not self._has_failed:
            self._has_failed = True
            logger.warning(
                f"Receipts, fills and positions are kept in {self._outbox.path} until MongoDB takes them. {error}"
            )
        return False

    def _recovered(self) -> bool:
        if self._has_failed:
            self._has_failed = False
            logger.warning(
                f"MongoDB takes receipts, fills and positions again; {self._written_since} that waited are written."
            )
            self._written_since = 0
        return True

    def _count(self) -> int:
        try:
            return self._outbox.count()
        except StoreError:
            return 0

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wake.wait(_LOOK_AGAIN_S)
            self._wake.clear()
            try:
                is_well = self.turn()
            except Exception:  # the thread's own loop: what is kept must be tried again, whatever happened
                logger.exception("Writing receipts, fills and positions failed; it is tried again.")
                is_well = False
            if not is_well:
                self._ended.wait(self._retry_after_s)
