"""Turns Freqtrade's trades and orders into fills and positions: the one place where its floats become decimals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from schemas.bot_documents import Fill, Position
from schemas.signal_tag import SignalTag
from schemas.symbols import Symbol

_DECIMALS = Decimal("1e-8")  # what the venue has, and all that a float's last digits can not be trusted with
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_MONEY = Decimal(10) ** 18  # with 8 places it still fits into the context of a Decimal
_STOP_ORDER = "stoploss"
_EMERGENCY = "emergency_exit"


class OrderFacts(Protocol):
    """What is read of an order; Freqtrade's `Order` has it."""

    order_id: str
    ft_order_side: str
    ft_order_tag: str | None
    ft_is_open: bool
    ft_price: float
    ft_fee_base: float | None
    filled: float | None
    cost: float | None

    @property
    def safe_price(self) -> float:
        """The average price of what was filled."""

    @property
    def order_date_utc(self) -> datetime:
        """When it was placed, aware."""

    @property
    def order_filled_utc(self) -> datetime | None:
        """When it was filled last, aware."""


class TradeFacts(Protocol):
    """What is read of a trade; Freqtrade's `Trade` has it."""

    id: int
    pair: str
    exchange: str
    is_open: bool
    is_short: bool
    amount: float
    open_rate: float
    close_rate: float | None
    stake_amount: float
    close_profit: float | None
    close_profit_abs: float | None
    fee_open: float
    fee_open_currency: str | None
    fee_close: float | None
    fee_close_cost: float | None
    fee_close_currency: str | None
    enter_tag: str | None
    exit_reason: str | None

    @property
    def orders(self) -> Sequence[OrderFacts]:
        """All its orders, oldest first."""

    @property
    def entry_side(self) -> str:
        """'buy', or 'sell' where it is short."""

    @property
    def exit_side(self) -> str:
        """The other one."""

    @property
    def open_date_utc(self) -> datetime:
        """When it was opened, aware."""

    @property
    def close_date_utc(self) -> datetime | None:
        """When it was closed, aware; None while it is open."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """Who writes: the bot's name, whose signals it trades, of which bars, and the process."""

    name: str
    strategy_id: str
    timeframe: str
    timeframe_ms: int
    run_id: str


def money(value: float) -> Decimal:
    """Return a float as the decimal that it stands for, to 8 places: 0.1 is 0.1, not 0.1000000000000000055.

    Raises
    ------
    ValueError
        Where it is no finite number.
    """
    number = Decimal(repr(float(value)))
    if not number.is_finite() or abs(number) >= _MOST_MONEY:
        raise ValueError(f"An amount of money must be a finite number below {_MOST_MONEY:g}, found {value!r}.")
    rounded = number.quantize(_DECIMALS)
    return Decimal(0) if rounded == 0 else rounded.normalize() + Decimal(0)


def fills_of(trade: TradeFacts, consumer: Consumer) -> list[Fill]:
    """Return what each ended order of a trade filled, oldest first; an order that filled nothing gives none."""
    return [
        _fill(trade, order, consumer)
        for order in trade.orders
        if not order.ft_is_open and order.filled is not None and order.filled > 0
    ]


def position_of(trade: TradeFacts, consumer: Consumer, now: datetime) -> Position | None:
    """Return what a trade holds or held; None where nothing of it has been filled."""
    entries = [order for order in trade.orders if order.ft_order_side == trade.entry_side and (order.filled or 0) > 0]
    if not entries:
        return None
    first = entries[0]
    closed = trade.close_date_utc if not trade.is_open else None
    is_closed = closed is not None
    entry = _own_tag(trade.enter_tag, consumer)
    leave = _own_tag(trade.exit_reason, consumer) if is_closed else None
    return Position(
        consumer=consumer.name,
        entry_order_id=first.order_id,
        trade_id=trade.id,
        strategy_id=entry.strategy_id if entry else consumer.strategy_id,
        pair=trade.pair,
        symbol=str(Symbol.from_pair(trade.exchange.upper(), trade.pair)),
        timeframe=consumer.timeframe,
        ts=_time(entry),
        exit_ts=_time(leave),
        side="short" if trade.is_short else "long",
        state="closed" if is_closed else "open",
        amount=money(trade.amount),
        open_rate=money(trade.open_rate),
        close_rate=_optional(trade.close_rate) if is_closed else None,
        stake=money(trade.stake_amount),
        profit_quote=_optional(trade.close_profit_abs) if is_closed else None,
        profit_ratio=trade.close_profit if is_closed else None,
        exit_reason=(trade.exit_reason or None) if is_closed else None,
        opened_at=first.order_filled_utc or trade.open_date_utc,
        closed_at=closed,
        updated_at=now,
    )


def lost_fill(order: Mapping[str, Any], venue: str, tag: SignalTag, consumer: Consumer) -> Fill | None:
    """Return what an order filled that the venue knows and Freqtrade does not; None where that is nothing.

    Parameters
    ----------
    order : mapping
        The order in ccxt's form.
    venue : str
        The exchange's name.
    tag : SignalTag
        The signal that it was made for.
    """
    filled, price = order.get("filled") or 0.0, order.get("average") or order.get("price")
    if not filled or not price:
        return None
    ordered = _EPOCH + timedelta(milliseconds=int(order["timestamp"]))
    last = order.get("lastTradeTimestamp")
    return Fill(
        consumer=consumer.name,
        order_id=str(order["id"]),
        strategy_id=tag.strategy_id,
        pair=str(order["symbol"]),
        symbol=str(Symbol.from_pair(venue.upper(), str(order["symbol"]))),
        timeframe=consumer.timeframe,
        ts=_time(tag),
        version=tag.version,
        reason=str(tag),
        side="sell" if order["side"] == "sell" else "buy",
        amount=money(filled),
        price=money(price),
        cost=money(order.get("cost") or filled * price),
        ordered_at=ordered,
        filled_at=_EPOCH + timedelta(milliseconds=int(last)) if last else ordered,
    )


def _fill(trade: TradeFacts, order: OrderFacts, consumer: Consumer) -> Fill:
    is_entry = order.ft_order_side == trade.entry_side
    reason = _reason(trade, order, is_entry=is_entry)
    tag = _own_tag(reason, consumer)
    filled, price = order.filled or 0.0, order.safe_price
    fee, fee_asset = _fee(trade, order, is_entry=is_entry)
    return Fill(
        consumer=consumer.name,
        order_id=order.order_id,
        trade_id=trade.id,
        strategy_id=tag.strategy_id if tag else consumer.strategy_id,
        pair=trade.pair,
        symbol=str(Symbol.from_pair(trade.exchange.upper(), trade.pair)),
        timeframe=consumer.timeframe,
        ts=_time(tag),
        version=tag.version if tag else None,
        reason=reason,
        side="buy" if (trade.entry_side if is_entry else trade.exit_side) == "buy" else "sell",
        amount=money(filled),
        price=money(price),
        cost=money(order.cost or filled * price),
        quoted=_quoted(order),
        fee=fee,
        fee_asset=fee_asset,
        ordered_at=order.order_date_utc,
        filled_at=order.order_filled_utc or order.order_date_utc,
    )


def _reason(trade: TradeFacts, order: OrderFacts, *, is_entry: bool) -> str | None:
    """Return why an order was made; one that Freqtrade put in the place of another carries no tag of its own."""
    if order.ft_order_tag:
        return order.ft_order_tag
    if is_entry:
        return trade.enter_tag or None
    return "stoploss_on_exchange" if order.ft_order_side == _STOP_ORDER else trade.exit_reason or None


def _quoted(order: OrderFacts) -> Decimal | None:
    """Return the price that Freqtrade had from the venue when it made the order; of a limit order it is its limit.

    For most orders Freqtrade asks for the market right before, and keeps the answer as `ft_price`, with market orders
    too, which are sent without it. A stop at the venue has its trigger there, an emergency exit the price of the order
    that failed. An order without a tag is one that Freqtrade put in the place of another, or found at the venue
    afterwards: there `ft_price` is of its own making, or what was filled.
    """
    looked = order.ft_order_side != _STOP_ORDER and order.ft_order_tag not in (None, "", _EMERGENCY)
    return money(order.ft_price) if looked and order.ft_price else None


def _fee(trade: TradeFacts, order: OrderFacts, *, is_entry: bool) -> tuple[Decimal | None, str | None]:
    """Return the fee of an order, as far as Freqtrade knows it.

    It keeps the amount that was taken off what was bought, and the amount of one exit order. The cost of an entry's
    fee it puts into the quote asset, whatever the fee was paid in. What is left is the part by the rate, which holds
    for the two assets of the pair; a fee coin's price is not known here, so there the fee is left out.
    """
    asset = trade.fee_open_currency if is_entry else trade.fee_close_currency
    rate = trade.fee_open if is_entry else trade.fee_close
    if asset is None or rate is None:
        return None, None
    base, quote = trade.pair.partition(":")[0].split("/")
    if asset == base and order.ft_fee_base:
        return money(order.ft_fee_base), asset
    if not is_entry and trade.fee_close_cost is not None and _count_exits(trade) == 1:
        return money(trade.fee_close_cost), asset
    filled = order.filled or 0.0
    parts = {base: filled, quote: order.cost or filled * order.safe_price}
    return (money(parts[asset] * rate), asset) if asset in parts else (None, None)


def _count_exits(trade: TradeFacts) -> int:
    return sum(1 for order in trade.orders if order.ft_order_side != trade.entry_side and (order.filled or 0) > 0)


def _own_tag(text: str | None, consumer: Consumer) -> SignalTag | None:
    tag = SignalTag.parse(text)
    return tag if tag is not None and tag.strategy_id == consumer.strategy_id else None


def _time(tag: SignalTag | None) -> datetime | None:
    return None if tag is None else _EPOCH + timedelta(milliseconds=tag.ts_ms)


def _optional(value: float | None) -> Decimal | None:
    return None if value is None else money(value)
