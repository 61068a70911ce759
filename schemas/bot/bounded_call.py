"""Asks a slow partner from a loop that must not wait: a call is given up after its share of the loop's patience.

A driver's own timeouts do not hold for all it does: looking a name up, shaking hands, closing. What runs in another
thread can be left alone whatever it waits for.
"""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as GivenUpError
from typing import Any, TypeVar

from schemas.errors import StoreError

T = TypeVar("T")


class BoundedCalls:
    """Runs calls one by one in a thread of its own, and waits for all those of one loop `budget_s` together at most.

    A call that was given up goes on in its thread, and its result is dropped; until it ends others are refused at
    once, without waiting.

    Parameters
    ----------
    budget_s : float
        How long one loop may be held in all.
    """

    def __init__(self, budget_s: float) -> None:
        self._budget_s = self._left_s = budget_s
        self._running: Future[Any] | None = None
        self._asked: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="bounded-calls", daemon=True).start()

    def begin(self) -> None:
        """Begin a loop: its patience is whole again."""
        self._left_s = self._budget_s

    def call(self, ask: Callable[[], T], limit_s: float) -> T:
        """Return what `ask` returns, or raise what it raises.

        Raises
        ------
        StoreError
            Where it does not answer within `limit_s` or what is left of the loop's patience, or an earlier call has
            not ended yet.
        """
        if self._running is not None and not self._running.done():
            raise StoreError("MongoDB did not answer: an earlier question still waits for it.")
        limit_s = min(limit_s, self._left_s)
        if limit_s <= 0:
            raise StoreError(f"MongoDB took {self._budget_s:g} s of this loop; the rest is asked in the next.")
        answer: Future[T] = Future()
        self._running = answer
        began = time.monotonic()
        self._asked.put((answer, ask))
        try:
            return answer.result(limit_s)
        except GivenUpError:
            if answer.done():  # the call itself raised it
                raise
            raise StoreError(f"MongoDB did not answer within {limit_s:.2g} s.") from None
        finally:
            self._left_s -= time.monotonic() - began

    def close(self) -> None:
        """Let the thread end after the call that runs; no further call can be made."""
        self._asked.put(None)

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            answer, ask = asked
            try:
                answer.set_result(ask())
            except BaseException as error:  # noqa: BLE001 - it belongs to the caller, in whose thread it is raised
                answer.set_exception(error)
