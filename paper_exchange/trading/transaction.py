"""All effects of one operation, collected while it runs, so that they are kept and told as one."""

from paper_exchange.trading.events import Event, Kind, OrderEvent
from paper_exchange.trading.house_quote import Eaten
from paper_exchange.trading.order import Fill, Order


class Transaction:
    """What one operation has changed so far.

    Parameters
    ----------
    watched
        Whether somebody listens; without a listener no events are made.
    """

    __slots__ = ("eaten", "events", "fills", "orders", "watched")

    def __init__(self, watched: bool) -> None:
        self.watched = watched
        self.orders: dict[int, Order] = {}
        self.fills: list[Fill] = []
        self.eaten: list[Eaten] = []
        self.events: list[Event] = []

    def note(self, order: Order, kind: Kind, time_ms: int, fill: Fill | None = None, cancel_id: str = "") -> None:
        """Note a change of an order, which it shows already."""
        order.updated_ms = time_ms
        self.orders[order.id] = order
        if fill is not None:
            self.fills.append(fill)
        if self.watched:
            self.events.append(OrderEvent(order.snapshot(), kind, time_ms, fill, cancel_id))
