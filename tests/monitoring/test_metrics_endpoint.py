"""The endpoint answers Prometheus and whatever keeps the monitor alive, on loopback unless it is told otherwise."""

import socket
from collections.abc import Iterator

import httpx
import pytest
from sample_look import look, strategy

from monitoring.metrics.endpoint import serve_metrics
from monitoring.metrics.monitor_metrics import MonitorMetrics
from schemas.errors import InputError


@pytest.fixture
def metrics() -> MonitorMetrics:
    return MonitorMetrics()


@pytest.fixture
def address(metrics: MonitorMetrics) -> Iterator[str]:
    """Where the endpoint listens; a look counts as old at once, after the first one."""
    with serve_metrics(metrics, port=0) as port:
        yield f"http://127.0.0.1:{port}"


def test_a_monitor_that_has_not_looked_is_not_healthy(address: str) -> None:
    """Before its first look it serves, and says 503 to whoever asks whether it works."""
    answer = httpx.get(f"{address}/healthz")
    assert (answer.status_code, answer.text) == (503, "It has not looked yet.\n")
    assert "quantflow_monitor_last_look_timestamp_seconds" not in httpx.get(f"{address}/metrics").text


def test_a_monitor_that_looks_is_healthy(metrics: MonitorMetrics, address: str) -> None:
    """Whatever it sees: that MongoDB is away is cured by no restart of the monitor."""
    metrics.show(look(strategy()), [], seconds=0.02)
    assert httpx.get(f"{address}/healthz").status_code == 200


def test_a_monitor_that_hangs_is_not_healthy(metrics: MonitorMetrics) -> None:
    """A look older than the limit is too old; here the limit is nothing at all."""
    metrics.show(look(strategy()), [], seconds=0.02)
    with serve_metrics(metrics, port=0, stale_after_s=0) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/healthz")
    assert (answer.status_code, answer.text) == (503, "The last look ended 0 s ago.\n")


def test_other_pages_and_methods_are_refused(address: str) -> None:
    """There are two pages, and they are read."""
    assert httpx.get(f"{address}/").status_code == 404
    assert httpx.post(f"{address}/metrics").status_code == 405


def test_it_listens_on_loopback(address: str) -> None:
    """Nobody is asked for a password, so other machines are not answered unless that is asked for."""
    port = int(address.rpartition(":")[2])
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", port))


def test_a_taken_port_is_a_sentence(address: str) -> None:
    """It names the options that cure it."""
    port = int(address.rpartition(":")[2])
    with (
        pytest.raises(InputError, match=f"served at 127.0.0.1:{port}: .*--metrics-port"),
        serve_metrics(MonitorMetrics(), port=port),
    ):
        pass


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_is_none_is_a_sentence(port: int) -> None:
    """The operating system's complaint of such a number is no OSError."""
    with pytest.raises(InputError, match="can not be served"), serve_metrics(MonitorMetrics(), port=port):
        pass


def test_the_port_is_free_afterwards(metrics: MonitorMetrics) -> None:
    """Ending the block ends the server: another can listen at once."""
    with serve_metrics(metrics, port=0) as port:
        pass
    with serve_metrics(metrics, port=port) as again:
        assert again == port
