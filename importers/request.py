"""What a user asks an import for, read from the command's options and checked before anything is opened."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from importers.venue import VenueAddress
from schemas.errors import InputError, SymbolError
from schemas.symbols import Symbol, parse_names, parse_symbols, symbol_parts
from schemas.timeframes import Timeframe, parse_time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BarLength(StrEnum):
    """The timeframes that are stored."""

    MINUTE = "1m"
    DAY = "1d"

    @classmethod
    def of(cls, text: str | None) -> "BarLength | None":
        """Return the length that the option --tf names; None where it is not given.

        Raises
        ------
        InputError
            Where bars of that length are not stored.
        """
        if text is None:
            return None
        if text not in list(cls):
            raise InputError(f"Bars of {_listed(cls)} are stored, not of {text!r}. Use --tf {_listed(cls)}.")
        return cls(text)


class Source(StrEnum):
    """Where bars come from."""

    CCXT = "ccxt"
    CSV = "csv"
    FREQTRADE = "freqtrade"
    BINANCE_DUMP = "binance-dump"

    @classmethod
    def of(cls, text: str) -> "Source":
        """Return the source that the option --source names.

        Raises
        ------
        InputError
            Where there is none of that name.
        """
        if text not in list(cls):
            raise InputError(f"Bars come from {_listed(cls)}, not from {text!r}. Use --source with one of these.")
        return cls(text)


def _listed(names: type[StrEnum]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"


@dataclass(frozen=True, slots=True)
class Span:
    """Bars that open from `since_ms` on and before `until_ms`; None where that side is open."""

    since_ms: int | None
    until_ms: int | None

    @classmethod
    def parse(cls, since: str | None, until: str | None) -> "Span":
        """Return the span between two ISO times; without a zone they are UTC.

        Raises
        ------
        TimeError
            Where one of them is no time.
        InputError
            Where the end does not come after the start.
        """
        start = None if since is None else _ms(parse_time(since, "--since"))
        end = None if until is None else _ms(parse_time(until, "--until"))
        if start is not None and end is not None and end <= start:
            raise InputError(f"--until must come after --since, found --since {since} and --until {until}.")
        return cls(start, end)


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A checked request for an import of bars.

    `names` are the symbols as texts. `symbols` are the same, split by known quotes: for files only, since a venue's own
    list splits its names.
    """

    names: list[str]
    symbols: list[Symbol]
    timeframe: Timeframe
    source: Source
    span: Span
    path: str | None = None
    address: VenueAddress | None = None
    from_minutes: bool = False

    @property
    def source_name(self) -> str:
        """The source's name in the summary and in `import_rejects`."""
        return "resample-1m" if self.from_minutes else str(self.source)


def parsed_request(
    *,
    tf: BarLength | None,
    symbol: str | None,
    source: Source,
    since: str | None,
    until: str | None,
    path: str | None,
    exchange: str | None,
    exchange_url: str | None,
    resample_from: str | None,
) -> ImportRequest:
    """Return the request that the options of `import-ohlcv` make.

    Raises
    ------
    InputError
        Where options are missing or contradict each other; the sentence names them.
    """
    if tf is None or symbol is None:
        raise InputError("import-ohlcv needs --tf 1m or 1d and --symbol, such as --symbol BINANCE:BTCUSDT.")
    names, timeframe, span = parse_names(symbol), Timeframe.parse(tf), Span.parse(since, until)
    if resample_from is not None:
        if (resample_from, tf) != ("1m", BarLength.DAY) or path is not None:
            raise InputError("--resample-from 1m makes bars of --tf 1d from stored bars of 1m, and takes no --path.")
        return ImportRequest(names, parse_symbols(symbol), timeframe, source, span, from_minutes=True)
    if source is Source.CCXT:
        if path is not None:
            raise InputError("--path belongs to files: add --source csv, freqtrade or binance-dump, or leave it out.")
        return ImportRequest(names, [], timeframe, source, span, address=parsed_address(names, exchange, exchange_url))
    if path is None:
        raise InputError(f"--source {source} reads files: add --path.")
    if exchange is not None or exchange_url is not None:
        raise InputError(f"--exchange and --exchange-url belong to --source ccxt; --source {source} reads files.")
    if source is Source.CSV and len(names) > 1:
        raise InputError(f"A CSV holds the bars of one symbol, found {len(names)} symbols. Import them one by one.")
    return ImportRequest(names, parse_symbols(symbol), timeframe, source, span, path=str(Path(path).expanduser()))


@dataclass(frozen=True, slots=True)
class FollowRequest:
    """A checked request to follow bars: from `span`'s start to its end, or for a time, or until a signal."""

    names: list[str]
    timeframe: Timeframe
    address: VenueAddress
    span: Span
    for_ms: int | None = None

    def end_ms(self, now_ms: int) -> int | None:
        """Return the end of the bars to follow, not included, where following begins at `now_ms`; None: no end."""
        step = self.timeframe.seconds * 1000
        if self.for_ms is not None:
            return (now_ms + self.for_ms) // step * step
        return None if self.span.until_ms is None else -(-self.span.until_ms // step) * step


def parsed_follow_request(request: ImportRequest, length: str | None, dry_run: bool) -> FollowRequest:
    """Return what `import-ohlcv --follow` is asked for.

    Parameters
    ----------
    request : ImportRequest
        The import that comes first.
    length : str or None
        What --for says, such as '10m'.
    dry_run : bool

    Raises
    ------
    InputError
        Where the options contradict each other.
    """
    if request.address is None:
        raise InputError("--follow takes bars from a venue as they close: leave --source and --resample-from out.")
    if dry_run:
        raise InputError("--follow stores bars as they close, and has no --dry-run. Leave one of the two out.")
    if length is None:
        return FollowRequest(request.names, request.timeframe, request.address, request.span)
    if request.span.until_ms is not None:
        raise InputError("--for and --until both say when to end. Give one of the two.")
    for_ms = _length_ms(length)
    return FollowRequest(request.names, request.timeframe, request.address, request.span, for_ms)


def _length_ms(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if match is None or int(match[1]) == 0:
        raise InputError(f"--for must be a length of time such as 90s, 10m, 2h or 1d, found {text!r}.")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]] * 1000


def parsed_address(names: list[str], exchange: str | None, url: str | None) -> VenueAddress:
    """Return the venue that the symbols name, checked against --exchange where that is given.

    Raises
    ------
    SymbolError
        Where symbols of several venues, or of another than --exchange, are asked for.
    """
    venues = sorted({symbol_parts(name)[0] for name in names})
    if len(venues) > 1:
        raise SymbolError(f"Symbols of one venue were needed, found those of {', '.join(venues)}. Import them apart.")
    name = (exchange or venues[0]).lower()
    if name.upper() != venues[0]:
        raise SymbolError(f"--exchange {name} has no symbols of {venues[0]}: write them as {name.upper()}:BTCUSDT.")
    return VenueAddress(name, url)


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)
