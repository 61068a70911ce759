"""Runs work that lets go of Python's lock: on threads of its own, or on the caller's where that is one of many."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def run_on_threads(work: Callable[[T], None], items: Iterable[T], threads: int | None) -> None:
    """Call `work` with each item.

    Parameters
    ----------
    work : callable
        May be called several times at once.
    items : iterable
    threads : int or None
        How many threads work: 1 is the caller's own, None stands for as many as there are processors.
    """
    if threads == 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(threads or os.cpu_count(), thread_name_prefix="research") as pool:
        for _ in pool.map(work, items):
            pass
