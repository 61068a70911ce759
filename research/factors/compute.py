"""Computes factors for every symbol of a bars frame: one by name, or several at once on the same checked bars."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from research.bars import KEY_COLUMNS, CheckedBars, Floats, check_bars
from research.factors.chosen import ChosenFactor, choose_factor, choose_factors
from research.factors.cross_section import rank_across_symbols
from research.factors.spec import FactorSpec, Value
from schemas.errors import InputError

COMPILED_FROM_VALUES = 10_000_000
"""Bars × factors from which on compiled kernels win back the second that it takes to start numba."""


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
    return _computed(bars, {"factor": choose_factor(name, params)}, None, None)


def compute_factors(
    bars: pd.DataFrame,
    choices: Mapping[str, Mapping[str, Value]],
    compiled: bool | None = None,
    threads: int | None = None,
) -> pd.DataFrame:
    """Return several factors of `bars`: symbol, datetime, then a column for each choice, in the bars' order and index.

    Each column holds what `compute_factor` gives. The bars are checked once, and the outputs of one factor, such as
    the lines of the MACD, are computed at once.

    Parameters
    ----------
    bars : DataFrame
        As for `compute_factor`, with the columns that any of the factors reads.
    choices : mapping
        From the name of a column to a factor in the words of the node `factor`: its `name` and those parameters that
        are not to have their defaults, such as {"fast": {"name": "ema", "lookback_bars": 12}}.
    compiled : bool, optional
        Whether to use compiled kernels. By default they are used where bars × choices are at least
        `COMPILED_FROM_VALUES`. The values are the same to the last bit.
    threads : int, optional
        How many threads compiled kernels work on, as many as there are processors by default; 1 is the caller's own.

    Returns
    -------
    DataFrame
        The columns are float64, NaN as in `compute_factor`.

    Raises
    ------
    InputError
        As `compute_factor`; and where there is no choice, or one without a name, or one for a column of the bars' key.
    """
    return _computed(bars, choose_factors(choices), compiled, threads)


def factor_lookback_bars(name: str, **params: Value) -> int:
    """Return how many earlier bars the first value that is not NaN needs, with these parameters.

    Raises
    ------
    InputError
        As `compute_factor` does for a wrong name or parameter.
    """
    return choose_factor(name, params).lookback


def _computed(
    bars: pd.DataFrame, chosen: dict[str, ChosenFactor], compiled: bool | None, threads: int | None
) -> pd.DataFrame:
    inputs = list(dict.fromkeys(name for choice in chosen.values() for name in choice.spec.inputs))
    checked = check_bars(bars, inputs)
    for choice in chosen.values():
        _check_length(checked, choice.spec, choice.lookback)
    columns = {name: checked.column(name) if name == "volume" else checked.prices(name) for name in inputs}
    values = np.empty((len(chosen), len(bars)))
    rows = list(zip(chosen.values(), values, strict=True))
    if compiled or (compiled is None and values.size >= COMPILED_FROM_VALUES):
        from research.factors.compiled import fill_compiled  # starts numba

        fill_compiled(rows, checked.blocks, columns, threads)
    else:
        _fill(rows, checked, columns)
    keys = {name: bars[name] for name in KEY_COLUMNS}
    frame = pd.DataFrame({**keys, **dict(zip(chosen, values, strict=True))}, copy=False)
    for name, choice in chosen.items():
        if choice.ranks:
            one = frame[[*KEY_COLUMNS, name]].set_axis([*KEY_COLUMNS, "factor"], axis="columns")
            frame[name] = rank_across_symbols(one)["factor"]
    return frame


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


def _fill(rows: list[tuple[ChosenFactor, Floats]], bars: CheckedBars, columns: Mapping[str, Floats]) -> None:
    """Fill each factor's row by its plain function: the reference of the compiled kernels."""
    for choice, row in rows:
        row[:] = np.nan
        for block in bars.blocks:
            if block.stop - block.start > choice.lookback:
                arrays = (columns[name][block.rows] for name in choice.spec.inputs)
                row[block.rows] = choice.spec.function(*arrays, **choice.params)
