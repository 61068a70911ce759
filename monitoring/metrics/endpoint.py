"""Serves the metrics over HTTP: /metrics for Prometheus, /healthz for whatever restarts a monitor that hangs."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from monitoring.metrics.monitor_metrics import MonitorMetrics
from schemas.errors import InputError

LOOPBACK = "127.0.0.1"


class _QuietHandler(WSGIRequestHandler):
    timeout = 10  # a client that connects and says nothing must not hold a thread for ever

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a scrape every few seconds is no event."""


@contextmanager
def serve_metrics(
    metrics: MonitorMetrics, port: int, host: str = LOOPBACK, stale_after_s: float = 60.0
) -> Iterator[int]:
    """Serve metrics in a thread of its own for the length of a `with` block, and give the port.

    Parameters
    ----------
    metrics : MonitorMetrics
        What is served.
    port : int
        Where; 0 takes any free one.
    host : str
        The address that is listened on. Nobody is asked for a password: beyond loopback put it behind a network of
        your own.
    stale_after_s : float
        /healthz answers 503 once the last look ended longer ago than this.

    Raises
    ------
    InputError
        Where nobody can listen there.
    """
    try:
        server = make_server(host, port, _application(metrics, stale_after_s), ThreadingWSGIServer, _QuietHandler)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"The metrics can not be served at {host}:{port}: {error}. Name a free port with --metrics-port, and an "
            "address of this machine with --metrics-host."
        ) from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _application(metrics: MonitorMetrics, stale_after_s: float) -> WSGIApplication:
    metrics_page: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] = make_wsgi_app(metrics.registry)

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics_page(environ, start)
        if path == "/healthz":
            return _health(metrics.last_look_age_s, stale_after_s, start)
        return _text("404 Not Found", "There are /metrics and /healthz.", start)

    return answer


def _health(age_s: float | None, stale_after_s: float, start: StartResponse) -> list[bytes]:
    """Tell whether the monitor looks, which says nothing of what it sees: a restart would not cure that."""
    if age_s is None:
        return _text("503 Service Unavailable", "It has not looked yet.", start)
    status = "200 OK" if age_s <= stale_after_s else "503 Service Unavailable"
    return _text(status, f"The last look ended {age_s:.0f} s ago.", start)


def _text(status: str, line: str, start: StartResponse) -> list[bytes]:
    # wsgiref writes the length of the body into the very list that it is given.
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{line}\n".encode()]
