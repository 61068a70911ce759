"""The figures by which a sweep judges a set: their names, where they come from, and which way is better."""

import math
from dataclasses import fields
from typing import Any

import numpy as np

from research.backtest import BacktestResult
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


def rank_value(metric: str, value: float) -> float:
    """Return a number that is higher for a better value of the metric; NaN stays NaN."""
    return -value if metric in _LESS_IS_BETTER else value


def best_of(metric: str, candidates: list[Figures]) -> int | None:
    """Return which candidate is best by the metric, the first of equals; None where none has it."""
    values = np.array([rank_value(metric, figures.get(metric, math.nan)) for figures in candidates])
    return None if len(values) == 0 or np.isnan(values).all() else int(np.nanargmax(values))


def figures_of(result: BacktestResult) -> Figures:
    """Return the figures of one backtest: the node's own metrics, and the shape of its portfolio's returns."""
    shape = return_shape(np.asarray(result.portfolio_equity, dtype=np.float64))
    own: dict[str, Any] = {name: getattr(result.metrics, name) for name in FIGURES if name not in _OF_THE_SHAPE}
    return {**own, "skewness": shape.skewness, "kurtosis": shape.kurtosis, "returns": shape.returns}


def figures_at(swept: SweepFigures, number: int) -> Figures:
    """Return the figures of one set of many, as Python has numbers."""
    return {name: getattr(swept, name)[number].item() for name in FIGURES}
