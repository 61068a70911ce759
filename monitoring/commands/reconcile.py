"""signal-monitor reconcile: whether signals, receipts and fills, Freqtrade's trades and the venue's account agree."""

import re
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from monitoring.chain.reconciler import Counterparts, reconcile_all
from monitoring.commands.arguments import AsJson, Consumer, Since, Strategy, Tf, Until, load_settings, scope_of
from monitoring.commands.console import out, print_json
from monitoring.report.tables import reconciliation_object, reconciliation_text
from monitoring.watch_file import EXPLAINED_ORDER
from schemas.console import DISAGREES
from schemas.errors import InputError, VenueError
from schemas.mongo import connect, server_time
from schemas.settings import Settings

app = typer.Typer(add_completion=False)


@app.command("reconcile")
def reconcile_signals(
    strategy: Strategy,
    consumer: Consumer = None,
    tf: Tf = "1m",
    since: Since = None,
    until: Until = None,
    freqtrade: Annotated[
        str | None,
        typer.Option(
            help="Ask the bot's REST API at this address too; its password is in QUANTFLOW_FREQTRADE_PASSWORD."
        ),
    ] = None,
    exchange: Annotated[
        str | None,
        typer.Option(help="Ask this exchange (ccxt's name) for its orders too; keys are in QUANTFLOW_EXCHANGE_KEY."),
    ] = None,
    exchange_url: Annotated[str | None, typer.Option(help="Where the exchange is found instead.")] = None,
    besides: Annotated[
        list[str] | None,
        typer.Option(help="What the account holds for other purposes, such as BTC=0.5. Once for each asset."),
    ] = None,
    balance: Annotated[
        bool, typer.Option("--balance/--no-balance", help="Whether balances are compared; needs Freqtrade and venue.")
    ] = True,
    explained: Annotated[
        list[str] | None,
        typer.Option(metavar="'PAIR ORDER'", help="An order that is accounted for, such as 'BTC/USDT 17'."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold signals, receipts and fills against each other and, if asked, against Freqtrade's trades and the venue.

    Exit code 7 where something is missing, double, or not the same; 4 where a side did not answer. The venue's orders
    are compared for an account that this bot trades alone.

    Example: signal-monitor reconcile --strategy btc_momentum --freqtrade http://127.0.0.1:8080 --exchange binance
    """
    settings = load_settings()
    held = dict(_amount(one) for one in besides or ())
    told = frozenset(map(_order, explained or ()))
    with connect(settings) as db:
        scope = scope_of(db, strategy, consumer, tf, since, until)
        asked = _counterparts(settings, freqtrade, exchange, exchange_url, held, balance=balance)
        counterparts = replace(asked, explained=told)
        result = reconcile_all(db, scope, counterparts, server_time(db))
    if as_json:
        print_json(reconciliation_object(result))
    else:
        out.print(reconciliation_text(result), soft_wrap=True)
    if result.not_compared:
        sentence = " ".join(result.not_compared)
        if result.agrees:
            raise VenueError(sentence)
        typer.echo(f"Not compared: {sentence}", err=True)
    if not result.agrees:
        raise typer.Exit(DISAGREES)


def _counterparts(
    settings: Settings,
    freqtrade: str | None,
    exchange: str | None,
    exchange_url: str | None,
    besides: dict[str, Decimal],
    *,
    balance: bool,
) -> Counterparts:
    bot = venue = None
    if freqtrade is not None:
        from monitoring.sources.freqtrade_api import BotApi  # here, not above: its packages take a while to import

        bot = BotApi.of(settings, freqtrade)
    if exchange is not None or exchange_url is not None:
        from monitoring.sources.venue_account import VenueAccount, VenueKeys

        keys = VenueKeys.of(settings, exchange, exchange_url)
        keys.check()
        venue = VenueAccount(keys)
    return Counterparts(bot, venue, balances=balance and bot is not None, besides=besides)


def _amount(text: str) -> tuple[str, Decimal]:
    asset, _, number = text.partition("=")
    try:
        amount = Decimal(number)
    except InvalidOperation:
        amount = Decimal("nan")
    if not asset or not amount.is_finite():
        raise InputError(f"--besides must name an asset and an amount, such as BTC=0.5, found {text!r}.")
    return asset.upper(), amount


def _order(text: str) -> str:
    if re.fullmatch(EXPLAINED_ORDER, text) is None:
        raise InputError(f"--explained must name a pair and an order, such as 'BTC/USDT 17', found {text!r}.")
    return text
