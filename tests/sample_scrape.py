"""What Prometheus reads from the monitor's real endpoint, for tests of the metrics and of all that is built on them."""

from collections.abc import Sequence

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from sample_look import PROBLEM, chain, look, strategy

from monitoring.metrics.endpoint import serve_metrics
from monitoring.metrics.monitor_metrics import MonitorMetrics
from monitoring.problem import Severity


class Scraped:
    """What Prometheus would store of one scrape."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self.families = {family.name: family for family in families}
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        return self._values.get((name, frozenset(labels.items())))

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self._values}

    def values(self, name: str, label: str) -> set[str]:
        """The values that a label has in the samples of a name."""
        return {dict(labels)[label] for one, labels in self._values if one == name}

    @property
    def labels_of(self) -> dict[str, set[str]]:
        """The labels of each name."""
        return {name: set(dict(labels)) for name, labels in self._values}

    @property
    def label_names(self) -> list[set[str]]:
        return [set(dict(labels)) for _, labels in self._values]


def scrape(metrics: MonitorMetrics) -> Scraped:
    """What the endpoint really answers, read by Prometheus' own parser."""
    with serve_metrics(metrics, port=0) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    return Scraped(list(text_string_to_metric_families(answer.text)))


def full_metrics() -> MonitorMetrics:
    """Everything known: one look to begin with, and one at which a signal went all the way."""
    metrics = MonitorMetrics(mongodb_commands=lambda: 41)
    metrics.show(look(strategy(), minute=0), [], seconds=0.02)
    metrics.show(look(strategy(chain())), [PROBLEM, PROBLEM], seconds=0.3)
    metrics.alert_sent("fired", Severity.CRITICAL)
    metrics.alert_failed()
    metrics.look_failed()
    return metrics
