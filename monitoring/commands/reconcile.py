"""signal-monitor reconcile: whether signals, receipts, fills and the venue's own orders agree."""

from typing import Annotated

import typer

from monitoring.chain.reconciliation import VenueOrder, reconcile
from monitoring.chain.signal_chain import USABLE_BARS, first_seen, read_stored
from monitoring.commands.arguments import (
    AsJson,
    Consumer,
    Since,
    Strategy,
    Tf,
    Until,
    load_settings,
    scope_of,
    venue_account,
)
from monitoring.commands.console import out, print_json
from monitoring.report.tables import reconciliation_object, reconciliation_text
from monitoring.sources.venue_orders import fetch_orders
from schemas.console import DISAGREES
from schemas.mongo import connect, server_time

app = typer.Typer(add_completion=False)


@app.command("reconcile")
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

    Example: signal-monitor reconcile --strategy btc_momentum --exchange binance
    """
    settings = load_settings()
    with connect(settings) as db:
        scope = scope_of(db, strategy, consumer, tf, since, until)
        stored = read_stored(db, scope)
        due_before = server_time(db) - USABLE_BARS * scope.timeframe.delta
        due_from = first_seen(db, scope)
        pairs = sorted({str(document["pair"]) for document in (*stored.signals, *stored.fills, *stored.ordered)})
    orders: list[VenueOrder] | None = None
    if exchange is not None or exchange_url is not None:
        account = venue_account(settings, exchange or "binance", exchange_url)
        orders = fetch_orders(account, pairs, scope.since, scope.orders_until)
    result = reconcile(stored, due_before, orders, due_from)
    if as_json:
        print_json(reconciliation_object(result))
    else:
        out.print(reconciliation_text(result), soft_wrap=True)
    if not result.agrees:
        raise typer.Exit(DISAGREES)
