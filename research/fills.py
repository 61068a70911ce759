"""Turns one symbol's targets into fills, held amounts and trades: the arithmetic of the backtest, on arrays only."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from research.bars import Floats, Ints


@dataclass(frozen=True, slots=True)
class Costs:
    """What a fill costs, as fractions: the fee of the notional, the slippage of the rate."""

    fee: float
    slippage: float

    @property
    def buy_rate(self) -> float:
        """Factor from the open to the rate of a buy."""
        return 1.0 + self.slippage

    @property
    def sell_rate(self) -> float:
        """Factor from the open to the rate of a sale."""
        return 1.0 - self.slippage


@dataclass(frozen=True, slots=True)
class Changes:
    """The bars `at` whose close the held target changes, and the new target; it is 0 before the first."""

    at: Ints
    want: Floats


@dataclass(frozen=True, slots=True)
class Orders:
    """The bars at which the target changes, and the new target; each is filled at that bar's open.

    `at` and `want` have one entry an order; `forced` tells that the last one closes a trade left open.
    """

    at: Ints
    want: Floats
    forced: bool


@dataclass(frozen=True, slots=True)
class Holdings:
    """Cash and amount after each order, in the order of `Orders`."""

    cash: Floats
    amount: Floats


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades from flat to flat, oldest first; `opened` and `closed` are bar numbers within the symbol."""

    opened: Ints
    closed: Ints
    open_rate: Floats
    close_rate: Floats
    amount: Floats
    open_fee: Floats
    close_fee: Floats
    profit_abs: Floats
    profit_ratio: Floats
    forced: npt.NDArray[np.bool_]


def changes_of(targets: Floats) -> Changes:
    """Return where the targets at each bar's close change."""
    at = np.flatnonzero(targets[1:] != targets[:-1]) + 1
    if targets[0] > 0:
        at = np.concatenate([[0], at])
    return Changes(at.astype(np.int64), targets[at])


def orders_from_changes(changes: Changes, count: int, ends_early: bool = False) -> Orders:
    """Return the orders that follow from the targets of `count` bars.

    A change of the target at bar t is an order at bar t + 1; the target of the last bar is never traded. On the last
    bar what is held is sold at the open. Nothing is bought on it, unless the symbol `ends_early`, before the frame
    does: then a purchase is made and sold at that same open. All this is what Freqtrade's backtest does, where only
    the end of the whole range is known to be the end.
    """
    last = count - 1
    traded = int(np.searchsorted(changes.at, last - 1))  # what changes later has no order before the last bar
    known = int(np.searchsorted(changes.at, last))
    at, want = changes.at[:traded] + 1, changes.want[:traded]
    held = bool(traded and want[-1] > 0)
    wanted = float(changes.want[known - 1]) if known else 0.0
    if held:
        return Orders(np.append(at, last), np.append(want, 0.0), wanted > 0)
    if ends_early and wanted > 0:
        return Orders(np.append(at, [last, last]), np.append(want, [wanted, 0.0]), True)
    return Orders(at, want, False)


Numbers = list[float] | Floats
Rebalance = Callable[[Floats, Floats, float, Costs], Holdings]
"""Prices, wanted shares, cash and costs to what is held after each order: `rebalanced`, or the same compiled."""


def holdings_after(
    orders: Orders, opens: Floats, cash: float, costs: Costs, rebalancing: "Rebalance | None" = None
) -> Holdings:
    """Return cash and amount after each order; `rebalancing` stands in for `rebalanced`.

    A buy spends what lacks to the target's share of the equity, its costs included; a sale sells what the holding
    has above that share. The equity is cash + amount × open, before the order.
    """
    prices = opens[orders.at]
    entries, exits = orders.want[0::2], orders.want[1::2]
    if len(entries) == len(exits) and bool((entries > 0).all()) and not exits.any():
        return _round_trips(prices, entries, cash, costs)
    return (rebalancing or rebalanced)(prices, orders.want, cash, costs)


def _round_trips(prices: Floats, share: Floats, cash: float, costs: Costs) -> Holdings:
    """Every second order is flat again: each trade multiplies the cash, so a running product is enough."""
    paid = prices[0::2] * costs.buy_rate * (1.0 + costs.fee)
    got = prices[1::2] * costs.sell_rate * (1.0 - costs.fee)
    after = cash * np.cumprod((1.0 - share) + share * (got / paid))
    before = np.concatenate([[cash], after[:-1]]) if len(after) else after
    cash_after, amount_after = np.empty(len(prices)), np.zeros(len(prices))
    cash_after[0::2] = before * (1.0 - share)
    cash_after[1::2] = after
    amount_after[0::2] = before * share / paid
    return Holdings(cash_after, amount_after)


def rebalanced(prices: Floats, want: Floats, cash: float, costs: Costs) -> Holdings:
    """Changes of a holding depend on the one before: one pass, in plain floats because they are the fastest here."""
    paid, got = costs.buy_rate * (1.0 + costs.fee), costs.sell_rate * (1.0 - costs.fee)
    cash_after, amount_after = [0.0] * len(prices), [0.0] * len(prices)
    rebalance(prices.tolist(), want.tolist(), cash, paid, got, cash_after, amount_after)
    return Holdings(np.array(cash_after), np.array(amount_after))


def rebalance(
    prices: Numbers, want: Numbers, cash: float, paid: float, got: float, cash_after: Numbers, amount_after: Numbers
) -> None:
    """Write cash and amount after each order; lists of floats for this code, arrays for the same code compiled."""
    amount = 0.0
    for order, price in enumerate(prices):
        share = want[order]
        value = amount * price
        equity = cash + value
        lacking = share * equity - value
        if share == 0.0:
            cash, amount = cash + value * got, 0.0
        elif lacking > 0.0:
            # what is left is exactly the rest of the equity; subtracting would leave rounding below zero
            cash, amount = equity * (1.0 - share), amount + lacking / (price * paid)
        else:
            cash, amount = cash - lacking * got, amount + lacking / price
        cash_after[order] = cash
        amount_after[order] = amount


def spread(values_after: Floats, first: float, orders: Orders, count: int) -> Floats:
    """Return one value a bar: `first` before the first order, then the value after the latest order."""
    lengths = np.diff(orders.at, prepend=0, append=count)
    return np.repeat(np.concatenate([[first], values_after]), lengths)


def trades_of(orders: Orders, holdings: Holdings, opens: Floats, costs: Costs) -> Trades:
    """Return the trades, each from the order that opens it to the one that makes it flat.

    Rates are averages weighted by amount; where a side has one fill, its rate is that fill's, to the last bit.
    """
    change = np.diff(holdings.amount, prepend=0.0)
    flat = orders.want == 0.0
    last = np.flatnonzero(flat)
    first = np.flatnonzero(~flat & np.concatenate([[True], flat[:-1]]))
    prices = opens[orders.at]
    open_rate, bought = _side(np.maximum(change, 0.0), prices * costs.buy_rate, first)
    close_rate, sold = _side(np.maximum(-change, 0.0), prices * costs.sell_rate, first)
    ratio = close_rate * (1.0 - costs.fee) / (open_rate * (1.0 + costs.fee)) - 1.0
    open_fee, close_fee = bought * open_rate * costs.fee, sold * close_rate * costs.fee
    forced = np.zeros(len(last), dtype=np.bool_)
    if orders.forced:
        forced[-1] = True
    return Trades(
        opened=orders.at[first],
        closed=orders.at[last],
        open_rate=open_rate,
        close_rate=close_rate,
        amount=bought,
        open_fee=open_fee,
        close_fee=close_fee,
        profit_abs=bought * open_rate * (1.0 + costs.fee) * ratio,
        profit_ratio=ratio,
        forced=forced,
    )


def _side(amounts: Floats, rates: Floats, first: Ints) -> tuple[Floats, Floats]:
    """Return the average rate and the total amount of one side of each trade."""
    if len(first) == 0:
        return np.empty(0), np.empty(0)
    total = np.add.reduceat(amounts, first)
    filled = amounts > 0.0
    single = np.add.reduceat(filled.astype(np.int64), first) == 1
    only = np.add.reduceat(np.where(filled, rates, 0.0), first)
    return np.where(single, only, np.add.reduceat(amounts * rates, first) / total), total
