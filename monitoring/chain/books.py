"""What each side of a trade has in its books, as plain values: the venue's orders and holdings, Freqtrade's trades."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue tells it: what was executed of it, in the base asset, and for how much of the quote.

    `placed_at` and `updated_at` are the venue's times; an order that is open can still execute more.
    """

    order_id: str
    pair: str
    side: str
    amount: Decimal
    cost: Decimal
    placed_at: datetime
    updated_at: datetime
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class VenueBook:
    """What the venue knows of an account.

    Attributes
    ----------
    pairs : tuple of str
        Those that it was asked for.
    orders : tuple of VenueOrder
        All orders of the pairs that were placed in a stretch of time, also those that executed nothing.
    holdings : mapping of str to Decimal or None
        What the account holds of each asset, free and locked; None where it was not asked.
    steps : mapping of str to Decimal
        The least step of an order's amount, by pair.
    """

    pairs: tuple[str, ...] = ()
    orders: tuple[VenueOrder, ...] = ()
    holdings: Mapping[str, Decimal] | None = None
    steps: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BotOrder:
    """An order as Freqtrade's database has it; `tag` is the text that names its signal, where one caused it.

    `fee_base` is what the venue kept of the base asset, as far as Freqtrade knows. A stop may rest at the venue for as
    long as its trade is open.
    """

    order_id: str
    side: Literal["buy", "sell"]
    amount: Decimal
    is_open: bool
    placed_at: datetime
    updated_at: datetime
    tag: str | None = None
    fee_base: Decimal = Decimal(0)
    is_stop: bool = False

    @property
    def base_change(self) -> Decimal:
        """What it added to the account's holdings of the base asset."""
        return (self.amount if self.side == "buy" else -self.amount) - self.fee_base


@dataclass(frozen=True, slots=True)
class BotTrade:
    """A trade of Freqtrade with its orders, oldest first; `amount` is what it holds, or held, of the base asset."""

    trade_id: int
    pair: str
    is_open: bool
    is_short: bool
    amount: Decimal
    opened_at: datetime
    closed_at: datetime | None
    orders: tuple[BotOrder, ...]

    @property
    def base_change(self) -> Decimal:
        """What all its orders added to the account's holdings; of a closed trade, the dust that it left."""
        return sum((order.base_change for order in self.orders), Decimal(0))


@dataclass(frozen=True, slots=True)
class BotBook:
    """What Freqtrade knows.

    Attributes
    ----------
    trades : tuple of BotTrade
        All that are open, and those that were closed in a stretch of time.
    dust : mapping of str to Decimal
        What all closed trades, of whatever age, left of each base asset: amounts are cut to the venue's step when they
        are sold, and fees are kept in the base.
    """

    trades: tuple[BotTrade, ...] = ()
    dust: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def open_trades(self) -> tuple[BotTrade, ...]:
        """Those that are open."""
        return tuple(trade for trade in self.trades if trade.is_open)


def base_of(pair: str) -> str:
    """Return the asset that a pair of Freqtrade's spelling trades: BTC of 'BTC/USDT'."""
    return pair.partition("/")[0]


def is_spot(pair: str) -> bool:
    """Tell whether an account that trades a pair holds its base; of 'BTC/USDT:USDT' it holds a contract."""
    return ":" not in pair


def bases_of(pairs: Iterable[str]) -> dict[str, list[str]]:
    """Return the spot pairs of each base asset, both in order."""
    found: dict[str, list[str]] = {}
    for pair in sorted(set(pairs)):
        if is_spot(pair):
            found.setdefault(base_of(pair), []).append(pair)
    return found
