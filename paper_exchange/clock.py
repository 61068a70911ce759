"""The venue's time: it stands still, runs from a chosen instant at a chosen speed, or is the wall's."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


class Clock(Protocol):
    """Whatever tells the venue's time."""

    def now_ms(self) -> int:
        """Return ms since 1970 UTC; never less than at an earlier call."""
        ...


@dataclass(frozen=True, slots=True)
class StandingClock:
    """Time stands still.

    Parameters
    ----------
    at_ms
        Where it stands, in ms since 1970 UTC.
    """

    at_ms: int

    def now_ms(self) -> int:
        """Return where the clock stands."""
        return self.at_ms


@dataclass(frozen=True, slots=True)
class RunningClock:
    """Time runs `speed` times as fast as the machine's, from `start_ms` on, and stops at `stop_ms`.

    Parameters
    ----------
    start_ms
        The venue's time at the moment the clock is made.
    speed
        Venue seconds per real second, above 0.
    stop_ms
        Where it comes to stand: the end of the data, after which nothing can happen. None: never.
    monotonic_ns
        The machine's steady clock, so that a corrected wall clock never turns the venue's back.
    """

    start_ms: int
    speed: float
    stop_ms: int | None = None
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    _origin_ns: int = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.speed < float("inf"):
            raise ValueError(f"A running clock needs a speed above 0, found {self.speed}.")
        object.__setattr__(self, "_origin_ns", self.monotonic_ns())

    def now_ms(self) -> int:
        """Return the venue's time, at most `stop_ms`."""
        elapsed_ms = (self.monotonic_ns() - self._origin_ns) * self.speed / 1e6
        now = self.start_ms + int(elapsed_ms)
        return now if self.stop_ms is None else min(now, self.stop_ms)


@dataclass(slots=True)
class WallClock:
    """The machine's own time, kept from running backwards where the machine's clock is corrected."""

    time_ns: Callable[[], int] = time.time_ns
    _latest_ms: int = 0

    def now_ms(self) -> int:
        """Return the wall time in ms."""
        self._latest_ms = max(self._latest_ms, self.time_ns() // 1_000_000)
        return self._latest_ms
