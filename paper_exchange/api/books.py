"""The order book as everybody sees it, the house's quote and the users' orders, with ids by which a client keeps it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paper_exchange.market.market import Market
from paper_exchange.trading.events import Event, OrderEvent
from paper_exchange.trading.exchange import Exchange
from paper_exchange.units import VENUE_DECIMALS, text

MOST_LEVELS = 5000
_IDS_A_STEP = 1000  # room for what users change between two steps of the market

Level = tuple[int, int]  # price and quantity, in units of 1e-8


@dataclass(frozen=True, slots=True)
class Book:
    """A symbol's book at one instant, the best price of each side first."""

    update_id: int
    bids: list[Level]
    asks: list[Level]


@dataclass(slots=True)
class _Numbering:
    seen: tuple[int, int] = (-1, -1)
    revision: int = 0
    update_id: int = 0


class Books:
    """The books of all symbols.

    Parameters
    ----------
    markets
        What is listed, by symbol.
    exchange
        Where the users' orders are. None: a venue without trading, whose book is the market's.

    Before a book is shown, `before_look` is called with its symbol and time.
    """

    def __init__(self, markets: Mapping[str, Market], exchange: Exchange | None = None) -> None:
        self.markets = markets
        self._exchange = exchange
        self.before_look: Callable[[str, int], None] = _unnoticed
        self._numbers = {symbol: _Numbering() for symbol in markets}

    def on_event(self, event: Event) -> None:
        """Note that a user's order, and with it the book, has changed; the exchange is to call this."""
        if isinstance(event, OrderEvent):
            self._numbers[event.order.symbol].revision += 1

    def note_change(self) -> None:
        """Note that any book may have changed for another reason."""
        for number in self._numbers.values():
            number.revision += 1

    def update_id(self, symbol: str, now_ms: int) -> int:
        """Return a number that rises with every change of the book; 0 before the first bar opens."""
        number = self._numbers[symbol]
        seen = (self.markets[symbol].update_id(now_ms), number.revision)
        if seen != number.seen:
            number.seen = seen
            number.update_id = max(number.update_id + 1, seen[0] * _IDS_A_STEP) if seen[0] else 0
        return number.update_id

    def book(self, symbol: str, now_ms: int, limit: int) -> Book:
        """Return the best `limit` levels of each side at `now_ms`, to somebody who will compare it with the streams."""
        self.before_look(symbol, now_ms)
        return self.read(symbol, now_ms, limit)

    def read(self, symbol: str, now_ms: int, limit: int = MOST_LEVELS) -> Book:
        """Return the best `limit` levels of each side at `now_ms`, unnoticed."""
        if self._exchange is not None:
            self._exchange.advance(now_ms)  # what the market has done by now may have filled users' orders
        update_id = self.update_id(symbol, now_ms)
        if self._exchange is not None:
            return Book(update_id, *self._exchange.depth(symbol, now_ms, limit))
        market = self.markets[symbol]
        ladder = market.ladder(now_ms, limit)
        if ladder is None:
            return Book(update_id, [], [])
        to_price = 10 ** (VENUE_DECIMALS - market.tape.price_decimals)
        to_quantity = 10 ** (VENUE_DECIMALS - market.tape.quantity_decimals)
        bids = zip((ladder.bid_price * to_price).tolist(), (ladder.bid_quantity * to_quantity).tolist(), strict=True)
        asks = zip((ladder.ask_price * to_price).tolist(), (ladder.ask_quantity * to_quantity).tolist(), strict=True)
        return Book(update_id, list(bids), list(asks))

    def depth(self, symbol: str, now_ms: int, limit: int) -> dict[str, Any]:
        """Return the book as ``depth`` answers it."""
        return depth_document(self.book(symbol, now_ms, limit))

    def best(self, symbol: str, now_ms: int) -> dict[str, str]:
        """Return the best bid and ask as tickers write them; zeros where a side is empty."""
        (bid, bid_quantity), (ask, ask_quantity) = best_texts(self.read(symbol, now_ms, 1))
        return {"bidPrice": bid, "bidQty": bid_quantity, "askPrice": ask, "askQty": ask_quantity}


def _unnoticed(_: str, __: int) -> None:
    """Nobody wants to know."""


def depth_document(book: Book) -> dict[str, Any]:
    """Return a book as ``depth`` and the partial streams write it."""
    return {"lastUpdateId": book.update_id, "bids": level_texts(book.bids), "asks": level_texts(book.asks)}


def best_texts(book: Book) -> tuple[list[str], list[str]]:
    """Return price and quantity of the best bid and ask; zeros where a side is empty."""
    bid, ask = (level_texts(side[:1] or [(0, 0)])[0] for side in (book.bids, book.asks))
    return bid, ask


def level_texts(levels: list[Level]) -> list[list[str]]:
    """Return levels as the venue writes them."""
    return [[text(price, VENUE_DECIMALS), text(quantity, VENUE_DECIMALS)] for price, quantity in levels]


def changes(before: list[Level], after: list[Level]) -> list[Level]:
    """Return what leads from one side of a book to another: new quantities, and 0 for a price that is gone."""
    old, new = dict(before), dict(after)
    changed = [level for level in after if old.get(level[0]) != level[1]]
    return changed + [(price, 0) for price in old if price not in new]
