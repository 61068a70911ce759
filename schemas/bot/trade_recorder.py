"""Keeps fills and positions in step with Freqtrade's trades, which are the truth about both."""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from schemas.bot.consumer_store import Writing
from schemas.bot.outbox import Outbox
from schemas.bot.trade_facts import Consumer, TradeFacts, fills_of, position_of
from schemas.errors import QuantFlowError

logger = logging.getLogger(__name__)

_REMEMBERED = 5_000


class TradeRecorder:
    """Puts each fill and each position into the outbox when it is new or has changed, however often it is shown.

    So a trade may be shown from Freqtrade's callback at once, and again with all others at each loop and at each
    start: what a callback missed, or a crash cut off, is made up for.
    """

    def __init__(self, consumer: Consumer, outbox: Outbox, wake: Callable[[], None]) -> None:
        self._consumer, self._outbox, self._wake = consumer, outbox, wake
        self._put: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._filled_tags: dict[str, None] = {}
        self._unreadable: set[int] = set()

    def record(self, trades: Iterable[TradeFacts], now: datetime) -> None:
        """Record what is new in some trades. A trade that can not be read is said once, and keeps nothing else back."""
        for trade in trades:
            try:
                self._record(trade, now)
            except (QuantFlowError, ValueError) as error:
                if trade.id not in self._unreadable:
                    self._unreadable.add(trade.id)
                    logger.error(f"Trade {trade.id} of {trade.pair} is not recorded. {error}")

    def has_filled(self, pair: str, tag: str) -> bool:
        """Whether an order of a signal filled something, as far as trades were shown to this process."""
        return f"{pair} {tag}" in self._filled_tags

    def put(self, kind: Writing, key: str, pair: str, document: dict[str, Any]) -> None:
        """Put a document unless it is the one that was put last under its key."""
        content = {name: value for name, value in document.items() if name != "updated_at"}
        if self._put.get((kind, pair, key)) == content:
            return
        self._outbox.put(kind, document)
        if len(self._put) > _REMEMBERED:
            self._put.clear()  # all is put once more, which changes nothing
        self._put[kind, pair, key] = content
        self._wake()

    def _record(self, trade: TradeFacts, now: datetime) -> None:
        for fill in fills_of(trade, self._consumer):
            if fill.reason is not None:
                if len(self._filled_tags) >= _REMEMBERED:
                    del self._filled_tags[next(iter(self._filled_tags))]
                self._filled_tags[f"{fill.pair} {fill.reason}"] = None
            self.put("fill", fill.order_id, fill.pair, fill.to_mongo())
        position = position_of(trade, self._consumer, now)
        if position is not None:
            self.put("position", position.entry_order_id, position.pair, position.to_mongo())
