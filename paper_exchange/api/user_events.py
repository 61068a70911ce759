"""Tells each account's listeners what happened to its orders and balances, as the venue's user data events."""

from collections.abc import Callable
from itertools import count

from paper_exchange.api.order_count import OrderCounts
from paper_exchange.api.order_documents import NO_LIST, SELF_TRADE_MODE, Document, expiry_reason, units
from paper_exchange.trading.events import BalanceEvent, DepositEvent, Event, Kind, OrderEvent
from paper_exchange.trading.order import STOP_TYPES, Order

Listener = Callable[[Document], None]


def default_cancel_id(order: Order) -> str:
    """Return the name of a cancel whose sender gave it none."""
    return f"cancel-{order.id}"


class UserEvents:
    """The accounts' listeners, and what can be learnt from events without one.

    Parameters
    ----------
    counts
        Where each account's unfilled orders are counted.
    first_execution_id
        Executions are numbered from here on. A venue that is started again must go on above the numbers it has used.
    """

    def __init__(self, counts: OrderCounts, first_execution_id: int = 1) -> None:
        self._counts = counts
        self._execution_ids = count(first_execution_id)
        self._listeners: dict[str, list[Listener]] = {}
        self._changed_ms: dict[str, int] = {}

    def subscribe(self, account: str, listener: Listener) -> None:
        """Call `listener` with each event of the account from now on."""
        self._listeners.setdefault(account, []).append(listener)

    def unsubscribe(self, account: str, listener: Listener) -> None:
        """Call `listener` no more."""
        self._listeners[account].remove(listener)

    def changed_ms(self, account: str) -> int | None:
        """Return the venue's time of the account's last change of balance, if there was one since the start."""
        return self._changed_ms.get(account)

    def on_event(self, event: Event) -> None:
        """Take an event of the exchange: count it, and tell whoever listens to its account."""
        account = event.order.account if isinstance(event, OrderEvent) else event.account
        if isinstance(event, OrderEvent):
            self._count(event)
            execution_id = next(self._execution_ids)
        else:
            self._changed_ms[account] = event.time_ms
        listeners = self._listeners.get(account)
        if not listeners:
            return
        if isinstance(event, OrderEvent):
            document = execution_report(event, execution_id)
        elif isinstance(event, BalanceEvent):
            document = account_position(event)
        else:
            document = balance_update(event)
        for listener in tuple(listeners):  # one that can not keep up leaves while it is told
            listener(document)

    def _count(self, event: OrderEvent) -> None:
        order, fill = event.order, event.fill
        if event.kind is Kind.NEW and not (order.is_working and order.type in STOP_TYPES):
            self._counts.add(order.account)
        elif fill is not None and order.filled == fill.quantity:
            self._counts.credit(order.account, is_maker=fill.is_maker)


def execution_report(event: OrderEvent, execution_id: int) -> Document:
    """Return the event of an order's change.

    For a cancel `c` names the cancel and `C` the order; else `c` names the order.
    """
    order, fill = event.order, event.fill
    is_cancel = event.kind is Kind.CANCELED
    document: Document = {
        "e": "executionReport",
        "E": event.time_ms,
        "s": order.symbol,
        "c": event.cancel_id or default_cancel_id(order) if is_cancel else order.client_order_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": units(order.quantity),
        "p": units(order.price),
        "P": units(order.stop_price),
        "F": units(0),
        "g": NO_LIST,
        "C": order.client_order_id if is_cancel else "",
        "x": event.kind,
        "X": order.status,
        "r": "NONE",
        "i": order.id,
        "l": units(fill.quantity if fill else 0),
        "z": units(order.filled),
        "L": units(fill.price if fill else 0),
        "n": units(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": event.time_ms,
        "t": fill.trade_id if fill else -1,
        "I": execution_id,
        "w": order.is_working and order.is_open,
        "m": fill.is_maker if fill else False,
        "M": fill is not None,
        "O": order.created_ms,
        "Z": units(order.filled_quote),
        "Y": units(fill.quote if fill else 0),
        "Q": units(order.quote_quantity),
    }
    if order.is_working:
        document["W"] = order.working_ms
    document["V"] = SELF_TRADE_MODE
    reason = expiry_reason(order)
    return document if reason is None else document | {"eR": reason}


def account_position(event: BalanceEvent) -> Document:
    """Return the event of changed balances."""
    return {
        "e": "outboundAccountPosition",
        "E": event.time_ms,
        "u": event.time_ms,
        "B": [
            {"a": asset, "f": units(balance.free), "l": units(balance.locked)}
            for asset, balance in event.balances.items()
        ],
    }


def balance_update(event: DepositEvent) -> Document:
    """Return the event of a deposit."""
    return {
        "e": "balanceUpdate",
        "E": event.time_ms,
        "a": event.asset,
        "d": units(event.amount),
        "T": event.time_ms,
    }
