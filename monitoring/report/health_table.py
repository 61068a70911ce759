"""Lays one look out: a line that sums it up, a row for each side, a line for each problem."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from monitoring.alerts.verdict import Verdict, length
from monitoring.chain.reconciliation import Reconciliation
from monitoring.chain.signal_chain import percentile
from monitoring.facts import BotHealth, Look, ResearchHealth, SeriesHealth, StrategyLook, VenueHealth
from monitoring.problem import Severity
from monitoring.report.json_time import json_time
from monitoring.report.run_lines import problem_object
from schemas.timeframes import Timeframe

_STYLES = {Severity.HEALTHY: "green", Severity.WARNING: "yellow", Severity.CRITICAL: "red"}
_WORDS = {Severity.HEALTHY: "OK", Severity.WARNING: "WARNING", Severity.CRITICAL: "CRITICAL"}
_NO_ANSWER = "no answer"

Row = tuple[str, str, str]


def summary(look: Look, verdict: Verdict) -> str:
    """Return the line that monitoring systems show: the state, how many problems, and the worst one."""
    word = _WORDS[verdict.severity]
    if not verdict.problems:
        count = len(look.strategies)
        watched = f"{count:,} {'strategy' if count == 1 else 'strategies'}"
        return f"{word}: {watched} and {len(look.series):,} series of bars, nothing wrong {_clock(look.at)} UTC."
    more = len(verdict.problems) - 1
    others = f" And {more:,} more." if more else ""
    return f"{word}: {verdict.problems[0].text}{others}"


def health_text(look: Look, verdict: Verdict) -> RenderableType:
    """Return the summary, a table of what is there, and a line for each problem."""
    style = _STYLES[verdict.severity]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("side", "of", "state"):
        table.add_column(title, overflow="fold")
    for row in _rows(look):
        table.add_row(*map(escape, row))
    problems = [
        Text.assemble((f"{_WORDS[one.severity]:<8}", _STYLES[one.severity]), f"  {one.rule}: {one.text}")
        for one in verdict.problems
    ]
    first = Text(summary(look, verdict), style=style)
    return Group(first, Text(""), table, *([Text(""), *problems] if problems else []))


def health_object(look: Look, verdict: Verdict) -> dict[str, Any]:
    """Return the same as plain JSON values."""
    return {
        "status": verdict.severity.name.lower(),
        "exit_code": int(verdict.severity),
        "summary": summary(look, verdict),
        "at": json_time(look.at),
        "problems": [problem_object(problem) for problem in verdict.problems],
        "mongodb": {
            "ping_ms": look.store.ping_ms,
            "is_replica_set": look.store.is_replica_set,
            "error": look.store.error,
        },
        "series": [
            {
                "symbol": one.symbol,
                "timeframe": one.timeframe,
                "last_open": json_time(one.last_open),
                "age_s": one.age_s,
                "open_gaps": [{"start": json_time(gap.start), "end": json_time(gap.end)} for gap in one.open_gaps],
            }
            for one in look.series
        ],
        "strategies": [_strategy_object(one) for one in look.strategies],
    }


def _strategy_object(one: StrategyLook) -> dict[str, Any]:
    research, bot, venue, result = one.research, one.bot, one.venue, one.reconciliation
    return {
        "strategy_id": one.watched.strategy_id,
        "timeframe": one.watched.timeframe,
        "consumer": one.watched.consumer,
        "pairs": list(one.watched.pairs),
        "research": None
        if research is None
        else {
            "last_export_at": json_time(research.last_export_at),
            "last_bar": json_time(research.last_bar),
            "success": research.success,
            "closes": research.closes,
            "inserted": research.inserted,
            "refused": research.refused,
            "delay_p95_s": percentile(research.delay_s, 95),
            "failed_run": None if research.failed_run is None else research.failed_run.run_id,
        },
        "bot": None
        if bot is None
        else {
            "ping_ms": bot.ping_ms,
            "state": bot.state,
            "last_process": json_time(bot.last_process),
            "open_trades": bot.open_trades,
            "max_open_trades": bot.max_open_trades,
            "free_quote": _number(bot.free_quote),
            "stake_quote": _number(bot.stake_quote),
            "stake_currency": bot.stake_currency,
            "error": bot.error,
        },
        "venue": None if venue is None else {"ping_ms": venue.ping_ms, "error": venue.error},
        "reconciliation": None
        if result is None
        else {
            "agrees": result.agrees,
            "findings": len(result.findings),
            "not_compared": list(result.not_compared),
        },
    }


def _rows(look: Look) -> Iterator[Row]:
    kind = "replica set" if look.store.is_replica_set else "standalone"
    up = _NO_ANSWER if look.store.ping_ms is None else f"answers in {look.store.ping_ms:.1f} ms, {kind}"
    yield "MongoDB", "", up
    if look.store.ping_ms is None and not look.strategies:
        yield "all else", "", "not asked while MongoDB is away"
    for series in look.series:
        yield "bars", f"{series.symbol} {series.timeframe}", _bars(series)
    for one in look.strategies:
        of = f"{one.watched.strategy_id} {one.watched.timeframe}"
        if one.research is not None:
            yield "research", of, _research(look, one.research)
        if one.bot is not None:
            yield "bot", one.watched.consumer or of, _bot(look, one.bot)
        if one.venue is not None:
            yield "venue", one.watched.exchange or "", _venue(one.venue)
        if one.reconciliation is not None:
            yield "all sides", of, _agreement(one.reconciliation)


def _bars(series: SeriesHealth) -> str:
    if series.last_open is None or series.age_s is None:
        return "none stored"
    gaps = f", {len(series.open_gaps):,} open gaps" if series.open_gaps else ""
    bar = Timeframe.parse(series.timeframe).delta
    return f"newest closed {_clock(series.last_open + bar)}, {_age(series.age_s)} ago{gaps}"


def _research(look: Look, research: ResearchHealth) -> str:
    if research.last_export_at is None:
        return "has not exported yet"
    # Rounded down: all but one of many is not all.
    part = None if research.success is None else math.floor(research.success * 1_000) / 10
    success = "" if part is None else f", {part:g} % of {research.closes:,} closes"
    delay = percentile(research.delay_s, 95)
    late = "" if delay is None else f", 95 % in {delay:.2f} s"
    ago = _age((look.at - research.last_export_at).total_seconds())
    return f"exported {ago} ago{success}{late}"


def _bot(look: Look, bot: BotHealth) -> str:
    if bot.error is not None or bot.ping_ms is None:
        return _NO_ANSWER
    loop = "" if bot.last_process is None else f", last loop {_age((look.at - bot.last_process).total_seconds())} ago"
    trades = "" if bot.open_trades is None else f", trades: {bot.open_trades:,}"
    free = "" if bot.free_quote is None else f", {bot.free_quote:,.2f} {bot.stake_currency or ''} free".rstrip()
    return f"{bot.state or 'answers'}{loop}{trades}{free}"


def _venue(venue: VenueHealth) -> str:
    if venue.error is not None:
        return _NO_ANSWER
    return "limits us, and is left alone" if venue.ping_ms is None else f"answers in {venue.ping_ms:.1f} ms"


def _agreement(result: Reconciliation) -> str:
    if result.agrees:
        return "not compared: see below" if result.not_compared else "agrees"
    return f"{len(result.findings):,} findings{', not all sides answered' if result.not_compared else ''}"


def _age(seconds: float) -> str:
    return length(timedelta(seconds=max(0.0, round(seconds))))


def _clock(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
