"""The venue's time: it stands still, runs from a chosen instant at a chosen speed, or is the wall's."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class ClockMapping:
    """A straight line from the machine's wall time to the venue's, as plain numbers that can be written down.

    Whoever knows it can tell the venue's time without asking: another process of this machine, or the venue itself when
    it is started again.

    Parameters
    ----------
    venue_ms, wall_ms
        The venue's time is `venue_ms` when the machine's is `wall_ms`, both in ms since 1970 UTC.
    speed
        Venue seconds per real second; 0 where the venue's time stands still.
    stop_ms
        Where the venue's time comes to stand. None: never.

    Raises
    ------
    ValueError
        Where the speed is negative or no number.
    """

    venue_ms: int
    wall_ms: int
    speed: float
    stop_ms: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.speed < math.inf:
            raise ValueError(f"A clock needs a speed from 0 up, found {self.speed}.")

    def venue_at(self, wall_ns: int) -> int:
        """Return the venue's time in ms, rounded down, when the machine's is `wall_ns` (ns since 1970 UTC)."""
        elapsed_ns = wall_ns - self.wall_ms * _NS_PER_MS
        passed_ns = elapsed_ns if self.speed == 1 else math.floor(elapsed_ns * self.speed)
        now = self.venue_ms + passed_ns // _NS_PER_MS
        return now if self.stop_ms is None else min(now, self.stop_ms)

    def wall_ns_at(self, venue_ms: int) -> int | None:
        """Return the machine's time in ns at which the venue's reaches `venue_ms`; None where it never does."""
        if self.stop_ms is not None and venue_ms > self.stop_ms:
            return None
        if self.speed == 0:
            return self.wall_ms * _NS_PER_MS if venue_ms <= self.venue_ms else None
        return self.wall_ms * _NS_PER_MS + math.ceil((venue_ms - self.venue_ms) * _NS_PER_MS / self.speed)


class Clock(Protocol):
    """Whatever tells the venue's time."""

    @property
    def mapping(self) -> ClockMapping:
        """Where the venue's time lies on the machine's."""
        ...

    def now_ms(self) -> int:
        """Return ms since 1970 UTC; never less than at an earlier call."""
        ...

    def seconds_until(self, venue_ms: int) -> float | None:
        """Return the real seconds until the venue's time is `venue_ms`: 0 where it was, None where it never will be."""
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

    @property
    def mapping(self) -> ClockMapping:
        """The same venue time at every wall time."""
        return ClockMapping(self.at_ms, 0, 0.0)

    def now_ms(self) -> int:
        """Return where the clock stands."""
        return self.at_ms

    def seconds_until(self, venue_ms: int) -> float | None:
        """Return 0 for what has been; what has not will never be."""
        return 0.0 if venue_ms <= self.at_ms else None


@dataclass(slots=True)
class RunningClock:
    """Time runs `speed` times as fast as the machine's, from `start_ms` on, and stops at `stop_ms`.

    It is a straight line over the machine's wall time, so that other processes of this machine can follow it, and a
    venue that is started again goes on where the line has come to meanwhile. Where the machine's clock is turned back,
    the venue's waits.

    Parameters
    ----------
    start_ms
        The venue's time when the machine's is `wall_ms`.
    speed
        Venue seconds per real second, above 0.
    stop_ms
        Where it comes to stand: the end of the data, after which nothing can happen. None: never.
    wall_ms
        The machine's time at `start_ms`, in ms since 1970 UTC. None: the moment at which the clock is made.
    time_ns
        The machine's wall clock.
    """

    start_ms: int
    speed: float
    stop_ms: int | None = None
    wall_ms: int | None = None
    time_ns: Callable[[], int] = time.time_ns
    mapping: ClockMapping = field(init=False)
    _latest_ms: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if not 0 < self.speed < math.inf:
            raise ValueError(f"A running clock needs a speed above 0, found {self.speed}.")
        origin = self.time_ns() // _NS_PER_MS if self.wall_ms is None else self.wall_ms
        self.mapping = ClockMapping(self.start_ms, origin, self.speed, self.stop_ms)

    @classmethod
    def of(cls, mapping: ClockMapping, time_ns: Callable[[], int] = time.time_ns) -> "RunningClock":
        """Return the clock that runs along a line written down earlier."""
        return cls(mapping.venue_ms, mapping.speed, mapping.stop_ms, mapping.wall_ms, time_ns)

    def now_ms(self) -> int:
        """Return the venue's time, at most `stop_ms`."""
        self._latest_ms = max(self._latest_ms, self.mapping.venue_at(self.time_ns()))
        return self._latest_ms

    def seconds_until(self, venue_ms: int) -> float | None:
        """Return the real seconds until the venue's time is `venue_ms`, None where it stops before that."""
        return _seconds_until(self.mapping, venue_ms, self.time_ns())


@dataclass(slots=True)
class WallClock:
    """The machine's own time, kept from running backwards where the machine's clock is corrected."""

    time_ns: Callable[[], int] = time.time_ns
    _latest_ms: int = 0

    @property
    def mapping(self) -> ClockMapping:
        """Each wall time is its own venue time."""
        return ClockMapping(0, 0, 1.0)

    def now_ms(self) -> int:
        """Return the wall time in ms."""
        self._latest_ms = max(self._latest_ms, self.time_ns() // _NS_PER_MS)
        return self._latest_ms

    def seconds_until(self, venue_ms: int) -> float | None:
        """Return the real seconds until the wall's time is `venue_ms`."""
        return _seconds_until(self.mapping, venue_ms, self.time_ns())


def _seconds_until(mapping: ClockMapping, venue_ms: int, wall_ns: int) -> float | None:
    at = mapping.wall_ns_at(venue_ms)
    return None if at is None else max(0.0, (at - wall_ns) / 1e9)
