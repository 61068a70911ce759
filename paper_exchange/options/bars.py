"""Options that say what is listed: bars from files or from a seed, and the book that is built on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from paper_exchange.clock import WallClock
from paper_exchange.errors import StartError
from paper_exchange.market.bars_file import read_tape
from paper_exchange.market.book import BookShape
from paper_exchange.market.instrument import Instrument, split_symbol
from paper_exchange.market.market import Market
from paper_exchange.market.synthetic import DEFAULT_END_MS, synthetic_tape
from paper_exchange.options.time import parse_time

SYNTHETIC = "synthetic"
_DAY_MS = 86_400_000
_DAYS_AHEAD = 7  # what a venue on wall time has in store, so that it does not run dry over a weekend
_MOST_DAYS = 3660

Bars = Annotated[
    list[str],
    typer.Option(help="A CSV (.gz too) or feather file of 1m bars, SYMBOL=FILE for several, or 'synthetic'."),
]
Symbols = Annotated[str, typer.Option(help="Symbols of the bars, such as BTCUSDT,ETHUSDT.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of synthetic bars.")]
Days = Annotated[int, typer.Option(min=1, max=_MOST_DAYS, help="Days of synthetic bars.")]
End = Annotated[str, typer.Option(help="End of synthetic bars, ISO; 2022-02-01 unless on wall time.")]
SpreadBps = Annotated[float, typer.Option(min=0, max=1000, help="Spread of the book; at least a tick.")]
FillPct = Annotated[
    int, typer.Option(min=0, max=100, help="Share of each market trade that resting orders may have, in percent.")
]
DepthLevels = Annotated[int, typer.Option(min=1, max=5000, help="Levels on each side of the book.")]


@dataclass(frozen=True, slots=True)
class Source:
    """Where one symbol's bars come from; `path` None means they are invented."""

    symbol: str
    path: Path | None


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


def synthetic_end(end: str, on_wall_time: bool) -> int:
    """Return where synthetic bars end: at `--end`, at the usual date, or a week from now."""
    if end:
        return parse_time("--end", end) // 60_000 * 60_000
    if not on_wall_time:
        return DEFAULT_END_MS
    return (WallClock().now_ms() // _DAY_MS + 1 + _DAYS_AHEAD) * _DAY_MS


def open_market(source: Source, seed: int, days: int, end_ms: int, shape: BookShape, move_ms: int = 0) -> Market:
    """Return the market of one source, with a note on stderr where the file's values had to be rounded.

    Its bars are moved by `move_ms`.
    """
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
    return Market(instrument, tape.moved(move_ms), described, shape)


def check_present(markets: Mapping[str, Market], now_ms: int) -> None:
    """Refuse bars that were moved onto wall time and do not reach it."""
    for symbol, market in markets.items():
        if not market.tape.first_ms <= now_ms < market.tape.end_ms:
            raise StartError(
                f"--wall-time moved the minute of --start to now, and {symbol} has no bars then; "
                "--start needs a time between its first and its last bar."
            )
