"""Finds in the store what the watch file leaves out: strategies, their bots, pairs and bars."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import structlog
from pydantic import ValidationError
from pymongo import DESCENDING

from monitoring.chain.document_shape import READABLE_TIMES, fault_of
from monitoring.chain.signal_chain import EXPORT_FIELDS, find_consumers
from monitoring.sources.series_health import Series
from monitoring.watch_file import WatchedStrategy
from schemas.collections import SIGNAL_EXPORTS, SIGNAL_RECEIPTS, SIGNALS, WORKFLOW_RUNS, Store
from schemas.timeframes import Timeframe

log = structlog.get_logger()
_RECENT = timedelta(days=1)
_RECENT_BARS = 3
_BOT_BARS = 30
_NEWEST_EXPORTS = 50
_STORED_TIMEFRAMES = ("1m", "1d")


@dataclass(frozen=True, slots=True)
class Found:
    """A strategy as it is watched: with its bot, pairs and symbols filled in, and the bars that it depends on."""

    watched: WatchedStrategy
    series: tuple[Series, ...]

    @property
    def timeframe(self) -> Timeframe:
        """The length of its bars."""
        return Timeframe.parse(self.watched.timeframe)


def find_watched(db: Store, named: Iterable[WatchedStrategy], at: datetime) -> tuple[Found, ...]:
    """Return what is watched, in the order of the file; without names, all strategies with an export of the last day.

    Where the file names no bot, each one is watched that saw a signal within a day or thirty bars, else the one that
    saw the newest; where nobody has, the strategy is watched without a bot. An address is one bot's: where several are
    found it is not used, which the log says once. The bars are those that the
    graphs read which exported it; where a graph is not stored, those of its signals' symbols.
    """
    entries = tuple(named) or _with_recent_exports(db, at)
    return tuple(found for entry in entries for found in _resolved(db, entry, at))


def _with_recent_exports(db: Store, at: datetime) -> tuple[WatchedStrategy, ...]:
    found = []
    for strategy_id in sorted(map(str, db[SIGNAL_EXPORTS].distinct("strategy_id"))):
        for name in sorted(map(str, db[SIGNAL_EXPORTS].distinct("timeframe", {"strategy_id": strategy_id}))):
            try:
                entry = WatchedStrategy(strategy_id=strategy_id, timeframe=name)
            except ValidationError:  # another program's, and nothing that the watch file could name
                continue
            newest = _newest_exports(db, entry)
            if newest and newest[0]["exported_at"] >= at - max(_RECENT, _RECENT_BARS * entry.bar):
                found.append(entry)
    return tuple(found)


def _resolved(db: Store, entry: WatchedStrategy, at: datetime) -> list[Found]:
    exports = _latest_exports(db, entry)
    pairs = entry.pairs or tuple(sorted({pair for export in exports for pair in export["pairs"]}))
    series = _series(db, entry, pairs, {str(export["run_id"]) for export in exports})
    known: dict[str, Any] = {"pairs": pairs, "symbols": tuple(sorted({one.symbol for one in series}))}
    consumers = [entry.consumer] if entry.consumer else _active_consumers(db, entry, at) or [None]
    if len(consumers) > 1 and (entry.freqtrade or entry.exchange):
        _say_unclear(entry.strategy_id, entry.timeframe, tuple(map(str, consumers)))
        known |= {"freqtrade": None, "exchange": None, "exchange_url": None}
    return [Found(entry.model_copy(update=known | {"consumer": one}), series) for one in consumers]


@cache
def _say_unclear(strategy_id: str, timeframe: str, consumers: tuple[str, ...]) -> None:
    """Say it once in a process: what is watched is found again every minute."""
    log.warning(
        "consumer_not_named",
        strategy_id=strategy_id,
        timeframe=timeframe,
        found=", ".join(consumers),
        why="The watch file gives an address of a bot or venue, and several bots read the strategy: neither is asked.",
        what_to_do="Name the `consumer` beside the address, in an entry for each bot.",
    )


def _latest_exports(db: Store, entry: WatchedStrategy) -> list[Mapping[str, Any]]:
    """Return the newest export, and those shortly before it: several graphs may export pairs of one strategy."""
    exports = _newest_exports(db, entry)
    since = max((export["exported_at"] - _RECENT_BARS * entry.bar for export in exports), default=None)
    return [export for export in exports if since is None or export["exported_at"] >= since]


def _newest_exports(db: Store, entry: WatchedStrategy) -> list[Mapping[str, Any]]:
    own = {"strategy_id": entry.strategy_id, "timeframe": entry.timeframe}
    found = db[SIGNAL_EXPORTS].find(own, EXPORT_FIELDS).sort("last_ts", DESCENDING).limit(_NEWEST_EXPORTS)
    return [export for export in found if fault_of(SIGNAL_EXPORTS, export) is None]


def _active_consumers(db: Store, entry: WatchedStrategy, at: datetime) -> list[str | None]:
    """A bot that was renamed has left its receipts behind, and is not missed."""
    newest: dict[str, datetime] = {}
    for consumer in find_consumers(db, entry.strategy_id):
        own: dict[str, Any] = {"consumer": consumer, "strategy_id": entry.strategy_id, "timeframe": entry.timeframe}
        own["seen_at"] = READABLE_TIMES
        found = db[SIGNAL_RECEIPTS].find_one(own, {"seen_at": True}, sort=[("seen_at", DESCENDING)])
        if found is not None:
            newest[consumer] = found["seen_at"]
    since = at - max(_RECENT, _BOT_BARS * entry.bar)
    active = [consumer for consumer, seen_at in newest.items() if seen_at >= since]
    return [*active] or [*sorted(newest, key=newest.__getitem__)[-1:]]


def _series(db: Store, entry: WatchedStrategy, pairs: Iterable[str], run_ids: set[str]) -> tuple[Series, ...]:
    if entry.symbols:
        return tuple(Series(symbol, _stored_timeframe(entry.timeframe)) for symbol in entry.symbols)
    runs = db[WORKFLOW_RUNS].find({"run_id": {"$in": sorted(run_ids)}}, {"graph.nodes": True})
    read = {series for run in runs for series in _read_by(run.get("graph") or {})}
    if read:
        return tuple(sorted(read))
    own = {"strategy_id": entry.strategy_id, "timeframe": entry.timeframe}
    signals = [
        db[SIGNALS].find_one(own | {"pair": pair}, {"symbol": True}, sort=[("ts", DESCENDING)]) for pair in pairs
    ]
    symbols = {str(signal["symbol"]) for signal in signals if signal is not None and "symbol" in signal}
    return tuple(Series(symbol, _stored_timeframe(entry.timeframe)) for symbol in sorted(symbols))


def _read_by(graph: Mapping[str, Any]) -> set[Series]:
    """Return the bars that a stored graph reads."""
    nodes = (graph.get("nodes") or {}).values()
    given = [node.get("params") or {} for node in nodes if node.get("type") == "read_bars"]
    read = {Series(symbol, params.get("timeframe", "1m")) for params in given for symbol in params.get("symbols", ())}
    return {series for series in read if series.timeframe in _STORED_TIMEFRAMES}


def _stored_timeframe(timeframe: str) -> str:
    return timeframe if timeframe in _STORED_TIMEFRAMES else "1m"
