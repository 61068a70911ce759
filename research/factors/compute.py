"""Computes one factor for every symbol of a bars frame."""

import numpy as np
import pandas as pd

from research.bars import CheckedBars, check_bars
from research.factors.cross_section import rank_across_symbols
from research.factors.registry import CROSS_SECTIONAL_RANK, FACTORS, factor_spec
from research.factors.spec import FactorSpec, Value, suggestion
from schemas.errors import InputError


def compute_factor(bars: pd.DataFrame, name: str, **params: Value) -> pd.DataFrame:
    """Return the factor frame of `bars`: symbol, datetime, factor, one row a bar, in the bars' order and index.

    The value at t uses bars up to and including t, so it is known at t's close. A lookback counts bars that exist: a
    gap makes it reach further back in time.

    Parameters
    ----------
    bars : DataFrame
        Columns symbol, datetime and those that the factor reads; sorted by (symbol, datetime), unique.
    name : str
        One of `FACTOR_NAMES`. 'cross_sectional_rank' takes `of`, the name of the factor that it ranks (momentum), and
        that factor's parameters.
    **params
        The factor's parameters; what is not given has its default.

    Returns
    -------
    DataFrame
        `factor` is float64; NaN where it is not known: for the symbol's first bars, and where the formula divides by 0.

    Raises
    ------
    InputError
        Where the name or a parameter is unknown or out of bounds, no symbol has enough bars, or a price is not finite.
    """
    base, checked_params, ranks = _chosen(name, params)
    checked = check_bars(bars, base.inputs)
    lookback = base.lookback(checked_params)
    _check_length(checked, base, lookback)
    columns = [checked.column(column) if column == "volume" else checked.prices(column) for column in base.inputs]
    values = np.full(len(bars), np.nan)
    for rows in checked.blocks:
        if rows.stop - rows.start > lookback:
            values[rows.rows] = base.function(*(column[rows.rows] for column in columns), **checked_params)
    frame = pd.DataFrame({"symbol": bars["symbol"], "datetime": bars["datetime"], "factor": values}, copy=False)
    return rank_across_symbols(frame) if ranks else frame


def factor_lookback_bars(name: str, **params: Value) -> int:
    """Return how many earlier bars the first value that is not NaN needs, with these parameters.

    Raises
    ------
    InputError
        As `compute_factor` does for a wrong name or parameter.
    """
    base, checked_params, _ = _chosen(name, params)
    return base.lookback(checked_params)


def _chosen(name: str, params: dict[str, Value]) -> tuple[FactorSpec, dict[str, Value], bool]:
    """Return the factor of one symbol that is wanted, its parameters, and whether to rank it across symbols."""
    if name != CROSS_SECTIONAL_RANK:
        spec = factor_spec(name)
        return spec, spec.checked_params(params), False
    ranked = dict(params)
    base = ranked.pop("of", "momentum")
    if not isinstance(base, str) or base not in FACTORS:
        raise InputError(
            f"{CROSS_SECTIONAL_RANK} needs of as one of {', '.join(FACTORS)}, found {base!r}."
            f"{suggestion(str(base), FACTORS)}"
        )
    return FACTORS[base], FACTORS[base].checked_params(ranked), True


def _check_length(bars: CheckedBars, spec: FactorSpec, lookback: int) -> None:
    longest = max(bars.blocks, key=lambda rows: rows.stop - rows.start)
    found = longest.stop - longest.start
    if found > lookback:
        return
    lengths = [parameter.name for parameter in spec.parameters if parameter.name.endswith("_bars")]
    raise InputError(
        f"{spec.name} needs {lookback + 1} bars of {longest.symbol}, found {found}. "
        f"Import an earlier start or lower {' or '.join(lengths)}."
    )
