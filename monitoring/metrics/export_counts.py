"""Counts exports, each of them once, although one look after the other shows the same ones again."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Counter, Histogram
from prometheus_client.core import Metric

from monitoring.facts import ExportFacts, ResearchHealth
from monitoring.metrics.once import Once, Owner
from monitoring.metrics.signal_counts import LATENCY_BUCKETS_S

_RESEARCH = ("strategy_id", "timeframe")
OUTCOMES = ("inserted", "changed", "unchanged", "retracted", "refused")


class ExportCounts:
    """Counters of exports that ended since the process looked for the first time."""

    def __init__(self) -> None:
        self._once = Once()
        self._known: set[Owner] = set()
        self._exports = Counter("quantflow_exports", "Exports that were recorded.", _RESEARCH, registry=None)
        self._signals = Counter(
            "quantflow_exported_signals",
            "Signals of these exports by what became of them in the store.",
            (*_RESEARCH, "outcome"),
            registry=None,
        )
        self._delay = Histogram(
            "quantflow_export_delay_seconds",
            "Time from the newest bar's close to the end of its export; of exports that were not catching up.",
            _RESEARCH,
            buckets=LATENCY_BUCKETS_S,
            unit="seconds",
            registry=None,
        )

    def collect(self) -> Iterable[Metric]:
        """Return what was counted."""
        for metric in (self._exports, self._signals, self._delay):
            yield from metric.collect()

    def add(self, owner: Owner, research: ResearchHealth, began: datetime) -> None:
        """Count the exports of a strategy and timeframe that a look shows for the first time."""
        if owner not in self._known:
            self._known.add(owner)
            self._exports.labels(*owner)
            for outcome in OUTCOMES:
                self._signals.labels(*owner, outcome)
        for export in research.recorded:
            if export.exported_at > began and self._once.is_new(owner, export.exported_at, export.run_id):
                self._add_export(owner, export)
        if research.recorded:
            self._once.forget_before(owner, min(export.exported_at for export in research.recorded))

    def keep_only(self, owners: Iterable[Owner]) -> None:
        """Drop the series of all others than these."""
        for gone in self._known - set(owners):
            self._known.discard(gone)
            self._once.forget_owner(gone)
            for metric in (self._exports, self._signals, self._delay):
                metric.remove_by_labels(dict(zip(_RESEARCH, gone, strict=True)))

    @property
    def remembered(self) -> int:
        """How many marks are held in memory."""
        return len(self._once)

    def _add_export(self, owner: Owner, export: ExportFacts) -> None:
        self._exports.labels(*owner).inc()
        for outcome in OUTCOMES:
            self._signals.labels(*owner, outcome).inc(getattr(export, outcome))
        if export.delay_s is not None:
            self._delay.labels(*owner).observe(max(0.0, export.delay_s))
