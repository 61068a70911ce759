"""The fast way to the figures of a graph whose backtest trades one symbol by two thresholds on one factor."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from quantflow_nodes.nodes.backtest import BPS, Backtest, BacktestParams
from quantflow_nodes.nodes.threshold_position import ThresholdPosition, ThresholdPositionParams
from quantflow_nodes.plan import Plan, Source
from quantflow_nodes.ports import Bars, SymbolFrame
from quantflow_nodes.sweep.figures import Figures, figures_at
from quantflow_nodes.sweep.windows import Window
from research.bars import Floats
from research.fills import Costs
from research.sweep import SweepBars, threshold_figures
from schemas.errors import QuantFlowError

if TYPE_CHECKING:
    from quantflow_nodes.sweep.evaluation import Evaluator, Values

_ABOVE_ALL = float(np.finfo(np.float64).max)
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class ThresholdShape:
    """Where the bars and the factor of the shape come from, and the nodes whose parameters are thresholds and costs.

    How the factor is made is no part of it: its nodes run as in any graph, once for each choice of their parameters.
    """

    target: str
    position: str
    bars: Source
    factor: Source

    def figures(self, evaluator: "Evaluator", sets: "tuple[Values, ...]", window: Window | None) -> list[Figures]:
        """Return each set's figures, those of the plain path, which is taken where the bars do not fit the shape."""
        groups: dict[Hashable, list[int]] = {}
        for number, values in enumerate(sets):
            names = (self.factor.node, self.bars.node)
            key = (*(evaluator.key_of(name, values) for name in names), evaluator.params(self.target, values))
            groups.setdefault(key, []).append(number)
        found: list[Figures] = [{}] * len(sets)
        for numbers in groups.values():
            own = [sets[number] for number in numbers]
            figures = self._group(evaluator, own, window) or [evaluator.plain_figures(one, window) for one in own]
            for number, one in zip(numbers, figures, strict=True):
                found[number] = one
        return found

    def _group(self, evaluator: "Evaluator", sets: "list[Values]", window: Window | None) -> list[Figures] | None:
        """Return the figures of sets that differ in their thresholds only; None where the plain path must tell."""
        first = sets[0]
        try:
            bars = getattr(evaluator.outputs(self.bars.node, first, window), self.bars.output)
            factor = getattr(evaluator.outputs(self.factor.node, first, window), self.factor.output)
            if not _fit(bars, factor):
                return None
            start = 0 if window is None else int(np.searchsorted(bars.times_ms, window.start_ms))
            key = ("sweep bars", *evaluator.key_of(self.bars.node, first), window)
            prepared = evaluator.memo.get(key, lambda: SweepBars.of(bars.data.iloc[start:]))
        except QuantFlowError:
            return None
        params: list[Any] = [evaluator.params(self.position, values) for values in sets]
        enter = np.array([own.enter_above for own in params], dtype=np.float64)
        leave = np.array([own.exit_below for own in params], dtype=np.float64)
        rows, which = _factor_rows(factor.data["factor"].to_numpy(np.float64), start, enter, leave)
        costs = evaluator.params(self.target, first)
        if not isinstance(costs, BacktestParams):
            return None
        paid = Costs(costs.fee_bps / BPS, costs.slippage_bps / BPS)
        context = evaluator.spec.context
        swept = threshold_figures(
            prepared, rows, which, enter, leave, paid, costs.initial_cash, evaluator.spec.engine, context.threads
        )
        return [figures_at(swept, number) for number in range(len(sets))]


def threshold_shape(plan: Plan, target: str) -> ThresholdShape | None:
    """Return how a graph has the shape factor → threshold_position → backtest; None where it has another."""
    node = plan.nodes[target]
    wanted = node.sources.get("position")
    if type(node.node) is not Backtest or wanted is None:
        return None
    position = plan.nodes[wanted.node]
    if type(position.node) is not ThresholdPosition or not isinstance(position.params, ThresholdPositionParams):
        return None
    return ThresholdShape(target, position.name, node.sources["bars"], position.sources["factor"])


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


def _factor_rows(factor: Floats, start: int, enter: Floats, leave: Floats) -> tuple[Floats, Any]:
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


def _fit(bars: object, factor: object) -> bool:
    """Tell whether the two hold the same bars of one symbol."""
    return (
        isinstance(bars, Bars)
        and isinstance(factor, SymbolFrame)
        and len(bars.symbol_starts) == 1
        and bars.symbols == factor.symbols
        and np.array_equal(bars.times_ms, factor.times_ms)
    )
