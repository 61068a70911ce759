"""The figures by which a sweep judges a set: their names, where they come from, and which way is better."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from research.backtest import BacktestResult
from research.bars import Floats
from research.overfitting import return_shape
from research.sweeps.sweep import SweepFigures
from schemas.errors import InputError

Figures = dict[str, float]
"""A set's figures; empty where there were too few bars for it. What is not defined is NaN."""

FIGURES = tuple(field.name for field in fields(SweepFigures))
COUNTS = ("trades", "returns")
METRICS = (
    "sharpe", "sortino", "calmar", "total_return", "cagr", "final_equity", "max_drawdown", "annual_volatility",
    "win_rate", "profit_factor", "avg_profit_ratio",
)  # fmt: skip
_LESS_IS_BETTER = ("max_drawdown", "annual_volatility")
_OF_THE_SHAPE = ("skewness", "kurtosis", "returns")


def check_metric(metric: str) -> None:
    """Refuse a figure by which sets can not be ranked.

    Raises
    ------
    InputError
        Where it is none of `METRICS`.
    """
    if metric not in METRICS:
        raise InputError(f"--metric takes one of {', '.join(METRICS)}, found {metric!r}.")


def rank_values(metric: str, figures: Mapping[str, Floats]) -> Floats:
    """Return a number a set that is higher for a better one; NaN where a set has no metric, or never traded.

    A set that lost has a negative Calmar ratio, which would be the better the deeper its drawdown: such sets are ranked
    by `cagr`, which is between -1 and 0 and so below every set that did not lose. A set that never traded has neither
    gained nor lost, so it is no better than one that did.

    Parameters
    ----------
    metric : str
    figures : mapping of str to array
        `FIGURES`, one value a set.
    """
    values = figures[metric]
    if metric == "calmar":
        values = np.where(values < 0, figures["cagr"], values)
    if metric in _LESS_IS_BETTER:
        values = -values
    return np.where(figures["trades"] > 0, values, math.nan)


def best_of(metric: str, candidates: Sequence[Figures]) -> int | None:
    """Return which candidate is best by the metric, the first of equals; None where none has a rank."""
    values = rank_values(metric, columns_of(candidates))
    return None if np.isnan(values).all() else int(np.nanargmax(values))


def columns_of(figures: Sequence[Figures]) -> dict[str, Floats]:
    """Return `FIGURES`, one value a set; a set without figures has NaN."""
    return {name: np.array([one.get(name, math.nan) for one in figures], dtype=np.float64) for name in FIGURES}


def figures_of(result: BacktestResult) -> Figures:
    """Return the figures of one backtest: the node's own metrics, and the shape of its portfolio's returns."""
    shape = return_shape(np.asarray(result.portfolio_equity, dtype=np.float64))
    own: dict[str, Any] = {name: getattr(result.metrics, name) for name in FIGURES if name not in _OF_THE_SHAPE}
    return {**own, "skewness": shape.skewness, "kurtosis": shape.kurtosis, "returns": shape.returns}


def figures_at(swept: SweepFigures, number: int) -> Figures:
    """Return the figures of one set of many, as Python has numbers."""
    return {name: getattr(swept, name)[number].item() for name in FIGURES}
