"""Keeps what several sets of a sweep share, each computed once, within a bound of memory."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Any, TypeVar

from quantflow_nodes.node import Ports
from quantflow_nodes.ports import SymbolFrame
from research.sweeps.sweep import SweepBars

T = TypeVar("T")


class Memo:
    """Values by key, the least recently used given up first.

    Parameters
    ----------
    most_bytes : int
        How much the frames among the values may hold together. The newest value is kept, whatever its size.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = Lock()
        self._entries: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._sizes: dict[Hashable, int] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key; where it is not there it is made, by one of the threads that ask for it."""
        with self._lock:
            entry = self._entries.get(key)
            mine = entry is None
            if entry is None:
                entry = self._entries[key] = Future()
            self._entries.move_to_end(key)
        if mine:
            self._fill(key, entry, make)
        value: T = entry.result()
        return value

    def _fill(self, key: Hashable, entry: Future[Any], make: Callable[[], Any]) -> None:
        try:
            value = make()
        except Exception as error:  # noqa: BLE001 - it goes to all that wait, this thread among them
            with self._lock:
                self._entries.pop(key, None)
            entry.set_exception(error)
            return
        entry.set_result(value)
        with self._lock:
            self._sizes[key] = size_of(value)
            for old in list(self._entries):
                if sum(self._sizes.values()) <= self._most_bytes or old == key:
                    break
                if old in self._sizes:  # else a thread is still making it
                    del self._entries[old], self._sizes[old]


def size_of(value: Any) -> int:
    """Return how many bytes the frames of a node's outputs, or of prepared bars, hold; 0 for what holds none."""
    if isinstance(value, Ports):
        return sum(size_of(getattr(value, port)) for port in type(value).model_fields)
    if isinstance(value, SweepBars):
        return value.memory_bytes
    return int(value.data.memory_usage().sum()) if isinstance(value, SymbolFrame) else 0
