"""The venue's state as a journal holds it: rows of plain values, and what all of a journal's records add up to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from paper_exchange.trading.house_quote import Eaten
from paper_exchange.trading.ledger import Balance
from paper_exchange.trading.order import Fill, Order, OrderType, Side, Status, TimeInForce

Record = dict[str, Any]


def transaction_record(
    time_ms: int, orders: Iterable[Order], fills: Iterable[Fill], balances: Mapping[tuple[str, str], Balance],
    eaten: Iterable[Eaten],
) -> Record:  # fmt: skip
    """Return what one operation left behind: orders and balances as they stand after it, and its fills.

    Balances are written as text, since JSON's numbers end at 64 bits and a house's funds need not.
    """
    return {
        "t": time_ms,
        "o": [_order_row(order) for order in orders],
        "f": [list(fill) for fill in fills],
        "b": [[*key, str(one.free), str(one.locked)] for key, one in balances.items()],
        "e": [list(one) for one in eaten],
    }


@dataclass(slots=True)
class State:
    """Everything that a venue must remember.

    Parameters
    ----------
    orders
        All orders by id.
    resting
        The ids of the limits in the books, such that of two at one price the older comes first.
    fills
        All fills, the oldest first.
    balances
        By account and asset.
    eaten
        What users took of the house's newest quote, by symbol, side and price.
    last_ms
        The venue's time of the newest record; 0 where there is none.
    """

    orders: dict[int, Order] = field(default_factory=dict)
    resting: dict[int, None] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    balances: dict[tuple[str, str], Balance] = field(default_factory=dict)
    eaten: dict[tuple[str, Side], dict[int, Eaten]] = field(default_factory=dict)
    last_ms: int = 0

    def apply(self, record: Record) -> None:
        """Take over what a record says; the records must come in the order in which they were written."""
        self.last_ms = max(self.last_ms, record["t"])
        for row in record["o"]:
            order = _order(row)
            self.orders[order.id] = order
            if order.is_open and order.is_working:
                self.resting.setdefault(order.id)
            else:
                self.resting.pop(order.id, None)
        self.fills.extend(map(Fill._make, record["f"]))
        for account, asset, free, locked in record["b"]:
            self.balances[account, asset] = Balance(int(free), int(locked))
        for symbol, quote_id, side, price, quantity in record["e"]:
            one = Eaten(symbol, quote_id, Side(side), price, quantity)
            levels = self.eaten.setdefault((symbol, one.side), {})
            if any(level.quote_id != quote_id for level in levels.values()):
                levels.clear()
            levels[price] = one

    def record(self) -> Record:
        """Return the one record that says it all: what rests comes last, in its order."""
        others = [order for number, order in sorted(self.orders.items()) if number not in self.resting]
        orders = others + [self.orders[number] for number in self.resting]
        eaten = [one for levels in self.eaten.values() for one in levels.values()]
        return transaction_record(self.last_ms, orders, self.fills, self.balances, eaten)


def _order_row(order: Order) -> list[Any]:
    return [
        order.id, order.client_order_id, order.account, order.symbol, order.side, order.type, order.time_in_force,
        order.quantity, order.quote_quantity, order.price, order.stop_price, order.status, order.filled,
        order.filled_quote, order.created_ms, order.updated_ms, order.working_ms, order.is_working,
    ]  # fmt: skip


def _order(row: list[Any]) -> Order:
    number, name, account, symbol, side, order_type, in_force, *amounts = row
    quantity, quote_quantity, price, stop_price, status, *rest = amounts
    return Order(
        number, name, account, symbol, Side(side), OrderType(order_type), TimeInForce(in_force), quantity,
        quote_quantity, price, stop_price, Status(status), *rest,
    )  # fmt: skip
