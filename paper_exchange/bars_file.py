"""Reads one-minute bars from a CSV or a Freqtrade feather file, and says which row can not be used and why."""

import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from paper_exchange.errors import StartError
from paper_exchange.tape import MINUTE_MS, Tape
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


def read_tape(path: Path) -> tuple[Tape, bool]:
    """Return the file's bars, and whether some value was finer than 1e-8 and had to be rounded.

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
    values = {name: _numbers(path, frame, name) for name in VALUE_COLUMNS}
    _check_times(path, frame, open_ms)
    _check_values(path, open_ms, values)
    prices = scale(np.concatenate([values[name] for name in VALUE_COLUMNS[:4]]))
    volume = scale(values["volume"])
    count = len(open_ms)
    opens, highs, lows, closes = (prices.values[i * count : (i + 1) * count] for i in range(4))
    if int(lows.min()) == 0:
        raise StartError(f"{path} has prices below {10.0**-prices.decimals:.8f}, finer than the venue's.")
    tape = Tape(open_ms, opens, highs, lows, closes, volume.values, prices.decimals, volume.decimals)
    return tape, prices.rounded or volume.rounded


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise StartError(f"A file of one-minute bars was needed at {path}; there is no such file.")
    try:
        if path.suffix == ".feather":
            frame = pd.read_feather(path)
        else:
            # pandas' own parser may miss the nearest float by one bit, and scale() needs the nearest.
            frame = pd.read_csv(path, float_precision="round_trip", skipinitialspace=True)
    except pd.errors.EmptyDataError:
        raise StartError(f"{path} is empty; a header and one-minute bars are needed.") from None
    except (OSError, EOFError, zlib.error, ValueError, pd.errors.ParserError) as error:
        raise StartError(f"{path} can not be read as one-minute bars: {error}.") from None
    frame.columns = [str(name).strip().lower() for name in frame.columns]
    missing = [name for name in VALUE_COLUMNS if name not in frame.columns]
    if missing:
        raise StartError(
            f"{path} needs the columns {', '.join(VALUE_COLUMNS)}; missing: {', '.join(missing)}. "
            f"Found: {', '.join(frame.columns)}."
        )
    return frame


def _times(path: Path, frame: pd.DataFrame) -> Ints:
    names = [name for name in TIME_COLUMNS if name in frame.columns]
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise StartError(f"{path} needs one time column ({', '.join(TIME_COLUMNS)}), found: {found}.")
    column = frame[names[0]]
    if column.isna().any():
        raise StartError(f"{path} row {_row(column.isna())} has no time; the file may be torn there.")
    if pd.api.types.is_numeric_dtype(column):
        return _epochs(path, column.to_numpy(dtype=np.float64), column)
    try:
        times = pd.to_datetime(column, utc=True, format="ISO8601") if column.dtype != "M8[ns]" else column
    except (ValueError, TypeError, OverflowError):
        bad = pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce").isna()
        row = int(np.flatnonzero(bad)[0]) if bad.any() else 0
        raise StartError(
            f"{path} row {row + 2} has the time {column.iloc[row]!r}; an ISO time such as "
            "2022-01-01 00:00:00 or an epoch was needed."
        ) from None
    return np.asarray(pd.DatetimeIndex(times).as_unit("ms").asi8, dtype=np.int64)


def _epochs(path: Path, values: Floats, column: "pd.Series[float]") -> Ints:
    for low, high, to_ms in _EPOCH_UNITS_MS:
        if low <= values.min() and values.max() < high:
            exact = column.to_numpy(dtype=np.int64) if np.all(values == np.rint(values)) else np.rint(values)
            return np.asarray(exact * int(to_ms) if to_ms >= 1 else exact // round(1 / to_ms), dtype=np.int64)
    raise StartError(
        f"{path} has times from {values.min():.0f} to {values.max():.0f}, which are not epochs in s, ms, us or "
        "ns of the years 1990 to 2200."
    )


def _numbers(path: Path, frame: pd.DataFrame, name: str) -> Floats:
    numbers = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(numbers)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise StartError(
            f"{path} row {row + 2} has {name} {frame[name].iloc[row]!r}; a number was needed. "
            "The file may be torn there."
        )
    return numbers


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
    if len(frame) > 1 and int(np.median(step[1:])) != MINUTE_MS:
        minutes = int(np.median(step[1:])) // MINUTE_MS
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
