"""The command `paper-exchange`: reads options, loads or makes bars, sets the clock, and runs the venue."""

import sys
from contextlib import ExitStack
from pathlib import Path
from socket import socket

import orjson
import typer
from starlette.types import ASGIApp

from paper_exchange.api.app import create_app
from paper_exchange.api.fault_control import control_routes
from paper_exchange.api.fault_middleware import FaultMiddleware
from paper_exchange.api.faults import Faults
from paper_exchange.api.order_count import ORDERS_PER_TEN_SECONDS, OrderCounts
from paper_exchange.api.request_weight import WEIGHT_PER_MINUTE, RequestWeights
from paper_exchange.api.streams import MESSAGES_PER_SECOND, SocketLimits
from paper_exchange.api.venue import Venue, open_venue
from paper_exchange.errors import StartError
from paper_exchange.market.book import BookShape
from paper_exchange.market.synthetic import DEFAULT_DAYS
from paper_exchange.options.accounts import (
    AccountsFile,
    Deposits,
    FeeCoinPrices,
    FeeIn,
    MakerBps,
    OrderLimit,
    TakerBps,
    is_open_to_others,
    read_accounts,
    read_fees,
)
from paper_exchange.options.bars import (
    Bars,
    Days,
    DepthLevels,
    End,
    FillPct,
    Seed,
    SpreadBps,
    Symbols,
    check_present,
    open_market,
    read_sources,
    synthetic_end,
)
from paper_exchange.options.faults import WithFaults, open_faults, with_faults
from paper_exchange.options.journal import JournalFile, JournalFsync, continued_clock, open_journal
from paper_exchange.options.listening import AsJson, Host, MessageLimit, Port, ReadyFile, UntilEof, WeightLimit
from paper_exchange.options.time import Origin, Speed, Start, WallTime, make_clock, read_timing
from paper_exchange.ready import ready_document, ready_line
from paper_exchange.server import bind, clear_ready_file, serve, write_ready_file
from paper_exchange.streaming import Streaming, open_streaming
from paper_exchange.trading.errors import JournalError

_LOOPBACK = ("127.0.0.1", "::1", "localhost")

app = typer.Typer(pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})


def main() -> None:
    """Run the command; a user's mistake prints its sentence and exits with code 2, a lost journal with code 1."""
    try:
        app()
    except StartError as error:
        typer.echo(f"paper-exchange: {error}", err=True)
        sys.exit(2)
    except JournalError as error:
        typer.echo(f"paper-exchange: {error}", err=True)
        sys.exit(1)


@app.command()
def run(
    bars: Bars,
    port: Port,
    host: Host = "127.0.0.1",
    symbol: Symbols = "BTCUSDT",
    seed: Seed = 1,
    days: Days = DEFAULT_DAYS,
    end: End = "",
    speed: Speed = 0.0,
    start: Start = "",
    origin: Origin = None,
    wall_time: WallTime = False,
    spread_bps: SpreadBps = 0.0,
    depth_levels: DepthLevels = 1000,
    fill_pct: FillPct = 100,
    accounts: AccountsFile = None,
    deposit: Deposits = None,
    maker_bps: MakerBps = "10",
    taker_bps: TakerBps = "10",
    fee_in: FeeIn = "received",
    fee_coin_price: FeeCoinPrices = None,
    journal: JournalFile = None,
    journal_fsync: JournalFsync = False,
    faults: WithFaults = False,
    message_limit: MessageLimit = MESSAGES_PER_SECOND,
    weight_limit: WeightLimit = WEIGHT_PER_MINUTE,
    order_limit: OrderLimit = ORDERS_PER_TEN_SECONDS,
    ready_file: ReadyFile = None,
    until_eof: UntilEof = False,
    as_json: AsJson = False,
) -> None:
    """Run a local venue that answers as Binance's spot API does, on bars from a file or a seed."""
    sources = read_sources(bars, symbol)
    invented = all(one.path is None for one in sources)
    timing = read_timing(speed, start, origin, wall_time, all_invented=invented)
    end_ms = synthetic_end(end, timing.on_wall_time and not wall_time)
    shape = BookShape(spread_bps=spread_bps, levels=depth_levels)
    people = read_accounts(accounts, deposit)
    fees = read_fees(maker_bps, taker_bps, fee_in, fee_coin_price)
    if ready_file is not None:
        clear_ready_file(ready_file)
    with bind(host, port) as listener, ExitStack() as stack:
        listed = [open_market(one, seed, days, end_ms, shape, timing.move_ms) for one in sources]
        markets = {market.instrument.symbol: market for market in listed}
        made = make_clock(markets, timing.speed, "" if wall_time else start, timing.on_wall_time, origin)
        clock = continued_clock(journal, made)
        if wall_time:
            check_present(markets, clock.now_ms())
        kept = open_journal(journal, markets, clock, fsync=journal_fsync)
        if kept is not None:
            stack.callback(kept.close)
        trouble = open_faults(faults, host, _LOOPBACK, clock)
        shown, liquidity = with_faults(markets, trouble)
        venue = open_venue(
            shown,
            clock,
            liquidity=liquidity,
            fill_pct=fill_pct,
            accounts=people,
            fees=fees,
            journal=kept,
            weights=RequestWeights(weight_limit),
            counts=OrderCounts(order_limit),
        )
        for market in shown.values():
            market.klines(clock.now_ms(), "1m", 1, None, None)  # the first client should not wait for this table
        _warn(host, accounts)
        streaming = open_streaming(venue, SocketLimits(message_limit))
        asgi = application(venue, streaming, trouble)
        _serve(asgi, streaming, listener, host, ready_file, until_eof=until_eof, as_json=as_json)


def _warn(host: str, accounts: Path | None) -> None:
    if host not in _LOOPBACK:
        typer.echo(f"Warning: at {host} other machines can reach the venue, and its keys travel in the open.", err=True)
    if accounts is not None and is_open_to_others(accounts):
        typer.echo(f"Warning: other users of this machine can read {accounts}; chmod 600 keeps its secrets.", err=True)


def application(venue: Venue, streaming: Streaming, faults: Faults | None) -> ASGIApp:
    """Return all that the venue answers as one ASGI application, behind its faults where it may have any."""
    app = create_app(venue)
    app.router.routes.extend(streaming.routes())
    if faults is None:
        return app
    app.router.routes.extend(control_routes(faults))
    faults.on_change = streaming.market_changed
    return FaultMiddleware(app, faults)


def _serve(
    asgi: ASGIApp, streaming: Streaming, listener: socket, host: str, ready_file: Path | None, *, until_eof: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Answer requests until asked to end; say when they are answered, to people and programs."""
    venue = streaming.venue

    def announce() -> None:
        ready = ready_document(venue, host, int(listener.getsockname()[1]))
        if ready_file is not None:
            write_ready_file(ready_file, ready)
        typer.echo(orjson.dumps(ready).decode() if as_json else ready_line(venue.markets, ready, venue.clock))

    try:
        serve(asgi, listener, announce, until_eof=until_eof, background=streaming)
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)
