"""A Dask cluster as an executor whose mishaps are sentences: a scheduler that is gone, workers that end."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from schemas.errors import QuantFlowError

T = TypeVar("T")


class Cluster(Executor):
    """Runs what it is given on the workers of a Dask scheduler.

    Parameters
    ----------
    client : distributed.Client
        Connected to the scheduler.
    address : str
        The scheduler's, as the user gave it.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._address = address
        self._executor = client.get_executor(pure=False)  # a task is run each time that it is given

    def submit(self, work: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Run something on a worker.

        Returns
        -------
        concurrent.futures.Future
            Its error is a QuantFlowError where the scheduler is gone, or workers ended in the middle of it.
        """
        told: Future[T] = Future()
        sent = self._executor.submit(work, *arguments, **named)
        sent.add_done_callback(lambda _: self._pass_on(sent, told))
        return told

    def _pass_on(self, sent: Future[T], told: Future[T]) -> None:
        error = self._gone() if sent.cancelled() else sent.exception()
        if error is None:
            told.set_result(sent.result())
        else:
            told.set_exception(_sentence(error))

    def _gone(self) -> QuantFlowError:
        return QuantFlowError(
            f"The Dask scheduler at {self._address} is gone. What was stored is kept; run it again to go on."
        )


def _sentence(error: BaseException) -> BaseException:
    """Return what a worker's end means for the user; other errors as they are."""
    from distributed.scheduler import KilledWorker

    if not isinstance(error, KilledWorker):
        return error
    return QuantFlowError(
        "Dask workers ended in the middle of one task, as they do that have no memory left; the last one was "
        f"{error.last_worker.address}. What was stored is kept. Give them more memory and run it again to go on."
    )
