"""Reads one-minute bars from a CSV or a Freqtrade feather file, and says which row can not be used and why."""

import gzip
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper_exchange.errors import StartError
from paper_exchange.market.tape import MINUTE_MS, Tape
from paper_exchange.units import Floats, Ints, scale

TIME_COLUMNS = ("timestamp", "time", "date", "datetime")
VALUE_COLUMNS = ("open", "high", "low", "close", "volume")
# Epochs of the years 1990 to 2200 in seconds, ms, us and ns do not overlap, so the size tells the unit.
_EPOCH_UNITS_MS = (
    (6.3e8, 7.3e9, 1000.0),
    (6.3e11, 7.3e12, 1.0),
    (6.3e14, 7.3e15, 1e-3),
    (6.3e17, 7.3e18, 1e-6),
)


def read_tape(path: Path) -> tuple[Tape, int]:
    """Return the file's bars, and how many values were finer than 1e-8 and had to be rounded to it.

    Parameters
    ----------
    path
        ``.csv``, ``.csv.gz`` or ``.feather``, with a time column (timestamp, time, date or datetime: ISO
        text, naive meaning UTC, or an epoch in s, ms, us or ns) and open, high, low, close, volume.

    Raises
    ------
    StartError
        Where the file is missing, torn, empty or not of one-minute bars; the message names the row.
    """
    frame = _read(path)
    if frame.empty:
        raise StartError(f"{path} holds no bars; at least one row under the header is needed.")
    open_ms = _times(path, frame)
    values = {name: _floats(path, frame[name], name) for name in VALUE_COLUMNS}
    _check_times(path, frame, open_ms)
    _check_values(path, open_ms, values)
    prices = scale(np.concatenate([values[name] for name in VALUE_COLUMNS[:4]]))
    volume = scale(values["volume"])
    count = len(open_ms)
    opens, highs, lows, closes = (prices.values[i * count : (i + 1) * count] for i in range(4))
    if int(lows.min()) == 0:
        raise StartError(f"{path} has prices below {10.0**-prices.decimals:.8f}, finer than the venue's.")
    tape = Tape(open_ms, opens, highs, lows, closes, volume.values, prices.decimals, volume.decimals)
    return tape, prices.rounded + volume.rounded


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise StartError(f"A file of one-minute bars was needed at {path}; there is no such file.")
    try:
        if path.suffix == ".feather":
            frame = pd.read_feather(path)
        else:
            # As text: pandas' own number parser may miss the nearest float, which scale() needs.
            frame = pd.read_csv(path, dtype=str, skipinitialspace=True)
    except pd.errors.EmptyDataError:
        raise StartError(f"{path} is empty; a header and one-minute bars are needed.") from None
    except (OSError, EOFError, zlib.error, ValueError, pd.errors.ParserError) as error:
        raise StartError(f"{path} can not be read as one-minute bars: {_reason(path, error)}.") from None
    frame.columns = [str(name).strip().lower() for name in frame.columns]
    missing = [name for name in VALUE_COLUMNS if name not in frame.columns]
    if missing:
        raise StartError(
            f"{path} needs the columns {', '.join(VALUE_COLUMNS)}; missing: {', '.join(missing)}. "
            f"Found: {', '.join(frame.columns)}."
        )
    return frame


def _reason(path: Path, error: Exception) -> str:
    """Return why a file can not be read, in words of files and lines rather than of the parser."""
    if isinstance(error, gzip.BadGzipFile):
        return "its name says that it is packed by gzip, and it is not"
    if isinstance(error, EOFError | zlib.error):
        return "it is torn, its packed content is not whole"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if path.suffix == ".feather":
        return "it is torn, or no feather file"
    if isinstance(error, UnicodeDecodeError):
        return f"it is no text, byte {error.start + 1} is 0x{error.object[error.start]:02x}. A CSV was needed"
    # The parser counts records from 0 where a quote is open, and lines from 1 where there are too many fields.
    open_quote = re.search(r"EOF inside string starting at row (\d+)", str(error))
    if open_quote:
        return f"line {int(open_quote[1]) + 1} opens a quote that no line closes"
    fields = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
    if fields:
        return f"line {fields[2]} has {fields[3]} values where there are {fields[1]} columns"
    return "it is no CSV"


def _times(path: Path, frame: pd.DataFrame) -> Ints:
    names = [name for name in TIME_COLUMNS if name in frame.columns]
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise StartError(f"{path} needs one time column ({', '.join(TIME_COLUMNS)}), found: {found}.")
    column = frame[names[0]]
    if column.isna().any():
        raise StartError(f"{path} row {_row(column.isna())} has no time; the file may be torn there.")
    if isinstance(column.dtype, pd.DatetimeTZDtype) or column.dtype.kind == "M":
        return _milliseconds(column)
    if column.dtype.kind in "iuf" or re.fullmatch(r"[0-9.eE+]+", str(column.iloc[0])):
        return _epochs(path, column)
    times = pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")
    if times.isna().any():
        row = _row(times.isna())
        raise StartError(
            f"{path} row {row} has the time {column.iloc[row - 2]!r}; an ISO time such as "
            "2022-01-01 00:00:00 or an epoch was needed."
        )
    return _milliseconds(times)


def _milliseconds(times: "pd.Series[pd.Timestamp]") -> Ints:
    return np.asarray(pd.DatetimeIndex(times).as_unit("ms").asi8, dtype=np.int64)


def _epochs(path: Path, column: "pd.Series[Any]") -> Ints:
    values = _floats(path, column, "the time")
    for low, high, to_ms in _EPOCH_UNITS_MS:
        if low <= values.min() and values.max() < high:
            return np.rint(values * to_ms).astype(np.int64)
    raise StartError(
        f"{path} has times from {values.min():.0f} to {values.max():.0f}, which are not epochs in s, ms, us or "
        "ns of the years 1990 to 2200."
    )


def _floats(path: Path, column: "pd.Series[Any]", name: str) -> Floats:
    cells = column.to_numpy(dtype=object)
    try:
        numbers = cells.astype(np.float64)
    except (ValueError, TypeError):
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(numbers)
    if bad.any():
        row = _row(bad)
        found = "nothing" if pd.isna(cells[row - 2]) else repr(cells[row - 2])
        raise StartError(f"{path} row {row} has {found} for {name}; a number was needed. The file may be torn there.")
    return np.asarray(numbers, dtype=np.float64)


def _check_times(path: Path, frame: pd.DataFrame, open_ms: Ints) -> None:
    off = open_ms % MINUTE_MS != 0
    if off.any():
        raise StartError(f"{path} row {_row(off)} is not on a whole minute: {_at(open_ms, off)}.")
    step = np.diff(open_ms, prepend=open_ms[0] - MINUTE_MS)
    if (step == 0).any():
        raise StartError(
            f"{path} row {_row(step == 0)} repeats the minute {_at(open_ms, step == 0)}; each minute once, please."
        )
    if (step < 0).any():
        raise StartError(
            f"{path} row {_row(step < 0)} goes back in time to {_at(open_ms, step < 0)}; "
            "the oldest bar must come first."
        )
    if len(frame) > 1 and int(step[1:].min()) != MINUTE_MS:
        minutes = int(step[1:].min()) // MINUTE_MS
        raise StartError(f"{path} has bars of {minutes} minutes; the venue needs one-minute bars.")


def _check_values(path: Path, open_ms: Ints, values: dict[str, Floats]) -> None:
    low, high = values["low"], values["high"]
    rules = (
        (low <= 0, "a price that is not above 0"),
        (low > np.minimum(values["open"], values["close"]), "a low above its open or close"),
        (high < np.maximum(values["open"], values["close"]), "a high below its open or close"),
        (values["volume"] < 0, "a volume below 0"),
    )
    for broken, what in rules:
        if broken.any():
            raise StartError(f"{path} row {_row(broken)} ({_at(open_ms, broken)}) has {what}.")


def _row(flags: "np.ndarray[tuple[int], np.dtype[np.bool_]] | pd.Series[bool]") -> int:
    """Return the line in the file of the first True; the header is line 1."""
    return int(np.flatnonzero(np.asarray(flags))[0]) + 2


def _at(open_ms: Ints, flags: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> str:
    first = int(np.flatnonzero(flags)[0])
    return str(pd.Timestamp(int(open_ms[first]), unit="ms", tz="UTC").strftime("%Y-%m-%d %H:%M:%S UTC"))
