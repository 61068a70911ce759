"""Reads how fresh stored bars are, and which of them are missing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from monitoring.chain.document_shape import READABLE_TIMES
from monitoring.facts import BarGapFacts, SeriesHealth
from schemas.collections import BAR_GAPS, DAY_BARS, Store, bars_collection
from schemas.timeframes import Timeframe

_DAY = r"^[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$"


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """The bars of one symbol and timeframe."""

    symbol: str
    timeframe: str


def read_series_health(db: Store, wanted: Iterable[Series], at: datetime) -> tuple[SeriesHealth, ...]:
    """Return how fresh each series is at a time, by timeframe and symbol: two queries a timeframe.

    Parameters
    ----------
    db : Database
    wanted : iterable of Series
        Of timeframes whose bars are stored.
    at : datetime
        The market's time.
    """
    by_timeframe: dict[str, set[str]] = {}
    for one in wanted:
        by_timeframe.setdefault(one.timeframe, set()).add(one.symbol)
    return tuple(
        health
        for name, symbols in sorted(by_timeframe.items())
        for health in _of_timeframe(db, Timeframe.parse(name), sorted(symbols), at)
    )


def _of_timeframe(db: Store, timeframe: Timeframe, symbols: list[str], at: datetime) -> list[SeriesHealth]:
    newest = _newest_opens(db, timeframe, symbols)
    gaps = _open_gaps(db, timeframe, symbols)
    return [
        SeriesHealth(
            symbol=symbol,
            timeframe=timeframe.name,
            last_open=newest.get(symbol),
            age_s=(at - newest[symbol] - timeframe.delta).total_seconds() if symbol in newest else None,
            open_gaps=tuple(gaps.get(symbol, ())),
        )
        for symbol in symbols
    ]


def _newest_opens(db: Store, timeframe: Timeframe, symbols: list[str]) -> dict[str, datetime]:
    """Ask for the newest bar of each symbol; sorted backwards MongoDB reads one key of the index for each."""
    collection = bars_collection(timeframe)
    time = "date" if collection == DAY_BARS else "datetime"
    pipeline: list[dict[str, Any]] = [
        {"$match": {"symbol": {"$in": symbols}}},
        {"$sort": {"symbol": -1, time: -1}},
        {"$group": {"_id": "$symbol", "newest": {"$first": f"${time}"}}},
    ]
    found = {one["_id"]: _open(one["newest"]) for one in db[collection].aggregate(pipeline)}
    for symbol in [symbol for symbol, newest in found.items() if newest is None]:
        # Another program wrote what is no time, and that sorts as the newest: the newest bar is among those below.
        readable = {"$regex": _DAY} if collection == DAY_BARS else READABLE_TIMES
        one = db[collection].find_one({"symbol": symbol, time: readable}, {time: True}, sort=[(time, -1)])
        found[symbol] = None if one is None else _open(one[time])
    return {symbol: newest for symbol, newest in found.items() if newest is not None}


def _open(stored: object) -> datetime | None:
    """Return a bar's open, bars of 1d are stored by their day's name; None of what is neither."""
    if isinstance(stored, datetime):
        return stored if READABLE_TIMES["$gte"] <= stored < READABLE_TIMES["$lt"] else None
    try:
        return datetime.strptime(str(stored), "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def _open_gaps(db: Store, timeframe: Timeframe, symbols: list[str]) -> dict[str, list[BarGapFacts]]:
    wanted: dict[str, Any] = {
        "symbol": {"$in": symbols},
        "timeframe": timeframe.name,
        "state": "open",
        "start": READABLE_TIMES,
    }
    gaps: dict[str, list[BarGapFacts]] = {}
    for gap in db[BAR_GAPS].find(wanted, {"symbol": True, "start": True, "end": True}).sort("start", 1):
        if isinstance(gap.get("end"), datetime):
            gaps.setdefault(gap["symbol"], []).append(BarGapFacts(gap["start"], gap["end"]))
    return gaps
