"""Factors: numbers that bars give, each known at its bar's close and computed from bars up to it."""

from research.factors.compute import compute_factor, compute_factors, factor_lookback_bars
from research.factors.cross_section import rank_across_symbols
from research.factors.registry import FACTORS, factor_spec
from research.factors.spec import Choice, FactorSpec, Number, Whole

__all__ = [
    "FACTORS",
    "Choice",
    "FactorSpec",
    "Number",
    "Whole",
    "compute_factor",
    "compute_factors",
    "factor_lookback_bars",
    "factor_spec",
    "rank_across_symbols",
]
