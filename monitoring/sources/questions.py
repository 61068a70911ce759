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
    late_s : float
        How long after its question an answer that came late may still be shown, machine time.
    failed : callable, optional
        Makes an answer of an error; without it a question that failed has none.
    """

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        every_s: float = 0.0,
        *,
        late_s: float = 30.0,
        failed: Callable[[Exception], T] | None = None,
    ) -> None:
        self._pool, self._every_s, self._late_s, self._failed = pool, every_s, late_s, failed
        self._asked_at: dict[Hashable, float] = {}
        self._running: dict[Hashable, Future[T]] = {}
        self._answers: dict[Hashable, T] = {}
        self._unshown: dict[Hashable, float] = {}  # when those were asked whose answers nobody has seen yet

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

    def was_asked(self, name: Hashable) -> bool:
        """Tell whether a question was ever put to him."""
        return name in self._asked_at

    def answer(self, name: Hashable, unanswered: T | None = None) -> T | None:
        """Return the newest answer; of who was asked, `unanswered` while a question is under way or when it failed.

        An answer that came between two calls is shown once although the next question is under way: who needs longer
        than anybody waits is slow, and not silent. Without `unanswered` the newest answer is always shown meanwhile.
        """
        self._take(name)
        asked_at = self._unshown.pop(name, None)
        is_new = asked_at is not None and time.monotonic() - asked_at <= self._late_s
        if name in self._running and unanswered is not None and not is_new:
            return unanswered
        return self._answers.get(name, unanswered if name in self._asked_at else None)

    def keep_only(self, names: set[Hashable]) -> None:
        """Forget the answers of all others."""
        for gone in set(self._asked_at) - names:
            for kept in (self._asked_at, self._running, self._answers, self._unshown):
                kept.pop(gone, None)

    def _take(self, name: Hashable) -> None:
        question = self._running.get(name)
        if question is None or not question.done():
            return
        del self._running[name]
        try:
            self._answers[name] = question.result()
            self._unshown[name] = self._asked_at[name]
        except (QuantFlowError, PyMongoError) as error:
            self._fail(name, error)
            log.warning("not_answered", name=str(name), reason=str(error))
        except Exception as error:  # a witness has a fault: the other sides are looked at all the same
            self._fail(name, error)
            log.exception("witness_failed", name=str(name))

    def _fail(self, name: Hashable, error: Exception) -> None:
        self._answers.pop(name, None)
        self._unshown.pop(name, None)
        if self._failed is not None:
            self._answers[name] = self._failed(error)
