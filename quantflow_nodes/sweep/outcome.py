"""What a sweep gave: a table of its sets, the deflated Sharpe ratios, and its walk-forward."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd

from quantflow_nodes.sweep.figures import COUNTS, FIGURES, Figures, columns_of, rank_values
from quantflow_nodes.sweep.grid import Grid, Positions, counted
from quantflow_nodes.sweep.sweep_data import SweepData
from quantflow_nodes.sweep.sweep_plan import SweepPlan
from quantflow_nodes.sweep.windows import Split
from research.metrics import YEAR_SECONDS, CurveFigures
from research.overfitting import Deflation, deflate_sharpes

DEFLATED = "deflated_sharpe"


@dataclass(frozen=True, slots=True)
class SplitOutcome:
    """One split of a walk-forward: which set was best in its train window, and what it gave in both.

    `chosen` and the figures are None where no set had the metric; `deflated` is the chosen set's deflated Sharpe ratio
    among all sets of the train window.
    """

    split: Split
    chosen: Positions | None
    train: Figures | None
    test: Figures | None
    deflated: float


@dataclass(frozen=True, slots=True)
class Stitched:
    """The test windows one after the other, each begun with what the one before ended with.

    Attributes
    ----------
    equity : Series
        Indexed by bar open time, UTC.
    figures : CurveFigures
        Of that curve; formulas in `research.metrics.Metrics`.
    probabilistic_sharpe : float
        The probability that its true Sharpe ratio is above 0. It was not chosen among others: nothing is deflated.
    trades : int
    """

    equity: "pd.Series[float]"
    figures: CurveFigures
    probabilistic_sharpe: float
    trades: int


@dataclass(frozen=True, slots=True)
class SweepOutcome:
    """What a sweep gave.

    Attributes
    ----------
    plan : SweepPlan
    sweep_id : str
    metric : str
        By which sets are ranked.
    table : DataFrame
        One row a set, in the order of the grid: its parameters as `node.param`, its figures, `deflated_sharpe`.
    deflation : Deflation
        What the deflated Sharpe ratios rest on.
    splits : list of SplitOutcome
        Empty without a walk-forward, as `stitched` is None.
    reused, computed : int
        Evaluations (a set in a window) that were stored before, and that were made now.
    data : SweepData
        The bars.
    bar_s : float
        Seconds of a bar.
    """

    plan: SweepPlan
    sweep_id: str
    metric: str
    table: pd.DataFrame
    deflation: Deflation
    splits: list[SplitOutcome]
    stitched: Stitched | None
    reused: int
    computed: int
    data: SweepData
    bar_s: float

    def best(self, most: int) -> pd.DataFrame:
        """Return the best rows of the table, best first; not those without the metric or any trade."""
        figures = {name: self.table[name].to_numpy(np.float64, na_value=math.nan) for name in FIGURES}
        ranks = pd.Series(rank_values(self.metric, figures), self.table.index)
        return self.table.loc[ranks.dropna().sort_values(ascending=False, kind="stable").index[:most]]

    @property
    def too_few(self) -> int:
        """How many sets had too few bars."""
        return int(self.table["returns"].isna().sum())

    @property
    def never_traded(self) -> int:
        """How many sets had enough bars and never traded."""
        return int((self.table["trades"] == 0).sum())

    @property
    def expected_maximum_sharpe(self) -> float:
        """The annual Sharpe ratio that the best of so many worthless sets would show if they differed like these."""
        return self.deflation.expected_maximum * math.sqrt(YEAR_SECONDS / self.bar_s)

    @property
    def luck_maximum_sharpe(self) -> float:
        """The annual Sharpe ratio that the best of so many worthless sets would show by luck alone."""
        return self.deflation.luck_maximum * math.sqrt(YEAR_SECONDS / self.bar_s)

    def warnings(self) -> list[str]:
        """Say what a reader must know of data and sets: gaps, why nothing was reused, how many sets are not ranked."""
        told = [f"Open gap: {gap}." for gap in self.data.gaps]
        if self.data.unknown:
            told.append(
                f"Nobody can tell whether what comes from {' and '.join(self.data.unknown)} is what it was before: "
                "every set was computed afresh."
            )
        told += [f"Left out: {line}" for line in self.plan.left_out]
        if self.too_few:
            told.append(f"Sets that had too few bars and have no figures: {self.too_few:,}.")
        if self.never_traded:
            told.append(f"Sets that never traded and are not ranked: {self.never_traded:,}.")
        return told

    def param_names(self) -> dict[str, str]:
        """Return each parameter's short name, or its full one where two nodes have one of that name."""
        short = [axis.param for axis in self.plan.grid.axes]
        return {axis.name: axis.param if short.count(axis.param) == 1 else axis.name for axis in self.plan.grid.axes}

    def set_text(self, params: Mapping[str, Any]) -> str:
        """Return a set as text."""
        return ", ".join(f"{shown}={params[name]}" for name, shown in self.param_names().items())

    def chosen_text(self, one: SplitOutcome) -> str:
        """Return the set that a split chose as text."""
        if one.chosen is None:
            return "none"
        values = self.plan.grid.values(one.chosen)
        return self.set_text({axis.name: value for axis, value in zip(self.plan.grid.axes, values, strict=True)})

    def verdict(self) -> str:
        """Say in sentences what the deflated Sharpe ratio makes of the best Sharpe ratio."""
        trials = self.deflation.trials
        if trials == 0:
            return "No set traded, so none has a Sharpe ratio."
        if trials == 1:
            return (
                "One set has a Sharpe ratio, so nothing is taken off. deflated: the probability that its true ratio is "
                "above 0. Sets of other sweeps are not counted."
            )
        wide = (
            " The sets differ by far more than luck makes them, as where fees ruin some of them: that is too high "
            f"a bar, and by luck alone the best would show about {self.luck_maximum_sharpe:.2f}. Narrow the grid."
        )
        return (
            f"The best of {trials:,} worthless sets would show a Sharpe ratio of about "
            f"{self.expected_maximum_sharpe:.2f}. deflated: the probability that a set's true ratio is above 0 once "
            "that is taken off. Sets that trade alike are fewer trials than are counted, so it is rather too low."
        ) + (wide if self.deflation.differs_by_more_than_luck else "")

    def out_of_sample(self) -> dict[str, Any]:
        """Return the figures of the stitched test windows."""
        if self.stitched is None:
            return {}
        curve = self.stitched.figures
        names = ("total_return", "cagr", "annual_volatility", "sharpe", "sortino", "max_drawdown", "calmar")
        return {
            **{name: getattr(curve, name) for name in names},
            "probabilistic_sharpe": self.stitched.probabilistic_sharpe,
            "trades": self.stitched.trades,
        }

    def stitched_sentence(self) -> str:
        """Say what the test windows gave together."""
        if self.stitched is None:
            return "No set could be chosen in any split."
        curve = self.stitched.figures
        return (
            f"Out of sample, {counted(len(self.splits), 'test')} one after the other: return "
            f"{curve.total_return:+.2%}, Sharpe {curve.sharpe:.2f} (true ratio above 0 with probability "
            f"{self.stitched.probabilistic_sharpe:.2f}), drawdown {curve.max_drawdown:.2%}, "
            f"{counted(self.stitched.trades, 'trade')}."
        )


def results_table(grid: Grid, figures: Sequence[Figures], bar_s: float) -> tuple[pd.DataFrame, Deflation]:
    """Return one row a set with its parameters, figures and deflated Sharpe ratio; and what that rests on.

    Parameters
    ----------
    grid : Grid
    figures : sequence of Figures
        One a set, in the grid's order; a set without figures has a row of NaN.
    bar_s : float
        Seconds of a bar.
    """
    chosen = [grid.values(positions) for positions in grid.sets]
    columns = {axis.name: param_column([values[at] for values in chosen]) for at, axis in enumerate(grid.axes)}
    deflation = deflation_of(figures, bar_s)
    table = pd.DataFrame({**columns, **columns_of(figures), DEFLATED: deflation.deflated})
    return table.astype(dict.fromkeys(COUNTS, "Int64")), deflation


def deflation_of(figures: Sequence[Figures], bar_s: float) -> Deflation:
    """Return the deflation of the Sharpe ratios of many sets on bars of a length in seconds."""
    sharpe, returns, skewness, kurtosis = (
        np.array([one.get(name, math.nan) for one in figures], dtype=np.float64)
        for name in ("sharpe", "returns", "skewness", "kurtosis")
    )
    return deflate_sharpes(sharpe / math.sqrt(YEAR_SECONDS / bar_s), returns, skewness, kurtosis)


def param_column(values: list[Any]) -> "pd.Series[Any]":
    """Return a parameter's values as a column of one type: numbers, truths or text; others as JSON. None is missing."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or kinds in ({bool}, {str}):
        return pd.Series(values)
    plain = [value if isinstance(value, str) or value is None else orjson.dumps(value).decode() for value in values]
    return pd.Series(plain)
