"""Runs compiled sweeps on threads and makes figures of what they found; imported only where a sweep is large."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np

from research.bars import CheckedBars, Floats, Ints
from research.compiled import read_only
from research.drawdown import Drawdown
from research.engines.compiled_engine import changes_within
from research.factors import kernels
from research.fills import Costs
from research.metrics import CurveSums, sums_figures
from research.moments import ReturnMoments
from research.overfitting import shape_of
from research.sweeps import crossing_kernels, stretch_kernels
from research.sweeps.set_figures import SetFigures
from research.threads import run_on_threads

SURE = 0.01
"""Share of the squared returns that their deviations from the mean must be at least for all digits to be sure: below,
the mean is ten times the deviation, and the difference of their squares is left to the plain way."""


@dataclass(frozen=True, slots=True)
class Stretches:
    """Bars prepared for questions about stretches of them; read-only, so that threads share them.

    Attributes
    ----------
    opens, closes, returns : array
        Prices and each close over the one before, less 1; the first return is 0.
    starts, rows : array
        Where the rows of each width begin, and the rows; see `research.sweeps.stretch_kernels`.
    """

    opens: Floats
    closes: Floats
    returns: Floats
    starts: Ints
    rows: Floats


def stretches_of(opens: Floats, closes: Floats) -> Stretches:
    """Return the bars with what is kept of them: 8 bytes a bar for returns, and 8 for the rows of blocks."""
    returns = np.zeros(len(closes))
    kernels.change(read_only(closes), 1, returns)
    returns[0] = 0.0
    widths = [-(-len(closes) // stretch_kernels.BLOCK)]
    while widths[-1] > 1:
        widths.append(-(-widths[-1] // 2))
    starts = np.concatenate([[0], np.cumsum(widths)]).astype(np.int64)
    rows = np.empty((int(starts[-1]), 8))
    stretch_kernels.block_rows(read_only(closes), read_only(returns), read_only(starts), rows)
    return Stretches(read_only(opens), read_only(closes), read_only(returns), read_only(starts), read_only(rows))


Factor = Callable[[int, Floats], Floats]
"""A look-back or row of a sweep, and an array that may be written into, to a factor's values at the bars' closes."""


def momentum_of(bars: Stretches) -> Factor:
    """Return the factor `momentum`, which is worked out for each look-back."""

    def momentum(lookback: int, values: Floats) -> Floats:
        kernels.change(bars.closes, lookback, values)
        return values

    return momentum


def row_of(factors: Floats) -> Factor:
    """Return a factor whose values are there: each is a row."""

    def row(number: int, _: Floats) -> Floats:
        values: Floats = factors[number]
        return values

    return row


def thresholds_found(
    bars: Stretches,
    factor: Factor,
    which: Ints,
    enter_above: Floats,
    exit_below: Floats,
    costs: Costs,
    cash: float,
    threads: int | None,
) -> Floats:
    """Return what is found of each set of a factor and thresholds, one row a set; each factor is worked out once."""
    order = np.argsort(which, kind="stable")
    enter, leave = enter_above[order].tolist(), exit_below[order].tolist()
    rows, begins = np.unique(which[order], return_index=True)
    ends = np.append(begins[1:], len(which))
    found = np.empty((len(which), stretch_kernels.FOUND))
    rooms: SimpleQueue[Floats] = SimpleQueue()

    def follow(number: int) -> None:
        try:
            room = rooms.get_nowait()
        except Empty:
            room = np.empty(len(bars.closes))
        values = read_only(factor(int(rows[number]), room))
        extremes = np.empty((2, -(-len(values) // crossing_kernels.BLOCK)))
        bits = extremes.view(np.int64)
        crossing_kernels.factor_extremes(values, values.view(np.int64), bits[0], bits[1])
        highs, lows = read_only(extremes[0]), read_only(extremes[1])
        at = np.empty(len(values) + 1, dtype=np.int64)
        for chosen in range(begins[number], ends[number]):
            count = crossing_kernels.crossings(values, highs, lows, enter[chosen], leave[chosen], at)
            stretch_kernels.follow(read_only(at[:count]), *_arguments(bars, costs, cash), found[chosen])
        rooms.put(room)

    run_on_threads(follow, range(len(rows)), threads)
    unsorted = np.empty_like(found)
    unsorted[order] = found
    return unsorted


def positions_found(bars: Stretches, positions: Floats, costs: Costs, cash: float, threads: int | None) -> Floats:
    """Return what is found of each position, one row a set; NaN for those with weights or wrong values."""
    found = np.zeros((len(positions), stretch_kernels.FOUND))

    def follow(row: int) -> None:
        changes = changes_within(positions[row])
        if changes is None or not np.array_equal(changes.want, np.arange(1, len(changes.want) + 1) % 2):
            found[row] = np.nan
        else:
            stretch_kernels.follow(read_only(changes.at), *_arguments(bars, costs, cash), found[row])

    run_on_threads(follow, range(len(positions)), threads)
    return found


def unsure(found: Floats, returns: int) -> list[bool]:
    """Tell of each set whether the plain way must work it out: it was not found, or digits are lost."""
    squares, total = found[:, stretch_kernels.SQUARES], found[:, stretch_kernels.SUM]
    sure = (squares - total**2 / max(returns, 1) >= SURE * squares) & np.isfinite(found).all(axis=1)
    sure &= found[:, stretch_kernels.GROWTH] >= np.finfo(np.float64).tiny  # what is less has lost digits itself
    left: list[bool] = (~sure).tolist()
    return left


def figures_of(found: list[float], bars: CheckedBars, cash: float) -> SetFigures:
    """Return the figures of one set; formulas in `research.metrics.Metrics`."""
    growth, lowest, trades, wins, won, lost, ratios, fees, held, total, squares, cubes, fourths, falls = found
    count, returns = int(trades), len(bars.frame) - 1
    mean = total / returns if returns else math.nan
    deviations = squares - total * mean if returns else 0.0
    moments = ReturnMoments(returns, mean, max(deviations, 0.0), falls)
    sums = CurveSums(cash, cash * growth, math.nan, moments, Drawdown(1.0 - lowest, 0))
    span = int(bars.ticks[-1]) - int(bars.ticks[0])
    curve = sums_figures(sums, span, bars.step, bars.ticks_per_second)
    skewness, kurtosis = shape_of(
        deviations,
        cubes - 3 * mean * squares + 2 * returns * mean**3,
        fourths - 4 * mean * cubes + 6 * mean**2 * squares - 3 * returns * mean**4,
        returns,
    )
    return SetFigures(
        total_return=curve.total_return,
        cagr=curve.cagr,
        annual_volatility=curve.annual_volatility,
        sharpe=curve.sharpe,
        sortino=curve.sortino,
        max_drawdown=curve.max_drawdown,
        calmar=curve.calmar,
        trades=count,
        win_rate=wins / count if count else math.nan,
        profit_factor=won / lost if lost else math.nan,
        avg_profit_ratio=ratios / count if count else math.nan,
        exposure=held / len(bars.frame),
        fees_paid=fees,
        final_equity=cash * growth,
        skewness=skewness,
        kurtosis=kurtosis,
        returns=returns,
    )


def _arguments(
    bars: Stretches, costs: Costs, cash: float
) -> tuple[Floats, Floats, Floats, Ints, Floats, float, float, float]:
    return bars.opens, bars.closes, bars.returns, bars.starts, bars.rows, costs.fee, costs.slippage, float(cash)
