"""Trades and orders in the shape of Freqtrade's, with plain values, for tests of what is read of them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

T = datetime(2022, 1, 1, tzinfo=UTC)
ORDERED, FILLED = T + timedelta(minutes=5), T + timedelta(minutes=5.5)
MINUTE_MS = 60_000


def at(minute: float) -> datetime:
    return T + timedelta(minutes=minute)


def ms(minute: float) -> int:
    return round(at(minute).timestamp() * 1000)


@dataclass
class OrderShape:
    """An order; filled at once and in full unless said otherwise."""

    order_id: str = "1"
    ft_order_side: str = "buy"
    ft_order_tag: str | None = None
    ft_is_open: bool = False
    ft_price: float = 99.9
    ft_fee_base: float | None = None
    filled: float | None = 0.5
    cost: float | None = None
    safe_price: float = 100.0
    order_date_utc: datetime = ORDERED
    order_filled_utc: datetime | None = FILLED


@dataclass
class TradeShape:
    """A long trade of BTC/USDT, open unless it has a close date."""

    orders: list[OrderShape] = field(default_factory=lambda: [OrderShape()])
    id: int = 3
    pair: str = "BTC/USDT"
    exchange: str = "binance"
    is_short: bool = False
    amount: float = 0.5
    open_rate: float = 100.0
    close_rate: float | None = None
    stake_amount: float = 50.0
    close_profit: float | None = None
    close_profit_abs: float | None = None
    fee_open: float = 0.001
    fee_open_currency: str | None = None
    fee_close: float | None = 0.001
    fee_close_cost: float | None = None
    fee_close_currency: str | None = None
    enter_tag: str | None = "mine@2022-01-01T00:04Z#2"
    exit_reason: str | None = None
    open_date_utc: datetime = ORDERED
    close_date_utc: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.close_date_utc is None

    @property
    def entry_side(self) -> str:
        return "sell" if self.is_short else "buy"

    @property
    def exit_side(self) -> str:
        return "buy" if self.is_short else "sell"
