"""Trades each split's best set on the bars that come after those it was chosen by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from quantflow_nodes.sweep.evaluation import Task, evaluator_of
from quantflow_nodes.sweep.figures import Figures, best_of, figures_of
from quantflow_nodes.sweep.grid import Grid
from quantflow_nodes.sweep.outcome import SplitOutcome, Stitched, deflation_of
from quantflow_nodes.sweep.windows import Split
from research.bars import Floats, Ints
from research.metrics import YEAR_SECONDS, curve_figures
from research.overfitting import probabilistic_sharpe, return_shape


@dataclass(frozen=True, slots=True)
class Traced:
    """One set in a test window: its figures, and its equity at the open times (ms) of its bars."""

    figures: Figures
    opens_ms: Ints
    equity: Floats


def trace(task: Task) -> Traced | None:
    """Return the curve of a task's one set in its window, in whichever process this is; None with too few bars."""
    (values,) = task.sets
    result = evaluator_of(task.spec).backtest(values, task.window)
    if result is None:
        return None
    curve = result.portfolio_equity
    opens_ms = pd.DatetimeIndex(curve.index).as_unit("ms").asi8
    return Traced(figures_of(result), opens_ms, np.asarray(curve, dtype=np.float64))


def choose(grid: Grid, split: Split, figures: Sequence[Figures], metric: str, bar_s: float) -> SplitOutcome:
    """Return a split with its best set of the train window; the test is not known yet.

    Parameters
    ----------
    grid : Grid
    split : Split
    figures : sequence of Figures
        In the train window, one a set in the grid's order.
    metric : str
    bar_s : float
        Seconds of a bar.
    """
    best = best_of(metric, figures)
    if best is None:
        return SplitOutcome(split, None, None, None, math.nan)
    deflation = deflation_of(figures, bar_s)
    return SplitOutcome(split, grid.sets[best], figures[best], None, float(deflation.deflated[best]))


def stitch(traced: Sequence[Traced], bar_s: float) -> Stitched | None:
    """Return the curves of the test windows as one; None where there are none.

    Each begins with what the one before ended with, and is flat where it begins. Between windows that do not touch
    nothing is held.
    """
    if not traced:
        return None
    capital, parts = float(traced[0].equity[0]), []
    for one in traced:
        parts.append(one.equity * (capital / one.equity[0]))
        capital = float(parts[-1][-1])
    equity, opens_ms = np.concatenate(parts), np.concatenate([one.opens_ms for one in traced])
    figures = curve_figures(equity, opens_ms, int(bar_s * 1000), 1000)
    shape = return_shape(equity)
    per_bar = figures.sharpe / math.sqrt(YEAR_SECONDS / bar_s)
    times: Any = pd.DatetimeIndex(opens_ms.view("M8[ms]"), name="datetime").tz_localize("UTC")
    return Stitched(
        equity=pd.Series(equity, index=times, name="equity"),
        figures=figures,
        probabilistic_sharpe=probabilistic_sharpe(per_bar, 0.0, shape.returns, shape.skewness, shape.kurtosis),
        trades=sum(int(one.figures["trades"]) for one in traced),
    )
