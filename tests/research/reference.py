"""A second backtest, written bar by bar in plain Python from docs/backtest.md alone, to hold the fast one against."""

import math
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass
class ReferenceTrade:
    """One trade from flat to flat, as bar numbers and money."""

    opened: int
    closed: int = -1
    bought: float = 0.0
    paid: float = 0.0
    sold: float = 0.0
    received: float = 0.0
    buys: list = field(default_factory=list)
    sales: list = field(default_factory=list)
    reason: str = ""

    @property
    def profit_ratio(self):
        return self.received / self.paid - 1


@dataclass
class Reference:
    """What the loop gives: the equity at each close and the trades."""

    equity: list
    cash: list
    amount: list
    trades: list
    fees: float
    notional: float


def simulate(opens, closes, positions, fee=0.001, slippage=0.0, cash=10_000.0, ends_early=False):
    """Walk through the bars of one symbol; positions may hold NaN (keep)."""
    result = Reference([], [], [], [], 0.0, 0.0)
    amount, wanted, before, trade = 0.0, 0.0, 0.0, None
    last = len(opens) - 1
    for i, (price, close) in enumerate(zip(opens, closes, strict=True)):
        changed = wanted != before
        before = wanted
        if i == last and trade is not None:
            result_reason = "signal" if wanted == 0 else "end_of_data"
            amount, cash = sell(result, trade, amount, amount, price, cash, fee, slippage)
            trade.closed, trade.reason, trade = i, result_reason, None
        elif (i < last and changed) or (i == last and ends_early and wanted > 0):
            equity = cash + amount * price
            lacking = wanted * equity - amount * price
            if wanted == 0:
                amount, cash = sell(result, trade, amount, amount, price, cash, fee, slippage)
                trade.closed, trade.reason, trade = i, "signal", None
            elif lacking > 0:
                if trade is None:
                    trade = ReferenceTrade(i)
                    result.trades.append(trade)
                rate = price * (1 + slippage)
                quantity = lacking / (rate * (1 + fee))
                trade.bought += quantity
                trade.paid += quantity * rate * (1 + fee)
                trade.buys.append((quantity, rate))
                result.fees += quantity * rate * fee
                result.notional += quantity * rate
                cash -= lacking
                amount += quantity
                if i == last:
                    amount, cash = sell(result, trade, amount, amount, price, cash, fee, slippage)
                    trade.closed, trade.reason = i, "end_of_data"
            else:
                amount, cash = sell(result, trade, -lacking / price, amount, price, cash, fee, slippage)
        result.equity.append(cash + amount * close)
        result.cash.append(cash)
        result.amount.append(amount)
        if not math.isnan(positions[i]):
            wanted = positions[i]
    return result


def sell(result, trade, quantity, amount, price, cash, fee, slippage):
    """Sell a quantity; return the amount and the cash that are left."""
    rate = price * (1 - slippage)
    trade.sold += quantity
    trade.received += quantity * rate * (1 - fee)
    trade.sales.append((quantity, rate))
    result.fees += quantity * rate * fee
    result.notional += quantity * rate
    return (0.0 if quantity == amount else amount - quantity), cash + quantity * rate * (1 - fee)


def curve_metrics(equity, seconds):
    """Return sharpe, sortino, volatility, drawdown and its duration in s by the formulas, one loop each."""
    returns = [b / a - 1 for a, b in pairwise(equity)]
    mean = math.fsum(returns) / len(returns)
    deviation = math.sqrt(math.fsum((r - mean) ** 2 for r in returns) / (len(returns) - 1))
    downside = math.sqrt(math.fsum(min(r, 0) ** 2 for r in returns) / len(returns))
    year = math.sqrt(365 * 86_400 / min(b - a for a, b in pairwise(seconds)))
    peak, peak_at, depth, longest = equity[0], seconds[0], 0.0, 0
    under = False
    for value, at in zip(equity, seconds, strict=True):
        if value >= peak:
            if under:
                longest = max(longest, at - peak_at)
            peak, peak_at, under = value, at, False
        else:
            under = True
            depth = max(depth, 1 - value / peak)
    if under:
        longest = max(longest, seconds[-1] - peak_at)
    return {
        "annual_volatility": deviation * year,
        "sharpe": mean / deviation * year if deviation else math.nan,
        "sortino": mean / downside * year if downside else math.nan,
        "max_drawdown": depth,
        "max_drawdown_duration": longest,
    }
