"""The time by which a live session waits and measures: the MongoDB server's, or a replay's."""

from datetime import datetime, timedelta

from quantflow_nodes.live.bar_history import time_of
from schemas.clock import Clock, process_clock
from schemas.collections import Store
from schemas.mongo import server_time


class MarketClock:
    """Runs with this machine's clock, set once by the server's: bars and exports are measured by one clock."""

    def __init__(self, db: Store) -> None:
        self._line: Clock = process_clock()
        before = self._line.now()
        told = server_time(db)
        self._ahead: timedelta = told - (before + (self._line.now() - before) / 2)

    def now(self) -> datetime:
        """Return the time, aware UTC."""
        return self._line.now() + self._ahead

    def now_ms(self) -> int:
        """Return the time in milliseconds since the epoch."""
        return int(self.now().timestamp() * 1000)

    def seconds_until(self, time_ms: int) -> float:
        """Return how long this machine has to wait for a time, in its own seconds."""
        return (time_of(time_ms) - self.now()).total_seconds() / self._line.speed
