"""Chooses how a backtest goes over every bar: by numpy at once, or by compiled code that must be loaded first."""

from collections.abc import Callable
from dataclasses import dataclass

from research.bars import CheckedBars, Floats, Ints
from research.fills import Changes, Holdings, Orders, Rebalance, changes_of, rebalanced, spread
from research.metrics import CurveSums, curve_sums
from research.positions import held_targets, within_bounds
from schemas.errors import InputError

ENGINES = ("auto", "numpy", "compiled")
BARS_BEFORE_COMPILED = 100_000_000
"""What numpy simulates in about the second that loading compiled code takes: whoever gets there has work for it."""


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


def chosen_engine(name: str, bars: int) -> Engine:
    """Return the engine of a simulation of `bars` bars; errors as for `is_compiled`."""
    if not is_compiled(name, bars):
        return NUMPY
    from research.compiled_engine import COMPILED  # numba takes a second to load

    return COMPILED


def is_compiled(name: str, bars: int) -> bool:
    """Tell whether `bars` bars are simulated by compiled code, counting them.

    'auto' is numpy until this process has `BARS_BEFORE_COMPILED` bars simulated, and compiled beyond them.

    Raises
    ------
    InputError
        Where the name is none of `ENGINES`.
    """
    if name not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}, found {name!r}.")
    return name == "compiled" or (name == "auto" and _SIMULATED.passed_limit(bars))


def engine_for(bars: int) -> str:
    """Return the engine of work that simulates `bars` bars in all, whatever this process has simulated before."""
    return "compiled" if bars > BARS_BEFORE_COMPILED else "numpy"


class _Simulated:
    """Counts the bars that this process simulated without saying how."""

    def __init__(self) -> None:
        self.bars = 0

    def passed_limit(self, more: int) -> bool:
        """Count these bars, and tell whether that makes too many for numpy."""
        self.bars += more
        return self.bars > BARS_BEFORE_COMPILED


_SIMULATED = _Simulated()


def _changes(bars: CheckedBars, position: Floats) -> list[Changes]:
    targets = held_targets(bars, within_bounds(bars, position))
    return [changes_of(targets[block.rows]) for block in bars.blocks]


def _equity(closes: Floats, orders: Orders, holdings: Holdings, cash: float) -> Floats:
    equity = spread(holdings.amount, 0.0, orders, len(closes))
    equity *= closes
    equity += spread(holdings.cash, cash, orders, len(closes))
    return equity


NUMPY = Engine(_changes, rebalanced, _equity, curve_sums)
"""The plain way, and the reference of the other."""
