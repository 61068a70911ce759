"""Frames without their future, with another one, and where two frames differ: what a look-ahead check is made of."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quantflow_nodes.ports import Bars, Position, SymbolFrame

KEY = ["symbol", "datetime"]
NO_ROW = "no row"
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a frame differs from another one first.

    Attributes
    ----------
    symbol : str
    opened_at : datetime
        The bar's open.
    column : str
        The column that differs; empty where one of the frames lacks the row.
    value, other : object
        What the frame has and what the other one has; "no row" where it lacks the row.
    rows : int
        How many rows differ.
    """

    symbol: str
    opened_at: datetime
    column: str
    value: object
    other: object
    rows: int


def closed_until(frame: SymbolFrame, time_ms: int) -> SymbolFrame:
    """Return the rows whose bars had closed at a time."""
    return frame.with_data(frame.data[frame.closes_ms <= time_ms].reset_index(drop=True))


def with_other_future(frame: SymbolFrame, time_ms: int, random: np.random.Generator) -> SymbolFrame:
    """Return the frame with other numbers in the rows whose bars close after a time, of the kind that it may hold.

    Prices of a bar are scaled together and stay above zero and in order; positions stay in [0, 1]; other numbers are
    exchanged among the rows and scaled, and keep their signs.
    """
    future = np.asarray(frame.closes_ms > time_ms)
    data, count = frame.data.copy(), int(future.sum())
    scale = np.exp(random.normal(0.0, 0.5, count))
    for column in data.columns.difference(KEY, sort=False):
        values = data[column].to_numpy()
        if values.dtype.kind != "f":
            continue
        changed = values.copy()
        if isinstance(frame, Position):
            changed[future] = random.random(count)
        elif isinstance(frame, Bars) and column in _PRICES:
            changed[future] *= scale
        else:
            changed[future] = random.permutation(changed[future]) * np.exp(random.normal(0.0, 0.5, count))
        data[column] = changed
    return frame.with_data(data)


def first_difference(frame: pd.DataFrame, other: pd.DataFrame) -> Difference | None:
    """Return where two frames differ first in time, or None where they hold the same, NaN being equal to NaN.

    Parameters
    ----------
    frame, other : DataFrame
        Columns `symbol`, `datetime` and others; sorted by both. Columns that the second one lacks differ everywhere.
    """
    if not _same_keys(frame, other):
        return _first_lacking(frame, other)
    differs = {column: _differs(frame, other, column) for column in frame.columns.difference(KEY, sort=False)}
    rows = np.logical_or.reduce([np.zeros(len(frame), np.bool_), *differs.values()])
    if not rows.any():
        return None
    times = frame["datetime"].to_numpy()
    row = min(np.flatnonzero(rows), key=lambda at: (times[at], at))
    column = next(name for name, marks in differs.items() if marks[row])
    found = other[column].iloc[row] if column in other.columns else "no such column"
    return _difference(frame, int(row), column, frame[column].iloc[row], found, int(rows.sum()))


def _same_keys(frame: pd.DataFrame, other: pd.DataFrame) -> bool:
    return len(frame) == len(other) and all(bool((frame[name].array == other[name].array).all()) for name in KEY)


def _first_lacking(frame: pd.DataFrame, other: pd.DataFrame) -> Difference:
    both = frame[KEY].merge(other[KEY], on=KEY, how="outer", indicator=True)
    lone = both[both["_merge"] != "both"].sort_values(["datetime", "symbol"], ignore_index=True)
    has_row = lone["_merge"].iloc[0] == "left_only"
    values = ("a row", NO_ROW) if has_row else (NO_ROW, "a row")
    return _difference(lone, 0, "", *values, len(lone))


def _differs(frame: pd.DataFrame, other: pd.DataFrame, column: str) -> npt.NDArray[np.bool_]:
    if column not in other.columns:
        return np.ones(len(frame), np.bool_)
    own, theirs = frame[column].reset_index(drop=True), other[column].reset_index(drop=True)
    equal = (own == theirs).fillna(False).to_numpy(np.bool_) | (own.isna() & theirs.isna()).to_numpy(np.bool_)
    return ~equal


def _difference(frame: pd.DataFrame, row: int, column: str, value: Any, other: Any, rows: int) -> Difference:
    opened_at: datetime = frame["datetime"].iloc[row].to_pydatetime()
    plain = [one.item() if isinstance(one, np.generic) else one for one in (value, other)]
    return Difference(str(frame["symbol"].iloc[row]), opened_at, column, plain[0], plain[1], rows)
