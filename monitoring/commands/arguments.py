"""Arguments that several commands take, and what is made of them: settings, a scope, the venue's account."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from monitoring.chain.signal_chain import Scope, find_consumer
from monitoring.chain.unseen_bot import check_seen
from schemas.collections import Store
from schemas.console import configure_logging
from schemas.errors import InputError
from schemas.mongo import server_time
from schemas.settings import Settings
from schemas.timeframes import Timeframe, parse_time

_DEFAULT_SPAN = timedelta(days=1)

Strategy = Annotated[str, typer.Option("--strategy", help="The strategy_id of the signals.")]
Consumer = Annotated[str | None, typer.Option(help="The bot that trades them; unset: the only one that does.")]
Tf = Annotated[str, typer.Option("--tf", help="Length of the bars.")]
Since = Annotated[
    str | None,
    typer.Option("--since", "--from", help="First bar's open, ISO, UTC. Unset: a day ago.", show_default=False),
]
Until = Annotated[
    str | None, typer.Option("--until", "--to", help="End, not included. Unset: now.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Watch = Annotated[
    Path | None,
    typer.Option(
        "--watch", "-w", help="The watch file: strategies, rules, alerts. Unset: all strategies of the last day."
    ),
]


def load_settings() -> Settings:
    """Return the settings, with logging set up."""
    settings = Settings.load()
    configure_logging(settings)
    return settings


def span_of(db: Store, since: str | None, until: str | None) -> tuple[datetime, datetime]:
    """Return the span that is meant, by default the last day.

    Raises
    ------
    InputError
        Where the times are in the wrong order.
    """
    end = parse_time(until, "--until") if until else server_time(db)
    start = parse_time(since, "--since") if since else end - _DEFAULT_SPAN
    if start >= end:
        raise InputError(f"--since must lie before --until, found {start.isoformat()} and {end.isoformat()}.")
    return start, end


def scope_of(db: Store, strategy: str, consumer: str | None, tf: str, since: str | None, until: str | None) -> Scope:
    """Return which signals are meant.

    Raises
    ------
    InputError
        Where the times are in the wrong order, nobody can tell which bot is meant, or one is named that was never seen.
    """
    start, end = span_of(db, since, until)
    if consumer is not None:
        check_seen(db, strategy, consumer)
    return Scope(strategy, consumer or find_consumer(db, strategy), Timeframe.parse(tf), start, end)
