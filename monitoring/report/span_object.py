"""Lays a span's facts out as plain values for machines."""

from typing import Any

from monitoring.chain.latency import Figures, Latency
from monitoring.report.comparison_table import comparison_object
from monitoring.report.json_time import json_time
from monitoring.report.tables import reconciliation_object
from monitoring.sources.span_facts import SpanFacts, StrategySpan


def span_object(facts: SpanFacts) -> dict[str, Any]:
    """Return what the page about a span shows as plain JSON values."""
    return {
        "since": json_time(facts.since),
        "until": json_time(facts.until),
        "at": json_time(facts.at),
        "strategies": [_strategy(one) for one in facts.strategies],
        "alerts": [
            alert.model_dump(mode="json", exclude={"slot", "revision", "claimed_until"}) for alert in facts.alerts
        ],
        "gaps": [
            {
                "symbol": gap.symbol,
                "timeframe": gap.timeframe,
                "start": json_time(gap.start),
                "end": json_time(gap.end),
                "state": gap.state,
            }
            for gap in facts.gaps
        ],
    }


def _strategy(one: StrategySpan) -> dict[str, Any]:
    research = one.research
    run = research.failed_run
    return {
        "strategy_id": one.watched.strategy_id,
        "timeframe": one.watched.timeframe,
        "consumer": one.watched.consumer,
        "pairs": list(one.watched.pairs),
        "signals": len(one.chains),
        "exports": {
            "count": research.exports,
            "closes": research.closes,
            "closes_exported": research.closes_exported,
            "inserted": research.inserted,
            "changed": research.changed,
            "unchanged": research.unchanged,
            "retracted": research.retracted,
            "refused": research.refused,
            "missing_bars": research.missing_bars,
            "delay_s": list(research.delay_s),
            "failed_run": None
            if run is None
            else {"run_id": run.run_id, "graph": run.graph, "ended_at": json_time(run.ended_at), "error": run.error},
        },
        "latency": [_latency(latency) for latency in one.latency],
        "reconciliation": None if one.reconciliation is None else reconciliation_object(one.reconciliation),
        "comparison": None if one.comparison is None else comparison_object(one.comparison),
        "not_compared": one.not_compared,
    }


def _latency(latency: Latency) -> dict[str, Any]:
    return {
        "pair": latency.pair,
        "signals": latency.signals,
        "stages": {
            name: {"after_close": _figures(stage.after_close), "step": _figures(stage.step)}
            for name, stage in latency.stages.items()
        },
        "exported_in_time": {"within": latency.exported.within, "of": latency.exported.of},
        "seen_in_time": {"within": latency.seen.within, "of": latency.seen.of},
    }


def _figures(figures: Figures | None) -> dict[str, float] | None:
    if figures is None:
        return None
    return {
        "count": figures.count,
        "p50_ms": figures.p50_ms,
        "p95_ms": figures.p95_ms,
        "p99_ms": figures.p99_ms,
        "worst_ms": figures.worst_ms,
    }
