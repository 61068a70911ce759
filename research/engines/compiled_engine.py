"""The passes of a backtest over every bar, compiled by numba; imported only where `chosen.py` chooses them."""

import numpy as np

from research.bars import CheckedBars, Floats, Ints
from research.compiled import compiled, read_only
from research.drawdown import Drawdown
from research.engines import bar_kernels
from research.engines.numpy_engine import Engine
from research.fills import Changes, Costs, Holdings, Orders, rebalance
from research.metrics import CurveSums
from research.moments import joined_moments
from research.positions import SMALLEST_POSITION, within_bounds

_FIRST_ROOM = 4096
"""Changes that are hoped for: few pages of memory to touch, and few positions have more."""

_rebalance = compiled()(rebalance)


def changes_within(position: Floats) -> Changes | None:
    """Return the changes of the held target of one symbol, or None where a value is neither in [0, 1] nor NaN."""
    room, count, values = 0, _FIRST_ROOM, read_only(position)
    while count > room:
        room = count
        at, want = np.empty(room, dtype=np.int64), np.empty(room)
        count = bar_kernels.target_changes(values, SMALLEST_POSITION, at, want)
    return Changes(at[:count], want[:count]) if count >= 0 else None


def _changes(bars: CheckedBars, position: Floats) -> list[Changes]:
    found = []
    for block in bars.blocks:
        changes = changes_within(position[block.rows])
        if changes is None:
            within_bounds(bars, position)  # says which value it is
        else:
            found.append(changes)
    return found


def _rebalanced(prices: Floats, want: Floats, cash: float, costs: Costs) -> Holdings:
    paid, got = costs.buy_rate * (1.0 + costs.fee), costs.sell_rate * (1.0 - costs.fee)
    holdings = Holdings(np.empty(len(prices)), np.empty(len(prices)))
    _rebalance(read_only(prices), read_only(want), cash, paid, got, holdings.cash, holdings.amount)
    return holdings


def _equity(closes: Floats, orders: Orders, holdings: Holdings, cash: float) -> Floats:
    equity = np.empty(len(closes))
    bar_kernels.mark(
        read_only(closes),
        read_only(orders.at),
        read_only(holdings.cash),
        read_only(holdings.amount),
        float(cash),
        equity,
    )
    return equity


def _sums(equity: Floats, ticks: Ints) -> CurveSums:
    equity = read_only(equity)
    blocks = -(-len(equity) // bar_kernels.BLOCK)
    sums, extremes = np.zeros((5, blocks)), np.empty((2, blocks), dtype=np.int64)
    bar_kernels.block_sums(equity, equity.view(np.int64), sums, extremes[0], extremes[1])
    highs, lows = extremes.view(np.float64)
    lowest, longest = bar_kernels.deepest_and_longest(equity, read_only(ticks), highs, lows)
    sizes, means, deviations, falls, totals = sums
    return CurveSums(
        first=float(equity[0]),
        last=float(equity[-1]),
        mean=float(totals.sum()) / len(equity),
        moments=joined_moments(sizes, means, deviations, float(falls.sum())),
        worst=Drawdown(1.0 - lowest, longest),
    )


COMPILED = Engine(_changes, _rebalanced, _equity, _sums)
"""Compiled at the first simulation on a machine, which takes some seconds; kept on disk for the next process."""
