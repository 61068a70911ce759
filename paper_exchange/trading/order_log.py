"""What an account ever ordered and traded in one symbol, found by id, by the client's name, or in order."""

from paper_exchange.trading.order import Fill, Order


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
        """Note a new order."""
        self.orders.append(order)
        self._by_client_id[order.client_order_id] = order
        if order.is_open:
            self.open[order.id] = order

    def close(self, order: Order) -> None:
        """Note that an order has ended."""
        self.open.pop(order.id, None)
