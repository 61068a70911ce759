"""What is left of the house's present quote: levels that users have eaten stay eaten until the market moves."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from paper_exchange.trading.liquidity import Level, Liquidity
from paper_exchange.trading.order import BUY, SELL, Side

_FIRST_READ = 16
_READ_FACTOR = 4
_MOST_LEVELS = 5000

Offer = tuple[int, int]  # price, quantity left


class Eaten(NamedTuple):
    """All that is gone of one level of one quote."""

    symbol: str
    quote_id: int
    side: Side
    price: int
    quantity: int


class _QuoteSide:
    """One side's levels as far as they were needed, and how much of each is gone."""

    __slots__ = ("eaten", "first", "levels", "limit", "stamp")

    def __init__(self) -> None:
        self.stamp = -1
        self.levels: Sequence[Level] = ()
        self.limit = 0
        self.first = 0  # all levels before this one are eaten
        self.eaten: dict[int, int] = {}


class HouseQuote:
    """The house's bids and asks of one symbol.

    Parameters
    ----------
    symbol
        The venue's spelling.
    liquidity
        Where the levels come from.
    """

    def __init__(self, symbol: str, liquidity: Liquidity) -> None:
        self._symbol = symbol
        self._liquidity = liquidity
        self._sides = {BUY: _QuoteSide(), SELL: _QuoteSide()}

    def offers(self, side: Side, now_ms: int, beyond: int | None = None) -> Iterator[Offer]:
        """Return what is left, the best first; do not `take` while going through it.

        Parameters
        ----------
        side
            BUY for the house's bids.
        beyond
            The best price of the users' orders on the other side. The house makes no offer at it or through it: those
            orders are older than its quote.
        """
        quote = self._side(side, now_ms)
        place = quote.first
        rising = side is SELL
        while True:
            while place < len(quote.levels):
                price, quantity = quote.levels[place]
                place += 1
                if beyond is not None and (price <= beyond if rising else price >= beyond):
                    continue
                left = quantity - quote.eaten.get(price, 0)
                if left > 0:
                    yield price, left
            if len(quote.levels) < quote.limit or quote.limit >= _MOST_LEVELS:
                return
            quote.limit = min(quote.limit * _READ_FACTOR, _MOST_LEVELS)
            quote.levels = self._liquidity.levels(self._symbol, side, now_ms, quote.limit)

    def take(self, side: Side, price: int, quantity: int) -> Eaten:
        """Note that users have taken `quantity` of an offer just read; return all that is gone of that level now."""
        quote = self._sides[side]
        quote.eaten[price] = quote.eaten.get(price, 0) + quantity
        levels, eaten = quote.levels, quote.eaten
        while quote.first < len(levels):
            best, offered = levels[quote.first]
            if offered > eaten.get(best, 0):
                break
            quote.first += 1
        return Eaten(self._symbol, quote.stamp, side, price, eaten[price])

    def eaten(self) -> list[Eaten]:
        """Return all that is gone of the present quote."""
        return [
            Eaten(self._symbol, quote.stamp, side, price, quantity)
            for side, quote in self._sides.items()
            for price, quantity in quote.eaten.items()
        ]

    def restore(self, eaten: Eaten) -> None:
        """Note what a journal says is gone of a quote."""
        quote = self._sides[eaten.side]
        if quote.stamp != eaten.quote_id:
            quote.stamp, quote.eaten, quote.limit = eaten.quote_id, {}, 0
        quote.eaten[eaten.price] = eaten.quantity

    def _side(self, side: Side, now_ms: int) -> _QuoteSide:
        quote = self._sides[side]
        quote_id = self._liquidity.quote_id(self._symbol, now_ms)
        if quote.stamp != quote_id:
            quote.stamp, quote.eaten = quote_id, {}
            quote.limit = 0
        if quote.limit == 0:
            quote.limit, quote.first = _FIRST_READ, 0
            quote.levels = self._liquidity.levels(self._symbol, side, now_ms, _FIRST_READ)
        return quote
