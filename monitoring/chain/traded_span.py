"""Reads what a comparison of live trades with the backtest needs: signals, bars, positions, fills and receipts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pandas as pd
from bson.codec_options import CodecOptions, DatetimeConversion

from monitoring.chain.backtest_trades import merged_bars
from monitoring.chain.signal_chain import Scope, first_seen
from research.readers import get_market_data
from schemas.collections import FILLS, POSITIONS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.errors import InputError
from schemas.signal_actions import Signals
from schemas.signal_feed import NO_SIGNALS, signals_of

_MS: CodecOptions[dict[str, Any]] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
_SIGNAL_FIELDS = ("pair", "symbol", "ts", "action", "score", "weight", "valid_until", "version")
_FIRST_USABLE_BARS = 4  # by default a signal may be used until three bars after its bar's close
_STORED_DAYS = "1d"


@dataclass(frozen=True, slots=True)
class TradedSpan:
    """All that is stored of one strategy, one bot and one stretch of time.

    Attributes
    ----------
    scope : Scope
        Its `since` is when the bot could use a signal first, where that is later than what was asked for.
    starts : mapping of str to datetime
        For each pair the first bar that counts: where the bot held a position at the beginning, its entry's.
    signals, bars : mapping of str to Signals and to DataFrame
        For each pair; a pair without bars is in `signals` only.
    positions : sequence of documents
        Oldest first: those that signals of the span opened, those that were held at its beginning, and those that no
        signal opened in its time.
    fills : mapping of (str, int) to sequence of documents
        For each pair and trade, oldest first.
    receipts : mapping of (str, datetime) to document
        For each pair and `ts`.
    """

    scope: Scope
    starts: Mapping[str, datetime]
    signals: Mapping[str, Signals]
    bars: Mapping[str, pd.DataFrame]
    positions: Sequence[Mapping[str, Any]]
    fills: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]]
    receipts: Mapping[tuple[str, datetime], Mapping[str, Any]] = field(default_factory=dict)

    @property
    def without_bars(self) -> list[str]:
        """Pairs that were signalled or traded, and of which no bars are stored."""
        return sorted(set(self.starts) - set(self.bars))


def read_span(db: Store, scope: Scope) -> TradedSpan:
    """Return what is stored of a scope; of bars also the one that opens at its end, which fills its last signals.

    Raises
    ------
    InputError
        Where the bot had not begun before the end.
    StoreError
        Where a stored value is no number.
    """
    scope = _since_the_bot_began(db, scope)
    positions = _positions(db, scope)
    documents = _signal_documents(db, scope, positions)
    symbols = {one["pair"]: one["symbol"] for one in (*documents, *positions)}
    held = {one["pair"]: one["ts"] for one in positions if one.get("ts") is not None and one["ts"] < scope.since}
    starts = {pair: held.get(pair, scope.since) for pair in sorted(symbols)}
    by_pair: dict[str, list[Mapping[str, Any]]] = {}
    for document in documents:
        by_pair.setdefault(document["pair"], []).append(document)
    signals = {pair: signals_of(by_pair[pair])[0] if pair in by_pair else NO_SIGNALS for pair in starts}
    return TradedSpan(
        scope=scope,
        starts=starts,
        signals=signals,
        bars=_bars(db, scope, starts, symbols),
        positions=positions,
        fills=_fills(db, scope, positions),
        receipts=_receipts(db, scope, min(starts.values(), default=scope.since)),
    )


def _since_the_bot_began(db: Store, scope: Scope) -> Scope:
    """Leave out the time before the bot could use a signal: what was exported of it was not for this bot."""
    seen = first_seen(db, scope)
    if seen is None or seen >= scope.until:
        when = "never" if seen is None else f"first at {seen:%Y-%m-%d %H:%M} UTC"
        raise InputError(
            f"A comparison needs a bot that reads the signals of {scope.strategy_id} {scope.timeframe} before "
            f"{scope.until:%Y-%m-%d %H:%M} UTC; {scope.consumer} saw one {when}. Name another bot or a later end."
        )
    earliest = scope.timeframe.floor(seen) - _FIRST_USABLE_BARS * scope.timeframe.delta
    return replace(scope, since=max(scope.timeframe.floor(scope.since), earliest))


def _own(scope: Scope) -> dict[str, Any]:
    return {"consumer": scope.consumer, "strategy_id": scope.strategy_id, "timeframe": scope.timeframe.name}


def _positions(db: Store, scope: Scope) -> list[Mapping[str, Any]]:
    queries: list[dict[str, Any]] = [
        {"ts": {"$gte": scope.since, "$lt": scope.until}},
        {"ts": {"$lt": scope.since}, "$or": [{"state": "open"}, {"closed_at": {"$gte": scope.since}}]},
        {"ts": None, "opened_at": {"$gte": scope.since, "$lt": scope.until}},
    ]
    found = [one for query in queries for one in db[POSITIONS].find(_own(scope) | query)]
    return sorted(found, key=lambda one: (one["opened_at"], one["pair"]))


def _signal_documents(db: Store, scope: Scope, positions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the signals of the span, and those from the entry on of what was held at its beginning."""
    store = db.get_collection(SIGNALS, codec_options=_MS)
    fields = dict.fromkeys(_SIGNAL_FIELDS, True)
    found = list(store.find(scope.key, fields))
    for one in positions:
        if one.get("ts") is not None and one["ts"] < scope.since:
            before = {"pair": one["pair"], "ts": {"$gte": one["ts"], "$lt": scope.since}}
            found += store.find(scope.key | before, fields)
    return found


def _fills(
    db: Store, scope: Scope, positions: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, int], list[Mapping[str, Any]]]:
    """Return the fills of the positions' trades, those that no signal caused too."""
    if not positions:
        return {}
    first = min(one.get("ts") or one["opened_at"] for one in positions)
    traded = {"pair": {"$in": sorted({one["pair"] for one in positions})}}
    trades = {"trade_id": {"$in": sorted({one["trade_id"] for one in positions})}}
    causes: list[dict[str, Any]] = [{"ts": {"$gte": first}}, {"ts": None}]
    found: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for cause in causes:
        for fill in db[FILLS].find(_own(scope) | traded | trades | cause):
            found.setdefault((fill["pair"], fill["trade_id"]), []).append(fill)
    return {key: sorted(fills, key=lambda fill: fill["filled_at"]) for key, fills in found.items()}


def _receipts(db: Store, scope: Scope, since: datetime) -> dict[tuple[str, datetime], Mapping[str, Any]]:
    query = _own(scope) | {"ts": {"$gte": since, "$lt": scope.until}}
    fields = {"pair": True, "ts": True, "decision": True, "reason": True}
    return {(one["pair"], one["ts"]): one for one in db[SIGNAL_RECEIPTS].find(query, fields)}


def _bars(
    db: Store, scope: Scope, starts: Mapping[str, datetime], symbols: Mapping[str, str]
) -> dict[str, pd.DataFrame]:
    if not starts:
        return {}
    timeframe = scope.timeframe
    first, end = min(starts.values()), timeframe.floor(scope.until) + timeframe.delta
    stored = _STORED_DAYS if timeframe.name == _STORED_DAYS else "1m"
    bars = get_market_data(first, end, set(symbols.values()), ["open", "close"], timeframe=stored, db=db)
    if stored != timeframe.name:
        bars = merged_bars(bars, timeframe)
    found = {}
    for pair, start in starts.items():
        own = bars[(bars["symbol"] == symbols[pair]) & (bars["datetime"] >= start)].reset_index(drop=True)
        if len(own):
            found[pair] = own
    return found
