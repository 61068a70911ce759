"""The bars frame that all of research works on: what its columns must hold, checked once, seen as numpy blocks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from research.whole_columns import long_runs, steps_between
from schemas.errors import InputError, TimeError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KEY_COLUMNS = ("symbol", "datetime")
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

    It may be used many times in place of its frame; what a look at the frame found is kept, so the frame must not be
    changed any more.

    Attributes
    ----------
    frame : DataFrame
        The frame as it was given.
    opens : DatetimeIndex
        Its open times, in UTC.
    blocks : tuple of SymbolRows
        One a symbol, in the order of the frame.
    step : int
        The smallest step between two bars of a symbol, in ticks: the bars' length, as gaps only lengthen steps. 0
        where no symbol has two bars.
    """

    frame: pd.DataFrame
    opens: pd.DatetimeIndex
    blocks: tuple[SymbolRows, ...]
    step: int
    _prices: dict[str, Floats] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ticks(self) -> Ints:
        """The open times as integers since 1970, `ticks_per_second` of them a second."""
        return self.opens.asi8

    @property
    def ticks_per_second(self) -> int:
        """How many ticks one second has: bars come in s, ms, us or ns."""
        return TICKS_PER_SECOND[self.opens.unit]

    def time(self, tick: int) -> datetime:
        """Return a tick as a time, down to microseconds."""
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=tick * 1_000_000 // self.ticks_per_second)

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
        """Return one price column, all of it finite and above zero, in one piece; it is looked at once.

        Raises
        ------
        InputError
            Where a price is NaN, infinite, zero or negative; the message names the first such bar.
        """
        if name in self._prices:
            return self._prices[name]
        values = np.ascontiguousarray(self.column(name))
        if values.min() > 0 and values.max() < np.inf:  # a NaN makes min() NaN, and the comparison false
            self._prices[name] = values
            return values
        row = int(np.flatnonzero(~((values > 0) & (values < np.inf)))[0])
        raise InputError(
            f"Every {name} must be a finite price above zero, found {values[row]} at {self.label(row)}. "
            "Import these bars again, or leave them out."
        )

    def label(self, row: int) -> str:
        """Name one bar for a message: its symbol and open time."""
        return f"{self.frame['symbol'].iloc[row]} {self.opens[row].isoformat()}"


def check_bars(bars: "pd.DataFrame | CheckedBars", columns: Sequence[str] = ()) -> CheckedBars:
    """Return `bars` as checked rows: sorted by (symbol, datetime), unique, with aware UTC open times.

    Parameters
    ----------
    bars : DataFrame or CheckedBars
        Columns `symbol`, `datetime` (aware UTC, the bar's open) and those in `columns`; any index. Bars that were
        checked before come back as they are.
    columns : sequence of str
        Further columns that the caller needs.

    Raises
    ------
    InputError
        Where a column is missing, there is no row, or rows are not sorted and unique.
    TimeError
        Where `datetime` holds something else than aware UTC times.
    """
    frame = bars.frame if isinstance(bars, CheckedBars) else bars
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"A bars frame must be a pandas DataFrame, found {type(bars).__name__}.")
    missing = [name for name in (*KEY_COLUMNS, *columns) if name not in frame.columns]
    if missing:
        raise InputError(f"A bars frame needs the columns {missing}, found {_names(frame)}.")
    if isinstance(bars, CheckedBars):
        return bars
    if len(bars) == 0:
        raise InputError("The bars frame is empty: at least one bar was needed. Import bars, or widen the range.")
    opens = utc_index(bars["datetime"], "The bars' column 'datetime'")
    starts = symbol_starts(bars["symbol"])
    blocks = _blocks(bars["symbol"], starts, len(bars))
    return CheckedBars(bars, opens, blocks, _smallest_step(bars, opens, starts))


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
            plain = isinstance(column.dtype, np.dtype)
            values = column.to_numpy() if plain else column.to_numpy(dtype=np.float64, na_value=np.nan)
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
    if isinstance(symbols.dtype, pd.CategoricalDtype):
        codes = symbols.cat.codes.to_numpy()
    elif (runs := long_runs(symbols)) is not None:
        return runs
    else:
        codes = pd.factorize(symbols)[0]
    if codes.min() < 0:
        row = int(np.flatnonzero(codes < 0)[0])
        raise InputError(f"Every bar needs a symbol, found none in row {row}.")
    return np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1]).astype(np.int64)


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


def _smallest_step(bars: pd.DataFrame, opens: pd.DatetimeIndex, starts: Ints) -> int:
    ends = [*starts[1:].tolist(), len(opens)]  # the step from one symbol to the next says nothing
    blocks = [opens.asi8[start:end] for start, end in zip(starts.tolist(), ends, strict=True) if end - start > 1]
    smallest = min((steps_between(ticks)[0] for ticks in blocks), default=0)
    if smallest > 0 or not blocks:
        return smallest
    back = np.diff(opens.asi8) <= 0
    back[starts[1:] - 1] = False
    row = int(np.flatnonzero(back)[0]) + 1
    bar, before = f"{bars['symbol'].iloc[row]} {opens[row].isoformat()}", opens[row - 1]
    if before == opens[row]:
        raise InputError(f"Every bar must be there once, found two of {bar}. Drop one of them.")
    raise InputError(
        f"Bars must be sorted by symbol, then datetime: found {bar} after {before.isoformat()}. "
        "Use bars.sort_values(['symbol', 'datetime'])."
    )


def _names(frame: pd.DataFrame) -> str:
    return ", ".join(map(str, frame.columns)) or "none"
