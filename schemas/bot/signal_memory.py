"""Rebuilds what signals did before from the trades they led to, so that a bot that was restarted does not act twice."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from schemas.signal_actions import FLAT, LONG, LONG_AGO, SHORT, Memory
from schemas.signal_tag import SignalTag


class TaggedTrade(Protocol):
    """What is read of a trade; Freqtrade's `Trade` has it."""

    is_open: bool
    is_short: bool
    enter_tag: str | None
    exit_reason: str | None

    @property
    def open_date_utc(self) -> datetime:
        """When it was opened, aware."""

    @property
    def close_date_utc(self) -> datetime | None:
        """When it was closed, aware; None while it is open."""


def memory_of(trades: Iterable[TaggedTrade], strategy_id: str, timeframe_ms: int) -> Memory:
    """Return what the trades of one pair tell of the signals of one strategy that acted before.

    A signal acts on the last closed candle, and its order is filled in the candle after it. Trades that a person or
    another strategy opened count as positions; ends that no signal of this strategy brought about, such as a stop,
    start no cooldown.
    """
    side, entered_ms, exited_ms, settled_ts = FLAT, LONG_AGO, LONG_AGO, LONG_AGO
    for trade in trades:
        entry, leave = SignalTag.parse(trade.enter_tag), SignalTag.parse(trade.exit_reason)
        for tag in (entry, leave):
            if tag is not None and tag.strategy_id == strategy_id:
                settled_ts = max(settled_ts, tag.ts_ms)
        if trade.is_open:
            side, entered_ms = SHORT if trade.is_short else LONG, _acting_candle(trade.open_date_utc, timeframe_ms)
        elif leave is not None and leave.strategy_id == strategy_id and trade.close_date_utc is not None:
            exited_ms = max(exited_ms, _acting_candle(trade.close_date_utc, timeframe_ms))
    return Memory(side, entered_ms, exited_ms, settled_ts)


def _acting_candle(filled: datetime, timeframe_ms: int) -> int:
    """Return the open of the candle before the one in which an order was filled, ms."""
    filled_ms = round(filled.timestamp() * 1000)
    return filled_ms // timeframe_ms * timeframe_ms - timeframe_ms
