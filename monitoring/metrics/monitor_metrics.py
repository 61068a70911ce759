"""All metrics of one monitor: gauges of its last look, counters of what its looks showed, and of the monitor itself."""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from threading import Lock
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from monitoring.alerts.alert_book import EventKind
from monitoring.facts import Look
from monitoring.metrics.export_counts import ExportCounts
from monitoring.metrics.gauges import look_gauges, strategy_labels
from monitoring.metrics.limit_counts import LimitCounts
from monitoring.metrics.signal_counts import SignalCounts
from monitoring.problem import Problem, Severity

_LOOK_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class MonitorMetrics(Collector):
    """What one monitor serves to Prometheus; each process has one, over a registry of its own.

    Parameters
    ----------
    mongodb_commands : callable or None
        Returns how many commands the monitor has sent to MongoDB so far.
    """

    def __init__(self, mongodb_commands: Callable[[], int] | None = None) -> None:
        self.registry = CollectorRegistry()
        self._mongodb_commands = mongodb_commands
        self._lock = Lock()  # a scrape, in the endpoint's thread, sees a look whole or not at all
        self._gauges: Sequence[Metric] = ()
        self._signals, self._exports, self._limits = SignalCounts(), ExportCounts(), LimitCounts()
        self._began: datetime | None = None
        self._looked_at: float | None = None
        self._looks = Counter("quantflow_monitor_looks", "Looks that were finished.", registry=None)
        self._failures = Counter("quantflow_monitor_look_failures", "Looks that ended in an error.", registry=None)
        self._look_s = Histogram(
            "quantflow_monitor_look_seconds",
            "How long a look took.",
            buckets=_LOOK_BUCKETS_S,
            unit="seconds",
            registry=None,
        )
        self._last_look = Gauge(
            "quantflow_monitor_last_look_timestamp_seconds",
            "When the last look ended, machine time.",
            unit="seconds",
            registry=None,
        )
        self._alerts = Counter(
            "quantflow_alerts", "Alerts that were sent, by what they told.", ("event", "severity"), registry=None
        )
        self._alert_failures = Counter(
            "quantflow_alert_failures", "Alerts that a channel did not take; they are tried again.", registry=None
        )
        for event in get_args(EventKind):
            for severity in (Severity.WARNING, Severity.CRITICAL):
                self._alerts.labels(event, severity.name.lower())
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def show(self, look: Look, problems: Sequence[Problem], seconds: float) -> None:
        """Serve this look from now on.

        Parameters
        ----------
        look : Look
            What was found.
        problems : sequence of Problem
            What rules said of it.
        seconds : float
            How long it took to look, machine time.
        """
        gauges = look_gauges(look, problems)
        with self._lock:
            self._gauges = gauges
            self._count(look)
            self._looks.inc()
            self._look_s.observe(seconds)
            self._last_look.set_to_current_time()
            self._looked_at = time.monotonic()

    def look_failed(self) -> None:
        """Count a look that ended in an error; what the last good one found is served on."""
        with self._lock:
            self._failures.inc()

    def alert_sent(self, event: EventKind, severity: Severity) -> None:
        """Count an alert that was told, by its kind of news; `passed` is what began and ended in quiet hours."""
        with self._lock:
            self._alerts.labels(event, severity.name.lower()).inc()

    def alert_failed(self) -> None:
        """Count an alert that a channel did not take."""
        with self._lock:
            self._alert_failures.inc()

    @property
    def last_look_age_s(self) -> float | None:
        """How long ago the last look ended, machine time; None before the first."""
        return None if self._looked_at is None else time.monotonic() - self._looked_at

    @property
    def remembered(self) -> int:
        """How many facts are held in memory so that they are counted once."""
        return self._signals.remembered + self._exports.remembered

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what is served depends on what is watched."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return all metrics as they are now."""
        with self._lock:
            families = [*self._gauges, *self._counted(), *self._own()]
        for family in families:
            # Prometheus of before 2.39 stores them as series, and later ones read them from another format only.
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family

    def _count(self, look: Look) -> None:
        began = self._began = self._began or look.at
        owners = {tuple(strategy_labels(one.watched).values()) for one in look.strategies}
        if look.store.error is None:  # while MongoDB is away, nobody can say what is watched
            self._signals.keep_only(owners)
            self._limits.keep_only(owners)
            self._exports.keep_only({owner[:2] for owner in owners})
        for one in look.strategies:
            owner = tuple(strategy_labels(one.watched).values())
            self._signals.add(one, began)
            if one.research is not None:
                self._exports.add(owner[:2], one.research, began)
            if one.bot is not None:
                self._limits.add(owner, "bot", one.bot.rate_limited_at, began)
            if one.venue is not None:
                times = [one.venue.rate_limited_at] if one.venue.rate_limited_at else []
                self._limits.add(owner, "monitor", times, began)

    def _counted(self) -> list[Metric]:
        return [*self._signals.collect(), *self._exports.collect(), *self._limits.collect()]

    def _own(self) -> Iterable[Metric]:
        for metric in (self._looks, self._failures, self._look_s, self._alerts, self._alert_failures):
            yield from metric.collect()
        if self._looked_at is not None:
            yield from self._last_look.collect()
        if self._mongodb_commands is not None:
            sent = CounterMetricFamily(
                "quantflow_monitor_mongodb_commands", "Commands that the monitor sent to MongoDB."
            )
            sent.add_metric([], self._mongodb_commands())
            yield sent
        yield InfoMetricFamily("quantflow_monitor", "The monitor's version.", {"version": _version()})


def _version() -> str:
    try:
        return version("quantflow")
    except PackageNotFoundError:  # a source tree that was not installed
        return "unknown"
