"""The nouns of trading: what is asked for, what became of it, and what was traded; all amounts are integers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

UNIT = 10**8  # prices, quantities, amounts and rates are counted in 1e-8


class Side(StrEnum):
    """What the order does with the base asset."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """How an order trades; the last four wait for their stop price first."""

    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"
    MARKET = "MARKET"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"


class TimeInForce(StrEnum):
    """How long an order stays: until cancelled, not at all, or only as a whole."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class Status(StrEnum):
    """Where an order stands."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


# Members under names of their own: Python 3.11 needs 20 times as long to read one off its enum, many times an order.
BUY, SELL = Side.BUY, Side.SELL
NEW, PARTIALLY_FILLED, FILLED = Status.NEW, Status.PARTIALLY_FILLED, Status.FILLED
GTC, FOK = TimeInForce.GTC, TimeInForce.FOK
LIMIT_MAKER, MARKET = OrderType.LIMIT_MAKER, OrderType.MARKET
STOP_TYPES = frozenset(
    (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
)
UNPRICED_TYPES = frozenset((OrderType.MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT))


class OrderRequest(NamedTuple):
    """What somebody asks the venue to trade; prices, quantities and amounts in units of 1e-8.

    Parameters
    ----------
    quantity
        Base asset; 0 where a MARKET order is by its quote amount.
    quote_quantity
        What a MARKET order spends or earns at most; 0 where it is by quantity.
    price
        The limit; 0 for a type that has none.
    stop_price
        The last trade price that wakes the order; 0 for a type that does not wait.
    client_order_id
        The sender's name for the order, unique among the account's open orders of the symbol; '' lets the venue choose.
    """

    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce = TimeInForce.GTC
    quantity: int = 0
    quote_quantity: int = 0
    price: int = 0
    stop_price: int = 0
    client_order_id: str = ""


@dataclass(slots=True)
class Order:
    """An order as it stands; the venue alone changes it.

    Parameters
    ----------
    quantity
        Base asset. An order by its quote amount has 0 here until it is done, and then what it filled.
    filled, filled_quote
        What has traded so far, in the base and in the quote.
    created_ms, updated_ms
        Venue time of the placement and of the last change.
    working_ms, is_working
        Since when the order can trade; -1 and False while it waits for its stop price.
    """

    id: int
    client_order_id: str
    account: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: int
    quote_quantity: int
    price: int
    stop_price: int
    status: Status
    filled: int
    filled_quote: int
    created_ms: int
    updated_ms: int
    working_ms: int
    is_working: bool

    @property
    def remaining(self) -> int:
        """What is still to trade of the base asset; 0 for an order by its quote amount."""
        return max(self.quantity - self.filled, 0)

    @property
    def is_open(self) -> bool:
        """Whether the order can still trade or be cancelled."""
        status = self.status
        return status is NEW or status is PARTIALLY_FILLED

    def snapshot(self) -> "Order":
        """Return a copy that no later trade changes."""
        return Order(
            self.id, self.client_order_id, self.account, self.symbol, self.side, self.type, self.time_in_force,
            self.quantity, self.quote_quantity, self.price, self.stop_price, self.status, self.filled,
            self.filled_quote, self.created_ms, self.updated_ms, self.working_ms, self.is_working,
        )  # fmt: skip


class Fill(NamedTuple):
    """One account's side of one trade.

    Parameters
    ----------
    trade_id
        Numbers the venue's trades with users from 1 on; both sides of a trade between users have the same.
    quote
        ``price * quantity`` in the quote asset, rounded down to 1e-8.
    fee, fee_asset
        What the venue took for it, and in what.
    """

    trade_id: int
    order_id: int
    account: str
    symbol: str
    price: int
    quantity: int
    quote: int
    fee: int
    fee_asset: str
    time_ms: int
    is_buyer: bool
    is_maker: bool


class Placed(NamedTuple):
    """An accepted order with what it traded at once."""

    order: Order
    fills: tuple[Fill, ...]
