"""The bars frame that all of research works on: what its columns must hold, checked once, seen as numpy blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import InputError, TimeError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KEY_COLUMNS = ("symbol", "datetime")
PRICE_COLUMNS = ("open", "high", "low", "close", "volume")
TICKS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class SymbolRows:
    """The rows [start, stop) of a bars frame that belong to one symbol."""

    symbol: str
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """The same as a slice."""
        return slice(self.start, self.stop)


@dataclass(frozen=True, slots=True)
class CheckedBars:
    """A bars frame that was found sorted and unique.

    Attributes
    ----------
    frame : DataFrame
        The frame as it was given.
    opens : DatetimeIndex
        Its open times, in UTC.
    blocks : tuple of SymbolRows
        One a symbol, in the order of the frame.
    """

    frame: pd.DataFrame
    opens: pd.DatetimeIndex
    blocks: tuple[SymbolRows, ...]

    @property
    def ticks(self) -> Ints:
        """The open times as integers since 1970, `ticks_per_second` of them a second."""
        return self.opens.asi8

    @property
    def ticks_per_second(self) -> int:
        """How many ticks one second has: bars come in s, ms, us or ns."""
        return TICKS_PER_SECOND[self.opens.unit]

    def column(self, name: str) -> Floats:
        """Return one column as float64, without a copy where it is float64 already.

        Raises
        ------
        InputError
            Where the column is missing or holds something else than numbers.
        """
        if name not in self.frame.columns:
            raise InputError(
                f"A bars frame needs the column {name!r}, found {_names(self.frame)}. Read it with the bars."
            )
        return as_floats(self.frame[name], f"The bars' column {name!r}")

    def prices(self, name: str) -> Floats:
        """Return one price column, all of it finite and above zero.

        Raises
        ------
        InputError
            Where a price is NaN, infinite, zero or negative; the message names the first such bar.
        """
        values = self.column(name)
        if values.min() > 0 and values.max() < np.inf:  # a NaN makes min() NaN, and the comparison false
            return values
        row = int(np.flatnonzero(~((values > 0) & (values < np.inf)))[0])
        raise InputError(
            f"Every {name} must be a finite price above zero, found {values[row]} at {self.label(row)}. "
            "Import these bars again, or leave them out."
        )

    def label(self, row: int) -> str:
        """Name one bar for a message: its symbol and open time."""
        return f"{self.frame['symbol'].iloc[row]} {self.opens[row].isoformat()}"


def check_bars(bars: pd.DataFrame, columns: Sequence[str] = ()) -> CheckedBars:
    """Return `bars` as checked rows: sorted by (symbol, datetime), unique, with aware UTC open times.

    Parameters
    ----------
    bars : DataFrame
        Columns `symbol`, `datetime` (aware UTC, the bar's open) and those in `columns`; any index.
    columns : sequence of str
        Further columns that the caller needs.

    Raises
    ------
    InputError
        Where a column is missing, there is no row, or rows are not sorted and unique.
    TimeError
        Where `datetime` holds something else than aware UTC times.
    """
    if not isinstance(bars, pd.DataFrame):
        raise InputError(f"A bars frame must be a pandas DataFrame, found {type(bars).__name__}.")
    missing = [name for name in (*KEY_COLUMNS, *columns) if name not in bars.columns]
    if missing:
        raise InputError(f"A bars frame needs the columns {missing}, found {_names(bars)}.")
    if len(bars) == 0:
        raise InputError("The bars frame is empty: at least one bar was needed. Import bars, or widen the range.")
    opens = utc_index(bars["datetime"], "The bars' column 'datetime'")
    starts = symbol_starts(bars["symbol"])
    checked = CheckedBars(bars, opens, _blocks(bars["symbol"], starts, len(bars)))
    _check_order(checked, starts)
    return checked


def utc_index(column: "pd.Series[Any]", what: str) -> pd.DatetimeIndex:
    """Return a column of aware UTC times as an index, without a copy.

    Raises
    ------
    TimeError
        Where the times carry no zone, another zone than UTC, or are missing.
    """
    if not isinstance(column.dtype, pd.DatetimeTZDtype) or str(column.dtype.tz) != "UTC":
        raise TimeError(
            f"{what} must hold aware UTC times (datetime64[us, UTC]), found {column.dtype}. "
            "Use pd.to_datetime(..., utc=True)."
        )
    index = pd.DatetimeIndex(column)
    if len(index) and index.asi8.min() == np.iinfo(np.int64).min:
        raise TimeError(f"{what} has a row without a time (NaT). Leave that row out.")
    return index


def as_floats(column: Any, what: str) -> Floats:
    """Return a Series or array as float64; missing values become NaN.

    Raises
    ------
    InputError
        Where it holds something else than numbers.
    """
    try:
        if isinstance(column, pd.Series):
            values = column.to_numpy(dtype=np.float64, na_value=np.nan) if column.hasnans else column.to_numpy()
        else:
            values = np.asarray(column)
        if values.dtype == np.float64:
            return values
        if values.dtype.kind not in "biuf" and values.dtype != np.dtype(object):
            raise TypeError
        return values.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{what} must hold numbers, found {getattr(column, 'dtype', type(column))}.") from None


def symbol_starts(symbols: "pd.Series[Any]") -> Ints:
    """Return the rows at which another symbol begins, the first row included."""
    count = len(symbols)
    if isinstance(symbols.dtype, pd.CategoricalDtype):
        codes = symbols.cat.codes.to_numpy()
    elif isinstance(symbols.dtype, pd.StringDtype) and symbols.dtype.storage == "pyarrow":
        column = pa.array(symbols.array)
        if pc.all(pc.equal(column, column[0])).as_py():  # three times faster than factorize
            return np.zeros(1, dtype=np.int64)
        codes = pd.factorize(symbols)[0]
    else:
        codes = pd.factorize(symbols)[0]
    if codes.min() < 0:
        row = int(np.flatnonzero(codes < 0)[0])
        raise InputError(f"Every bar needs a symbol, found none in row {row}.")
    changes = np.flatnonzero(codes[1:] != codes[:-1]) + 1 if count > 1 else np.empty(0, dtype=np.int64)
    return np.concatenate([np.zeros(1, dtype=np.int64), changes]).astype(np.int64)


def _blocks(symbols: "pd.Series[Any]", starts: Ints, count: int) -> tuple[SymbolRows, ...]:
    bounds = [*starts.tolist(), count]
    names = [str(symbols.iloc[start]) for start in starts.tolist()]
    blocks = tuple(
        SymbolRows(name, start, stop) for name, start, stop in zip(names, bounds[:-1], bounds[1:], strict=True)
    )
    for before, after in pairwise(names):
        if not before < after:
            raise InputError(
                f"Bars must be sorted by symbol, then datetime: found {after} after {before}. "
                "Use bars.sort_values(['symbol', 'datetime'])."
            )
    return blocks


def _check_order(checked: CheckedBars, starts: Ints) -> None:
    steps = np.diff(checked.ticks)
    if len(starts) > 1:
        steps[starts[1:] - 1] = 1  # the step from one symbol to the next says nothing
    if len(steps) == 0 or steps.min() > 0:
        return
    row = int(np.flatnonzero(steps <= 0)[0]) + 1
    if steps[row - 1] == 0:
        raise InputError(f"Every bar must be there once, found two of {checked.label(row)}. Drop one of them.")
    raise InputError(
        f"Bars must be sorted by symbol, then datetime: found {checked.label(row)} after "
        f"{checked.opens[row - 1].isoformat()}. Use bars.sort_values(['symbol', 'datetime'])."
    )


def _names(frame: pd.DataFrame) -> str:
    return ", ".join(map(str, frame.columns)) or "none"
