"""One symbol's orders that wait: users' limits by price and time, and stops by the price that wakes them."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from sortedcontainers import SortedList

from paper_exchange.trading.order import BUY, SELL, Order, OrderType, Side

_RISING = {
    (BUY, OrderType.STOP_LOSS),
    (BUY, OrderType.STOP_LOSS_LIMIT),
    (SELL, OrderType.TAKE_PROFIT),
    (SELL, OrderType.TAKE_PROFIT_LIMIT),
}


class _PriceLevel:
    """The orders at one price, the oldest first, and what they add up to."""

    __slots__ = ("orders", "quantity")

    def __init__(self) -> None:
        # An OrderedDict, for a plain dict gets slow where the oldest of many is removed again and again.
        self.orders: OrderedDict[int, Order] = OrderedDict()
        self.quantity = 0


class BookSide:
    """The bids or the asks of users: better prices first, then older orders.

    Parameters
    ----------
    side
        BUY for bids, whose best price is the highest.
    """

    def __init__(self, side: Side) -> None:
        self.side = side
        self._sign = -1 if side is BUY else 1
        self._levels: dict[int, _PriceLevel] = {}
        self._keys: Any = SortedList()
        self.best_price: int | None = None

    def __iter__(self) -> Iterator[Order]:
        for key in self._keys:
            yield from self._levels[self._sign * key].orders.values()

    def best(self) -> Order | None:
        """Return the order that is next to trade."""
        if self.best_price is None:
            return None
        return next(iter(self._levels[self.best_price].orders.values()))

    def levels(self, limit: int) -> list[tuple[int, int]]:
        """Return the best `limit` prices with the quantity that rests there."""
        prices = (self._sign * key for key in self._keys.islice(0, limit))
        return [(price, self._levels[price].quantity) for price in prices]

    def add(self, order: Order) -> None:
        """Put an order behind all others of its price."""
        price = order.price
        level = self._levels.get(price)
        if level is None:
            level = self._levels[price] = _PriceLevel()
            self._keys.add(self._sign * price)
            if self.best_price is None or self._sign * price < self._sign * self.best_price:
                self.best_price = price
        level.orders[order.id] = order
        level.quantity += order.remaining

    def reduce(self, order: Order, quantity: int) -> None:
        """Take a fill of `quantity`, which is not in the order yet, off its level."""
        self._levels[order.price].quantity -= quantity

    def remove(self, order: Order) -> None:
        """Take an order out, with what remains of it."""
        price = order.price
        level = self._levels[price]
        del level.orders[order.id]
        if level.orders:
            level.quantity -= order.remaining
            return
        del self._levels[price]
        self._keys.remove(self._sign * price)
        if price == self.best_price:
            self.best_price = self._sign * self._keys[0] if self._keys else None


class StopOrders:
    """The stops that wait: some for the price to rise to theirs, some for it to fall."""

    def __init__(self) -> None:
        self._rising: Any = SortedList()
        self._falling: Any = SortedList()
        self._orders: dict[int, Order] = {}

    def __bool__(self) -> bool:
        return bool(self._orders)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def add(self, order: Order) -> None:
        """Let an order wait for its stop price."""
        self._orders[order.id] = order
        keys, sign = self._side(order)
        keys.add((sign * order.stop_price, order.id))

    def remove(self, order: Order) -> None:
        """Take an order out before its price came."""
        del self._orders[order.id]
        keys, sign = self._side(order)
        keys.remove((sign * order.stop_price, order.id))

    def is_reached(self, price: int) -> bool:
        """Return whether `price` wakes any order."""
        return any(keys and keys[0][0] <= sign * price for keys, sign in ((self._rising, 1), (self._falling, -1)))

    def pop_reached(self, price: int) -> Order | None:
        """Take out and return the next order that `price` wakes: the one passed first, then the oldest."""
        for keys, sign in ((self._rising, 1), (self._falling, -1)):
            if keys and keys[0][0] <= sign * price:
                return self._orders.pop(keys.pop(0)[1])
        return None

    def _side(self, order: Order) -> tuple[Any, int]:
        return (self._rising, 1) if waits_for_rise(order.side, order.type) else (self._falling, -1)


def waits_for_rise(side: Side, order_type: OrderType) -> bool:
    """Return whether a stop is reached from below: bought on a loss or sold on a profit."""
    return (side, order_type) in _RISING


def is_reached(side: Side, order_type: OrderType, stop_price: int, last_price: int) -> bool:
    """Return whether the last price has passed a stop price or stands on it."""
    return last_price >= stop_price if waits_for_rise(side, order_type) else last_price <= stop_price
