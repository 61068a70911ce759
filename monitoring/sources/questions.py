"""Asks others in threads, one question at a time each, so that who is silent holds nobody up."""

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import structlog
from pymongo.errors import PyMongoError

from schemas.errors import QuantFlowError

log = structlog.get_logger()
T = TypeVar("T")


class Questions(Generic[T]):
    """One kind of question to several who are asked by name; nobody is asked again before he has answered.

    Parameters
    ----------
    pool : ThreadPoolExecutor
    every_s : float
        How long to wait at least from one question to the next, machine time.
    """

    def __init__(self, pool: ThreadPoolExecutor, every_s: float = 0.0) -> None:
        self._pool, self._every_s = pool, every_s
        self._asked_at: dict[Hashable, float] = {}
        self._running: dict[Hashable, Future[T]] = {}
        self._answers: dict[Hashable, T] = {}

    @property
    def running(self) -> list[Future[T]]:
        """The questions that are not answered yet."""
        return [question for question in self._running.values() if not question.done()]

    def ask(self, name: Hashable, question: Callable[..., T], *arguments: Any) -> None:
        """Ask, unless the one before is still under way, or was asked a short time ago."""
        self._take(name)
        asked_at = self._asked_at.get(name)
        if name in self._running or (asked_at is not None and time.monotonic() - asked_at < self._every_s):
            return
        self._asked_at[name] = time.monotonic()
        self._running[name] = self._pool.submit(question, *arguments)

    def answer(self, name: Hashable, unanswered: T | None = None) -> T | None:
        """Return the newest answer; of who was asked, `unanswered` while a question is under way or when it failed.

        Without `unanswered` the newest answer is shown meanwhile, too.
        """
        self._take(name)
        if name in self._running and unanswered is not None:
            return unanswered
        return self._answers.get(name, unanswered if name in self._asked_at else None)

    def keep_only(self, names: set[Hashable]) -> None:
        """Forget the answers of all others."""
        for gone in set(self._asked_at) - names:
            for kept in (self._asked_at, self._running, self._answers):
                kept.pop(gone, None)

    def _take(self, name: Hashable) -> None:
        question = self._running.get(name)
        if question is None or not question.done():
            return
        del self._running[name]
        try:
            self._answers[name] = question.result()
        except (QuantFlowError, PyMongoError) as error:
            self._answers.pop(name, None)
            log.warning("not_answered", name=str(name), reason=str(error))
        except Exception:  # a witness has a fault: the other sides are looked at all the same
            self._answers.pop(name, None)
            log.exception("witness_failed", name=str(name))
