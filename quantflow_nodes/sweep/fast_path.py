"""The fast way to the figures of a graph whose backtest trades one symbol by two thresholds on one factor."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quantflow_nodes.nodes.backtest import BPS, Backtest, BacktestParams
from quantflow_nodes.nodes.threshold_position import ThresholdPosition, ThresholdPositionParams
from quantflow_nodes.plan import Plan, Source
from quantflow_nodes.ports import Bars, SymbolFrame
from quantflow_nodes.sweep.figures import Figures, figures_at
from research.bars import Floats, Ints
from research.fills import Costs
from research.sweeps.sweep import SweepBars, threshold_figures

_ABOVE_ALL = float(np.finfo(np.float64).max)
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class ThresholdShape:
    """Where the bars and the factor of the shape come from, and the node whose parameters are the thresholds.

    How the factor is made is no part of it: its nodes run as in any graph, once for each choice of their parameters.
    """

    position: str
    bars: Source
    factor: Source


def threshold_shape(plan: Plan, target: str) -> ThresholdShape | None:
    """Return how a graph has the shape factor → threshold_position → backtest; None where it has another."""
    node = plan.nodes[target]
    wanted = node.sources.get("position")
    if type(node.node) is not Backtest or wanted is None:
        return None
    position = plan.nodes[wanted.node]
    if type(position.node) is not ThresholdPosition:
        return None
    return ThresholdShape(position.name, node.sources["bars"], position.sources["factor"])


def fits_shape(bars: object, factor: object) -> bool:
    """Tell whether the two hold the same bars of one symbol."""
    return (
        isinstance(bars, Bars)
        and isinstance(factor, SymbolFrame)
        and len(bars.symbol_starts) == 1
        and bars.symbols == factor.symbols
        and np.array_equal(bars.times_ms, factor.times_ms)
    )


def figures_by_thresholds(
    bars: SweepBars,
    factor: Floats,
    start: int,
    thresholds: Sequence[ThresholdPositionParams],
    paid: BacktestParams,
    engine: str,
    threads: int | None,
) -> list[Figures]:
    """Return the figures of one set for each pair of thresholds, those that its nodes would give.

    Parameters
    ----------
    bars : SweepBars
        Those that are traded.
    factor : array
        Values at the closes of `start` bars before those, which may have decided a position already, then at theirs.
    start : int
    thresholds, paid
        What threshold_position and the backtest are given.
    engine, threads
        As for `research.sweeps.sweep.threshold_figures`.
    """
    enter = np.array([own.enter_above for own in thresholds], dtype=np.float64)
    leave = np.array([own.exit_below for own in thresholds], dtype=np.float64)
    rows, which = _factor_rows(factor, start, enter, leave)
    costs = Costs(paid.fee_bps / BPS, paid.slippage_bps / BPS)
    swept = threshold_figures(bars, rows, which, enter, leave, costs, paid.initial_cash, engine, threads)
    return [figures_at(swept, number) for number in range(len(thresholds))]


def state_at(factor: Floats, row: int, enter_above: Floats, exit_below: Floats) -> Floats:
    """Return the position that each pair of thresholds has decided by a row, that row included: 1, 0, or NaN.

    Parameters
    ----------
    factor : array
        Values at the bars' closes.
    row : int
    enter_above, exit_below : array
        One pair a set.
    """
    state = np.full(len(enter_above), np.nan)
    still_open = np.arange(len(enter_above))
    stop = row + 1
    while stop > 0 and still_open.size:
        part = factor[max(0, stop - _BLOCK) : stop][::-1]
        above, below = part > enter_above[still_open, None], part < exit_below[still_open, None]
        crossed = above | below
        settled, newest = crossed.any(axis=1), crossed.argmax(axis=1)
        state[still_open[settled]] = above[settled, newest[settled]]
        still_open = still_open[~settled]
        stop -= _BLOCK
    return state


def _factor_rows(factor: Floats, start: int, enter: Floats, leave: Floats) -> tuple[Floats, Ints]:
    """Return the factor from a row on, and which of its variants each set uses.

    What bars before the window have decided is told by the first value: above all thresholds, or below.
    """
    rest = factor[start:]
    if start == 0:
        return rest[None, :], np.zeros(len(enter), dtype=np.int64)
    state = state_at(factor, start, enter, leave)
    rows = np.stack([rest, rest, rest])
    rows[1, 0], rows[2, 0] = _ABOVE_ALL, -_ABOVE_ALL
    return rows, np.where(np.isnan(state), 0, np.where(state == 1.0, 1, 2)).astype(np.int64)
