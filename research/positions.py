"""Lays a wish for a position beside the bars, row by row, and carries it over rows that have no opinion."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from research.bars import CheckedBars, Floats, as_floats, symbol_starts, utc_index
from research.whole_columns import same_texts
from schemas.errors import InputError

SMALLEST_POSITION = 1e-9


def align_position(bars: CheckedBars, position: Any) -> Floats:
    """Return the position at each bar's close, in the order of the bars; NaN where there is no opinion.

    Parameters
    ----------
    bars : CheckedBars
    position : DataFrame, Series, array or None
        A frame is joined on (symbol, datetime), in any order; bars that it lacks are NaN. A Series must have the
        index of the bars frame. An array must have one value a bar. None is 1 everywhere: Buy & Hold.

    Raises
    ------
    InputError
        Where rows do not fit the bars, or a value is outside [0, 1].
    """
    return within_bounds(bars, aligned_values(bars, position))


def aligned_values(bars: CheckedBars, position: Any) -> Floats:
    """Return what `align_position` does, before its values are looked at."""
    count = len(bars.frame)
    if position is None:
        return np.ones(count)
    if isinstance(position, pd.DataFrame):
        return _from_frame(bars, position)
    if isinstance(position, pd.Series) and not position.index.equals(bars.frame.index):
        raise InputError(
            f"A position Series must have the index of the bars frame ({count} rows), found another index with "
            f"{len(position)} rows. Give a frame with symbol, datetime, position, or use position.to_numpy()."
        )
    values = as_floats(position, "The position")
    if values.shape != (count,):
        raise InputError(f"The position must have one value for each of the {count} bars, found {values.shape}.")
    return values


def held_targets(bars: CheckedBars, position: Floats) -> Floats:
    """Return the position with NaN replaced by the symbol's last known value, and by 0 before the first.

    A position below `SMALLEST_POSITION` counts as 0: no venue trades so little, and rounding would eat it.
    """
    dust = (position > 0.0) & (position < SMALLEST_POSITION)
    if dust.any():
        position = np.where(dust, 0.0, position)
    unknown = np.isnan(position)
    if not unknown.any():
        return position
    held = np.empty_like(position)
    for block in bars.blocks:
        values, gaps = position[block.rows], unknown[block.rows]
        last = np.maximum.accumulate(np.where(gaps, 0, np.arange(len(values))))
        held[block.rows] = values[last]
    return np.where(np.isnan(held), 0.0, held)


def within_bounds(bars: CheckedBars, values: Floats) -> Floats:
    """Return the values as they are.

    Raises
    ------
    InputError
        Where one is neither in [0, 1] nor NaN.
    """
    if values.min() >= 0 and values.max() <= 1:  # false where there is a NaN, which is looked at below
        return values
    wrong = np.flatnonzero(~(((values >= 0) & (values <= 1)) | np.isnan(values)))
    if len(wrong) == 0:
        return values
    row = int(wrong[0])
    raise InputError(
        f"A position must lie in [0, 1], found {values[row]} at {bars.label(row)}. "
        "Shorts and leverage are not simulated: clip the position."
    )


def _from_frame(bars: CheckedBars, frame: pd.DataFrame) -> Floats:
    missing = [name for name in ("symbol", "datetime", "position") if name not in frame.columns]
    if missing:
        raise InputError(
            f"A position frame needs the columns symbol, datetime and position; {missing} is missing, "
            f"found {list(frame.columns)}."
        )
    values = as_floats(frame["position"], "The position frame's column 'position'")
    times = utc_index(frame["datetime"], "The position frame's column 'datetime'")
    if _same_rows(bars, frame, times):
        return values
    if len(frame) == 0:
        return np.full(len(bars.frame), np.nan)
    return _joined(bars, frame, times, values)


def _same_rows(bars: CheckedBars, frame: pd.DataFrame, times: pd.DatetimeIndex) -> bool:
    if len(frame) != len(bars.frame) or times.unit != bars.opens.unit:
        return False
    if not np.array_equal(times.asi8, bars.ticks):
        return False
    if same_texts(frame["symbol"], bars.frame["symbol"]):
        return True
    if len(bars.blocks) == 1:  # its symbols need only be looked at for sameness, which is fast
        return len(symbol_starts(frame["symbol"])) == 1 and str(frame["symbol"].iloc[0]) == bars.blocks[0].symbol
    return bool((frame["symbol"].astype(str).to_numpy() == bars.frame["symbol"].astype(str).to_numpy()).all())


def _joined(bars: CheckedBars, frame: pd.DataFrame, times: pd.DatetimeIndex, values: Floats) -> Floats:
    ticks = times.as_unit("ns").asi8
    bar_ticks = bars.opens.as_unit("ns").asi8
    symbols = frame["symbol"].astype(str).to_numpy()
    target = np.full(len(frame), -1, dtype=np.int64)
    for block in bars.blocks:
        mine = np.flatnonzero(symbols == block.symbol)
        opens = bar_ticks[block.rows]
        at = np.minimum(np.searchsorted(opens, ticks[mine]), len(opens) - 1)
        target[mine] = np.where(opens[at] == ticks[mine], at + block.start, -1)
    _check_targets(symbols, times, target)
    aligned = np.full(len(bars.frame), np.nan)
    aligned[target] = values
    return aligned


def _check_targets(symbols: Any, times: pd.DatetimeIndex, target: npt.NDArray[np.int64]) -> None:
    strangers = np.flatnonzero(target < 0)
    if len(strangers):
        row = int(strangers[0])
        raise InputError(
            f"Every position must belong to a bar, found {symbols[row]} {times[row].isoformat()}, which is not among "
            f"the bars ({len(strangers)} such rows). Use the bars that the position was made from."
        )
    order = np.argsort(target, kind="stable")
    twice = np.flatnonzero(np.diff(target[order]) == 0)
    if len(twice):
        row = int(order[twice[0] + 1])
        raise InputError(
            f"A position must be given once a bar, found {symbols[row]} {times[row].isoformat()} twice. Drop one."
        )
