"""What flows along a graph's edges: frames with a timeframe, checked once where they are made."""

from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from research.bars import symbol_starts
from schemas.errors import InputError
from schemas.timeframes import Timeframe


@dataclass(frozen=True, slots=True)
class Gap:
    """An open gap in the bars: no bar from `start` to `end`, both included, and nobody knows yet why."""

    symbol: str
    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.symbol} lacks bars from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class SymbolFrame:
    """A frame with a row for each symbol and bar, sorted by both, each pair once.

    Attributes
    ----------
    data : DataFrame
        Columns `symbol` (text), `datetime` (the bar's open, aware UTC), then those of the kind of frame.
    timeframe : Timeframe
        Length of a bar.

    Raises
    ------
    InputError
        On construction, where a column is missing, a time is naive, or rows are not sorted and unique.
    """

    data: pd.DataFrame
    timeframe: Timeframe
    columns: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        kind = type(self).__name__
        wanted = ("symbol", "datetime", *self.columns)
        missing = [column for column in wanted if column not in self.data.columns]
        if missing:
            raise InputError(
                f"A {kind} frame needs the columns {', '.join(wanted)}; {', '.join(missing)} is missing. "
                f"Found {', '.join(map(str, self.data.columns))}."
            )
        if not isinstance(self.data["datetime"].dtype, pd.DatetimeTZDtype):
            raise InputError(
                f"The datetime column of a {kind} frame must be aware UTC, found {self.data['datetime'].dtype}. "
                "Localise it with .dt.tz_localize('UTC')."
            )
        self._check_order(kind)

    def _check_order(self, kind: str) -> None:
        if len(self.data) == 0:
            return
        time, starts = self.times_ms, self.symbol_starts
        unsorted = time[1:] <= time[:-1]
        names = [str(name) for name in self.data["symbol"].iloc[starts]]
        unsorted[starts[1:] - 1] = [after <= before for before, after in pairwise(names)]
        if unsorted.any():
            row = int(np.argmax(unsorted)) + 1
            raise InputError(
                f"A {kind} frame must be sorted by symbol and datetime, each once; row {row} "
                f"({self.data['symbol'].iloc[row]}, {self.data['datetime'].iloc[row]}) breaks that."
            )

    @property
    def closes_ms(self) -> npt.NDArray[np.int64]:
        """The closes of the bars, milliseconds since the epoch, one for each row: when the row can first be known."""
        return self.times_ms + self.timeframe.seconds * 1000

    @property
    def times_ms(self) -> npt.NDArray[np.int64]:
        """The opens of the bars, milliseconds since the epoch, one for each row."""
        times: npt.NDArray[np.int64] = self.data["datetime"].dt.as_unit("ms").astype("int64").to_numpy(np.int64)
        return times

    @property
    def symbols(self) -> list[str]:
        """The symbols of the frame, in its order."""
        return [str(symbol) for symbol in self.data["symbol"].unique()]

    @property
    def symbol_starts(self) -> npt.NDArray[np.int64]:
        """The rows at which another symbol begins, the first row included."""
        return symbol_starts(self.data["symbol"]) if len(self.data) else np.empty(0, np.int64)

    def with_rows(self, data: pd.DataFrame) -> Self:
        """Return a frame that holds some of this frame's rows, in their order: they need not be checked again."""
        part = copy(self)
        object.__setattr__(part, "data", data)
        return part

    def with_data(self, data: pd.DataFrame) -> Self:
        """Return a frame of the same kind and timeframe that holds other rows."""
        return replace(self, data=data)


@dataclass(frozen=True)
class Bars(SymbolFrame):
    """Closed bars; `gaps` are the open gaps that lie in their range."""

    columns: ClassVar[tuple[str, ...]] = ("open", "high", "low", "close", "volume")
    gaps: tuple[Gap, ...] = field(default=())


@dataclass(frozen=True)
class Factor(SymbolFrame):
    """A number for each bar, known at its close; NaN where it is not known."""

    columns: ClassVar[tuple[str, ...]] = ("factor",)


@dataclass(frozen=True)
class Position(SymbolFrame):
    """The wanted position in [0, 1], decided at the bar's close; NaN means no opinion: keep."""

    columns: ClassVar[tuple[str, ...]] = ("position",)
