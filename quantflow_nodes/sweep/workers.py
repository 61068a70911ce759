"""Where a sweep's tasks run: threads, processes of this machine, or a cluster; each task's result as it comes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from quantflow_nodes.sweep.evaluation import Task
from schemas.console import configure_logging
from schemas.errors import QuantFlowError
from schemas.settings import Settings

_IN_FLIGHT = 64
T = TypeVar("T")


@contextmanager
def local_pool(workers: int, settings: Settings, *, threads: bool) -> Iterator[Executor]:
    """Give an executor of this machine for a `with` block; when the block fails, what has not begun is given up.

    Parameters
    ----------
    workers : int
        One is a thread of this process in any case.
    settings : Settings
        How processes log.
    threads : bool
        Threads share what they compute, and do where the work leaves Python; processes run Python side by side.
    """
    others = multiprocessing.active_children()  # of whoever calls us; they stay
    pool: Executor
    if threads or workers == 1:
        pool = ThreadPoolExecutor(workers, thread_name_prefix="sweep")
    else:
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin_process, (settings,))
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        raise
    pool.shutdown()


def results_of(pool: Executor, work: Callable[[Task], T], tasks: Sequence[Task]) -> Iterator[tuple[Task, T]]:
    """Run `work` on tasks and give each with its result as soon as it is there; only some are sent ahead.

    Raises
    ------
    QuantFlowError
        What the work raises, after the results that were there with it; and where a process ended in the middle.
    """
    waiting = iter(tasks)
    running: dict[Future[T], Task] = {}
    try:
        while True:
            for task in waiting:
                running[pool.submit(work, task)] = task
                if len(running) >= _IN_FLIGHT:
                    break
            if not running:
                return
            ended = wait(running, return_when=FIRST_COMPLETED).done
            for done in sorted(ended, key=lambda one: one.exception() is not None):
                yield running.pop(done), done.result()
    except BrokenProcessPool:
        raise QuantFlowError(
            "A worker process ended in the middle of its work, as one does that has no memory left. What was computed "
            "is kept. Run it again with fewer --workers."
        ) from None


def _begin_process(settings: Settings) -> None:
    """Log as the parent does, leave Ctrl-C to it, and end when it does, however it ends."""
    configure_logging(settings)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
