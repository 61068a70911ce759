"""Counts how often the venue turned the bot or the monitor away, from times that look after look tells again."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Counter
from prometheus_client.core import Metric

from monitoring.metrics.once import Owner

_OWNER = ("strategy_id", "timeframe", "consumer")


class LimitCounts:
    """Counters of rate limits since the process looked for the first time."""

    def __init__(self) -> None:
        self._newest: dict[Owner, dict[str, datetime]] = {}
        self._limits = Counter(
            "quantflow_rate_limits",
            "How often the venue limited the bot or the monitor.",
            (*_OWNER, "limited"),
            registry=None,
        )

    def collect(self) -> Iterable[Metric]:
        """Return what was counted."""
        yield from self._limits.collect()

    def add(self, owner: Owner, limited: str, times: Iterable[datetime], began: datetime) -> None:
        """Count the times after all those counted before: a log is read again at each look."""
        counter = self._limits.labels(*owner, limited)
        newest = self._newest.setdefault(owner, {})
        later = [time for time in times if time > newest.get(limited, began)]
        if later:
            counter.inc(len(later))
            newest[limited] = max(later)

    def keep_only(self, owners: Iterable[Owner]) -> None:
        """Drop the series of all others than these strategies."""
        for gone in set(self._newest) - set(owners):
            del self._newest[gone]
            self._limits.remove_by_labels(dict(zip(_OWNER, gone, strict=True)))
