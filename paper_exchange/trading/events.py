"""What the venue tells a listener after a transaction is kept: orders, balances and deposits, in order."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from paper_exchange.trading.ledger import Balance
from paper_exchange.trading.order import Fill, Order


class Kind(StrEnum):
    """What happened to an order. NEW comes twice for a stop: when it is accepted and when it starts to work."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One change of one order.

    Parameters
    ----------
    order
        The order right after the change; a copy.
    kind, time_ms
        What happened, and the venue's time of it.
    fill
        The trade; None unless `kind` is TRADE.
    cancel_id
        The client's name for the cancel; '' unless `kind` is CANCELED.
    """

    order: Order
    kind: Kind
    time_ms: int
    fill: Fill | None = None
    cancel_id: str = ""


@dataclass(frozen=True, slots=True)
class BalanceEvent:
    """The assets of an account that a transaction moved, as they stand after it; after the order events."""

    account: str
    balances: Mapping[str, Balance]
    time_ms: int


@dataclass(frozen=True, slots=True)
class DepositEvent:
    """Something came in from outside the venue; the BalanceEvent follows."""

    account: str
    asset: str
    amount: int
    time_ms: int


Event = OrderEvent | BalanceEvent | DepositEvent
