"""The command `paper-exchange`: reads options, loads or makes bars, sets the clock, and runs the venue."""

import math
import sys

import orjson
import typer

from paper_exchange.api.app import create_app
from paper_exchange.api.request_weight import WEIGHT_PER_MINUTE, RequestWeights
from paper_exchange.api.venue import open_venue
from paper_exchange.errors import StartError
from paper_exchange.market.book import BookShape
from paper_exchange.market.instrument import split_symbol
from paper_exchange.market.synthetic import DEFAULT_DAYS
from paper_exchange.options.bars import (
    Bars,
    Days,
    DepthLevels,
    End,
    Seed,
    SpreadBps,
    Symbols,
    open_market,
    read_sources,
    synthetic_end,
)
from paper_exchange.options.listening import AsJson, Host, Port, ReadyFile, UntilEof, WeightLimit
from paper_exchange.options.time import Speed, Start, make_clock
from paper_exchange.ready import ready_document, ready_line
from paper_exchange.server import bind, clear_ready_file, serve, write_ready_file

_LOOPBACK = ("127.0.0.1", "::1", "localhost")

app = typer.Typer(pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})


def main() -> None:
    """Run the command; a user's mistake prints its sentence and exits with code 2."""
    try:
        app()
    except StartError as error:
        typer.echo(f"paper-exchange: {error}", err=True)
        sys.exit(2)


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
    spread_bps: SpreadBps = 0.0,
    depth_levels: DepthLevels = 1000,
    weight_limit: WeightLimit = WEIGHT_PER_MINUTE,
    ready_file: ReadyFile = None,
    until_eof: UntilEof = False,
    as_json: AsJson = False,
) -> None:
    """Run a local venue that answers as Binance's spot REST API does, on bars from a file or a seed."""
    if not 0 <= speed < math.inf:
        raise StartError(f"--speed needs a number from 0 up, found {speed}.")
    sources = read_sources(bars, symbol)
    on_wall_time = start == "now" or (speed == 1 and not start and all(one.path is None for one in sources))
    end_ms = synthetic_end(end, on_wall_time)
    shape = BookShape(spread_bps=spread_bps, levels=depth_levels)
    if ready_file is not None:
        clear_ready_file(ready_file)
    with bind(host, port) as listener:
        markets = {"".join(split_symbol(one.symbol)): open_market(one, seed, days, end_ms, shape) for one in sources}
        clock = make_clock(markets, speed, start, on_wall_time)
        for market in markets.values():
            market.klines(clock.now_ms(), "1m", 1, None, None)  # the first client should not wait for this table
        if host not in _LOOPBACK:
            typer.echo(f"Warning: at {host} other machines can reach the venue, and it asks for no password.", err=True)
        ready = ready_document(markets, clock, host, int(listener.getsockname()[1]))

        def announce() -> None:
            if ready_file is not None:
                write_ready_file(ready_file, ready)
            typer.echo(orjson.dumps(ready).decode() if as_json else ready_line(markets, ready, clock))

        try:
            venue = open_venue(markets, clock, weights=RequestWeights(weight_limit))
            serve(create_app(venue), listener, announce, until_eof=until_eof)
        finally:
            if ready_file is not None:
                ready_file.unlink(missing_ok=True)
