"""Simulates trading a long-or-flat position on bars, by the rules that Freqtrade's backtest follows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from research.bars import CheckedBars, Floats, check_bars
from research.engines.chosen import chosen_engine
from research.engines.numpy_engine import Engine
from research.fills import Costs
from research.metrics import Metrics, sums_figures, trade_figures
from research.positions import aligned_values
from research.sleeves import Sleeve, ending_early, holding_return, portfolio_curve, simulate_sleeve, trades_frame
from schemas.errors import InputError


@dataclass(frozen=True)
class BacktestResult:
    """What a simulation gave.

    Attributes
    ----------
    metrics : Metrics
        The figures of the whole portfolio.
    sleeves : tuple of Sleeve
        The arrays behind the frames, one a symbol.
    bars : CheckedBars
        The bars that were simulated.
    fee, slippage : float
        The costs that were used, as fractions.
    """

    metrics: Metrics
    sleeves: tuple[Sleeve, ...]
    bars: CheckedBars
    fee: float
    slippage: float

    @cached_property
    def equity(self) -> pd.DataFrame:
        """One row a bar, in the order of the bars, marked at its close.

        Columns: symbol, datetime, equity = cash + position_value, cash, amount (base currency held),
        position_value = amount × close. Several symbols: each row is its own symbol's sleeve.
        """
        amount = _joined([sleeve.amount for sleeve in self.sleeves])
        frame = self.bars.frame
        return pd.DataFrame(
            {
                "symbol": frame["symbol"],
                "datetime": frame["datetime"],
                "equity": _joined([sleeve.equity for sleeve in self.sleeves]),
                "cash": _joined([sleeve.cash for sleeve in self.sleeves]),
                "amount": amount,
                "position_value": amount * self.bars.column("close"),
            },
            copy=False,
        )

    @cached_property
    def portfolio_equity(self) -> "pd.Series[float]":
        """The sum of all sleeves at every time at which a symbol has a bar, indexed by bar open time (UTC).

        A sleeve without a bar at a time keeps its last mark; before its first bar it is its cash.
        """
        ticks, equity = portfolio_curve(self.bars, self.sleeves)
        opens = pd.DatetimeIndex(ticks.view(f"M8[{self.bars.opens.unit}]"), name="datetime").tz_localize("UTC")
        return pd.Series(equity, index=opens, name="equity")

    @cached_property
    def trades(self) -> pd.DataFrame:
        """One row a trade from flat to flat, sorted by close time, then open time, then symbol.

        Columns: symbol, open_time, close_time (open times of the bars at whose open it was filled), open_rate,
        close_rate, amount, open_fee, close_fee, profit_abs, profit_ratio, bars_held, exit_reason ('signal' or
        'end_of_data').
        """
        frames = [trades_frame(self.bars, sleeve) for sleeve in self.sleeves]
        if len(frames) == 1:
            return frames[0]
        together = pd.concat(frames, ignore_index=True)
        return together.sort_values(["close_time", "open_time", "symbol"], ignore_index=True)


def simulate_long_flat(
    bars: pd.DataFrame | CheckedBars,
    position: "pd.DataFrame | pd.Series[Any] | npt.ArrayLike | None" = None,
    fee: float = 0.001,
    slippage: float = 0.0,
    initial_cash: float = 10_000.0,
    price: str = "next_open",
    allocation: Mapping[str, float] | None = None,
    engine: str = "auto",
) -> BacktestResult:
    """Return what trading `position` on `bars` would have given.

    The position at bar t is decided at its close and filled at the open of the symbol's next bar; the equity is
    marked at closes. docs/backtest.md lists every rule with its reason.

    Parameters
    ----------
    bars : DataFrame or CheckedBars
        Columns symbol, datetime (aware UTC bar opens), open, close; sorted by (symbol, datetime), unique. What
        `check_bars` returned for them is not checked again.
    position : DataFrame, Series, array or None
        The share of the equity to hold, in [0, 1]; NaN keeps what was decided before. A frame (symbol, datetime,
        position) is joined on its keys; a Series or array has one value a bar. None holds all along.
    fee : float
        Fraction of the notional that each fill pays, 0.001 for 10 basis points.
    slippage : float
        Fraction by which each fill is worse than the open: buys at open × (1 + slippage), sales at
        open × (1 − slippage).
    initial_cash : float
        Cash at the start, in quote currency.
    price : str
        Only 'next_open'. A fill at the close that decided it would use a price that was not there to be had.
    allocation : mapping of str to float, optional
        Each symbol's share of the cash; equal shares by default. Cash never moves between symbols.
    engine : str
        'auto' goes over the bars by numpy, and by compiled code once this process has simulated 100 million of them;
        'numpy' and 'compiled' say which. Trades and equity are the same; docs/backtest.md tells what differs.

    Raises
    ------
    InputError
        Where the bars, the position or a parameter can not be used; the message names the row or the bound.
    """
    costs = _checked_costs(fee, slippage, initial_cash, price)
    checked = check_bars(bars, ("open", "close"))
    opens, closes = checked.prices("open"), checked.prices("close")
    way = chosen_engine(engine, len(checked.frame))
    changes = way.changes(checked, aligned_values(checked, position))
    shares = _shares(checked, allocation)
    early = ending_early(checked)
    sleeves = tuple(
        simulate_sleeve(rows, (opens[rows.rows], closes[rows.rows]), changed, share * initial_cash, costs, ends, way)
        for rows, changed, share, ends in zip(checked.blocks, changes, shares, early, strict=True)
    )
    hold = math.fsum(
        share * holding_return(opens[rows.rows], costs, ends)
        for rows, share, ends in zip(checked.blocks, shares, early, strict=True)
    )
    return BacktestResult(
        metrics=_metrics(checked, sleeves, initial_cash, hold, way),
        sleeves=sleeves,
        bars=checked,
        fee=costs.fee,
        slippage=costs.slippage,
    )


def simulate_buy_and_hold(result: BacktestResult) -> BacktestResult:
    """Return what holding all along would have given with the same bars, cash, shares and costs."""
    cash = {sleeve.rows.symbol: sleeve.initial_cash for sleeve in result.sleeves}
    total = math.fsum(cash.values())
    return simulate_long_flat(
        result.bars,
        fee=result.fee,
        slippage=result.slippage,
        initial_cash=total,
        allocation={symbol: part / total for symbol, part in cash.items()},
    )


def _checked_costs(fee: float, slippage: float, initial_cash: float, price: str) -> Costs:
    for name, value in (("fee", fee), ("slippage", slippage)):
        if not 0 <= value < 1:  # false for NaN too
            raise InputError(f"{name} must be a fraction in [0, 1), found {value}. Ten basis points are 0.001.")
    if not 0 < initial_cash < math.inf:
        raise InputError(f"initial_cash must be a finite amount above zero, found {initial_cash}.")
    if price != "next_open":
        raise InputError(
            f"price must be 'next_open', found {price!r}: the close that decides a position can not be traded any more."
        )
    return Costs(float(fee), float(slippage))


def _shares(bars: CheckedBars, allocation: Mapping[str, float] | None) -> list[float]:
    symbols = [rows.symbol for rows in bars.blocks]
    if allocation is None:
        return [1.0 / len(symbols)] * len(symbols)
    if set(allocation) != set(symbols):
        raise InputError(
            f"allocation must have one share for each symbol of the bars ({', '.join(symbols)}), "
            f"found {', '.join(sorted(map(str, allocation))) or 'none'}."
        )
    shares = [float(allocation[symbol]) for symbol in symbols]
    if not all(0 < share <= 1 for share in shares) or abs(math.fsum(shares) - 1.0) > 1e-9:
        raise InputError(f"allocation must hold shares above 0 that sum to 1, found {dict(allocation)}.")
    return shares


def _metrics(
    bars: CheckedBars, sleeves: tuple[Sleeve, ...], cash: float, buy_and_hold: float, engine: Engine
) -> Metrics:
    ticks, equity = portfolio_curve(bars, sleeves)
    step = bars.step if len(sleeves) == 1 or len(ticks) < 2 else int(np.diff(ticks).min())
    curve = sums_figures(engine.sums(equity, ticks), int(ticks[-1]) - int(ticks[0]), step, bars.ticks_per_second)
    traded = [sleeve.trades for sleeve in sleeves]
    total = trade_figures(_joined([t.profit_abs for t in traded]), _joined([t.profit_ratio for t in traded]))
    fees = math.fsum(float(t.open_fee.sum() + t.close_fee.sum()) for t in traded)
    notional = math.fsum(float((t.amount * (t.open_rate + t.close_rate)).sum()) for t in traded)
    held = sum(int((t.closed - t.opened).sum()) for t in traded)
    return Metrics(
        initial_cash=float(cash),
        final_equity=float(equity[-1]),
        total_return=curve.total_return,
        cagr=curve.cagr,
        annual_volatility=curve.annual_volatility,
        sharpe=curve.sharpe,
        sortino=curve.sortino,
        max_drawdown=curve.max_drawdown,
        max_drawdown_duration=curve.max_drawdown_duration,
        calmar=curve.calmar,
        trades=total.trades,
        win_rate=total.win_rate,
        profit_factor=total.profit_factor,
        avg_profit_ratio=total.avg_profit_ratio,
        exposure=held / len(bars.frame),
        fees_paid=fees,
        turnover=notional / curve.mean_equity,
        buy_and_hold_return=buy_and_hold,
        bars=len(bars.frame),
        first=bars.time(int(ticks[0])),
        last=bars.time(int(ticks[-1])),
    )


def _joined(arrays: list[Floats]) -> Floats:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
