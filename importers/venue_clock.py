"""The venue's time while bars are followed: what is proven by its own words, and an estimate in between."""

import asyncio
from collections.abc import Awaitable, Callable

from schemas.clock import Clock


class VenueClock:
    """Tells which bars have closed by the venue's own words, and when the next one will.

    A time that the venue has told is proven. Between two of them the process's clock goes on, by
    which one may wake up, but never take a bar for closed: that clock may be wrong, or have slept.

    Parameters
    ----------
    ask : callable
        Asks the venue for its time, in milliseconds.
    clock : Clock
        The process's clock; in a replay it runs as fast as the venue's.
    """

    def __init__(self, ask: Callable[[], Awaitable[int]], clock: Clock) -> None:
        self._ask, self._clock = ask, clock
        self._asking = asyncio.Lock()
        self._ahead_ms = 0
        self.proven_ms = 0

    async def read(self) -> int:
        """Ask the venue for its time, and set the estimate by it.

        Raises
        ------
        VenueError
            Where it does not answer.
        """
        before = self._process_ms()
        venue_ms = await self._ask()
        self._ahead_ms = venue_ms - (before + self._process_ms()) // 2
        self.proven_ms = venue_ms  # also where it is earlier than before: a venue that plays old bars was started again
        return venue_ms

    async def proven(self, needed_ms: int) -> int:
        """Return a time that has come at the venue; it is asked only where `needed_ms` is not known to have come."""
        async with self._asking:  # many symbols' bars close at the same moment: one of them asks
            if self.proven_ms < needed_ms:
                await self.read()
        return self.proven_ms

    def note(self, venue_ms: int) -> None:
        """Take a time from one of the venue's messages."""
        self.proven_ms = max(self.proven_ms, venue_ms)
        self._ahead_ms = max(self._ahead_ms, venue_ms - self._process_ms())

    def now_ms(self) -> int:
        """Return the estimate of the venue's time."""
        return self._process_ms() + self._ahead_ms

    def seconds_until(self, venue_ms: int) -> float:
        """Return in how many real seconds the venue will show a time; below 0 where it is past."""
        return (venue_ms - self.now_ms()) / 1000 / self._clock.speed

    def before_ms(self, seconds: float) -> int:
        """Return the estimate of what the venue's time was so many real seconds ago."""
        return self.now_ms() - round(seconds * 1000 * self._clock.speed)

    def _process_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)
