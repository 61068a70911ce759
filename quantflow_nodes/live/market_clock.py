"""The time by which a live session waits and measures: the MongoDB server's, or a replay's."""

import time
from datetime import datetime, timedelta

from quantflow_nodes.live.bar_history import time_of
from schemas.clock import Clock, process_clock
from schemas.collections import Store
from schemas.mongo import server_time

_SET_AGAIN_S = 300.0


class MarketClock:
    """Runs with this machine's clock, set by the server's: bars and exports are measured by one clock."""

    def __init__(self, db: Store) -> None:
        self._db = db
        self._line: Clock = process_clock()
        self._ahead = timedelta(0)
        self.set()

    def set(self) -> None:
        """Ask the server for its time again."""
        before = self._line.now()
        told = server_time(self._db)
        self._ahead = told - (before + (self._line.now() - before) / 2)
        self._set_at = time.monotonic()

    def keep_set(self) -> None:
        """Ask the server again where that was long ago: clocks drift, and this machine's may have been put right."""
        if time.monotonic() - self._set_at > _SET_AGAIN_S:
            self.set()

    def now(self) -> datetime:
        """Return the time, aware UTC."""
        return self._line.now() + self._ahead

    def now_ms(self) -> int:
        """Return the time in milliseconds since the epoch."""
        return int(self.now().timestamp() * 1000)

    def seconds_until(self, time_ms: int) -> float:
        """Return how long this machine has to wait for a time, in its own seconds."""
        return (time_of(time_ms) - self.now()).total_seconds() / self._line.speed
