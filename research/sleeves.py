"""Simulates one symbol with its own cash, and adds such sleeves up to a portfolio."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from research.bars import CheckedBars, Floats, Ints, SymbolRows
from research.engines.numpy_engine import Engine
from research.fills import (
    Changes,
    Costs,
    Holdings,
    Orders,
    Trades,
    holdings_after,
    orders_from_changes,
    spread,
    trades_of,
)

END_OF_DATA = "end_of_data"
SIGNAL = "signal"


@dataclass(frozen=True, slots=True)
class Sleeve:
    """One symbol's part of a backtest: its own cash, what it held and was worth at each close, its trades.

    Cash and amount are kept as they are after each order: a year of minutes has few orders, and half a million bars.
    """

    rows: SymbolRows
    initial_cash: float
    orders: Orders
    holdings: Holdings
    equity: Floats
    trades: Trades

    @property
    def cash(self) -> Floats:
        """Cash at each bar's close."""
        return spread(self.holdings.cash, self.initial_cash, self.orders, len(self.equity))

    @property
    def amount(self) -> Floats:
        """Amount held at each bar's close, in base currency."""
        return spread(self.holdings.amount, 0.0, self.orders, len(self.equity))


def simulate_sleeve(
    rows: SymbolRows,
    prices: tuple[Floats, Floats],
    changes: Changes,
    cash: float,
    costs: Costs,
    ends_early: bool,
    engine: Engine,
) -> Sleeve:
    """Return what following `changes` on one symbol's opens and closes gives; `ends_early` as for its orders."""
    opens, closes = prices
    orders = orders_from_changes(changes, len(opens), ends_early)
    holdings = holdings_after(orders, opens, cash, costs, engine.rebalanced)
    equity = engine.equity(closes, orders, holdings, cash)
    return Sleeve(rows, cash, orders, holdings, equity, trades_of(orders, holdings, opens, costs))


def ending_early(bars: CheckedBars) -> list[bool]:
    """Tell of each symbol whether another one has bars after its last."""
    ends = [int(bars.ticks[rows.stop - 1]) for rows in bars.blocks]
    return [end < max(ends) for end in ends]


def holding_return(opens: Floats, costs: Costs, ends_early: bool) -> float:
    """Return what holding one symbol from the first fill to the last gives, costs included."""
    if len(opens) < (2 if ends_early else 3):  # nothing is bought
        return 0.0
    paid = float(opens[1]) * costs.buy_rate * (1.0 + costs.fee)
    return float(opens[-1]) * costs.sell_rate * (1.0 - costs.fee) / paid - 1.0


def portfolio_curve(bars: CheckedBars, sleeves: tuple[Sleeve, ...]) -> tuple[Ints, Floats]:
    """Return the times at which any symbol has a bar, and the sum of all sleeves there.

    A sleeve without a bar at a time keeps its last mark; before its first bar it is its cash.
    """
    if len(sleeves) == 1:
        return bars.ticks, sleeves[0].equity
    times = [bars.ticks[sleeve.rows.rows] for sleeve in sleeves]
    are_same = all(np.array_equal(times[0], own) for own in times[1:])  # without gaps; then nothing has to be looked up
    ticks = times[0] if are_same else np.unique(bars.ticks)
    total = np.zeros(len(ticks))
    for sleeve, own in zip(sleeves, times, strict=True):
        if are_same:
            total += sleeve.equity
        else:
            latest = np.searchsorted(own, ticks, side="right")
            total += np.concatenate([[sleeve.initial_cash], sleeve.equity])[latest]
    return ticks, total


def trades_frame(bars: CheckedBars, sleeve: Sleeve) -> pd.DataFrame:
    """Return a sleeve's trades as `BacktestResult.trades` describes them."""
    trades, opens = sleeve.trades, bars.opens[sleeve.rows.rows]
    return pd.DataFrame(
        {
            "symbol": pd.Series([sleeve.rows.symbol] * len(trades.opened), dtype="str"),
            "open_time": opens[trades.opened],
            "close_time": opens[trades.closed],
            "open_rate": trades.open_rate,
            "close_rate": trades.close_rate,
            "amount": trades.amount,
            "open_fee": trades.open_fee,
            "close_fee": trades.close_fee,
            "profit_abs": trades.profit_abs,
            "profit_ratio": trades.profit_ratio,
            "bars_held": trades.closed - trades.opened,
            "exit_reason": np.where(trades.forced, END_OF_DATA, SIGNAL),
        }
    )
