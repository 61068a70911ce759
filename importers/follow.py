"""Follows a venue: an import up to now, then every bar as it closes, over websockets and, what they lose, over REST."""

import asyncio
import random
import signal
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from importers.candle_stream import CandleStream, Hearer, Row, StreamLostError
from importers.follow_report import FollowReport
from importers.followed_series import FollowedSeries, FollowTools, Timing, wait_for
from importers.intake import ImportRun, SymbolIntake
from importers.outage import Outage
from importers.patient_store import PatientStore
from importers.progress import SymbolBars
from importers.request import FollowRequest
from importers.summary import RunSummary
from importers.venue import Market, Patience, Venue, open_venue
from importers.venue_clock import VenueClock
from importers.venue_import import import_closed
from schemas.clock import process_clock
from schemas.errors import QuantFlowError, VenueError

_AT_ONCE = 8
_LOOK_S = 0.2
_FIRST_PAUSE_S = 0.25
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# While following, the loops here try again for ever, and a ban is waited for however long it is.
_PATIENCE = Patience(attempts=1, longest_ban_s=float("inf"))
_log = structlog.get_logger()


@dataclass(slots=True)
class Followed:
    """How following ended: the signal that ended it, if one did, and what could not be had."""

    stopped_by: signal.Signals | None = None
    errors: list[QuantFlowError] = field(default_factory=list)


def run_follow(request: FollowRequest, run: ImportRun, report: FollowReport, timing: Timing | None = None) -> Followed:
    """Import the closed bars, then follow until the end that was asked for, or a signal.

    Raises
    ------
    QuantFlowError
        Where nothing could be begun, as where the venue does not answer or does not list a symbol.
    """
    return asyncio.run(_run(request, run, report, timing or Timing()))


async def _run(request: FollowRequest, run: ImportRun, report: FollowReport, timing: Timing) -> Followed:
    async with open_venue(request.address, request.names) as venue:
        markets = [venue.market(name) for name in request.names]
        errors = await _import(venue, markets, request, run, report)
        if errors:
            return Followed(errors=errors)
        following = _Following(venue.with_patience(_PATIENCE), request, run, report, timing)
        started = time.monotonic()
        try:
            return await following.run(markets)
        finally:
            following.sum_up(time.monotonic() - started)


async def _import(
    venue: Venue, markets: Sequence[Market], request: FollowRequest, run: ImportRun, report: FollowReport
) -> list[QuantFlowError]:
    summary, started = RunSummary(run.run_id, run.source, 0.0), time.monotonic()
    with SymbolBars() as bars:
        work = [
            (market, SymbolIntake(run, market.symbol, request.timeframe, bars.add(market.symbol))) for market in markets
        ]
        errors = await import_closed(venue, work, request.span.since_ms, request.span.until_ms, resumes=True)
    summary.symbols = [await asyncio.to_thread(intake.finish) for _, intake in work]
    summary.seconds = round(time.monotonic() - started, 3)
    report.imported(summary)
    return errors


class _Following:
    """The second half: all symbols, their streams, and the end."""

    def __init__(
        self, venue: Venue, request: FollowRequest, run: ImportRun, report: FollowReport, timing: Timing
    ) -> None:
        self._venue, self._request, self._run, self._report, self._timing = venue, request, run, report, timing
        self._clock = VenueClock(venue.clock_ms, process_clock())
        self._store = PatientStore(run.db)
        self._streams = Outage("stream")
        self._series: dict[str, FollowedSeries] = {}
        self._intakes: list[SymbolIntake] = []
        self._end_ms: int | None = None

    async def run(self, markets: Sequence[Market]) -> Followed:
        """Follow until the end, or a signal."""
        await self._clock.read()
        self._end_ms = self._request.end_ms(self._clock.now_ms())
        tools = FollowTools(
            self._venue, self._clock, self._store, self._report, Outage("venue"), asyncio.Semaphore(_AT_ONCE),
            self._timing,
        )  # fmt: skip
        for market in markets:
            self._series[market.pair] = await self._begin(tools, market)
        streams = [
            [market for market in markets if (market.symbol.settle is not None) is kind] for kind in (False, True)
        ]
        work = [self._listen(some) for some in streams if some]
        for series in self._series.values():
            work += [series.store_heard(), series.ask_when_due()]
        with _signals() as stop:
            await _beside(work, self._wait_for_end(stop))
            stopped_by = stop.by
        return Followed(stopped_by, [] if stopped_by else self._missing())

    def sum_up(self, seconds: float) -> None:
        """Bring the report's sums up to date."""
        summary = self._report.summary
        summary.seconds, summary.store_losses = round(seconds, 1), self._store.outage.count
        for counts, intake in zip(summary.symbols, self._intakes, strict=False):
            counts.changed, counts.rejected = intake.counts.changed, intake.counts.rejected

    async def _begin(self, tools: FollowTools, market: Market) -> FollowedSeries:
        intake = SymbolIntake(self._run, market.symbol, self._request.timeframe)
        step = intake.timeframe.seconds * 1000
        closed_ms = self._clock.proven_ms // step * step
        last_ms = await self._store.run(intake.last_stored_ms)
        # Bars that are stored for times to come, as by another program or before a replay, are met again.
        first_ms = closed_ms if last_ms is None else min(last_ms + step, closed_ms)
        self._intakes.append(intake)
        self._report.add(str(market.symbol), str(intake.timeframe))
        return FollowedSeries(tools, market, intake, first_ms, self._end_ms)

    async def _listen(self, markets: Sequence[Market]) -> None:
        """Keep one connection for these markets, until cancelled."""
        lost = tried = 0

        def connected() -> None:
            self._streams.end(name)
            self._report.summary.reconnects += lost > 0
            _log.info("stream_connected", venue=self._venue.where, symbols=len(markets))
            for market in markets:
                self._series[market.pair].ask_soon()

        others = f" and {len(markets) - 1} more" if len(markets) > 1 else ""
        name = f"{self._venue.where}: {markets[0].symbol}{others}"
        hearer = Hearer(connected, self._clock.note, self._hear)
        while True:
            try:
                # Asked first: it keeps a ban, after which connecting would be an offence too.
                await self._clock.read()
                exchange = self._venue.stream_exchange(markets)
                if exchange is None:
                    _log.warning("stream_unknown", venue=self._venue.where, instead="bars are asked for over REST")
                    return
                stream = CandleStream(exchange, markets, str(self._request.timeframe), hearer, self._timing.silence_s)
                tried += 1
                try:
                    await stream.run()
                finally:
                    if stream.has_heard:
                        lost, tried = lost + 1, 0
            except (StreamLostError, VenueError) as error:
                self._streams.begin(name, str(error))
            pause_s = min(_FIRST_PAUSE_S * 2 ** min(tried, 16), self._timing.reconnect_max_s)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))

    def _hear(self, pair: str, row: Row) -> None:
        series = self._series[pair]
        self._clock.note(int(row[0]) + series.step_ms)  # the venue says that it is closed
        series.hear(row)

    async def _wait_for_end(self, stop: "_Stop") -> None:
        past_since: float | None = None
        while not stop.asked.is_set() and not all(series.is_complete for series in self._series.values()):
            if self._end_ms is None or self._clock.seconds_until(self._end_ms) > 0 or self._store.outage.is_on:
                past_since = None
            elif past_since is None:
                past_since = time.monotonic()
            elif time.monotonic() - past_since > self._timing.end_s:
                return
            await wait_for(stop.asked, _LOOK_S)

    def _missing(self) -> list[QuantFlowError]:
        """Return an error for each symbol whose last bars the venue did not give."""
        return [
            VenueError(
                f"Bars of {series.market.symbol} were to be followed up to {_time(self._end_ms or 0)}; "
                f"{self._venue.where} has given those before {_time(series.next_ms)}. What was stored is kept."
            )
            for series in self._series.values()
            if self._end_ms is not None and series.next_ms < self._end_ms
        ]


async def _beside(work: Sequence[Coroutine[Any, Any, None]], main: Coroutine[Any, Any, None]) -> None:
    """Run endless work until `main` ends; an error of any ends all."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
            await main
            for task in tasks:
                task.cancel()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


@dataclass(slots=True)
class _Stop:
    """Whether a signal has asked for the end."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    by: signal.Signals | None = None


@contextmanager
def _signals() -> Iterator[_Stop]:
    """Take Ctrl-C and SIGTERM as a wish to end in order, with the sums; a second one ends at once."""
    stop, loop = _Stop(), asyncio.get_running_loop()
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}

    def ask(by: signal.Signals) -> None:
        stop.by = by
        stop.asked.set()
        restore()

    def restore() -> None:
        for name, handler in before.items():
            loop.remove_signal_handler(name)
            signal.signal(name, handler)

    for name in before:
        loop.add_signal_handler(name, ask, name)
    try:
        yield stop
    finally:
        restore()


def _time(open_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=open_ms)).isoformat()
