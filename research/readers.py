"""Gives stored bars to research as one table: the only part of research that touches MongoDB."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from itertools import chain
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa

from research.stored.bars_copy import BarsCopies
from research.stored.cached_bars import read_through_copies
from research.stored.raw_columns import Column
from research.stored.stored_bars import (
    BAR_FIELDS,
    DAYS,
    MINUTES,
    OPENS,
    StoredBars,
    first_and_last,
    joined,
    read_stretch,
)
from schemas.collections import Store
from schemas.errors import InputError
from schemas.mongo import connect, settings_of
from schemas.settings import Settings
from schemas.symbols import Symbol, symbol_text
from schemas.timeframes import Timeframe, aware_utc, parse_time

TimeLike = str | date | datetime
_Read = TypeVar("_Read")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STORED = {"1m": MINUTES, "1d": DAYS}
_THREADS = 4  # two keep one mongod busy on the same machine, four hide the way to one elsewhere
_PIECE_BARS = 32_768  # what one thread reads at a time, so that none is left with much when the others are done
_TEXTS_AT_ONCE = 65_536  # the longest run of one symbol in memory: a column of it takes next to none
_SHORT_BARS = 65_536  # up to here a plain read takes no longer than it takes to look for changes and copy


def get_crypto_market_data(
    start: TimeLike,
    end: TimeLike,
    symbols: str | Symbol | Iterable[str | Symbol],
    fields: str | Iterable[str] | None = None,
    *,
    db: Store | None = None,
) -> pd.DataFrame:
    """Return bars of 1d from `crypto_market`; see `get_market_data`."""
    return get_market_data(start, end, symbols, fields, timeframe="1d", db=db)


def get_crypto_min_data(
    start: TimeLike,
    end: TimeLike,
    symbols: str | Symbol | Iterable[str | Symbol],
    fields: str | Iterable[str] | None = None,
    *,
    db: Store | None = None,
) -> pd.DataFrame:
    """Return bars of 1m from `crypto_market_1m`; see `get_market_data`."""
    return get_market_data(start, end, symbols, fields, timeframe="1m", db=db)


def get_market_data(
    start: TimeLike,
    end: TimeLike,
    symbols: str | Symbol | Iterable[str | Symbol],
    fields: str | Iterable[str] | None = None,
    type: str = "crypto",
    *,
    timeframe: str = "1d",
    db: Store | None = None,
) -> pd.DataFrame:
    """Return the stored bars of some symbols that opened from `start` on and before `end`.

    Parameters
    ----------
    start, end : str, date or datetime
        The half-open range [start, end) of a bar's open: a bar that opens at `start` is in, one that opens at `end`
        is not. A text is ISO 8601 ('2022-01-01', '20220101', '2022-01-01T12:00Z'; no zone means UTC), a date means
        its 00:00 UTC, a datetime must carry a zone.
    symbols : str, Symbol or iterable of them
        Such as 'BINANCE:BTCUSDT'. A symbol that is named twice is read once; one that has no bars adds no rows.
    fields : str, iterable of str or None
        Which of open, high, low, close, volume, and with 1d also date ('YYYYMMDD'); by default the first five.
        `symbol` and `datetime` are always there and may be named.
    type : str
        The market; 'crypto' is the one that is stored.
    timeframe : str
        '1d' or '1m'.
    db : Database or None
        A database of `schemas.mongo.connect`; by default the one that the settings name, for this call alone.

    Returns
    -------
    DataFrame
        Columns `symbol` (str), `datetime` (the bar's open, datetime64[ms, UTC]: MongoDB's own resolution), then the
        fields as asked, float64, NaN where a document lacks the field; `date` is str. Sorted by (symbol, datetime),
        each pair once, with a RangeIndex. The columns and types are the same where there are no rows.

    Raises
    ------
    InputError
        Where an argument can not be used: no symbol, an unknown field, type or timeframe, an end before the start.
    TimeError
        Where a time can not be read, or a datetime carries no zone.
    SymbolError
        Where a symbol has another form than VENUE:NAME.
    StoreError
        Where MongoDB can not be reached, or a stored value is no number.
    """
    if type != "crypto":
        raise InputError(f"The market type 'crypto' was needed, found {type!r}: no other is stored.")
    stored = _stored(timeframe)
    start_ms, end_ms = _milliseconds(start, "start"), _milliseconds(end, "end")
    if end_ms < start_ms:
        raise InputError(f"start must not lie after end, found start {start} and end {end}. Exchange them.")
    wanted = _fields(fields, timeframe)
    names = _symbols(symbols)
    if db is not None:
        return _read(db, stored, names, start_ms, end_ms, wanted)
    with connect(Settings.load()) as own:
        return _read(own, stored, names, start_ms, end_ms, wanted)


def _read(
    db: Store, stored: StoredBars, symbols: list[str], start_ms: int, end_ms: int, wanted: list[str]
) -> pd.DataFrame:
    """Return the bars frame, read in some threads: through local copies where these are of use, else plainly."""
    values = [field for field in wanted if field in BAR_FIELDS]
    copies = _copies(db, stored, end_ms - start_ms)
    with _Readers(_THREADS, thread_name_prefix="read-bars") as pool:
        read = copies and read_through_copies(db, copies, stored, symbols, (start_ms, end_ms), values, pool)
        columns, counts = read or _read_plainly(db, stored, symbols, (start_ms, end_ms), values, pool)
    return _frame(columns, counts, wanted)


class _Readers(ThreadPoolExecutor):
    """Threads that work in the context of the caller, who may have limited the time by `pymongo.timeout`."""

    def submit(self, fn: Callable[..., _Read], /, *args: Any, **kwargs: Any) -> Future[_Read]:
        """Have `fn` run as any executor would."""
        return super().submit(copy_context().run, fn, *args, **kwargs)


def _copies(db: Store, stored: StoredBars, length_ms: int) -> BarsCopies | None:
    """Return the folder of copies, or None where a read is short, the bars are few, or copies are turned off."""
    settings = settings_of(db)
    if stored is not MINUTES or length_ms <= _SHORT_BARS * stored.step_ms or not settings or not settings.bars_cache_mb:
        return None
    return BarsCopies(settings.home, settings.bars_cache_mb * 1_000_000)


def _read_plainly(
    db: Store,
    stored: StoredBars,
    symbols: list[str],
    stretch: tuple[int, int],
    fields: list[str],
    pool: ThreadPoolExecutor,
) -> tuple[dict[str, Column], dict[str, int]]:
    """Return the columns of all symbols, and how many bars each has, read piece by piece."""

    def pieces_of(symbol: str) -> list[tuple[str, int, int]]:
        return _pieces(db, stored, symbol, *stretch)

    def read(piece: tuple[str, int, int]) -> dict[str, Column]:
        symbol, start_ms, end_ms = piece
        return read_stretch(db, stored, symbol, start_ms, end_ms, fields)

    pieces = list(chain.from_iterable(pool.map(pieces_of, symbols)))
    parts = list(pool.map(read, pieces))
    counts = dict.fromkeys(symbols, 0)
    for (symbol, *_), part in zip(pieces, parts, strict=True):
        counts[symbol] += part[OPENS].size
    return joined(parts, fields), counts


def _pieces(db: Store, stored: StoredBars, symbol: str, start_ms: int, end_ms: int) -> list[tuple[str, int, int]]:
    """Cut the range into pieces that one reply can hold; a long one first shrinks to where there are bars."""
    length = _PIECE_BARS * stored.step_ms
    if end_ms - start_ms > length:
        ends = first_and_last(db, stored, symbol, start_ms, end_ms)
        if ends is None:
            return []
        start_ms, end_ms = ends[0], ends[1] + 1
    return [(symbol, at, min(at + length, end_ms)) for at in range(start_ms, end_ms, length)]


def _frame(columns: dict[str, Column], counts: dict[str, int], wanted: list[str]) -> pd.DataFrame:
    """Return the columns as a frame; `counts` says how many rows each symbol has, in order."""
    # Of whole numbers, which are UTC by themselves: of times without a zone pandas would make a copy.
    opens = pd.array(columns[OPENS], dtype=pd.DatetimeTZDtype("ms", "UTC"), copy=False)
    table: dict[str, Any] = {"symbol": _symbol_column(counts), OPENS: opens}
    for field in wanted:
        table[field] = opens.strftime("%Y%m%d") if field == "date" else columns[field]
    return pd.DataFrame(table, copy=False)


def _symbol_column(counts: dict[str, int]) -> "pd.Series[str]":
    """Return each symbol as many times as it has rows, as Arrow's texts: one run of them, taken again and again."""
    runs = []
    for symbol, rows in counts.items():
        run = pa.repeat(pa.scalar(symbol, pa.large_string()), min(rows, _TEXTS_AT_ONCE))
        runs += [run] * (rows // _TEXTS_AT_ONCE) + [run[: rows % _TEXTS_AT_ONCE]]
    column: pd.Series[str] = pa.chunked_array(runs, pa.large_string()).to_pandas()
    return column


def _stored(timeframe: str) -> StoredBars:
    name = Timeframe.parse(timeframe).name
    if name not in _STORED:
        raise InputError(f"Bars of {' and '.join(_STORED)} are stored, not of {name}. Use one of these.")
    return _STORED[name]


def _fields(fields: str | Iterable[str] | None, timeframe: str) -> list[str]:
    """Return the fields asked for, each once, without those that are always there."""
    asked = list(BAR_FIELDS) if fields is None else [fields] if isinstance(fields, str) else list(fields)
    known = [*BAR_FIELDS, "date"] if timeframe == "1d" else list(BAR_FIELDS)
    for field in asked:
        if field not in (*known, "symbol", OPENS):
            near = get_close_matches(str(field), known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise InputError(f"Bars of {timeframe} have no field {field!r}; they have {', '.join(known)}.{hint}")
    return [field for field in dict.fromkeys(asked) if field in known]


def _symbols(symbols: str | Symbol | Iterable[str | Symbol]) -> list[str]:
    asked = [symbols] if isinstance(symbols, str | Symbol) else list(symbols)
    if not asked:
        raise InputError("At least one symbol such as BINANCE:BTCUSDT was needed, found none.")
    return sorted({symbol_text(str(symbol) if isinstance(symbol, Symbol) else symbol) for symbol in asked})


def _milliseconds(value: TimeLike, what: str) -> int:
    """Return the first whole millisecond that is not before the time."""
    if isinstance(value, str):
        moment = parse_time(value, what)
    elif isinstance(value, date) and not isinstance(value, datetime):
        moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    else:
        moment = aware_utc(value, what)
    return -((_EPOCH - moment) // timedelta(milliseconds=1))
