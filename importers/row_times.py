"""Tells what a column of times means (ISO 8601, or an epoch in s, ms, µs or ns) and never guesses between them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from importers.bars import EARLIEST_MS, LATEST_MS, Milliseconds
from schemas.errors import InputError

# An epoch must lie between these, which tells its unit: no number is a time in that span in two units.
_EARLIEST_S, _LATEST_S = EARLIEST_MS // 1000, LATEST_MS // 1000
_UNITS = {"s": 1, "ms": 1_000, "µs": 1_000_000, "ns": 1_000_000_000}
_NUMBER = r"[1-8]?\d{1,18}(?:\.0*)?"  # every one fits 64 bits
_ISO = r"\d{4}-?\d{2}-?\d{2}(?:[T ].*)?"


@dataclass(frozen=True, slots=True)
class RowTimes:
    """Times of rows in milliseconds, what could be read at all, and what lies on no whole millisecond."""

    open_ms: Milliseconds
    is_readable: NDArray[np.bool_]
    is_off_grid: NDArray[np.bool_]


class TimeUnitError(InputError):
    """The times of a file can not be told apart; `row` is the first that shows it."""

    def __init__(self, message: str, row: int) -> None:
        super().__init__(message)
        self.row = row


def row_times(texts: "pd.Series[str]") -> RowTimes:
    """Return the times that a column of texts gives.

    Parameters
    ----------
    texts : Series of str
        ISO 8601 times or dates (those without a zone are UTC), dates as YYYYMMDD, or epochs, all of one kind.

    Returns
    -------
    RowTimes
        A text that is no time of the kind that most rows have is not readable; its `open_ms` means nothing.

    Raises
    ------
    TimeUnitError
        Where no row can be read, an epoch lies outside 2009 to 2100 in every unit, or rows differ in their unit.
    """
    texts = texts.str.strip()
    is_number = texts.str.fullmatch(_NUMBER).to_numpy(bool)
    is_date = texts.str.fullmatch(r"(?:19|20)\d{6}").to_numpy(bool)
    if is_number.sum() > len(texts) / 2 and is_date.sum() <= len(texts) / 2:
        return _epochs(texts, is_number)
    return _iso(texts)


def _iso(texts: "pd.Series[str]") -> RowTimes:
    shaped = texts.where(texts.str.fullmatch(_ISO))
    times = pd.to_datetime(shaped, utc=True, format="ISO8601", errors="coerce")
    is_readable = times.notna().to_numpy(bool)
    if not is_readable.any():
        raise TimeUnitError(
            f"its times can not be read: an ISO 8601 time such as 2022-01-01T00:00:00Z or an epoch in s or ms was "
            f"needed, found {texts.iloc[0]!r}",
            0,
        )
    micros = times.dt.tz_localize(None).to_numpy("datetime64[us]").astype(np.int64)
    is_finer = (micros % 1000 != 0) | (times.dt.nanosecond.fillna(0).to_numpy() != 0)
    return RowTimes(micros // 1000, is_readable, is_readable & is_finer)


def _epochs(texts: "pd.Series[str]", is_number: NDArray[np.bool_]) -> RowTimes:
    numbers = np.zeros(len(texts), np.int64)
    numbers[is_number] = pd.to_numeric(texts[is_number].str.replace(r"\.0*$", "", regex=True)).to_numpy(np.int64)
    of_unit = {name: is_number & _lies_in_span(numbers, per_s) for name, per_s in _UNITS.items()}
    unit = max(of_unit, key=lambda name: int(of_unit[name].sum()))
    strange = np.flatnonzero(is_number & ~of_unit[unit])
    if len(strange):
        row = int(strange[0])
        raise TimeUnitError(
            f"its times are epochs that are not all in one unit: most are in {unit}, {texts.iloc[row]} is not a time "
            f"between 2009 and 2100 in {unit}",
            row,
        )
    per_ms, remainder = divmod(_UNITS[unit], 1000)
    if remainder:  # seconds
        return RowTimes(numbers * 1000, is_number, np.zeros(len(texts), np.bool_))
    return RowTimes(numbers // per_ms, is_number, is_number & (numbers % per_ms != 0))


def _lies_in_span(numbers: NDArray[np.int64], per_s: int) -> NDArray[np.bool_]:
    is_inside: NDArray[np.bool_] = (numbers >= _EARLIEST_S * per_s) & (numbers < _LATEST_S * per_s)
    return is_inside
