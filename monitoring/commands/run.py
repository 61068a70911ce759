"""signal-monitor run: the loop that an operator leaves running beside the two sides."""

from collections.abc import Callable
from contextlib import ExitStack
from threading import Event as Flag
from typing import Annotated

import typer

from monitoring.alerts.alert_desk import AlertDesk
from monitoring.alerts.alert_store import AlertStore
from monitoring.alerts.channels import open_channels
from monitoring.alerts.message import message_of
from monitoring.commands.arguments import AsJson, Watch, load_settings
from monitoring.look import open_looker
from monitoring.metrics.endpoint import LOOPBACK, serve_metrics
from monitoring.metrics.monitor_metrics import MonitorMetrics
from monitoring.report.run_lines import Line, looked, show_json, show_text, started, told
from monitoring.watch_file import WatchFile
from monitoring.watch_loop import Turn, WatchLoop
from monitoring.witnesses import open_witnesses
from schemas.console import ended_by_signals

app = typer.Typer(add_completion=False)
_LEAST_S = 0.1
_LEAST_STALE_S = 60.0


@app.command()
def run(
    watch: Watch = None,
    every: Annotated[
        float, typer.Option(min=_LEAST_S, metavar="SECONDS", help="From one look to the next, machine time.")
    ] = 5.0,
    seconds: Annotated[
        float | None, typer.Option("--for", min=0, metavar="SECONDS", help="End after this time.", show_default=False)
    ] = None,
    looks: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="End after so many looks.", show_default=False)
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, metavar="PORT", help="Serve Prometheus metrics there.", show_default=False),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address that the metrics listen on.")
    ] = LOOPBACK,
    as_json: AsJson = False,
) -> None:
    """Watch until Ctrl-C: look every few seconds, and tell of problems when they begin, last and end.

    Alerts go to the addresses in QUANTFLOW_ALERT_URLS, and a line for each to standard output. With --json each line is
    one object: `started`, then a `look` for each look and an `alert` for each alert that was told.

    Examples:

      signal-monitor run

      signal-monitor run --watch watch.yaml --metrics-port 9200
    """
    settings = load_settings()
    file = WatchFile.read(watch) if watch else WatchFile()
    with ExitStack() as stack:
        stop = Flag()
        stack.enter_context(ended_by_signals(stop.set))
        witnesses = stack.enter_context(open_witnesses(settings, file))
        looker = stack.enter_context(open_looker(settings, file, witnesses))
        metrics = MonitorMetrics(lambda: looker.count.total)
        channels = open_channels(settings.alert_urls, metrics.alert_failed)
        address = None
        if metrics_port is not None:
            stale_after_s = max(_LEAST_STALE_S, 10 * every)
            port = stack.enter_context(serve_metrics(metrics, metrics_port, metrics_host, stale_after_s))
            address = f"http://{metrics_host}:{port}/metrics"
        show = show_json if as_json else show_text
        show(started(file, every, channels.names, address))
        loop = WatchLoop(
            look=looker.look,
            db=looker.db,
            rules=file.rules,
            desk=AlertDesk(AlertStore(looker.db), file.alerts, lambda events: channels.send(message_of(events))),
            channels=channels,
            show=lambda turn: _show(turn, metrics, show),
            failed=metrics.look_failed,
        )
        loop.run(stop, every, looks, seconds)


def _show(turn: Turn, metrics: MonitorMetrics, show: Callable[[Line], None]) -> None:
    metrics.show(turn.look, turn.verdict.problems, turn.seconds)
    show(looked(turn))
    for event in turn.told:
        metrics.alert_sent(event.kind, event.severity)
        show(told(event))
