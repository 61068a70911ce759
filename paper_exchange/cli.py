"""The command `paper-exchange`: reads options, loads or makes bars, sets the clock, and runs the venue."""

import math
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer

from paper_exchange.api.app import create_app
from paper_exchange.api.request_weight import WEIGHT_PER_MINUTE, RequestWeights
from paper_exchange.api.venue import Venue
from paper_exchange.clock import Clock, RunningClock, StandingClock, WallClock
from paper_exchange.errors import StartError
from paper_exchange.market.bars_file import read_tape
from paper_exchange.market.book import BookShape
from paper_exchange.market.instrument import Instrument, split_symbol
from paper_exchange.market.market import Market
from paper_exchange.market.synthetic import DEFAULT_DAYS, DEFAULT_END_MS, synthetic_tape
from paper_exchange.server import bind, clear_ready_file, serve, write_ready_file

SYNTHETIC = "synthetic"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_DAY_MS = 86_400_000
_DAYS_AHEAD = 7  # what a venue on wall time has in store, so that it does not run dry over a weekend
_MOST_DAYS = 3660

app = typer.Typer(pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})


@dataclass(frozen=True, slots=True)
class Source:
    """Where one symbol's bars come from; `path` None means they are invented."""

    symbol: str
    path: Path | None


def main() -> None:
    """Run the command; a user's mistake prints its sentence and exits with code 2."""
    try:
        app()
    except StartError as error:
        typer.echo(f"paper-exchange: {error}", err=True)
        sys.exit(2)


Bars = Annotated[
    list[str],
    typer.Option(help="A CSV (.gz too) or feather file of 1m bars, SYMBOL=FILE for several, or 'synthetic'."),
]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0 takes a free one.")]
Host = Annotated[str, typer.Option(help="Address to listen at; all but loopback let other machines in.")]
Symbols = Annotated[str, typer.Option(help="Symbols of the bars, such as BTCUSDT,ETHUSDT.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of synthetic bars.")]
Days = Annotated[int, typer.Option(min=1, max=_MOST_DAYS, help="Days of synthetic bars.")]
End = Annotated[str, typer.Option(help="End of synthetic bars, ISO; 2022-02-01 unless on wall time.")]
Speed = Annotated[float, typer.Option(help="0: the clock stands still; 1: it runs; N: N times as fast.")]
Start = Annotated[str, typer.Option(help="The venue's time at start: ISO, or 'now'. Standing: the bars' end.")]
SpreadBps = Annotated[float, typer.Option(min=0, max=1000, help="Spread of the book; at least a tick.")]
DepthLevels = Annotated[int, typer.Option(min=1, max=5000, help="Levels on each side of the book.")]
WeightLimit = Annotated[int, typer.Option(min=0, help="Request weight per minute; 0 for no limit.")]
ReadyFile = Annotated[Path | None, typer.Option(help="When ready, write url, port and bars here as JSON.")]
UntilEof = Annotated[bool, typer.Option("--until-eof", help="End when standard input ends, as with its parent.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the ready line as JSON.")]


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
    end_ms = _synthetic_end(end, on_wall_time)
    shape = BookShape(spread_bps=spread_bps, levels=depth_levels)
    if ready_file is not None:
        clear_ready_file(ready_file)
    with bind(host, port) as listener:
        markets = {"".join(split_symbol(one.symbol)): _market(one, seed, days, end_ms, shape) for one in sources}
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
            venue = Venue(markets, clock, RequestWeights(weight_limit))
            serve(create_app(venue), listener, announce, until_eof=until_eof)
        finally:
            if ready_file is not None:
                ready_file.unlink(missing_ok=True)


def read_sources(bars: list[str], symbol: str) -> list[Source]:
    """Return the sources that ``--bars`` and ``--symbol`` name, each symbol once."""
    plain = [value for value in bars if "=" not in value]
    named = [value.split("=", 1) for value in bars if "=" in value]
    symbols = [name.strip() for name in symbol.split(",") if name.strip()]
    if len(plain) > 1:
        raise StartError(f"{len(plain)} --bars have no symbol; write --bars SYMBOL=FILE for each of several.")
    if plain and plain[0] != SYNTHETIC and len(symbols) != 1:
        raise StartError(f"One file holds one symbol, found --symbol {symbol!r}; write --bars SYMBOL=FILE for each.")
    pairs = [(name, plain[0]) for name in symbols] if plain else []
    pairs += [(name, value) for name, value in named]
    sources = [Source(name, None if value == SYNTHETIC else Path(value)) for name, value in pairs]
    names = ["".join(split_symbol(source.symbol)) for source in sources]
    if not names:
        raise StartError("At least one symbol was needed, found none in --symbol.")
    if len(set(names)) != len(names):
        raise StartError(f"Each symbol can have one source of bars, found {', '.join(names)}.")
    return sources


def make_clock(markets: dict[str, Market], speed: float, start: str, on_wall_time: bool) -> Clock:
    """Return the clock that ``--speed`` and ``--start`` ask for.

    Standing, it stands at `start` or at the end of the bars; running, it runs from `start` or from the
    first bar and comes to stand at the end of the bars; on wall time it is the machine's.
    """
    first = min(market.tape.first_ms for market in markets.values())
    last = max(market.tape.end_ms for market in markets.values())
    if on_wall_time and speed in (0, 1):
        return WallClock() if speed == 1 else StandingClock(WallClock().now_ms())
    if on_wall_time:
        raise StartError(f"--start now needs --speed 1 (or 0), found {speed:g}.")
    at = parse_time("--start", start) if start else (last if speed == 0 else first)
    if speed == 0:
        return StandingClock(at)
    return RunningClock(at, speed, stop_ms=max(last, at))


def parse_time(option: str, value: str) -> int:
    """Return an ISO time as ms since 1970; one without a zone is UTC."""
    try:
        parsed = datetime.fromisoformat(value)
        milliseconds = round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        milliseconds = -1
    if milliseconds < 0:
        raise StartError(f"{option} needs an ISO time such as 2022-01-15T12:00, from 1970 on, found {value!r}.")
    return milliseconds


def ready_document(markets: dict[str, Market], clock: Clock, host: str, port: int) -> dict[str, object]:
    """Return what other programs need to know of a venue that is ready."""
    shown = f"[{host}]" if ":" in host else host
    return {
        "url": f"http://{shown}:{port}",
        "host": host,
        "port": port,
        "pid": os.getpid(),
        "symbols": list(markets),
        "bars": {name: len(market.tape) for name, market in markets.items()},
        "first": min(market.tape.first_ms for market in markets.values()),
        "last": max(market.tape.end_ms for market in markets.values()) - 60_000,
        "sources": {name: market.source for name, market in markets.items()},
        "time": clock.now_ms(),
        "clock": _clock_words(clock),
    }


def ready_line(markets: dict[str, Market], ready: dict[str, object], clock: Clock) -> str:
    """Return the one line that people read."""
    parts = []
    for name, market in markets.items():
        tape = market.tape
        span = f"{_minute(tape.first_ms)} to {_minute(tape.end_ms - 60_000)} UTC"
        parts.append(f"{name} {len(tape):,} bars {span} ({market.source})")
    now = _minute(clock.now_ms())
    return f"paper-exchange ready at {ready['url']}: {'; '.join(parts)}; clock {_clock_words(clock)} at {now} UTC"


def _clock_words(clock: Clock) -> str:
    if isinstance(clock, RunningClock):
        return f"runs at speed {clock.speed:g}"
    return "stands still" if isinstance(clock, StandingClock) else "runs on wall time"


def _synthetic_end(end: str, on_wall_time: bool) -> int:
    if end:
        return parse_time("--end", end) // 60_000 * 60_000
    if not on_wall_time:
        return DEFAULT_END_MS
    return (WallClock().now_ms() // _DAY_MS + 1 + _DAYS_AHEAD) * _DAY_MS


def _market(source: Source, seed: int, days: int, end_ms: int, shape: BookShape) -> Market:
    base, quote = split_symbol(source.symbol)
    symbol = base + quote
    if source.path is None:
        tape = synthetic_tape(symbol, seed, days, end_ms)
        described = f"synthetic bars, seed {seed}"
    else:
        tape, rounded = read_tape(source.path)
        described = source.path.name
        if rounded:
            typer.echo(f"Note: {rounded} values of {source.path} are finer than 1e-8 and were rounded to it.", err=True)
    instrument = Instrument(symbol, base, quote, tape.price_decimals, tape.quantity_decimals)
    return Market(instrument, tape, described, shape)


def _minute(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
