"""The one form in which every source hands bars over: columns of numbers, with the rows that could not be read."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

Milliseconds = NDArray[np.int64]
Column = NDArray[np.float64]

OHLCV = ("open", "high", "low", "close", "volume")

# No bar opens before or after these, whatever its source: one mistyped year would make a gap of centuries.
EARLIEST_MS, LATEST_MS = 1_230_768_000_000, 4_102_444_800_000  # 2009-01-01, before any coin was traded; 2100-01-01

Reason = Literal[
    "wrong_column_count", "no_line_end", "time_unreadable", "time_out_of_range", "value_unreadable", "not_finite",
    "off_grid", "not_closed", "price_not_positive", "prices_out_of_order", "negative_volume",
    "duplicate_with_other_values",
]  # fmt: skip


def is_possible_ms(times_ms: Milliseconds) -> NDArray[np.bool_]:
    """Tell which times lie from 2009 on and before 2100; a missing one (NaT) does not."""
    return (times_ms >= EARLIEST_MS) & (times_ms < LATEST_MS)


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Bars of one symbol as columns of equal length; `open_ms` is each bar's open in milliseconds since 1970 UTC."""

    symbol: Symbol
    timeframe: Timeframe
    open_ms: Milliseconds
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (self.open_ms, *self.ohlcv)}
        if len(lengths) != 1:
            raise ValueError(f"Columns of one length were needed, found lengths {sorted(lengths)}.")

    @classmethod
    def of(cls, symbol: Symbol, timeframe: Timeframe, open_ms: Milliseconds, ohlcv: NDArray[np.float64]) -> "Bars":
        """Return bars from open times and an array of shape (n, 5) in the order open, high, low, close, volume."""
        return cls(symbol, timeframe, open_ms, *np.ascontiguousarray(ohlcv.reshape(-1, 5).T))

    @property
    def ohlcv(self) -> tuple[Column, Column, Column, Column, Column]:
        """The five columns of values, in the stored order."""
        return self.open, self.high, self.low, self.close, self.volume

    @property
    def bar_ms(self) -> int:
        """A bar's length in milliseconds."""
        return self.timeframe.seconds * 1000

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "Bars":
        """Return the rows that a mask, positions or a slice choose."""
        columns = (column[rows] for column in self.ohlcv)
        return Bars(self.symbol, self.timeframe, self.open_ms[rows], *columns)

    def within(self, since_ms: int | None, until_ms: int | None) -> "Bars":
        """Return the bars that open from `since_ms` on and before `until_ms`; None leaves that side open."""
        inside = np.ones(len(self), np.bool_)
        if since_ms is not None:
            inside &= self.open_ms >= since_ms
        if until_ms is not None:
            inside &= self.open_ms < until_ms
        return self if inside.all() else self.take(inside)

    def __len__(self) -> int:
        return len(self.open_ms)


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that is not stored: its time and values as they came, and the reason."""

    time: str
    reason: Reason
    row: dict[str, str]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a source hands over at once.

    Attributes
    ----------
    bars : Bars
        Rows that could be read, not yet checked, ascending in time; neighbours may have the same time.
    rejected : list of RejectedRow
        Rows that could not be read as times and numbers.
    asked_ms : (int, int) or None
        First and last open of the stretch that the venue was asked for completely: a bar missing there is absent at
        the venue. None where the source can not know, as a file can not.
    rows_ahead : int or None
        How many rows come from here on, these included, where the source knows it.
    notes : list of str
        Sentences for the user.
    """

    bars: Bars
    rejected: list[RejectedRow] = field(default_factory=list)
    asked_ms: tuple[int, int] | None = None
    rows_ahead: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows the source had."""
        return len(self.bars) + len(self.rejected)
