"""Finds the deepest and the longest drawdown of an equity curve, looking closely only where either can be."""

from typing import NamedTuple

import numpy as np

from research.bars import Floats, Ints

_BLOCK = 1024


class Drawdown(NamedTuple):
    """The worst of an equity curve.

    `depth` is the largest loss from an earlier high as a fraction of that high, `duration` the longest time, in
    ticks, from a high to the first close at or above it (or to the last bar where that never came).
    """

    depth: float
    duration: int


def worst_drawdown(equity: Floats, ticks: Ints) -> Drawdown:
    """Return the deepest drawdown and the longest one; both are 0 where the equity never fell.

    Parameters
    ----------
    equity : array
        One positive value a bar, oldest first, no NaN.
    ticks : array
        The bars' times, increasing.

    Notes
    -----
    A running maximum over every bar is the slowest pass of a backtest. Here highs and lows of blocks of bars, which
    are fast to find, say which blocks can hold the deepest point or a new high; only those are gone through.
    """
    if len(equity) == 0:
        return Drawdown(0.0, 0)
    starts = np.arange(0, len(equity), _BLOCK)
    highs, lows = np.maximum.reduceat(equity, starts), np.minimum.reduceat(equity, starts)
    peaks = np.maximum.accumulate(highs)
    before = np.concatenate([equity[:1], peaks[:-1]])  # the high that a block starts from
    return Drawdown(_depth(equity, starts, lows / peaks, before), _duration(equity, ticks, starts, highs, before))


def drawdown_curve(equity: Floats) -> Floats:
    """Return at each bar the loss from the highest equity so far, as a fraction of it: 0 at a high, else above 0."""
    return 1.0 - equity / np.maximum.accumulate(equity)


def _depth(equity: Floats, starts: Ints, lowest_ratio: Floats, before: Floats) -> float:
    """`lowest_ratio` is a block's low over the highest equity up to its end: no point of it can be deeper."""
    worst = 1.0
    for block in np.argsort(lowest_ratio).tolist():
        if lowest_ratio[block] >= worst:
            break
        values = equity[starts[block] : starts[block] + _BLOCK]
        peaks = np.maximum(np.maximum.accumulate(values), before[block])
        worst = min(worst, float((values / peaks).min()))
    return 1.0 - worst


def _duration(equity: Floats, ticks: Ints, starts: Ints, highs: Floats, before: Floats) -> int:
    """The times at which the equity is at its highest so far cut time into drawdowns; the longest piece counts."""
    pieces = []
    for block in np.flatnonzero(highs >= before).tolist():
        values = equity[starts[block] : starts[block] + _BLOCK]
        peaks = np.maximum(np.maximum.accumulate(values), before[block])
        pieces.append(np.flatnonzero(values == peaks) + starts[block])
    at = np.concatenate(pieces)  # bar 0 is always a high, so this is never empty
    falls = np.flatnonzero(np.diff(at, append=len(equity)) > 1)  # next bars at a high are no drawdown
    if len(falls) == 0:
        return 0
    ends = np.append(at, len(equity) - 1)[falls + 1]
    return int((ticks[ends] - ticks[at[falls]]).max())
