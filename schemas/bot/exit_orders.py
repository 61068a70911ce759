"""Finds out whether the order of an exit that left was taken: Freqtrade has one more of its trade then."""

from collections.abc import Iterable

from schemas.bot.trade_facts import TradeFacts
from schemas.signal_tag import SignalTag


class ExitOrders:
    """Exits whose orders were refused, from what Freqtrade's trades hold before and after an order left.

    An exit is tried again in each loop until its position is closed. A try of which the trade has no order was refused
    by the venue, or its answer never came.
    """

    def __init__(self) -> None:
        self._left: dict[str, SignalTag] = {}
        self._orders: dict[int, int] = {}

    def left(self, pair: str, tag: SignalTag) -> None:
        """Say that an order leaves for an exit."""
        self._left[pair] = tag

    def refused(self, trades: Iterable[TradeFacts]) -> dict[str, SignalTag]:
        """Return, by pair, the exits whose order left since the last call, and is in no trade.

        Parameters
        ----------
        trades : iterable of TradeFacts
            All open trades, and any others; called between two loops, so that no order is on its way.
        """
        held = {trade.pair: trade for trade in trades if trade.is_open}
        orders = {trade.id: _count_exits(trade) for trade in held.values()}
        refused = {
            pair: tag
            for pair, tag in self._left.items()
            if pair in held and orders[held[pair].id] == self._orders.get(held[pair].id, 0)
        }
        self._left, self._orders = {}, orders
        return refused


def _count_exits(trade: TradeFacts) -> int:
    return sum(1 for order in trade.orders if order.ft_order_side != trade.entry_side)
