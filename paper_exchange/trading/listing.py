"""A listed symbol as the engine sees it: its rules, the users' orders that wait, and the house's quote."""

from itertools import islice

from paper_exchange.market.instrument import Instrument
from paper_exchange.trading.house_quote import HouseQuote
from paper_exchange.trading.liquidity import Level, Liquidity
from paper_exchange.trading.order import BUY, SELL, UNIT, Order, Side
from paper_exchange.trading.order_book import BookSide, StopOrders


class Listing:
    """Everything of one symbol that trading needs.

    Parameters
    ----------
    instrument
        Names and rules.
    liquidity
        What the house offers.
    """

    def __init__(self, instrument: Instrument, liquidity: Liquidity) -> None:
        self.symbol = instrument.symbol
        self.base, self.quote = instrument.base, instrument.quote
        self.lot = instrument.lot
        self.filters = instrument.filters()
        self.bids, self.asks = BookSide(BUY), BookSide(SELL)
        self.stops = StopOrders()
        self.house = HouseQuote(instrument.symbol, liquidity)

    @property
    def is_waiting(self) -> bool:
        """Whether a move of the market could touch any order."""
        return self.bids.best_price is not None or self.asks.best_price is not None or bool(self.stops)

    def resting(self, side: Side) -> BookSide:
        """Return the users' orders of a side."""
        return self.bids if side is BUY else self.asks

    def other(self, side: Side) -> BookSide:
        """Return the users' orders that an order of `side` would trade with."""
        return self.asks if side is BUY else self.bids

    def need(self, order: Order) -> tuple[str, int]:
        """Return the asset and amount that an open order keeps locked, for what remains of it.

        A buy that waits to become a MARKET order locks what it would cost at its stop price.
        """
        if order.side is SELL:
            return self.base, order.remaining
        return self.quote, (order.price or order.stop_price) * order.remaining // UNIT

    def depth(self, side: Side, now_ms: int, limit: int) -> list[Level]:
        """Return what a taker would meet on a side, users and house added up by price, the best first."""
        depth = dict(self.resting(side).levels(limit))
        for price, quantity in islice(self.house.offers(side, now_ms, self.other(side).best_price), limit):
            depth[price] = depth.get(price, 0) + quantity
        return sorted(depth.items(), reverse=side is BUY)[:limit]
