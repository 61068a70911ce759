"""What `signal-monitor run` says on standard output: a line of text or an object each, for the same events."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
import typer

from monitoring.alerts.alert_book import Event
from monitoring.alerts.message import text_of, title_of
from monitoring.alerts.verdict import utc
from monitoring.problem import Problem
from monitoring.report.json_time import json_time
from monitoring.watch_file import WatchFile
from monitoring.watch_loop import Turn

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """Something to say: as text, where people want to read it, and as an object."""

    text: str | None
    value: dict[str, Any]


def show_text(line: Line) -> None:
    """Print the text, at once, also into a file."""
    if line.text is not None:
        _echo(line.text)


def show_json(line: Line) -> None:
    """Print the object in one line, at once, also into a file."""
    _echo(orjson.dumps(line.value).decode())


def _echo(text: str) -> None:
    """Print a line; where nobody reads standard output any more this is said once, as alerts go elsewhere too."""
    try:
        typer.echo(text)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # else what is still in the buffer fails again, at the latest at exit
        os.close(nowhere)
        _log.warning("standard_output_closed", then="the watching goes on, and alerts go to their channels")


def started(file: WatchFile, every_s: float, channels: Sequence[str], metrics: str | None) -> Line:
    """Say what is watched, and where alerts and metrics are."""
    named = [one.strategy_id for one in file.strategies]
    whose = ", ".join(named) if named else "every strategy that has exported within a day"
    alerts = ", ".join(channels) if channels else "standard output only, as QUANTFLOW_ALERT_URLS is not set"
    served = f" Metrics are at {metrics}." if metrics else ""
    text = f"Watching {whose}, each {every_s:g} s. Alerts go to {alerts}.{served}"
    return Line(
        text,
        {
            "event": "started",
            "strategies": named,
            "every_s": every_s,
            "channels": list(channels),
            "metrics": metrics,
            "rules": [name for name, rule in file.rules if rule.enabled],
        },
    )


def looked(turn: Turn) -> Line:
    """Say what a look found; people are told of alerts only."""
    return Line(
        None,
        {
            "event": "look",
            "at": json_time(turn.look.at),
            "seconds": round(turn.seconds, 4),
            "status": turn.verdict.severity.name.lower(),
            "strategies": len(turn.look.strategies),
            "problems": [problem_object(problem) for problem in turn.verdict.problems],
        },
    )


def told(event: Event) -> Line:
    """Say an alert that was told."""
    alerts = [
        {
            "alert_id": alert.alert_id,
            "rule": alert.rule,
            "strategy_id": alert.strategy_id,
            "consumer": alert.consumer,
            "pair": alert.pair,
            "subject": alert.subject,
            "began_at": json_time(alert.began_at),
        }
        for alert in event.after
    ]
    title, text = title_of(event), text_of(event)
    value = {
        "event": "alert",
        "kind": event.kind,
        "at": json_time(event.at),
        "severity": event.severity.name.lower(),
        "title": title,
        "text": text,
        "alerts": alerts,
    }
    return Line(f"{utc(event.at)}  {title}. {text}", value)


def problem_object(problem: Problem) -> dict[str, Any]:
    """Return a problem as plain JSON values."""
    return {
        "rule": problem.rule,
        "severity": problem.severity.name.lower(),
        "strategy_id": problem.strategy_id,
        "consumer": problem.consumer,
        "pair": problem.pair,
        "subject": problem.subject,
        "text": problem.text,
        "at": json_time(problem.at),
    }
