"""Work on the store that outlives the store's absence: it waits until MongoDB is back, and says so once."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pymongo
from pymongo.errors import ConnectionFailure, PyMongoError

from importers.outage import Outage
from schemas.collections import Store
from schemas.mongo import server_time
from schemas.secrets import without_secrets

_LIMIT_S = 5.0  # of one piece of work; also where the server's process is frozen and its sockets stay open
_AGAIN_S = 0.5
_Result = TypeVar("_Result")


class PatientStore:
    """Runs pieces of work in threads, each again until MongoDB has done it.

    Parameters
    ----------
    db : Database
    limit_s : float
        How long one try may take.
    """

    def __init__(self, db: Store, limit_s: float = _LIMIT_S) -> None:
        self._db, self._limit_s = db, limit_s
        self._return: asyncio.Task[None] | None = None
        self.outage = Outage("store")

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Return what `work` returns; it may be run several times, and has to store nothing twice.

        Raises
        ------
        PyMongoError
            Where MongoDB refuses, as a user without the right to write, which waiting does not cure.
        """
        while True:
            if self._return is not None:
                await asyncio.shield(self._return)
            try:
                return await asyncio.to_thread(self._limited, work)
            except PyMongoError as error:
                if not _passes(error):
                    raise
                if self._return is None:
                    self._return = asyncio.create_task(self._wait_until_back(error))

    def _limited(self, work: Callable[[], _Result]) -> _Result:
        with pymongo.timeout(self._limit_s):
            return work()

    async def _wait_until_back(self, error: PyMongoError) -> None:
        self.outage.begin("follow", f"{type(error).__name__}: {without_secrets(str(error))[:200]}")
        while not await self._answers():
            await asyncio.sleep(_AGAIN_S)
        self._return = None
        self.outage.end("follow")

    async def _answers(self) -> bool:
        try:
            await asyncio.to_thread(self._limited, lambda: server_time(self._db))
        except PyMongoError as error:
            if not _passes(error):
                raise
            return False
        return True


def _passes(error: PyMongoError) -> bool:
    """Tell whether the same work may succeed later: the server is away, too slow, or shutting down."""
    return isinstance(error, ConnectionFailure) or error.timeout or error.has_error_label("RetryableWriteError")
