"""The venue's heartbeat: wakes when the market moves, lets the exchange fill orders, and has the streams told."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from paper_exchange.api.broadcast import Beats, Broadcast
from paper_exchange.api.hub import Hub
from paper_exchange.clock import Clock
from paper_exchange.market.market import Market

_LEAST_PAUSE_S = 0.001
_BOOK_PAUSE_S = 0.1  # the venue's own pace for books, which users change between the market's steps
_LONGEST_PAUSE_S = 3600.0
_PIECE_MS = 15 * 60_000  # of venue time: what is told between two looks at how far the sockets are
_MOST_WAITING = 2_000
_PATIENCE_S = 1.0


@dataclass(eq=False, slots=True)
class Pulse:
    """Runs the venue's time-driven work in one task.

    Parameters
    ----------
    clock
        The venue's time.
    broadcast
        What tells the streams.
    hub
        Where the streams' listeners are.
    markets
        What is listed, by symbol.
    advance
        Lets the exchange play the market's steps up to a venue time.
    """

    clock: Clock
    broadcast: Broadcast
    hub: Hub
    markets: Mapping[str, Market]
    advance: Callable[[int], None]
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _regroup: bool = True
    _told_ms: int = -1
    _second: int = -1

    def wake(self) -> None:
        """Look at once what is to be done, instead of at the market's next step."""
        self._wake.set()

    async def run(self) -> None:
        """Beat until cancelled."""
        self.hub.on_change = self._listeners_changed
        self._second = int(time.time())
        while True:
            self._wake.clear()
            await self.beat()
            await self._pause()

    async def beat(self) -> None:
        """Do what is due now."""
        now = self.clock.now_ms()
        self.advance(now)
        if self._regroup or self.broadcast.is_silent:
            # Whoever came since the last beat hears of what happens from now on, after the others have heard the rest.
            if not self.broadcast.is_silent:
                await self._tell(now, Beats())
            self._regroup = False
            self.broadcast.follow(now)
        if not self.broadcast.is_silent:
            await self._tell(now, self._beats())
        self._told_ms = now

    async def _tell(self, now_ms: int, beats: Beats) -> None:
        """Tell all up to `now_ms`: after a stall in pieces, so that whoever reads is not given up for our own delay."""
        while 0 <= self._told_ms < now_ms - _PIECE_MS:
            self._told_ms += _PIECE_MS
            self.broadcast.publish_history(self._told_ms)
            await self._let_sockets_drain()
        self.broadcast.publish(now_ms, beats)

    async def _let_sockets_drain(self) -> None:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        await asyncio.sleep(0)
        while self.hub.most_waiting() > _MOST_WAITING and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_LEAST_PAUSE_S)

    def _beats(self) -> Beats:
        second = int(time.time())
        if second == self._second:
            return Beats()
        self._second = second
        return Beats(second=True, two_seconds=second % 2 == 0)

    async def _pause(self) -> None:
        now = self.clock.now_ms()
        # A market's steps are waited for even where nobody listens: they fill and wake the orders that wait.
        times = [market.next_change_ms(now) for market in self.markets.values()]
        pauses = [self._until(time_ms) for time_ms in (*times, self.broadcast.next_ms(now))]
        if self.broadcast.has_beats:
            pauses.append(1 - time.time() % 1)
        if self.broadcast.shows_books:
            pauses.append(_BOOK_PAUSE_S)
        pause = max(_LEAST_PAUSE_S, min(pauses))
        try:
            await asyncio.wait_for(self._wake.wait(), pause)
        except TimeoutError:
            return

    def _until(self, venue_ms: int | None) -> float:
        seconds = None if venue_ms is None else self.clock.seconds_until(venue_ms)
        return _LONGEST_PAUSE_S if seconds is None else min(seconds, _LONGEST_PAUSE_S)

    def _listeners_changed(self) -> None:
        self._regroup = True
        self._wake.set()
