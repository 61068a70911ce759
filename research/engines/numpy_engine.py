"""The passes of a backtest over every bar, by numpy: the plain way, and the reference of the compiled one."""

from collections.abc import Callable
from dataclasses import dataclass

from research.bars import CheckedBars, Floats, Ints
from research.fills import Changes, Holdings, Orders, Rebalance, changes_of, rebalanced, spread
from research.metrics import CurveSums, curve_sums
from research.positions import held_targets, within_bounds


@dataclass(frozen=True, slots=True)
class Engine:
    """The passes over every bar, each with one meaning whoever runs it.

    Attributes
    ----------
    changes : callable
        Bars and the position at each close to the changes of the held target, one entry a symbol; refuses what is
        outside of [0, 1], and a NaN keeps the target.
    rebalanced : callable
        `research.fills.rebalanced`, to the last bit.
    equity : callable
        Closes, orders, holdings and cash to the equity at each close, to the last bit.
    sums : callable
        Equity and ticks to `CurveSums`: the drawdown to the last bit, sums but for their order.
    """

    changes: Callable[[CheckedBars, Floats], list[Changes]]
    rebalanced: Rebalance
    equity: Callable[[Floats, Orders, Holdings, float], Floats]
    sums: Callable[[Floats, Ints], CurveSums]


def _changes(bars: CheckedBars, position: Floats) -> list[Changes]:
    targets = held_targets(bars, within_bounds(bars, position))
    return [changes_of(targets[block.rows]) for block in bars.blocks]


def _equity(closes: Floats, orders: Orders, holdings: Holdings, cash: float) -> Floats:
    equity = spread(holdings.amount, 0.0, orders, len(closes))
    equity *= closes
    equity += spread(holdings.cash, cash, orders, len(closes))
    return equity


NUMPY = Engine(_changes, rebalanced, _equity, curve_sums)
