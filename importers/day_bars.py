"""Makes bars of 1d from the stored bars of 1m: of complete days only, since a part of a day is no day."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from importers.bar_documents import BarLayout
from importers.bars import Bars
from importers.stored_bars import first_open_ms, last_open_ms
from schemas.collections import MINUTE_BARS, Store
from schemas.errors import InputError
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

_DAY_MS = 86_400_000
_MINUTES_A_DAY = 1440
_DAYS_A_QUERY = 92
_NAMED_DAYS = 10


@dataclass(frozen=True, slots=True)
class DayBars:
    """Bars of complete days, and the days that have some of their minutes only, with how many."""

    bars: Bars
    incomplete: dict[str, int]

    @property
    def note(self) -> str:
        """The incomplete days in a sentence."""
        named = [f"{day} ({count:,} of {_MINUTES_A_DAY:,} minutes)" for day, count in self.incomplete.items()]
        more = f" and {len(named) - _NAMED_DAYS:,} more" if len(named) > _NAMED_DAYS else ""
        days = "day" if len(named) == 1 else "days"
        return (
            f"{self.bars.symbol}: no 1d bar was made of {len(named):,} incomplete {days}: "
            f"{', '.join(named[:_NAMED_DAYS])}{more}. Import their missing minutes and run it again."
        )


def day_bars(db: Store, symbol: Symbol, since_ms: int | None, until_ms: int | None) -> DayBars:
    """Return the daily bars that the stored minutes of a symbol make.

    Open of the first minute, close of the last, highest high, lowest low, and the sum of the volumes, which MongoDB
    adds up with compensation, so that it is not off by the rounding of 1,440 additions.

    Parameters
    ----------
    db : Database
    symbol : Symbol
    since_ms, until_ms : int or None
        The days that open from the first on and before the second.

    Raises
    ------
    InputError
        Where no bars of 1m are stored.
    """
    minutes = BarLayout(symbol, Timeframe.parse("1m"))
    first, last = first_open_ms(db, minutes), last_open_ms(db, minutes)
    if first is None or last is None:
        raise InputError(f"No bars of {symbol} 1m are stored to make bars of 1d from. Import them with --tf 1m first.")
    start = max(first, -(-(since_ms or 0) // _DAY_MS) * _DAY_MS)
    end = min(last + 1, until_ms if until_ms is not None else last + 1)
    opens: list[int] = []
    values: list[list[float]] = []
    incomplete: dict[str, int] = {}
    for day in _grouped(db, minutes, start, end):
        if day["minutes"] == _MINUTES_A_DAY:
            opens.append(int(day["_id"].timestamp()) * 1000)
            values.append([float(day[name]) for name in ("open", "high", "low", "close", "volume")])
        else:
            incomplete[f"{day['_id']:%Y-%m-%d}"] = day["minutes"]
    table = np.array(values, np.float64).reshape(-1, 5)
    return DayBars(Bars.of(symbol, Timeframe.parse("1d"), np.array(opens, np.int64), table), incomplete)


def _grouped(db: Store, minutes: BarLayout, start_ms: int, end_ms: int) -> Iterator[dict[str, Any]]:
    """Give one document a day, ascending; some months a query, so that the server never holds much."""
    start = start_ms
    while start < end_ms:
        end = min((start // _DAY_MS + _DAYS_A_QUERY) * _DAY_MS, -(-end_ms // _DAY_MS) * _DAY_MS)
        query = minutes.range_filter(start // _DAY_MS * _DAY_MS, end - 1)
        yield from db[MINUTE_BARS].aggregate(_day_stages(query))  # type: ignore[misc]
        start = end


def _day_stages(query: dict[str, Any]) -> list[dict[str, Any]]:
    day = {"$dateTrunc": {"date": "$datetime", "unit": "day"}}
    group = {
        "_id": day,
        "open": {"$first": "$open"},
        "high": {"$max": "$high"},
        "low": {"$min": "$low"},
        "close": {"$last": "$close"},
        "volume": {"$sum": "$volume"},
        "minutes": {"$sum": 1},
    }
    return [{"$match": query}, {"$sort": {"symbol": 1, "datetime": 1}}, {"$group": group}, {"$sort": {"_id": 1}}]
