"""Reads a span of the past: which strategies signalled, what became of each signal, and how long it took."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ASCENDING

from monitoring.chain.latency import Latency, latencies
from monitoring.chain.signal_chain import (
    Scope,
    SignalChain,
    find_consumers,
    first_seen,
    read_stored,
    signal_chains,
)
from schemas.collections import SIGNAL_EXPORTS, SIGNALS, Store
from schemas.errors import InputError
from schemas.timeframes import Timeframe

_NO_BOT = ""


@dataclass(frozen=True, slots=True)
class SpanSignals:
    """The signals of one strategy and timeframe in a span, as one bot saw them, by time of their bar, then pair.

    Attributes
    ----------
    scope : Scope
    consumer : str or None
        None where no bot has read the strategy's signals.
    chains : tuple of SignalChain
    latencies : tuple of Latency
        Of each pair, and before them of all together where there are several.
    """

    scope: Scope
    consumer: str | None
    chains: tuple[SignalChain, ...]
    latencies: tuple[Latency, ...]


def read_span(
    db: Store,
    since: datetime,
    until: datetime,
    at: datetime,
    *,
    strategy_id: str | None = None,
    timeframe: Timeframe | None = None,
    consumer: str | None = None,
) -> list[SpanSignals]:
    """Return the signals of bars that opened from `since` (included) to `until` (excluded).

    Parameters
    ----------
    db : Database
    since, until : datetime
    at : datetime
        The market's time now: what is not seen by then may be too late already.
    strategy_id, timeframe, consumer : optional
        Only these; by default all that have signals in the span, as each bot saw them that has read the strategy.
    """
    strategies = [strategy_id] if strategy_id is not None else sorted(map(str, db[SIGNALS].distinct("strategy_id")))
    return [
        _read(db, scope, at)
        for strategy in strategies
        for one in ([timeframe] if timeframe is not None else _timeframes(db, strategy, since, until))
        for scope in _scopes(db, Scope(strategy, consumer or _NO_BOT, one, since, until))
    ]


def _timeframes(db: Store, strategy_id: str, since: datetime, until: datetime) -> list[Timeframe]:
    stored = db[SIGNALS].distinct("timeframe", {"strategy_id": strategy_id, "ts": {"$gte": since, "$lt": until}})
    found = []
    for name in sorted(map(str, stored)):
        try:
            found.append(Timeframe.parse(name))
        except InputError:  # another program's, and no length of bars
            continue
    return sorted(found, key=lambda one: one.seconds)


def _scopes(db: Store, scope: Scope) -> list[Scope]:
    """Return the scope as each bot sees it; as it is where a bot is named, or none has read the strategy."""
    if scope.consumer != _NO_BOT:
        return [scope]
    bots = find_consumers(db, scope.strategy_id)
    return [Scope(scope.strategy_id, bot, scope.timeframe, scope.since, scope.until) for bot in bots] or [scope]


def _read(db: Store, scope: Scope, at: datetime) -> SpanSignals:
    stored = read_stored(db, scope)
    chains = tuple(signal_chains(stored, scope.timeframe))
    waited_from = due_from(db, scope)
    found = latencies(scope.strategy_id, scope.timeframe, chains, at, waited_from)
    return SpanSignals(scope, scope.consumer or None, chains, tuple(found))


def due_from(db: Store, scope: Scope) -> datetime | None:
    """Return from when on somebody waited for a strategy's signals; see `monitoring.chain.latency.latencies`."""
    if scope.consumer != _NO_BOT:
        return first_seen(db, scope)
    own = {"strategy_id": scope.strategy_id, "timeframe": scope.timeframe.name}
    first: Mapping[str, Any] | None = db[SIGNAL_EXPORTS].find_one(own, sort=[("exported_at", ASCENDING)])
    return None if first is None else first["exported_at"]
