"""Reads all that is stored of a span of time, for a page about it: signals, exports, trades, alerts, gaps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from pydantic import ValidationError

from monitoring.chain.comparison import Comparison, compare_with_backtest
from monitoring.chain.equity_curves import equity_curves
from monitoring.chain.latency import Latency, latencies
from monitoring.chain.reconciler import Counterparts, reconcile_all
from monitoring.chain.reconciliation import Reconciliation
from monitoring.chain.signal_chain import EXPORT_FIELDS, Scope, SignalChain, first_seen, read_stored, signal_chains
from monitoring.chain.traded_span import read_span
from monitoring.facts import ResearchHealth
from monitoring.sources.research_health import ResearchReader, RunReader, research_health
from monitoring.sources.series_health import Series
from monitoring.sources.watched_strategies import Found, find_watched
from monitoring.watch_file import WatchedStrategy
from schemas.collections import BAR_GAPS, MONITOR_ALERTS, SIGNAL_EXPORTS, SIGNALS, Store
from schemas.documents import GapState
from schemas.errors import InputError
from schemas.monitor_documents import MonitorAlert
from schemas.timeframes import Timeframe


@dataclass(frozen=True, slots=True)
class SpanGap:
    """A stretch of missing bars that touches the span: opens of the first and the last, and what became of it."""

    symbol: str
    timeframe: str
    start: datetime
    end: datetime
    state: GapState


@dataclass(frozen=True, slots=True)
class StrategySpan:
    """All that is told of one strategy and bot in the span.

    Attributes
    ----------
    watched : WatchedStrategy
        With its pairs, symbols and bot filled in; no bot where none reads its signals.
    research : ResearchHealth
    chains : tuple of SignalChain
        Its signals, oldest first.
    latency : tuple of Latency
    reconciliation : Reconciliation or None
        Of the stored documents; None without a bot.
    comparison : Comparison or None
        Live trades beside the backtest.
    not_compared : str or None
        Why there is no comparison, as a sentence.
    curves : DataFrame or None
        As `equity_curves` gives them.
    """

    watched: WatchedStrategy
    research: ResearchHealth
    chains: tuple[SignalChain, ...]
    latency: tuple[Latency, ...]
    reconciliation: Reconciliation | None
    comparison: Comparison | None
    not_compared: str | None
    curves: pd.DataFrame | None


@dataclass(frozen=True, slots=True)
class SpanFacts:
    """What a page about a span shows; `at` is when it was read."""

    since: datetime
    until: datetime
    at: datetime
    strategies: tuple[StrategySpan, ...]
    alerts: tuple[MonitorAlert, ...]
    gaps: tuple[SpanGap, ...]


def read_span_facts(
    db: Store,
    since: datetime,
    until: datetime,
    at: datetime,
    named: Sequence[WatchedStrategy] = (),
    strategy_id: str | None = None,
) -> SpanFacts:
    """Return what is stored of [since, until).

    Parameters
    ----------
    db : Database
    since, until : datetime
    at : datetime
        The market's time now, `server_time(db)`.
    named : sequence of WatchedStrategy
        Those of the watch file; without any, all strategies with an export in the span.
    strategy_id : str, optional
        Only this one.

    Raises
    ------
    InputError
        Where `strategy_id` names nothing.
    """
    wanted = [one for one in named if strategy_id in (None, one.strategy_id)]
    entries = wanted or _in_span(db, since, until, strategy_id)
    if not entries and strategy_id is not None:
        raise InputError(
            f"A report needs signals, and none of {strategy_id} are stored. `signal-monitor report` without "
            "--strategy shows all that were exported."
        )
    found = find_watched(db, entries, until) if entries else ()
    series = {one for strategy in found for one in strategy.series}
    return SpanFacts(
        since=since,
        until=until,
        at=at,
        strategies=tuple(_strategy(db, one, since, until, at) for one in found),
        alerts=_alerts(
            db, since, until, {one.watched.strategy_id for one in found}, only_these=strategy_id is not None
        ),
        gaps=_gaps(db, series, since, until),
    )


def _in_span(db: Store, since: datetime, until: datetime, strategy_id: str | None) -> list[WatchedStrategy]:
    ended = {"exported_at": {"$gte": since, "$lte": until}}
    known = db[SIGNAL_EXPORTS].distinct("strategy_id") if strategy_id is None else [strategy_id]
    entries = []
    for name in sorted(map(str, known)):
        own = {"strategy_id": name}
        timeframes = db[SIGNAL_EXPORTS].distinct("timeframe", own | ended)
        if not timeframes and strategy_id is not None:  # asked for by name: also what another program exported
            timeframes = db[SIGNALS].distinct("timeframe", own)
        for timeframe in sorted(map(str, timeframes)):
            try:
                entries.append(WatchedStrategy(strategy_id=name, timeframe=timeframe))
            except ValidationError:  # another program's, and nothing that could be measured on a grid
                continue
    return entries


def _strategy(db: Store, found: Found, since: datetime, until: datetime, at: datetime) -> StrategySpan:
    watched, timeframe = found.watched, found.timeframe
    scope = Scope(watched.strategy_id, watched.consumer or "", timeframe, since, until)
    research = _research(db, watched, timeframe, since, min(until, at))
    chains = tuple(signal_chains(read_stored(db, scope), timeframe))
    bot_since = first_seen(db, scope) if watched.consumer else research.first_export_at
    comparison, curves, why_not = _comparison(db, scope) if watched.consumer else (None, None, "No bot reads them.")
    return StrategySpan(
        watched=watched,
        research=research,
        chains=chains,
        latency=tuple(latencies(watched.strategy_id, timeframe, chains, at, bot_since)),
        reconciliation=reconcile_all(db, scope, Counterparts(), at) if watched.consumer else None,
        comparison=comparison,
        not_compared=why_not,
        curves=curves,
    )


def _research(
    db: Store, watched: WatchedStrategy, timeframe: Timeframe, since: datetime, until: datetime
) -> ResearchHealth:
    own = {"strategy_id": watched.strategy_id, "exported_at": {"$gte": since, "$lte": until}}
    ended = db[SIGNAL_EXPORTS].find(own, EXPORT_FIELDS).sort("exported_at", 1)
    exports = [one for one in ended if one["timeframe"] == watched.timeframe]
    failed = RunReader(db).failed_runs().get(watched.strategy_id, ())
    return research_health(
        exports,
        timeframe,
        since,
        until,
        last_export=exports[-1] if exports else None,
        first_export_at=ResearchReader(db).first_export_at(watched.strategy_id, watched.timeframe),
        failed_runs=tuple(one for one in failed if since <= one.ended_at <= until),
        last_signals={},
    )


def _comparison(db: Store, scope: Scope) -> tuple[Comparison | None, pd.DataFrame | None, str | None]:
    try:
        span = read_span(db, scope)
        found = compare_with_backtest(span)
    except InputError as error:
        return None, None, str(error)
    return found, equity_curves(found, span.bars), None


def _alerts(
    db: Store, since: datetime, until: datetime, strategies: set[str], *, only_these: bool
) -> tuple[MonitorAlert, ...]:
    """Return alerts that lasted at some time of the span, oldest first."""
    lasting: dict[str, Any] = {"noticed_at": {"$lt": until}, "$or": [{"over_at": None}, {"over_at": {"$gte": since}}]}
    of = {"strategy_id": {"$in": [*sorted(strategies), None]}} if only_these else {}
    found = db[MONITOR_ALERTS].find(lasting | of, {"_id": False}).sort("noticed_at", 1)
    return tuple(MonitorAlert.model_validate(dict(one)) for one in found)


def _gaps(db: Store, series: Iterable[Series], since: datetime, until: datetime) -> tuple[SpanGap, ...]:
    found: list[SpanGap] = []
    for one in sorted(series):
        own = {"symbol": one.symbol, "timeframe": one.timeframe, "start": {"$lt": until}, "end": {"$gte": since}}
        stored = db[BAR_GAPS].find(own).sort("start", 1)
        found += [SpanGap(one.symbol, one.timeframe, gap["start"], gap["end"], gap["state"]) for gap in stored]
    return tuple(found)
