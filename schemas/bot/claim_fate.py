"""Finds out what became of entries that were claimed: filled, refused, timed out, or lost by a bot that died."""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from schemas.bot.outbox import Claim
from schemas.bot.signal_ledger import SignalLedger
from schemas.bot.trade_facts import TradeFacts, lost_fill
from schemas.bot.trade_recorder import TradeRecorder
from schemas.signal_tag import SignalTag

logger = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ASK_AGAIN_S = 30.0
_ASKED_BARS = 3  # an entry is asked for on one candle: at this many bars after its open the next one is over too
_BEFORE, _AFTER = timedelta(seconds=2), timedelta(seconds=60)


class TradeBook(Protocol):
    """What is asked of Freqtrade; its strategy answers."""

    def entered(self, pair: str, tag: str) -> TradeFacts | None:
        """Return the trade that was opened with a tag, open or closed."""

    def lost_orders(self, pair: str, since: datetime) -> Sequence[Mapping[str, Any]] | None:
        """Return the venue's orders, in ccxt's form, that Freqtrade has no record of; None where it does not answer."""

    def is_locked(self, pair: str, candle: datetime, side: str) -> bool:
        """Whether Freqtrade enters nothing on that side ('long', 'short') of a pair because of a candle's lock."""


class ClaimFate:
    """Settles each claimed entry when its end is known; until then its signal counts as entered.

    An entry that has no trade in Freqtrade's database had no order, or one that Freqtrade does not know of: the bot
    died, or the line broke, after the order left. The venue is asked for that, once a claim. What it has filled is
    recorded as a fill of the signal and said loudly, since no stop watches over it; nothing is bought or sold for it.
    """

    def __init__(self, ledger: SignalLedger, recorder: TradeRecorder, venue: str, *, can_short: bool = False) -> None:
        self._ledger, self._recorder, self._venue = ledger, recorder, venue
        self._entry_sides = {"buy", "sell"} if can_short else {"buy"}
        self._ask_at: dict[tuple[str, int], float] = {}
        self._said: set[str] = set()

    def settle(self, book: TradeBook, now_ms: int) -> None:
        """Settle what can be settled; called between two loops, so that no order is on its way."""
        for claim in [one for one in self._ledger.entries.values() if one.state == "asked"]:
            # MongoDB did not answer in time, and may say 'entered' all the same; no order left, and none will.
            if now_ms >= claim.candle + _ASKED_BARS * self._ledger.consumer.timeframe_ms:
                self._ledger.entry_over(claim, "mongo_down", now_ms)
        for claim in [one for one in self._ledger.entries.values() if one.state in ("claimed", "placed")]:
            trade = book.entered(claim.pair, str(_tag(claim)))
            if trade is not None:
                if any((order.filled or 0) > 0 for order in trade.orders):
                    self._ledger.entry_over(claim, None, now_ms)
                elif claim.state == "claimed":
                    self._ledger.advance_entry(claim, "placed")
            elif claim.state == "placed":
                self._ledger.entry_over(claim, "order_unfilled", now_ms)
            elif time.monotonic() >= self._ask_at.get((claim.pair, claim.ts), 0.0):
                self._without_trade(claim, book, now_ms)

    def _without_trade(self, claim: Claim, book: TradeBook, now_ms: int) -> None:
        claimed_at = _EPOCH + timedelta(milliseconds=claim.at)
        orders = book.lost_orders(claim.pair, claimed_at - _BEFORE)
        if orders is None:
            self._ask_at[claim.pair, claim.ts] = time.monotonic() + _ASK_AGAIN_S
            return
        lost = [
            order
            for order in orders
            if order.get("side") in self._entry_sides and claimed_at - _BEFORE <= _placed(order) <= claimed_at + _AFTER
        ]
        for order in lost:
            self._found(claim, order)
        if any(order.get("status") == "open" for order in lost):
            self._ask_at[claim.pair, claim.ts] = time.monotonic() + _ASK_AGAIN_S
        elif any(order.get("filled") for order in lost):
            self._ledger.entry_over(claim, None, now_ms)
        else:
            is_own = claim.run_id == self._ledger.consumer.run_id
            self._ledger.entry_over(claim, "order_rejected" if is_own else "order_lost", now_ms)

    def _found(self, claim: Claim, order: Mapping[str, Any]) -> None:
        order_id = str(order["id"])
        fill = lost_fill(order, self._venue, _tag(claim), self._ledger.consumer)
        if fill is not None and order.get("status") != "open":
            self._recorder.put("fill", fill.order_id, fill.pair, fill.to_mongo())
        if order_id not in self._said:
            self._said.add(order_id)
            logger.error(
                f"The venue has order {order_id} of {claim.pair} ({order.get('side')} {order.get('amount')}, filled "
                f"{order.get('filled')}), made for {_tag(claim)}, and Freqtrade has no trade of it: it ended between "
                "the two. Nothing here will sell it or watch over it. Close it at the venue by hand."
            )


def _tag(claim: Claim) -> SignalTag:
    return SignalTag(claim.strategy_id, claim.ts, claim.version)


def _placed(order: Mapping[str, Any]) -> datetime:
    return _EPOCH + timedelta(milliseconds=int(order.get("timestamp") or 0))
