"""One symbol that is followed: what the stream brings is stored at once, what it leaves open is asked for over REST."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from importers.bars import Bars, Batch
from importers.candle_stream import Row
from importers.follow_report import FollowReport, Origin
from importers.intake import SymbolIntake
from importers.outage import Outage
from importers.patient_store import PatientStore
from importers.venue import Market, Venue
from importers.venue_clock import VenueClock
from importers.venue_import import Stretch, pages
from schemas.errors import VenueError
from schemas.mongo import server_time

MOST_HELD = 1_000  # candles in memory while MongoDB is away; older ones are asked for again when it is back
_WAKE_S = 1.0  # the venue's clock is an estimate, and this machine may sleep: nothing is waited for longer than this


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait for what, in real seconds.

    Attributes
    ----------
    grace_s : float
        A bar that the stream has not brought so long after its close is asked for over REST.
    settle_s : float
        A bar counts as confirmed when REST gives it at least so long after its close.
    confirm_every_s : float
        Least time between two requests of one symbol that only confirm.
    backoff_max_s : float
        Most time between two requests of one symbol that bring nothing.
    silence_s : float
        A websocket that brings no candle for so long is given up.
    reconnect_max_s : float
        Most time between two attempts to connect.
    end_s : float
        How long the last bars are waited for, after the time at which following ends.
    """

    grace_s: float = 0.5
    settle_s: float = 5.0
    confirm_every_s: float = 60.0
    backoff_max_s: float = 30.0
    silence_s: float = 90.0
    reconnect_max_s: float = 30.0
    end_s: float = 20.0


@dataclass(frozen=True, slots=True)
class FollowTools:
    """What all followed symbols share."""

    venue: Venue
    clock: VenueClock
    store: PatientStore
    report: FollowReport
    outage: Outage
    places: asyncio.Semaphore
    timing: Timing = Timing()


class FollowedSeries:
    """The bars of one symbol and timeframe from `first_ms` on, up to `end_ms` (not included) where it is given.

    Every bar before `next_ms` was stored, or the venue was asked for it; every one before `confirmed_ms` was seen over
    REST, some time after its close. A bar from the stream moves the first; an answer over REST moves both. So whatever
    the stream loses is behind what is confirmed, and is asked for.
    """

    def __init__(
        self, tools: FollowTools, market: Market, intake: SymbolIntake, first_ms: int, end_ms: int | None
    ) -> None:
        self._tools, self.market, self.intake = tools, market, intake
        self._name, self.step_ms = str(market.symbol), intake.timeframe.seconds * 1000
        self._first_ms, self._end_ms = first_ms, end_ms
        self.next_ms = first_ms
        self.confirmed_ms = first_ms - self.step_ms  # the last bar of the import may have closed a moment before it
        self._held: dict[int, Row] = {}
        self._reported: set[int] = set()
        self._storing = asyncio.Lock()
        self._has_held, self._wake = asyncio.Event(), asyncio.Event()
        self._asked_at = self._not_before = -math.inf
        self._fruitless = 0

    @property
    def is_complete(self) -> bool:
        """Whether all bars up to the end are stored and confirmed."""
        return self._end_ms is not None and self.confirmed_ms >= self._end_ms

    def hear(self, row: Row) -> None:
        """Take a closed candle from the stream."""
        open_ms = int(row[0])
        if open_ms < self.confirmed_ms or (self._end_ms is not None and open_ms >= self._end_ms):
            return
        self._held[open_ms] = row
        if len(self._held) > MOST_HELD:
            del self._held[min(self._held)]
        self._has_held.set()

    def ask_soon(self) -> None:
        """Forget that asking was in vain: the venue has something to tell."""
        self._fruitless, self._not_before = 0, -math.inf
        self._wake.set()

    async def store_heard(self) -> None:
        """Store what the stream brings, until cancelled."""
        while True:
            await self._has_held.wait()
            self._has_held.clear()
            rows = [self._held[open_ms] for open_ms in sorted(self._held)]
            last_ms = int(rows[-1][0])
            await self._store(Batch(self._bars(rows)), last_ms + self.step_ms, "stream")
            for row in rows:
                if self._held.get(int(row[0])) is row:
                    del self._held[int(row[0])]
            self.ask_soon()

    async def ask_when_due(self) -> None:
        """Ask over REST for what is late or unconfirmed, until all is confirmed up to the end, or cancelled."""
        while not self.is_complete:
            due_s = self._due_in_s()
            if due_s > 0:
                self._wake.clear()
                await wait_for(self._wake, min(due_s, _WAKE_S))
                continue
            before = self.next_ms, self.confirmed_ms
            try:
                async with self._tools.places:
                    await self._ask()
                self._tools.outage.end(self._name)
            except VenueError as error:
                self._tools.outage.begin(self._name, str(error))
            self._asked_at = time.monotonic()
            if (self.next_ms, self.confirmed_ms) != before:
                self._fruitless = 0
                continue
            self._fruitless += 1
            pause_s = self._tools.timing.grace_s * 2 ** min(self._fruitless, 16)
            self._not_before = self._asked_at + min(pause_s, self._tools.timing.backoff_max_s)

    def _due_in_s(self) -> float:
        """Return in how many seconds there is something to ask for."""
        clock, timing, now = self._tools.clock, self._tools.timing, time.monotonic()
        late_s = confirm_s = math.inf
        if self._end_ms is None or self.next_ms < self._end_ms:
            late_s = clock.seconds_until(self.next_ms + self.step_ms) + timing.grace_s
        if self.confirmed_ms < self.next_ms:
            settled_s = clock.seconds_until(self.confirmed_ms + self.step_ms) + timing.settle_s
            is_last = self.next_ms == self._end_ms
            spaced_s = 0.0 if is_last else self._asked_at + timing.confirm_every_s - now
            confirm_s = max(settled_s, spaced_s)
        return max(min(late_s, confirm_s), self._not_before - now)

    async def _ask(self) -> None:
        tools, step = self._tools, self.step_ms
        venue_ms = await tools.clock.proven(self._needed_ms())
        end_ms = venue_ms // step * step
        if self._end_ms is not None:
            end_ms = min(end_ms, self._end_ms)
        last_ms: int | None = None
        async for batch in pages(tools.venue, self.market, self.intake, Stretch(self.confirmed_ms, end_ms)):
            await self._store(batch, venue_ms, "rest")
            if len(batch.bars):
                last_ms = int(batch.bars.open_ms[-1]) // step * step
        if last_ms is None:
            return
        settled_ms = tools.clock.before_ms(tools.timing.settle_s) // step * step
        self.next_ms = max(self.next_ms, last_ms + step)
        self.confirmed_ms = max(self.confirmed_ms, min(last_ms + step, settled_ms))
        self._reported = {open_ms for open_ms in self._reported if open_ms >= self.confirmed_ms}

    def _needed_ms(self) -> int:
        """Return the time that has to have come for there to be anything to ask for: a bar's close."""
        is_late = self._tools.clock.seconds_until(self.next_ms + self.step_ms) <= 0
        return (self.next_ms if is_late else self.confirmed_ms) + self.step_ms

    async def _store(self, batch: Batch, now_ms: int, origin: Origin) -> None:
        def work() -> tuple[Bars, int]:
            bars = self.intake.take(batch, now_ms)
            return bars, int(server_time(self.intake.run.db).timestamp() * 1000)

        async with self._storing:
            bars, stored_at_ms = await self._tools.store.run(work)
        for open_ms, close in zip(bars.open_ms.tolist(), bars.close.tolist(), strict=True):
            if open_ms == self.next_ms:
                self.next_ms += self.step_ms
            if open_ms >= max(self._first_ms, self.confirmed_ms) and open_ms not in self._reported:
                self._reported.add(open_ms)
                close_ms = open_ms + self.step_ms
                self._tools.report.stored(self._name, open_ms, close_ms, close, stored_at_ms, origin)

    def _bars(self, rows: Sequence[Row]) -> Bars:
        table = np.array(rows, np.float64)
        return Bars.of(self.intake.symbol, self.intake.timeframe, table[:, 0].astype(np.int64), table[:, 1:])


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Wait until the event is set, or so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
