"""All effects of one operation, collected while it runs, so that they are kept and told as one."""

from collections.abc import Callable
from types import TracebackType

from paper_exchange.trading.events import Event, Kind, OrderEvent
from paper_exchange.trading.house_quote import Eaten
from paper_exchange.trading.order import Fill, Order


class Transaction:
    """What one operation has changed so far; the end of its ``with`` block ends the operation.

    Parameters
    ----------
    time_ms
        The venue's time of it.
    watched
        Whether somebody listens; without a listener no events are made.
    finish
        Called at the end, with what went wrong if the operation broke off half-way.
    """

    __slots__ = ("_finish", "eaten", "events", "fills", "orders", "time_ms", "watched")

    def __init__(
        self, time_ms: int, watched: bool, finish: Callable[["Transaction", BaseException | None], None]
    ) -> None:
        self.time_ms = time_ms
        self.watched = watched
        self.orders: dict[int, Order] = {}
        self.fills: list[Fill] = []
        self.eaten: list[Eaten] = []
        self.events: list[Event] = []
        self._finish = finish

    def __enter__(self) -> "Transaction":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish(self, error)

    def note(self, order: Order, kind: Kind, time_ms: int, fill: Fill | None = None, cancel_id: str = "") -> None:
        """Note a change of an order, which it shows already."""
        order.updated_ms = time_ms
        self.orders[order.id] = order
        if fill is not None:
            self.fills.append(fill)
        if self.watched:
            self.events.append(OrderEvent(order.snapshot(), kind, time_ms, fill, cancel_id))
