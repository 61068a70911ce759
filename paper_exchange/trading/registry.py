"""The venue's orders and fills by number, by the client's name and by account: all open ones, the newest closed."""

from collections.abc import Iterable
from itertools import islice

from paper_exchange.trading.order import GTC, NEW, STOP_TYPES, Fill, Order, OrderRequest, OrderType

KEPT_CLOSED = 10_000
_TIMED_TYPES = (OrderType.LIMIT, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT)


class OrderLog:
    """One account's orders and fills in one symbol, the oldest first."""

    __slots__ = ("_by_client_id", "fills", "open", "orders")

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.open: dict[int, Order] = {}
        self.fills: list[Fill] = []
        self._by_client_id: dict[str, Order] = {}

    def named(self, client_order_id: str) -> Order | None:
        """Return the newest order that the client gave this name."""
        return self._by_client_id.get(client_order_id)

    def waiting_stops(self) -> int:
        """Return how many open orders still wait for their stop price."""
        return sum(not order.is_working for order in self.open.values())

    def add(self, order: Order) -> None:
        """Note an order that is newer than all others."""
        self.orders.append(order)
        self._by_client_id[order.client_order_id] = order
        if order.is_open:
            self.open[order.id] = order

    def drop_oldest_closed(self, kept: int) -> list[Order]:
        """Return the closed orders that were dropped, with their fills, so that the newest `kept` are left.

        A quarter more may gather before it is done: the whole log is read for it.
        """
        closed = len(self.orders) - len(self.open)
        if closed <= kept + kept // 4:
            return []
        dropped = list(islice((order for order in self.orders if not order.is_open), closed - kept))
        numbers = {order.id for order in dropped}
        self.orders = [order for order in self.orders if order.id not in numbers]
        self.fills = [fill for fill in self.fills if fill.order_id not in numbers]
        self._by_client_id = {name: order for name, order in self._by_client_id.items() if order.id not in numbers}
        return dropped


class Registry:
    """All order logs, and the numbers of orders.

    Parameters
    ----------
    kept_closed
        How many closed orders of an account in a symbol are kept, the newest; a journal holds the others.
    """

    def __init__(self, kept_closed: int = KEPT_CLOSED) -> None:
        self._kept_closed = kept_closed
        self._logs: dict[tuple[str, str], OrderLog] = {}
        self._orders: dict[int, Order] = {}
        self._next_order_id = 1

    def log(self, account: str, symbol: str) -> OrderLog:
        """Return an account's log of a symbol, which is empty at first."""
        key = (account, symbol)
        found = self._logs.get(key)
        if found is None:
            found = self._logs[key] = OrderLog()
        return found

    def find(self, account: str, symbol: str, order_id: int | None, client_order_id: str | None) -> Order | None:
        """Return the order that the number, the name, or both where both are given, mean."""
        if order_id is None:
            return self.log(account, symbol).named(client_order_id or "")
        found = self._orders.get(order_id)
        if found is None or found.account != account or found.symbol != symbol:
            return None
        return found if client_order_id in (None, found.client_order_id) else None

    def open_orders(self, account: str, symbols: Iterable[str]) -> list[Order]:
        """Return an account's open orders in some symbols, the oldest first."""
        logs = (self._logs.get((account, symbol)) for symbol in symbols)
        return sorted((order for log in logs if log for order in log.open.values()), key=lambda order: order.id)

    def create(self, account: str, request: OrderRequest, log: OrderLog, now_ms: int) -> Order:
        """Return a new order, noted. Where the client gave it no name the venue makes one that is free."""
        order_id = self._next_order_id
        self._next_order_id += 1
        name = request.client_order_id or f"auto-{order_id}"
        while not request.client_order_id and log.named(name) is not None:
            name += "x"
        waits = request.type in STOP_TYPES
        in_force = request.time_in_force if request.type in _TIMED_TYPES else GTC
        order = Order(
            order_id, name, account, request.symbol, request.side, request.type, in_force, request.quantity,
            request.quote_quantity, request.price, request.stop_price, NEW, 0, 0, now_ms, now_ms,
            -1 if waits else now_ms, not waits,
        )  # fmt: skip
        log.add(order)
        self._orders[order_id] = order
        return order

    def note(self, orders: Iterable[Order], fills: Iterable[Fill]) -> None:
        """Take fills into the logs, and ended orders out of what is open."""
        for fill in fills:
            self.log(fill.account, fill.symbol).fills.append(fill)
        for order in orders:
            if not order.is_open:
                log = self.log(order.account, order.symbol)
                log.open.pop(order.id, None)
                self._drop_oldest(log)

    def restore(self, orders: Iterable[Order], fills: Iterable[Fill]) -> None:
        """Take over orders, the oldest first, and fills, from a journal."""
        for order in orders:
            self.log(order.account, order.symbol).add(order)
            self._orders[order.id] = order
            self._next_order_id = order.id + 1
        self.note((), fills)
        for log in self._logs.values():
            self._drop_oldest(log)

    def everything(self) -> tuple[dict[int, Order], list[Fill]]:
        """Return copies of all kept orders by number, and their fills by their trade, for a comparison."""
        orders = {number: order.snapshot() for number, order in self._orders.items()}
        fills = [fill for log in self._logs.values() for fill in log.fills]
        return orders, sorted(fills, key=lambda fill: (fill.trade_id, not fill.is_maker))

    def _drop_oldest(self, log: OrderLog) -> None:
        for order in log.drop_oldest_closed(self._kept_closed):
            del self._orders[order.id]
