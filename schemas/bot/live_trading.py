"""All that a bot does with signals while it trades, behind the few questions that Freqtrade's callbacks ask."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from schemas.bot.bounded_call import BoundedCalls
from schemas.bot.claim_fate import ClaimFate, TradeBook
from schemas.bot.consumer_store import ConsumerStore
from schemas.bot.exit_orders import ExitOrders
from schemas.bot.live_feed import LiveFeed
from schemas.bot.live_signals import CandleFlags, LiveSignals
from schemas.bot.outbox import Outbox
from schemas.bot.outbox_writer import OutboxWriter
from schemas.bot.signal_accounting import SignalAccounting
from schemas.bot.signal_ledger import SignalLedger
from schemas.bot.signal_memory import memory_of
from schemas.bot.trade_facts import Consumer, TradeFacts
from schemas.bot.trade_recorder import TradeRecorder
from schemas.errors import StoreError
from schemas.settings import ExternalSignalSettings
from schemas.signal_actions import FLAT, LONG, ActionRules, Memory, Signals
from schemas.signal_feed import NO_SIGNALS, SignalFeed
from schemas.signal_rule import SignalWindow
from schemas.signal_tag import SignalTag

logger = logging.getLogger(__name__)

LOOP_BUDGET_S = 0.9  # a loop is never held for a second; what is left pays for the bot's own file
_CLOSING_PATIENCE_S = 2.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBERED_CLAIMS_MS = 7 * 86_400_000
_FORGOTTEN_EVERY_MS = 3_600_000
_RECORDED = "trades recorded"
_RECORDED_EVERY_MS = 60_000
_OVERLAP = timedelta(hours=1)

TradesSince = Callable[[datetime], Sequence[TradeFacts]]


class LiveTrading:
    """Reads, decides, claims and records for one bot; nothing of it raises where MongoDB is away.

    Parameters
    ----------
    settings : ExternalSignalSettings
    consumer : Consumer
    window : SignalWindow
    rules : ActionRules
    folder : Path
        Where the bot's own file lies.
    venue : str
        The exchange's name.
    now : callable
        The time by which the bot trades, aware.

    Raises
    ------
    SettingsError
        Where MongoDB's address can not be used.
    StoreError
        Where the bot's own file can not be used.
    """

    def __init__(
        self,
        settings: ExternalSignalSettings,
        consumer: Consumer,
        window: SignalWindow,
        rules: ActionRules,
        *,
        folder: Path,
        venue: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.consumer, self._settings, self._window, self._rules, self._now = consumer, settings, window, rules, now
        self._outbox = Outbox(folder / outbox_name(consumer.name, settings.db))
        self._forgotten_ms = self._forgotten_in_file_ms = self._forgettable(epoch_ms(now()))
        self._outbox.forget_claims(self._forgotten_ms)
        self._feed = SignalFeed(settings, consumer.timeframe, live=True)
        self._calls = BoundedCalls(LOOP_BUDGET_S)
        timeout_s, retry_s = settings.mongo_timeout_ms / 1000, settings.retry_after_s
        self._live = LiveFeed(
            self._feed,
            window,
            self._calls,
            timeout_s=timeout_s,
            retry_after_s=retry_s,
            wants_exports=settings.on_silence == "exit",
        )
        store = ConsumerStore(self._feed.database)
        self._pairs: Sequence[str] = ()
        self._writer = OutboxWriter(self._outbox, store.write, self._feed.sentence, retry_s, self._account)
        wake = self._writer.wake
        self._ledger = SignalLedger(
            consumer, self._outbox, store, self._calls, self._feed.sentence, wake, timeout_s, retry_s
        )
        self._recorder = TradeRecorder(consumer, self._outbox, wake)
        self._fate = ClaimFate(self._ledger, self._recorder, venue, can_short=rules.can_short)
        self._exit_orders = ExitOrders()
        self._signals = LiveSignals(self._ledger, window, rules)
        self._accounting = SignalAccounting(
            self._ledger, self._outbox, window, self._feed.newest, self._live, self._signals.newest_chosen
        )
        self._newest: Mapping[str, Signals] = {}
        self._memories: Mapping[str, Memory] = {}
        self._began_ms = epoch_ms(now())
        self._recorded_ms = self._loop_ms = self._outbox.mark(_RECORDED) or 0
        self._is_silent = False

    def start(self, trades_since: TradesSince) -> None:
        """Record what trades did since the bot was last seen alive, and begin to write what waits."""
        since = _EPOCH if self._recorded_ms == 0 else _EPOCH + timedelta(milliseconds=self._recorded_ms) - _OVERLAP
        self._recorder.record(trades_since(since), self._now())
        self._writer.start()

    def loop(self, pairs: Sequence[str], trades_since: TradesSince, book: TradeBook) -> None:
        """Begin a loop: record what trades did, settle what was ordered, read the newest signals.

        Parameters
        ----------
        pairs : sequence of str
            The whitelist.
        trades_since : callable
            Returns all open trades, and those closed after a time.
        book : TradeBook
        """
        self._newest = {}  # first of all: what was read in the loop before must not act, whatever fails here
        self._calls.begin()
        self._pairs = list(pairs)
        trades = trades_since(self._since)
        now = self._now()
        now_ms = epoch_ms(now)
        self._recorder.record(trades, now)
        self._loop_ms = now_ms
        self._memories = self._remembered(trades)
        self._fate.settle(book, now_ms)
        for pair, refused in self._exit_orders.refused(trades).items():
            self._ledger.exit_refused(pair, refused, self._candle(now_ms), now_ms)
        self._forget(now_ms)
        for claim in self._signals.begin(self._memories, _locks(book), now_ms):
            tag = str(SignalTag(claim.strategy_id, claim.ts, claim.version))
            has_closed_it = self._recorder.has_filled(claim.pair, tag)
            self._ledger.exit_over(claim, None if has_closed_it else "no_position", now_ms)
        self._newest = self._live.read(pairs, now_ms)
        self._exit_late(now_ms)
        self._is_silent = self._silence(now_ms)

    def decide(self, pair: str, candle_ms: int) -> CandleFlags:
        """Return what is set on the last closed candle of a pair, now."""
        memory = self._memories.get(pair, Memory())
        now_ms = epoch_ms(self._now())
        signals = self._newest.get(pair, NO_SIGNALS)
        return self._signals.decide(pair, signals, candle_ms, now_ms, memory, is_silent=self._is_silent)

    def may_enter(self, pair: str, text: str | None) -> bool:
        """Return whether an entry order may leave: a signal's once, a person's always."""
        tag = self._own(text)
        if tag is None:
            return True
        self._signals.was_asked(pair)
        now_ms = epoch_ms(self._now())
        candle_ms = self._candle(now_ms)
        signals = self._newest.get(pair, NO_SIGNALS)
        until = signals.valid_until[signals.ts == tag.ts_ms]
        if now_ms - tag.ts_ms - self._window.timeframe_ms > self._window.max_delay_ms or (until <= now_ms).any():
            self._ledger.skip(pair, tag, "expired", candle_ms, now_ms)
            return False
        return self._ledger.claim_entry(pair, tag, candle_ms, now_ms)

    def exiting(self, pair: str, text: str | None) -> None:
        """Say that an exit order leaves."""
        tag = self._own(text)
        if tag is not None:
            now_ms = epoch_ms(self._now())
            self._ledger.exiting(pair, tag, self._candle(now_ms), now_ms)
            self._exit_orders.left(pair, tag)

    def filled(self, trade: TradeFacts) -> None:
        """Record a trade of which an order has just been filled."""
        self._recorder.record([trade], self._now())

    def close(self) -> None:
        """Write what can be written soon, and let go of all; the rest waits for the next start."""
        has_ended = self._writer.close(_CLOSING_PATIENCE_S)
        self._calls.begin()
        with suppress(StoreError):  # a driver that can not even let go is left behind with its thread
            self._calls.call(self._feed.close, LOOP_BUDGET_S)
        self._calls.close()
        if has_ended:
            self._outbox.close()

    @property
    def _since(self) -> datetime:
        """From when on closed trades still matter to a loop."""
        bars = self._rules.cooldown_bars + self._window.tolerance_bars + 2
        reach_ms = max(bars * self._window.timeframe_ms + self._window.max_delay_ms, 2 * _RECORDED_EVERY_MS)
        return self._now() - timedelta(milliseconds=reach_ms)

    def _forgettable(self, now_ms: int) -> int:
        """Return before which bar's open no signal can act again, so that settled claims on these need not be kept."""
        window = self._window
        usable_ms = window.max_delay_ms + (window.tolerance_bars + 2) * window.timeframe_ms
        return now_ms - max(_REMEMBERED_CLAIMS_MS, usable_ms)

    def _forget(self, now_ms: int) -> None:
        before_ms = self._forgettable(now_ms)
        if before_ms - self._forgotten_ms >= _FORGOTTEN_EVERY_MS:
            self._ledger.forget(before_ms)
            self._forgotten_ms = before_ms

    def _own(self, text: str | None) -> SignalTag | None:
        tag = SignalTag.parse(text)
        return tag if tag is not None and tag.strategy_id == self.consumer.strategy_id else None

    def _candle(self, now_ms: int) -> int:
        return now_ms // self._window.timeframe_ms * self._window.timeframe_ms - self._window.timeframe_ms

    def _remembered(self, trades: Iterable[TradeFacts]) -> dict[str, Memory]:
        """Return, by pair, what Freqtrade's own trades tell of earlier signals; it outlives a restart."""
        by_pair: dict[str, list[TradeFacts]] = {}
        for trade in trades:
            by_pair.setdefault(trade.pair, []).append(trade)
        own = self.consumer
        return {pair: memory_of(found, own.strategy_id, own.timeframe_ms) for pair, found in by_pair.items()}

    def _exit_late(self, now_ms: int) -> None:
        """After the start and after an absence, look for exits that came meanwhile and are too old by the rule."""
        if self._settings.late_exits:
            held = [pair for pair, memory in self._memories.items() if memory.side != FLAT]
            for pair, last in self._live.missed(held, now_ms).items():
                self._signals.exit_late(pair, last, self._candle(now_ms), now_ms, self._memories[pair])

    def _silence(self, now_ms: int) -> bool:
        """Tell whether positions are to be closed: the newest bar that research spoke of closed too long ago.

        Where nothing of it was read yet, silence counts from the bot's start.
        """
        if self._settings.on_silence == "hold":
            return False
        newest = self._live.newest_ts
        heard_ms = self._began_ms if newest is None else newest + self._window.timeframe_ms
        is_silent = now_ms - heard_ms > self._settings.silence_bars * self._window.timeframe_ms
        if is_silent != self._is_silent:
            heard = _EPOCH + timedelta(milliseconds=heard_ms)
            what = "is silent: positions are closed, and nothing enters" if is_silent else "speaks again"
            logger.warning(f"Research of {self.consumer.strategy_id} {what}. It was heard last of {heard:%F %R} UTC.")
        return is_silent

    def _account(self) -> None:
        """What the writing thread does besides: a loop must wait neither for it, nor for a disk that is full."""
        if self._loop_ms - self._recorded_ms >= _RECORDED_EVERY_MS:
            self._outbox.set_mark(_RECORDED, self._loop_ms)
            self._recorded_ms = self._loop_ms
        if self._forgotten_ms > self._forgotten_in_file_ms:
            self._outbox.forget_claims(self._forgotten_ms)
            self._forgotten_in_file_ms = self._forgotten_ms
        self._accounting.turn(self._pairs, epoch_ms(self._now()))


def outbox_name(consumer: str, db: str) -> str:
    """Return the name of a bot's own file: one for each name and database, whatever signs these hold."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", consumer)[:40]
    digest = sha256(f"{consumer}\n{db}".encode()).hexdigest()[:8]
    return f"signals.{readable}.{digest}.sqlite"


def epoch_ms(time: datetime) -> int:
    """Return a time as whole ms since the epoch."""
    return round(time.timestamp() * 1000)


def _locks(book: TradeBook) -> Callable[[str, int, int], bool]:
    def is_locked(pair: str, candle_ms: int, side: int) -> bool:
        return book.is_locked(pair, _EPOCH + timedelta(milliseconds=candle_ms), "long" if side == LONG else "short")

    return is_locked
