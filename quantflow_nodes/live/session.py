"""The loop of `quantflow live`: waits for bars, runs the graph on them, exports, and goes on whatever happens."""

import threading
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime

import pymongo

from quantflow_nodes.live.bar_calendar import BarCalendar, Expected
from quantflow_nodes.live.bar_feed import BarChange, BarFeed, FeedAway, Told
from quantflow_nodes.live.bar_history import BarHistory, milliseconds, time_of
from quantflow_nodes.live.live_events import Teller
from quantflow_nodes.live.live_export import Exported, publish_new
from quantflow_nodes.live.live_graph import LiveGraph
from quantflow_nodes.live.live_plan import LivePlan
from quantflow_nodes.live.market_clock import MarketClock
from quantflow_nodes.live.resume import RECHECKED_BARS
from quantflow_nodes.node import RunContext, TooFewBarsError
from quantflow_nodes.publish import Arrival
from quantflow_nodes.run_record import RunRecord
from quantflow_nodes.runner import NodeFailedError
from schemas.documents import LiveProgress
from schemas.errors import LockedError, QuantFlowError, StoreError
from schemas.mongo import store_errors

_LONGEST_WAIT_S = 1.0
_NAMED_SYMBOLS = 5
_LITTLE_BARS = 16


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How long to wait for late bars, where the exports begin, and when to end.

    Attributes
    ----------
    patience_s : float
        How long after a close bars are waited for, in seconds of the market's time.
    bars : int or None
        End when so many bars have closed and been exported since the session caught up.
    until : datetime or None
        End when what closed until then is exported; later bars are not looked at.
    not_before : datetime or None
        Bars that closed until then are never exported, not even where one of them comes late.
    """

    patience_s: float
    bars: int | None = None
    until: datetime | None = None
    not_before: datetime | None = None


class LiveSession:
    """Keeps the signals of a graph up to date with the bars.

    Parameters
    ----------
    live : LivePlan
    history : BarHistory
        Where bars are read.
    context : RunContext
        Of the session: its run is one document of `workflow_runs`.
    record : RunRecord
        Keeps that document.
    feed : BarFeed
        Tells which bars were stored.
    clock : MarketClock
    options : LiveOptions
    teller : Teller
        Is given what happens.
    """

    def __init__(
        self,
        live: LivePlan,
        history: BarHistory,
        context: RunContext,
        record: RunRecord,
        feed: BarFeed,
        clock: MarketClock,
        options: LiveOptions,
        teller: Teller,
    ) -> None:
        self._live, self._history, self._context, self._record = live, history, context, record
        self._feed, self._clock, self._options, self._teller = feed, clock, options, teller
        self.graph = LiveGraph(live, history, context)
        self._calendar = BarCalendar(live, _whole_ms(options.patience_s))
        self._stopped = threading.Event()
        self._must_look_up = True
        self._dirty_ms: int | None = None
        self._caught_up_ms: int | None = None
        self._silent_ms: int | None = None
        self._tried: tuple[int, int] | None = None
        self._exports = 0
        self.through_ms = 0

    def stop(self) -> None:
        """Let the session end after what it is doing now; may be called from a signal handler."""
        self._stopped.set()
        self._feed.wake()

    def run(self, through: datetime) -> None:
        """Catch up from a time on, then go on bar by bar until the session is stopped or its end is reached."""
        self.begin(through)
        self.turn(0.0)
        while not self.has_ended():
            self.turn(self._wait_s())

    def begin(self, through: datetime) -> None:
        """Stand at a time until which everything is exported."""
        self.through_ms = milliseconds(through)
        with store_errors(self._context.settings):
            self.graph.start(self.through_ms)

    def turn(self, wait_s: float) -> None:
        """Wait for news of bars, at most so long, and do what is due."""
        for told in self._feed.wait(wait_s):
            self._take_in(told)
        if time.monotonic() < self._teller.retry_at or self._stopped.is_set():
            return
        try:
            with store_errors(self._context.settings):
                self._do_what_is_due()
        except QuantFlowError as error:
            cause = error.cause if isinstance(error, NodeFailedError) else error
            if not isinstance(cause, StoreError | LockedError):
                raise  # a person has to mend it
            self._tried = None
            self._teller.trouble(str(error))

    def has_ended(self) -> bool:
        """Tell whether the session was stopped, or has reached the end that its options give."""
        if self._stopped.is_set():
            return True
        caught_up, bar_ms = self._caught_up_ms, self._calendar.bar_ms
        if self._options.until is not None:
            last = milliseconds(self._options.until)
            nothing_comes = caught_up is not None and self._calendar.next_due(self.through_ms) is None
            if self.through_ms >= last or (nothing_comes and self._clock.now_ms() > last + bar_ms):
                return True
        if self._options.bars is None or caught_up is None:
            return False
        return self.through_ms >= caught_up + self._options.bars * bar_ms

    def _take_in(self, told: Told) -> None:
        if isinstance(told, BarChange):
            self._take_in_bar(told)
        elif isinstance(told, FeedAway):
            self._teller.trouble(told.sentence)
        else:
            self._must_look_up = True
            if not told.complete:  # what was stored in between was not told
                self._mark_dirty(self.through_ms - RECHECKED_BARS * self._calendar.bar_ms)
            self._teller.recovered()

    def _take_in_bar(self, change: BarChange) -> None:
        """Note a bar: as arrived, or as one that calls for looking again at what was exported already."""
        for source in self._live.sources.values():
            if source.collection != change.collection or change.symbol not in source.symbols:
                continue
            close = change.open_ms + source.timeframe.seconds * 1000
            if close > self.through_ms:
                self._calendar.arrived(change.collection, change.symbol, close, self._clock.now())
            elif change.open_ms >= milliseconds(source.start) and not self.graph.has_seen(
                source.node, change.symbol, close, change.values
            ):
                self._mark_dirty(close)

    def _mark_dirty(self, close_ms: int) -> None:
        self._dirty_ms = close_ms if self._dirty_ms is None else min(close_ms, self._dirty_ms)

    def _do_what_is_due(self) -> None:
        if self._must_look_up:
            self._look_up()
            self._must_look_up = False
        if self._dirty_ms is not None:
            self._look_again(self._dirty_ms)
        target = self._calendar.due(self.through_ms, self._now_ms())
        if target is not None and self._tried != (target, self._calendar.version):
            self._tried = (target, self._calendar.version)
            self._advance(target)
        elif target is None and self._calendar.next_due(self.through_ms) is None:
            self._caught_up_ms = self.through_ms if self._caught_up_ms is None else self._caught_up_ms
            self._notice_silence()

    def _look_up(self) -> None:
        """Find out which of the newest bars are stored already: no feed tells that."""
        newest = self._history.newest_of(self._live.sources.values(), self._now_ms())
        if newest is None or newest <= self.through_ms:
            return
        after = max(self.through_ms, newest - self._calendar.bar_ms)
        for source in self._live.sources.values():
            for symbol, close in self._history.closes(source, after, newest):
                self._calendar.arrived(source.collection, symbol, close, self._clock.now())

    def _look_again(self, dirty_ms: int) -> None:
        """Export again from a bar on that came late or changed; what it changes becomes revisions."""
        until, since, not_before = self.through_ms, max(dirty_ms - 1, 0), self._options.not_before
        facts = {"close": time_of(dirty_ms).isoformat(), "through": time_of(until).isoformat()}
        sentence = f"A bar that closed at {_minute(dirty_ms)} came late or has changed: all again from it on."
        self._teller.tell("late", sentence, **facts)
        self.graph.rewind(since)
        self.through_ms = max(since, milliseconds(not_before)) if not_before is not None else since
        try:
            if self.through_ms < until:
                self._advance(until)
        finally:
            self.through_ms = until
        self._dirty_ms = None

    def _advance(self, until_ms: int) -> None:
        """Run the graph on what closed until a time, and export it."""
        since, started = self.through_ms, time.perf_counter()
        self.graph.context = replace(self._context, now=self._clock.now())
        try:
            inputs = self.graph.advance(until_ms, since)
            missing = self.graph.missing(self._calendar.expected(until_ms), until_ms)
            if missing:
                self._tell_missing(until_ms, missing)
            arrival = Arrival(self._calendar.seen_at(until_ms) or self._clock.now(), len(missing))
            with self._bounded(until_ms - since):
                done = [
                    publish_new(node, inputs[node.name], self.graph.context, since, arrival)
                    for node in self._live.exports
                    if node.name in inputs
                ]
        except TooFewBarsError as error:
            self._teller.waiting(f"{error} Waiting for more bars.")
            return
        except BaseException:
            self.graph.rewind(since)
            raise
        self._come_through(until_ms, done, time.perf_counter() - started)

    def _come_through(self, until_ms: int, done: list[Exported], seconds: float) -> None:
        first, self.through_ms = time_of(self.through_ms), until_ms
        self._teller.recovered()
        catching_up = self._caught_up_ms is None
        self._caught_up_ms = until_ms if self._caught_up_ms is None else self._caught_up_ms
        self._exports += len(done)
        for exported in done:
            self._teller.exported(replace(exported, seconds=seconds, catching_up=catching_up))
        self._calendar.forget(until_ms)
        progress = LiveProgress(
            strategies=self._live.strategies,
            through=time_of(until_ms),
            exports=self._exports,
            position=self._feed.position(),
        )
        with self._bounded(0):
            self._record.advanced(progress, first, time_of(until_ms))
            self._clock.keep_set()

    def _bounded(self, stretch_ms: int) -> AbstractContextManager[object]:
        """Let a frozen store be noticed where little is written; a long stretch takes as long as it takes."""
        if stretch_ms > _LITTLE_BARS * self._calendar.bar_ms:
            return nullcontext()
        return pymongo.timeout(self._context.settings.mongo_timeout_s)

    def _tell_missing(self, until_ms: int, missing: set[Expected]) -> None:
        names = sorted(symbol for _, symbol in missing)
        more = len(names) - _NAMED_SYMBOLS
        shown = ", ".join(names[:_NAMED_SYMBOLS]) + (f" and {more} more" if more > 0 else "")
        sentence = f"No bar of {shown} closed at {_minute(until_ms)}, as far as is stored: going on without."
        self._teller.tell("missing", sentence, close=time_of(until_ms).isoformat(), symbols=names)

    def _notice_silence(self) -> None:
        """Say once that no bars come; a session without bars looks alive and is not."""
        patient_ms = 2 * self._calendar.bar_ms + self._calendar.patience_ms
        if self._clock.now_ms() < self.through_ms + patient_ms or self._silent_ms == self.through_ms:
            return
        self._silent_ms = self.through_ms
        self._teller.tell(
            "silent",
            f"No bar that closed after {_minute(self.through_ms)} is stored. Is import-ohlcv --follow running?",
            through=time_of(self.through_ms).isoformat(),
        )

    def _now_ms(self) -> int:
        """The time up to which closes count: clocks of two machines differ a little, and a session may have an end."""
        now = self._clock.now_ms() + _whole_ms(self._context.settings.clock_skew_s)
        return now if self._options.until is None else min(now, milliseconds(self._options.until))

    def _wait_s(self) -> float:
        """How long to wait for news at most, in seconds of this machine."""
        due = self._calendar.next_due(self.through_ms)
        left_s = [] if due is None else [self._clock.seconds_until(due)]
        left_s.append(self._teller.retry_at - time.monotonic())
        return min([_LONGEST_WAIT_S, *(left for left in left_s if left > 0)])


def _whole_ms(seconds: float) -> int:
    return round(seconds * 1000)


def _minute(time_ms: int) -> str:
    return f"{time_of(time_ms):%Y-%m-%d %H:%M}"
