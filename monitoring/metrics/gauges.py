"""What holds at the moment of a look, as gauges: built anew from each look, so what is no longer watched vanishes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from prometheus_client.core import GaugeMetricFamily, Metric

from monitoring.facts import BotHealth, Look, ResearchHealth, SeriesHealth, StrategyLook
from monitoring.problem import Problem, Severity
from monitoring.watch_file import WatchedStrategy
from schemas.timeframes import Timeframe

HELP = {
    "quantflow_health_status": "Worst problem of the last look: 0 healthy, 1 warning, 2 critical.",
    "quantflow_problems": "Problems that the last look found.",
    "quantflow_timeframe_seconds": "Length of a bar, for limits that are counted in bars.",
    "quantflow_mongodb_up": "Whether MongoDB answered: 1 or 0.",
    "quantflow_mongodb_ping_seconds": "How long MongoDB took to answer.",
    "quantflow_mongodb_replica_set": "Whether MongoDB is a replica set, which change streams need: 1 or 0.",
    "quantflow_bars_age_seconds": "How long ago the newest stored bar closed, in the market's time.",
    "quantflow_bars_open_gaps": "Stretches of bars that are missing.",
    "quantflow_bars_missing": "Bars that are missing in these stretches.",
    "quantflow_export_age_seconds": "How long ago the newest export of the strategy ended: its heartbeat.",
    "quantflow_export_success_ratio": "Share of the closes in the span looked at that an export covers.",
    "quantflow_export_missing_bars": "Bars of the span that research lacked when it exported.",
    "quantflow_graph_run_failed": "Whether the newest run of a graph that exports the strategy failed: 1 or 0.",
    "quantflow_signals_in_span": "Signals of the span that was looked at, by what the bot did with them.",
    "quantflow_bot_up": "Whether Freqtrade's REST API answered: 1 or 0.",
    "quantflow_bot_ping_seconds": "How long Freqtrade's REST API took to answer.",
    "quantflow_bot_running": "Whether Freqtrade says that it is running: 1 or 0.",
    "quantflow_bot_process_age_seconds": "How long ago Freqtrade's last loop ended.",
    "quantflow_bot_free_quote": "What is free on the account, in the stake currency.",
    "quantflow_bot_next_stake_quote": "What the next entry would spend, in the stake currency.",
    "quantflow_bot_open_trades": "Trades that Freqtrade holds open.",
    "quantflow_bot_max_open_trades": "Trades that Freqtrade may hold open at once.",
    "quantflow_venue_up": "Whether the venue answered: 1 or 0.",
    "quantflow_venue_ping_seconds": "How long the venue took to answer.",
    "quantflow_reconciliation_agrees": "Whether all sides agreed when they were last compared: 1 or 0.",
    "quantflow_reconciliation_findings": "What did not agree when all sides were last compared.",
    "quantflow_reconciliation_compared": "Records that were compared last.",
}  # fmt: skip

_UNITS = ("seconds", "ratio")


class _Gauges:
    """Gathers samples by the name of their gauge; what is None is not known, and makes no sample."""

    def __init__(self) -> None:
        self._samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}

    def add(self, name: str, value: float | Decimal | None, **labels: str) -> None:
        # The same strategy may be watched for two bots: what research did is then told once.
        if value is not None:
            self._samples.setdefault(name, {})[tuple(labels.items())] = float(value)

    def families(self) -> Iterable[Metric]:
        for name, samples in self._samples.items():
            names = [label for label, _ in next(iter(samples))]
            unit = next((unit for unit in _UNITS if name.endswith(f"_{unit}")), "")
            family = GaugeMetricFamily(name, HELP[name], labels=names, unit=unit)
            for labels, value in samples.items():
                family.add_metric([text for _, text in labels], value)
            yield family


def look_gauges(look: Look, problems: Sequence[Problem]) -> list[Metric]:
    """Return the gauges of one look; a figure that nobody knows has no sample, rather than a zero.

    Parameters
    ----------
    look : Look
        What was found.
    problems : sequence of Problem
        What rules said of it.
    """
    gauges = _Gauges()
    _add_problems(gauges, problems)
    gauges.add("quantflow_mongodb_up", look.store.ping_ms is not None)
    gauges.add("quantflow_mongodb_ping_seconds", _seconds(look.store.ping_ms))
    if look.store.ping_ms is not None:
        gauges.add("quantflow_mongodb_replica_set", look.store.is_replica_set)
    for timeframe in {one.timeframe for one in look.series} | {one.watched.timeframe for one in look.strategies}:
        gauges.add("quantflow_timeframe_seconds", Timeframe.parse(timeframe).seconds, timeframe=timeframe)
    for series in look.series:
        _add_series(gauges, series)
    for one in look.strategies:
        _add_strategy(gauges, one, look.at)
    return list(gauges.families())


def strategy_labels(watched: WatchedStrategy) -> dict[str, str]:
    """Return the labels by which everything of one watched strategy and its bot is told apart."""
    return {
        "strategy_id": watched.strategy_id,
        "timeframe": watched.timeframe,
        "consumer": watched.consumer or "",
    }


def _add_problems(gauges: _Gauges, problems: Sequence[Problem]) -> None:
    gauges.add("quantflow_health_status", max((one.severity for one in problems), default=Severity.HEALTHY))
    counted = Counter((one.rule, one.severity.name.lower(), one.strategy_id or "") for one in problems)
    for (rule, severity, strategy_id), count in counted.items():
        gauges.add("quantflow_problems", count, rule=rule, severity=severity, strategy_id=strategy_id)


def _add_series(gauges: _Gauges, series: SeriesHealth) -> None:
    labels = {"symbol": series.symbol, "timeframe": series.timeframe}
    bar = Timeframe.parse(series.timeframe).delta
    gauges.add("quantflow_bars_age_seconds", series.age_s, **labels)
    gauges.add("quantflow_bars_open_gaps", len(series.open_gaps), **labels)
    gauges.add("quantflow_bars_missing", sum((gap.end - gap.start) // bar + 1 for gap in series.open_gaps), **labels)


def _add_strategy(gauges: _Gauges, one: StrategyLook, at: datetime) -> None:
    labels = strategy_labels(one.watched)
    if one.research is not None:
        _add_research(gauges, one.research, at, strategy_id=labels["strategy_id"], timeframe=labels["timeframe"])
        decisions = Counter((chain.decision or "none", chain.reason or "") for chain in one.chains)
        for (decision, reason), count in decisions.items():
            gauges.add("quantflow_signals_in_span", count, **labels, decision=decision, reason=reason)
    if one.bot is not None:
        _add_bot(gauges, one.bot, at, **labels)
    if one.venue is not None:
        if one.venue.ping_ms is not None or one.venue.error is not None:  # else it limits us, and was not asked
            gauges.add("quantflow_venue_up", one.venue.ping_ms is not None, **labels)
        gauges.add("quantflow_venue_ping_seconds", _seconds(one.venue.ping_ms), **labels)
    found = one.reconciliation
    if found is not None:
        if found.findings or not found.not_compared:  # what was not compared may agree or not
            gauges.add("quantflow_reconciliation_agrees", found.agrees, **labels)
        for kind, count in Counter(finding.kind for finding in found.findings).items():
            gauges.add("quantflow_reconciliation_findings", count, **labels, kind=kind)
        compared = {"signals": found.signals, "receipts": found.receipts, "fills": found.fills}
        for records, compared_count in {**compared, "venue_orders": found.venue_orders}.items():
            gauges.add("quantflow_reconciliation_compared", compared_count, **labels, records=records)


def _add_research(gauges: _Gauges, research: ResearchHealth, at: datetime, **labels: str) -> None:
    if research.last_export_at is not None:
        gauges.add("quantflow_export_age_seconds", _age(research.last_export_at, at), **labels)
    gauges.add("quantflow_export_success_ratio", research.success, **labels)
    gauges.add("quantflow_export_missing_bars", research.missing_bars, **labels)
    gauges.add("quantflow_graph_run_failed", research.failed_run is not None, **labels)


def _add_bot(gauges: _Gauges, bot: BotHealth, at: datetime, **labels: str) -> None:
    gauges.add("quantflow_bot_up", bot.ping_ms is not None, **labels)
    gauges.add("quantflow_bot_ping_seconds", _seconds(bot.ping_ms), **labels)
    if bot.state is not None:
        gauges.add("quantflow_bot_running", bot.state == "running", **labels)
    if bot.last_process is not None:
        gauges.add("quantflow_bot_process_age_seconds", _age(bot.last_process, at), **labels)
    currency = bot.stake_currency or ""
    gauges.add("quantflow_bot_free_quote", bot.free_quote, **labels, currency=currency)
    gauges.add("quantflow_bot_next_stake_quote", bot.stake_quote, **labels, currency=currency)
    gauges.add("quantflow_bot_open_trades", bot.open_trades, **labels)
    gauges.add("quantflow_bot_max_open_trades", bot.max_open_trades, **labels)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _age(time: datetime, at: datetime) -> float:
    """Another machine's clock may be ahead of MongoDB's by a little: that is no age."""
    return max(0.0, (at - time).total_seconds())
