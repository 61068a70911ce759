"""Reads the bars that a live session needs: the last ones before a time, and those that came since."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pymongo

from quantflow_nodes.live.live_plan import BarSource
from quantflow_nodes.nodes.read_bars import no_bars
from quantflow_nodes.ports import Bars
from research.readers import get_market_data
from research.stored.stored_bars import BAR_FIELDS, DAYS, MINUTES, OPENS, StoredBars, joined, read_stretch
from schemas.collections import DAY_BARS, Store
from schemas.timeframes import Timeframe

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Found = tuple[str, int]
_FEW_SYMBOLS, _FEW_BARS = 8, 16


def milliseconds(time: datetime) -> int:
    """Return a time as milliseconds since the epoch."""
    return (time - EPOCH) // timedelta(milliseconds=1)


def time_of(time_ms: int) -> datetime:
    """Return milliseconds since the epoch as an aware UTC time."""
    return EPOCH + timedelta(milliseconds=time_ms)


class BarHistory:
    """The stored bars of a graph's sources, asked for by their closes in milliseconds.

    Parameters
    ----------
    db : Database
    timeout_s : float
        How long the reading of a few bars may take.
    """

    def __init__(self, db: Store, timeout_s: float) -> None:
        self._db, self._timeout_s = db, timeout_s

    def read(self, source: BarSource, after_ms: int, until_ms: int, symbols: Iterable[str] | None = None) -> Bars:
        """Return the bars that closed after one time and until another one, both by their close."""
        first, end = _opens(source, after_ms, until_ms)
        wanted = list(source.symbols if symbols is None else symbols)
        if len(wanted) <= _FEW_SYMBOLS and end - first <= _FEW_BARS * source.timeframe.seconds * 1000:
            return Bars(self._read_few(source, first, end, wanted), source.timeframe)
        start, stop = time_of(first), time_of(max(first, end))
        data = get_market_data(start, stop, wanted, timeframe=source.timeframe.name, db=self._db)
        return Bars(data, source.timeframe)

    def _read_few(self, source: BarSource, first: int, end: int, symbols: list[str]) -> pd.DataFrame:
        """Read a bar or two of some symbols without the threads that many bars are worth."""
        stored = _layout(source.timeframe)
        with pymongo.timeout(self._timeout_s):  # a frozen store is noticed, and asked again
            parts = [read_stretch(self._db, stored, symbol, first, end, BAR_FIELDS) for symbol in symbols]
        counts = [part[OPENS].size for part in parts]
        columns = joined(parts, BAR_FIELDS)
        opens = pd.DatetimeIndex(columns.pop(OPENS).view("datetime64[ms]"), tz="UTC")
        names = pd.Series(symbols, dtype="str").repeat(counts).reset_index(drop=True)
        return pd.DataFrame({"symbol": names, "datetime": opens, **columns})

    def tail(self, source: BarSource, until_ms: int, rows: int | None) -> tuple[Bars, dict[str, int]]:
        """Return the last bars of each symbol that closed until a time; None: all since the source's start.

        Returns
        -------
        Bars
            The bars; `rows` of each symbol, or as many as there are.
        dict of str to int
            For each symbol that has earlier bars too, the close of its first bar here, ms.

        Raises
        ------
        TooFewBarsError
            Where a symbol has no bar until then.
        """
        parts, known_from = [], {}
        starts = self._starts(source, until_ms, rows)
        whole = [symbol for symbol, start in starts.items() if start is None]
        if whole:
            parts.append(self.read(source, -1, until_ms, whole).data)
        for symbol, start in starts.items():
            if start is not None:
                known_from[symbol] = start
                parts.append(self.read(source, start - 1, until_ms, [symbol]).data)
        data = pd.concat(parts, ignore_index=True)
        missing = sorted(set(source.symbols) - set(data["symbol"].unique()))
        if missing:
            raise no_bars(missing, source.timeframe, source.start, time_of(until_ms))
        if len(parts) > 1:
            data = data.sort_values(["symbol", "datetime"], ignore_index=True)
        return Bars(data, source.timeframe), known_from

    def newest_close(self, source: BarSource, until_ms: int) -> int | None:
        """Return the close of the newest bar of any symbol that closed until a time, ms."""
        newest = [self._nth_last(source, symbol, until_ms, 1) for symbol in source.symbols]
        return max((close for close in newest if close is not None), default=None)

    def newest_of(self, sources: Iterable[BarSource], until_ms: int) -> int | None:
        """Return the close of the newest bar of any source that closed until a time, ms."""
        newest = [self.newest_close(source, until_ms) for source in sources]
        return max((close for close in newest if close is not None), default=None)

    def closes(self, source: BarSource, after_ms: int, until_ms: int) -> set[Found]:
        """Return symbol and close of the bars that closed after one time and until another one."""
        stored, (first, end) = _layout(source.timeframe), _opens(source, after_ms, until_ms)
        scope = {"symbol": {"$in": list(source.symbols)}, stored.time_field: _range(stored, first, end)}
        found = self._db[source.collection].find(scope, {"_id": 0, "symbol": 1, stored.time_field: 1})
        return {(bar["symbol"], open_of(source.collection, bar) + stored.step_ms) for bar in found}

    def _starts(self, source: BarSource, until_ms: int, rows: int | None) -> dict[str, int | None]:
        if rows is None:
            return dict.fromkeys(source.symbols)
        return {symbol: self._nth_last(source, symbol, until_ms, max(rows, 1)) for symbol in source.symbols}

    def _nth_last(self, source: BarSource, symbol: str, until_ms: int, nth: int) -> int | None:
        """Return the close of the nth bar before a time, counted back; None where there are fewer."""
        stored, (first, end) = _layout(source.timeframe), _opens(source, -1, until_ms)
        scope = {"symbol": symbol, stored.time_field: _range(stored, first, end)}
        cursor = self._db[source.collection].find(scope, {"_id": 0, stored.time_field: 1})
        order = [("symbol", -1), (stored.time_field, -1)]
        for bar in cursor.sort(order).skip(nth - 1).limit(1):
            return open_of(source.collection, bar) + stored.step_ms
        return None


def open_of(collection: str, bar: Mapping[str, Any]) -> int:
    """Return the open of a stored bar in milliseconds."""
    if collection == DAY_BARS:
        return milliseconds(datetime.strptime(bar["date"], "%Y%m%d").replace(tzinfo=UTC))
    return milliseconds(bar["datetime"])


def _layout(timeframe: Timeframe) -> StoredBars:
    return {"1m": MINUTES, "1d": DAYS}[timeframe.name]


def _opens(source: BarSource, after_ms: int, until_ms: int) -> tuple[int, int]:
    """Return the range [first, end) of opens whose bars closed after one time and until another one."""
    length = source.timeframe.seconds * 1000
    return max(milliseconds(source.start), after_ms - length + 1), until_ms - length + 1


def _range(stored: StoredBars, first: int, end: int) -> dict[str, Any]:
    return {"$gte": stored.bound(first), "$lt": stored.bound(max(first, end))}
