"""Writes a span of time as one HTML file that needs no network: latency, exports, trades, findings, alerts, gaps."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import plotly.graph_objects as go

from monitoring.chain.comparison import ComparedTrade, Comparison
from monitoring.chain.latency import Figures, Latency
from monitoring.chain.signal_chain import STAGES, percentile
from monitoring.report.comparison_table import bps, comparison_sentences, percent
from monitoring.report.span_charts import STAGE_NAMES, equity_figure, exports_figure, latency_figure, split_figure
from monitoring.sources.span_facts import SpanFacts, StrategySpan
from research.pages.page import render_page
from schemas.timeframes import Timeframe

MOST_ROWS = 50
MOST_FINDINGS = 200
_NONE = "–"


def render_span(facts: SpanFacts) -> str:
    """Return the page as one HTML text; all text in it is escaped, and what was not found is said."""
    charts: dict[str, go.Figure] = {}
    strategies = [_strategy(one, number, charts) for number, one in enumerate(facts.strategies, 1)]
    return render_page(
        "monitoring.report",
        "span.html.j2",
        charts,
        title=f"Signals from {_minute(facts.since)} to {_minute(facts.until)} UTC",
        warnings=_warnings(facts),
        headline=_headline(facts),
        lead=lead(facts),
        strategies=strategies,
        alerts=_alerts(facts)[:MOST_FINDINGS],
        alerts_left_out=max(0, len(facts.alerts) - MOST_FINDINGS),
        gaps=_gaps(facts),
    )


def lead(facts: SpanFacts) -> str:
    """Return the span's health in a sentence or two."""
    if not facts.strategies:
        return "Nothing was found: no strategy has an export in this span."
    signals = sum(len(one.chains) for one in facts.strategies)
    findings = sum(len(one.reconciliation.findings) for one in facts.strategies if one.reconciliation is not None)
    lasting = sum(1 for alert in facts.alerts if alert.over_at is None)
    closes = sum(one.research.closes for one in facts.strategies)
    exported = _ratio(sum(one.research.closes_exported for one in facts.strategies), closes)
    return (
        f"{_count(len(facts.strategies), 'strategy', 'strategies')} gave {_count(signals, 'signal', 'signals')}; "
        f"{f'{exported} of the closes were exported' if closes else 'no close was due for export'}. "
        f"{_count(findings, 'finding', 'findings')} in the reconciliation, "
        f"{_count(len(facts.alerts), 'alert', 'alerts')}{f' ({lasting:,} still on)' if lasting else ''}, "
        f"{_count(len(facts.gaps), 'gap', 'gaps')} in the bars. Read at {_minute(facts.at)} UTC."
    )


def _headline(facts: SpanFacts) -> list[dict[str, str]]:
    overall = [one.latency[0] for one in facts.strategies if one.latency]
    exported, seen = [one.exported for one in overall], [one.seen for one in overall]
    filled = [
        ms
        for one in facts.strategies
        for chain in one.chains
        if chain.seen is not None and (ms := chain.ms("filled")) is not None
    ]
    compared = [one.comparison.totals.difference for one in facts.strategies if one.comparison is not None]
    findings = sum(len(one.reconciliation.findings) for one in facts.strategies if one.reconciliation is not None)
    on_time = _ratio(sum(one.within for one in exported), sum(one.of for one in exported))
    seen_on_time = _ratio(sum(one.within for one in seen), sum(one.of for one in seen))
    tiles = [
        ("Signals", f"{sum(len(one.chains) for one in facts.strategies):,}", 0.0),
        ("Exported in time", on_time, 0.0),
        ("Seen in time", seen_on_time, 0.0),
        ("Close to fill, p95", duration(percentile(filled, 95)), 0.0),
        ("Live less backtest", percent(sum(compared)) if compared else _NONE, sum(compared)),
        ("Findings", f"{findings:,}", -findings),
        ("Alerts", f"{len(facts.alerts):,}", -len(facts.alerts)),
    ]
    return [{"name": name, "value": value, "tone": _tone(sign)} for name, value, sign in tiles]


def _warnings(facts: SpanFacts) -> list[str]:
    open_gaps = [gap for gap in facts.gaps if gap.state == "open"]
    warnings = [
        f"{gap.symbol} {gap.timeframe} lacks bars from {_minute(gap.start)} to {_minute(gap.end)} UTC."
        for gap in open_gaps[:5]
    ]
    if len(open_gaps) > len(warnings):
        warnings.append(f"{len(open_gaps) - len(warnings):,} more gaps are open.")
    if facts.until > facts.at:
        warnings.append(f"The span is not over: it was read at {_minute(facts.at)} UTC.")
    return warnings


def _strategy(one: StrategySpan, number: int, charts: dict[str, go.Figure]) -> dict[str, Any]:
    watched, found = one.watched, one.comparison
    timeframe = Timeframe.parse(watched.timeframe)
    values: dict[str, Any] = {
        "name": " · ".join([watched.strategy_id, watched.timeframe, watched.consumer or "no bot"]),
        "facts": _export_facts(one),
        "failed_run": _failed_run(one),
        "exports_chart": None,
        "latency": _latency_rows(one.latency[:1]),
        "latency_pairs": _latency_rows(one.latency[1:]),
        "latency_note": _latency_note(one.latency[0]) if one.latency else "",
        "latency_chart": None,
        "pairs": len(one.latency) - 1,
        "comparison": [one.not_compared] if found is None else comparison_sentences(found),
        "split_chart": None,
        **_reconciled(one),
    }
    if one.research.delay_s:
        values["exports_chart"] = f"exports{number}"
        charts[f"exports{number}"] = exports_figure(one.research.recorded, timeframe)
    if any(chain.seen is not None for chain in one.chains):
        values["latency_chart"] = f"latency{number}"
        charts[f"latency{number}"] = latency_figure(one.chains)
    if found is not None and found.trades and one.curves is not None:
        charts[f"split{number}"], values["split_note"] = split_figure(found)
        charts[f"equity{number}"] = equity_figure(one.curves)
        values |= {"split_chart": f"split{number}", "equity_chart": f"equity{number}", **_trades(found)}
    return values


def _export_facts(one: StrategySpan) -> dict[str, str]:
    research = one.research
    delays = [delay * 1000 for delay in research.delay_s]
    decisions = Counter(chain.decision or "no receipt" for chain in one.chains)
    reasons = Counter(chain.reason for chain in one.chains if chain.reason)
    told = ", ".join(f"{count:,} {name}" for name, count in decisions.most_common())
    why = ", ".join(f"{count:,} {name}" for name, count in reasons.most_common())
    return {
        "Closes exported": f"{_ratio(research.closes_exported, research.closes)} of {research.closes:,}"
        if research.closes
        else _NONE,
        "Exports": f"{research.exports:,}",
        "Signals written": f"{research.inserted:,} new, {research.changed:,} changed, {research.retracted:,} retracted",
        "Refused": f"{research.refused:,}",
        "Missing bars": f"{research.missing_bars:,}",
        "Export after close": f"p50 {duration(percentile(delays, 50))}, p95 {duration(percentile(delays, 95))}, "
        f"worst {duration(max(delays))}"
        if delays
        else _NONE,
        "What the bot did": (told or _NONE) + (f" ({why})" if why else ""),
    }


def _failed_run(one: StrategySpan) -> str:
    run = one.research.failed_run
    return "" if run is None else f"Run {run.run_id} of {run.graph} failed at {_minute(run.ended_at)} UTC: {run.error}"


def _latency_rows(latencies: Sequence[Latency]) -> list[dict[str, Any]]:
    rows = []
    for one in latencies:
        first = True
        for stage in STAGES:
            times = one.stages[stage]
            if times.after_close is None:
                continue
            rows.append(
                {
                    "pair": (one.pair or "all pairs") if first else "",
                    "signals": f"{one.signals:,}" if first else "",
                    "stage": STAGE_NAMES[stage],
                    "after": _cells(times.after_close, with_p99=True),
                    "step": _cells(times.step, with_p99=False),
                }
            )
            first = False
    return rows


def _cells(figures: Figures | None, *, with_p99: bool) -> list[str]:
    if figures is None:
        return [_NONE] * (4 if with_p99 else 3)
    percentiles = [figures.p50_ms, figures.p95_ms, *([figures.p99_ms] if with_p99 else []), figures.worst_ms]
    return [duration(ms) for ms in percentiles]


def _latency_note(overall: Latency) -> str:
    exported, seen = overall.exported, overall.seen
    return (
        f"Exported within half a bar of the close: {_ratio(exported.within, exported.of)} of {exported.of:,}. "
        f"Seen by the bot within three bars: {_ratio(seen.within, seen.of)} of {seen.of:,}."
    )


def _trades(found: Comparison) -> dict[str, Any]:
    trades = found.trades
    is_long = len(trades) > 2 * MOST_ROWS
    return {
        "other_exit": any(trade.split is not None and trade.split.other_exit for trade in trades),
        "trades_first": [_trade(trade) for trade in (trades[:MOST_ROWS] if is_long else trades)],
        "trades_last": [_trade(trade) for trade in trades[-MOST_ROWS:]] if is_long else [],
        "trades_left_out": f"{len(trades) - 2 * MOST_ROWS:,}",
    }


def _trade(trade: ComparedTrade) -> dict[str, str]:
    split = trade.split
    parts = {
        name: _NONE if split is None else bps(getattr(split, name)) for name in ("delay", "other_exit", "price", "fees")
    }
    return parts | {
        "pair": trade.pair,
        "signal": _NONE if trade.ts is None else _minute(trade.ts),
        "live": percent(trade.live_ratio),
        "live_tone": _tone(trade.live_ratio or 0.0),
        "backtest": percent(trade.backtest_ratio),
        "backtest_tone": _tone(trade.backtest_ratio or 0.0),
        "apart": bps(trade.difference),
        "tone": _tone(trade.difference),
        "reason": trade.reason or "",
    }


def _reconciled(one: StrategySpan) -> dict[str, Any]:
    found = one.reconciliation
    if found is None:
        return {"reconciled": "No bot reads these signals.", "findings": [], "findings_left_out": 0}
    verdict = "nothing missing, nothing double" if found.agrees else _count(len(found.findings), "finding", "findings")
    return {
        "reconciled": " ".join(found.not_compared)
        or f"{_count(found.signals, 'signal', 'signals')}, {_count(found.receipts, 'receipt', 'receipts')}, "
        f"{_count(found.fills, 'fill', 'fills')} in the store: {verdict}.",
        "findings": [
            {
                "kind": row.kind,
                "pair": row.pair,
                "ts": _NONE if row.ts is None else _minute(row.ts),
                "what": row.what,
            }
            for row in found.findings[:MOST_FINDINGS]
        ],
        "findings_left_out": max(0, len(found.findings) - MOST_FINDINGS),
    }


def _alerts(facts: SpanFacts) -> list[dict[str, str]]:
    return [
        {
            "began": _minute(alert.began_at),
            "over": "lasts" if alert.over_at is None else _minute(alert.over_at),
            "severity": alert.severity,
            "rule": alert.rule,
            "text": alert.text,
        }
        for alert in facts.alerts
    ]


def _gaps(facts: SpanFacts) -> list[dict[str, str]]:
    return [
        {
            "symbol": gap.symbol,
            "timeframe": gap.timeframe,
            "start": _minute(gap.start),
            "end": _minute(gap.end),
            "bars": f"{(gap.end - gap.start) // Timeframe.parse(gap.timeframe).delta + 1:,}",
            "state": gap.state,
        }
        for gap in facts.gaps
    ]


def duration(ms: float | None) -> str:
    """Return milliseconds as a person reads them."""
    if ms is None:
        return _NONE
    if abs(ms) < 1_000:
        return f"{ms:,.0f} ms"
    return f"{ms / 1_000:,.2f} s" if abs(ms) < 100_000 else f"{ms / 60_000:,.1f} min"


def _ratio(part: int, whole: int) -> str:
    return _NONE if not whole else f"{part / whole * 100:.4g} %"


def _count(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


def _tone(value: float) -> str:
    return "gain" if value > 0 else "loss" if value < 0 else "even"
