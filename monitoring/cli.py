"""The command `signal-monitor`: how long signals took from a bar's close to a fill, and whether all of it agrees."""

import sys
from datetime import timedelta
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from monitoring.reconciliation import VenueOrder, reconcile
from monitoring.signal_chain import USABLE_BARS, Scope, find_consumer, first_seen, read_stored, signal_chains
from monitoring.tables import chains_object, chains_table, reconciliation_object, reconciliation_text
from monitoring.venue_orders import VenueAccount, fetch_orders
from schemas.collections import Store
from schemas.console import DISAGREES, configure_logging, run_command
from schemas.errors import InputError
from schemas.mongo import connect, server_time
from schemas.settings import Settings
from schemas.timeframes import Timeframe, parse_time

_DEFAULT_SPAN = timedelta(days=1)
_EXAMPLES = """\b
Examples:
  signal-monitor latency --strategy btc_momentum
  signal-monitor reconcile --strategy btc_momentum --since 2022-01-15 --json
  signal-monitor reconcile --strategy btc_momentum --exchange binance
"""

app = typer.Typer(
    name="signal-monitor",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXAMPLES,
)

Strategy = Annotated[str, typer.Option("--strategy", help="The strategy_id of the signals.")]
Consumer = Annotated[str | None, typer.Option(help="The bot that trades them; unset: the only one that does.")]
Tf = Annotated[str, typer.Option("--tf", help="Length of the bars.")]
Since = Annotated[str | None, typer.Option(help="First bar's open, ISO, UTC. Unset: a day ago.", show_default=False)]
Until = Annotated[str | None, typer.Option(help="End, not included. Unset: now.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


@app.callback()
def monitor() -> None:
    """Watch signals on their way: bar closed, exported, seen by a bot, ordered, filled."""


@app.command(epilog=_EXAMPLES)
def latency(
    strategy: Strategy,
    consumer: Consumer = None,
    tf: Tf = "1m",
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """List signals with the milliseconds from their bar's close to each stage, and the percentiles of each."""
    with connect(_settings()) as db:
        scope = _scope(db, strategy, consumer, tf, since, until)
        chains = signal_chains(read_stored(db, scope), scope.timeframe)
    if as_json:
        _print_json(chains_object(chains))
    elif chains:
        _out().print(chains_table(chains))
    else:
        typer.echo(f"No signals of {strategy} {tf} are stored for that time.", err=True)


@app.command("reconcile", epilog=_EXAMPLES)
def reconcile_signals(
    strategy: Strategy,
    consumer: Consumer = None,
    tf: Tf = "1m",
    since: Since = None,
    until: Until = None,
    exchange: Annotated[
        str | None,
        typer.Option(help="Ask this exchange (ccxt's name) for its orders too; keys are in QUANTFLOW_EXCHANGE_KEY."),
    ] = None,
    exchange_url: Annotated[str | None, typer.Option(help="Where the exchange is found instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hold signals, receipts, fills and, if asked, the venue's orders against each other.

    Exit code 7 where something is missing, double, or not the same. The venue's orders are compared for an account that
    this bot trades alone.
    """
    settings = _settings()
    with connect(settings) as db:
        scope = _scope(db, strategy, consumer, tf, since, until)
        stored = read_stored(db, scope)
        due_before = server_time(db) - USABLE_BARS * scope.timeframe.delta
        due_from = first_seen(db, scope)
        pairs = sorted({str(document["pair"]) for document in (*stored.signals, *stored.fills, *stored.ordered)})
    orders: list[VenueOrder] | None = None
    if exchange is not None or exchange_url is not None:
        orders = fetch_orders(
            _account(settings, exchange or "binance", exchange_url), pairs, scope.since, scope.orders_until
        )
    result = reconcile(stored, due_before, orders, due_from)
    if as_json:
        _print_json(reconciliation_object(result))
    else:
        _out().print(reconciliation_text(result), soft_wrap=True)
    if not result.agrees:
        raise typer.Exit(DISAGREES)


def main() -> None:
    """Run the command: errors become a sentence and an exit code."""
    run_command(app)


def _settings() -> Settings:
    settings = Settings.load()
    configure_logging(settings)
    return settings


def _scope(db: Store, strategy: str, consumer: str | None, tf: str, since: str | None, until: str | None) -> Scope:
    end = parse_time(until, "--until") if until else server_time(db)
    start = parse_time(since, "--since") if since else end - _DEFAULT_SPAN
    if start >= end:
        raise InputError(f"--since must lie before --until, found {start.isoformat()} and {end.isoformat()}.")
    return Scope(strategy, consumer or find_consumer(db, strategy), Timeframe.parse(tf), start, end)


def _account(settings: Settings, exchange: str, url: str | None) -> VenueAccount:
    if settings.exchange_key is None or settings.exchange_secret is None:
        raise InputError(
            "Orders are told to the account's owner only: set QUANTFLOW_EXCHANGE_KEY and QUANTFLOW_EXCHANGE_SECRET in "
            "the environment or in .env."
        )
    return VenueAccount(exchange, settings.exchange_key, settings.exchange_secret, url)


def _out() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
