"""Gives each signal that can not act any more, and of which nobody said anything, a receipt with the reason."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from schemas.bot.outbox import Outbox
from schemas.bot.signal_ledger import SignalLedger
from schemas.bot_documents import SkipReason
from schemas.signal_actions import Signals
from schemas.signal_rule import SignalWindow
from schemas.signal_tag import SignalTag

_LATE_BARS = 60  # a signal that is written so many bars late still gets its receipt
_BARS_A_TURN = 5_000  # after a long absence: by and by
_LEAST_MS, _MOST_MS = 1_000, 60_000

ReadSignals = Callable[[Sequence[str], int, int], Mapping[str, Signals]]


class Absences(Protocol):
    """Knows when MongoDB did not answer."""

    def was_away(self, from_ms: int, until_ms: int) -> bool:
        """Whether it did not at some time between the two."""


class SignalAccounting:
    """Looks from time to time at signals whose time is over, from the first that the bot could have used on.

    It goes on where an earlier process of the bot ended: what was written while the bot was off is accounted for too.

    Parameters
    ----------
    ledger : SignalLedger
    outbox : Outbox
        Keeps how far the account has come.
    window : SignalWindow
    read : callable
        Reads the signals of some pairs with first ≤ ts ≤ last, ms.
    absences : Absences
    newest_chosen : callable
        Gives the newest signal that was chosen for a pair in this process.
    """

    def __init__(
        self,
        ledger: SignalLedger,
        outbox: Outbox,
        window: SignalWindow,
        read: ReadSignals,
        absences: Absences,
        newest_chosen: Callable[[str], int | None],
    ) -> None:
        self._ledger, self._outbox, self._window = ledger, outbox, window
        self._read, self._absences, self._newest_chosen = read, absences, newest_chosen
        own = ledger.consumer
        self._began = f"began {own.strategy_id} {own.timeframe}"
        self._reached = f"accounted {own.strategy_id} {own.timeframe}"
        bar_ms = window.timeframe_ms
        # One bar longer than the tolerance, since a venue's candle may be late.
        self._over_ms = min(window.max_delay_ms, (window.tolerance_bars + 2) * bar_ms)
        self._pause_ms = min(max(bar_ms // 12, _LEAST_MS), _MOST_MS)
        self._next_ms = 0

    def turn(self, pairs: Sequence[str], now_ms: int) -> None:
        """Account for what is over at `now_ms`, if it is time for that.

        Raises
        ------
        StoreError
            Where MongoDB or the bot's file does not do its part; it is done again then.
        """
        if not pairs or (now_ms < self._next_ms and self._next_ms - now_ms <= _MOST_MS):
            return
        bar_ms = self._window.timeframe_ms
        over_ms = now_ms - bar_ms - self._over_ms
        began_ms = self._outbox.mark(self._began)
        if began_ms is None:
            began_ms = over_ms
            self._outbox.set_mark(self._began, began_ms)
        reached_ms = self._outbox.mark(self._reached) or began_ms
        first_ms = max(began_ms, min(reached_ms, over_ms) - _LATE_BARS * bar_ms)
        last_ms = min(over_ms, first_ms + _BARS_A_TURN * bar_ms)
        for pair, signals in self._read(pairs, first_ms, last_ms).items():
            self._account(pair, signals, now_ms)
        if last_ms > reached_ms:
            self._outbox.set_mark(self._reached, last_ms)
        if last_ms == over_ms:
            self._next_ms = now_ms + self._pause_ms

    def _account(self, pair: str, signals: Signals, now_ms: int) -> None:
        bar_ms = self._window.timeframe_ms
        candle_ms = now_ms // bar_ms * bar_ms - bar_ms
        for row in np.arange(signals.ts.size).tolist():
            ts = int(signals.ts[row])
            if not self._ledger.has_told(pair, ts):
                tag = SignalTag(self._ledger.consumer.strategy_id, ts, int(signals.version[row]))
                reason = self._reason(pair, ts, int(signals.valid_until[row]))
                self._ledger.account(pair, tag, reason, candle_ms, now_ms)

    def _reason(self, pair: str, ts: int, valid_until: int) -> SkipReason:
        available = ts + self._window.timeframe_ms
        over = available + self._over_ms
        if not self._ledger.has_seen(pair, ts):
            return "mongo_down" if self._absences.was_away(available, min(over, valid_until)) else "expired"
        if valid_until <= over:
            return "expired"
        newest = self._newest_chosen(pair)
        return "superseded" if newest is not None and newest > ts else "outside_window"
