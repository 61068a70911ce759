"""A Dask cluster as an executor whose mishaps are sentences: a scheduler that is gone, no workers, a lost worker."""

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from threading import Event, Thread
from typing import Any, Self, TypeVar

from schemas.errors import QuantFlowError, StoreError, StoreUnreachableError

_LOOK_EVERY_S = 1.0
T = TypeVar("T")


class WorkerUnreachedError(StoreError):
    """A worker can not reach MongoDB at the address that it was sent; can be sent from there."""

    def __init__(self, worker: str, found: str) -> None:
        super().__init__(worker, found)
        self.worker, self.found = worker, found

    def __str__(self) -> str:
        return (
            f"The Dask worker {self.worker} can not reach the MongoDB of this command: {self.found} Workers use the "
            "command's address: set QUANTFLOW_MONGO_URI to one by which they reach it too. What was stored is kept."
        )


class Cluster(Executor):
    """Runs what it is given on the workers of a Dask scheduler, for a `with` block.

    What a worker could not do because MongoDB does not answer it is done by others, for as long as there are any.

    Parameters
    ----------
    client : distributed.Client
        Connected to the scheduler.
    address : str
        The scheduler's, as the user gave it.
    tell : callable
        Called, from a thread, with a sentence that the user should read while it waits.
    patience_s : float
        How long nothing is said while tasks wait and no worker is connected, in seconds.
    """

    def __init__(self, client: Any, address: str, tell: Callable[[str], None], patience_s: float = 10.0) -> None:
        self._client, self._address, self._tell, self._patience_s = client, address, tell, patience_s
        self._executor = client.get_executor(pure=False)  # a task is run each time that it is given
        self._waiting: set[Future[Any]] = set()
        self._connected: set[str] = set()
        self._without_store: set[str] = set()
        self._ended = Event()
        self._watch = Thread(target=self._watch_workers, name="cluster-watch", daemon=True)

    def __enter__(self) -> Self:
        """Begin to look which workers are there."""
        self._connected = self._workers() or set()
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more; what still runs is given up when the client is closed."""
        self._ended.set()
        self._watch.join()

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Run something on a worker.

        Returns
        -------
        concurrent.futures.Future
            Its error is a QuantFlowError where the scheduler is gone, workers ended in the middle of it, or none
            reaches MongoDB.
        """
        told: Future[T] = Future()
        self._waiting.add(told)
        self._send(told, partial(_run, work, *arguments, **named))
        return told

    def _send(self, told: Future[T], work: Callable[[], T]) -> None:
        from distributed.client import ClosedClientError

        try:
            sent = self._executor.submit(work, **self._limits())
        except ClosedClientError:  # since the last task ended
            self._waiting.discard(told)
            told.set_exception(self._gone())
        else:
            sent.add_done_callback(lambda _: self._pass_on(sent, told, work))

    def _limits(self) -> dict[str, Any]:
        """Return which workers Dask should take; any where they have left since."""
        able = self._connected - self._without_store
        return {"workers": sorted(able), "allow_other_workers": True} if self._without_store and able else {}

    def _pass_on(self, sent: Future[T], told: Future[T], work: Callable[[], T]) -> None:
        error = self._gone() if sent.cancelled() else sent.exception()
        if isinstance(error, WorkerUnreachedError) and self._others_can(error):
            self._send(told, work)
            return
        self._waiting.discard(told)
        if error is None:
            told.set_result(sent.result())
        else:
            told.set_exception(_sentence(error))

    def _others_can(self, error: WorkerUnreachedError) -> bool:
        """Take no more of a worker that MongoDB does not answer, and tell whether another one is left."""
        is_new = error.worker not in self._without_store
        self._without_store.add(error.worker)
        others = bool(self._connected - self._without_store)
        if is_new and others:
            self._tell(f"{error} Other workers go on without it.")
        return others

    def _gone(self) -> QuantFlowError:
        return QuantFlowError(
            f"The Dask scheduler at {self._address} is gone. What was stored is kept; run it again to go on."
        )

    def _watch_workers(self) -> None:
        """Say once, each time that no worker is connected while tasks wait for one."""
        since, said = time.monotonic(), False
        while not self._ended.wait(min(_LOOK_EVERY_S, self._patience_s)):
            found = self._workers()
            self._connected = self._connected if found is None else found
            if self._connected or not self._waiting:
                since, said = time.monotonic(), False
            elif not said and time.monotonic() - since >= self._patience_s:
                said = True
                self._tell(
                    f"No worker is connected to {self._address}; waiting. Start one with: dask worker {self._address}"
                )

    def _workers(self) -> set[str] | None:
        """Return the addresses of the workers; None where the scheduler does not say."""
        try:
            return set(self._client.nthreads(callback_timeout=_LOOK_EVERY_S))
        except Exception:  # noqa: BLE001 - whoever waits for a task is told that the scheduler is gone
            return None


def _run(work: Callable[..., T], /, *arguments: Any, **named: Any) -> T:
    """Run something on a worker; where MongoDB does not answer, the error says whom."""
    from distributed import get_worker

    try:
        return work(*arguments, **named)
    except QuantFlowError as error:
        cause = error.__cause__ if isinstance(error.__cause__, StoreUnreachableError) else error
        if not isinstance(cause, StoreUnreachableError):
            raise
        raise WorkerUnreachedError(get_worker().address, cause.found) from None


def _sentence(error: BaseException) -> BaseException:
    """Return what a worker's end means for the user; other errors as they are."""
    from distributed.scheduler import KilledWorker

    if not isinstance(error, KilledWorker):
        return error
    return QuantFlowError(
        "Dask workers ended in the middle of one task, as they do that have no memory left; the last one was "
        f"{error.last_worker.address}. What was stored is kept. Give them more memory and run it again to go on."
    )
