"""The one map between our symbols, Freqtrade's pairs and a venue's own names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.errors import SymbolError

# In no order that matters: the longest that fits wins.
# fmt: off
KNOWN_QUOTES = (
    "FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USDP", "USDS", "USD1", "DAI", "USD", "EUR", "GBP", "TRY", "BRL", "JPY",
    "AUD", "ARS", "COP", "CZK", "IDR", "MXN", "PLN", "RON", "UAH", "ZAR", "BTC", "ETH", "BNB", "SOL", "XRP", "TRX",
    "DOGE",
)
# fmt: on
_ASSET = r"[A-Z0-9]{1,20}"
_SYMBOL = re.compile(rf"({_ASSET}):([A-Z0-9]{{2,40}})(\.P)?")
_PAIR = re.compile(rf"({_ASSET})/({_ASSET})(?::({_ASSET}))?")


@dataclass(frozen=True, slots=True)
class Symbol:
    """One instrument at one venue; every spelling of it is derived from these four fields.

    A perpetual future has the asset it is settled in; a spot instrument has None there. Our own spelling marks a
    perpetual with `.P`, as charting services do, since the venue calls both of them BTCUSDT.
    """

    venue: str
    base: str
    quote: str
    settle: str | None = None

    @classmethod
    def parse(cls, text: str, quotes: Iterable[str] = KNOWN_QUOTES) -> "Symbol":
        """Return the instrument that 'BINANCE:BTCUSDT' (a perpetual: 'BINANCE:BTCUSDT.P') names.

        Parameters
        ----------
        text : str
            VENUE:BASEQUOTE in capitals.
        quotes : iterable of str
            The quote assets that are known; the longest that fits wins. Pass the venue's own where they are at hand.

        Raises
        ------
        SymbolError
            Where the text has another form, or ends in no known quote asset.
        """
        match = _match(text)
        base, quote = split_venue_name(match[2], quotes)
        return cls(match[1], base, quote, quote if match[3] else None)

    @classmethod
    def from_pair(cls, venue: str, pair: str) -> "Symbol":
        """Return the instrument that Freqtrade's and ccxt's 'BTC/USDT' (perpetual: 'BTC/USDT:USDT') names at a venue.

        Raises
        ------
        SymbolError
            Where the pair has another form.
        """
        match = _PAIR.fullmatch(pair) if isinstance(pair, str) else None
        if match is None:
            raise SymbolError(f"A pair such as BTC/USDT was needed, found {pair!r}.")
        if match[3] not in (None, match[2]):
            raise SymbolError(
                f"The pair {pair} is settled in {match[3]}; spot, and perpetuals settled in their quote, are known."
            )
        return cls(venue.upper(), match[1], match[2], match[3])

    @property
    def pair(self) -> str:
        """Freqtrade's and ccxt's spelling: 'BTC/USDT', a perpetual 'BTC/USDT:USDT'."""
        return f"{self.base}/{self.quote}" + (f":{self.settle}" if self.settle else "")

    @property
    def venue_name(self) -> str:
        """The venue's own spelling: 'BTCUSDT'."""
        return self.base + self.quote

    def __str__(self) -> str:
        return f"{self.venue}:{self.venue_name}" + (".P" if self.settle else "")


def symbol_parts(text: str) -> tuple[str, str, bool]:
    """Return a symbol's venue, the venue's own name for it, and whether it is a perpetual; nothing is split.

    Raises
    ------
    SymbolError
        Where the text has another form.
    """
    match = _match(text)
    return match[1], match[2], match[3] is not None


def symbol_text(text: str) -> str:
    """Return `text` if it has the form of a symbol, whether or not it can be split into base and quote.

    Raises
    ------
    SymbolError
        Where it has another form.
    """
    return _match(text)[0]


def _match(text: str) -> re.Match[str]:
    match = _SYMBOL.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise SymbolError(f"A symbol such as BINANCE:BTCUSDT was needed, found {text!r}.")
    return match


def split_venue_name(name: str, quotes: Iterable[str] = KNOWN_QUOTES) -> tuple[str, str]:
    """Return (base, quote) of a venue's 'BTCUSDT', by the longest known quote asset that it ends with.

    Raises
    ------
    SymbolError
        Where it ends with none of them, so that any split would be a guess.
    """
    fitting = [quote for quote in quotes if name.endswith(quote) and len(name) > len(quote)]
    if not fitting:
        raise SymbolError(
            f"{name} can not be split into base and quote: it ends with no quote asset that is known. "
            "import-ohlcv takes it with a slash, as in BINANCE:BTC/USDT; code passes the venue's own quote assets."
        )
    quote = max(fitting, key=len)
    return name.removesuffix(quote), quote


def parse_symbols(text: str) -> list[Symbol]:
    """Return the instruments of a comma-separated list that a person typed, each once, in the order given.

    'BINANCE:BTC/USDT' (a perpetual: 'BINANCE:BTC/USDT:USDT') is taken too: it says where to split.

    Raises
    ------
    SymbolError
        Where the list is empty or one of them can not be read.
    """
    return list(dict.fromkeys(_as_pair(part) or Symbol.parse(part) for part in _typed(text)))


def parse_names(text: str) -> list[str]:
    """Return the symbols of a list as `parse_symbols` does, but unsplit: for a venue, whose own list splits them.

    Raises
    ------
    SymbolError
        Where the list is empty or one of them has another form.
    """
    return list(dict.fromkeys(str(_as_pair(part) or symbol_text(part)) for part in _typed(text)))


def _typed(text: str) -> list[str]:
    parts = [part.strip().upper() for part in text.split(",") if part.strip()]
    if not parts:
        raise SymbolError("At least one symbol such as BINANCE:BTCUSDT was needed, found none.")
    return parts


def _as_pair(text: str) -> Symbol | None:
    """Return the instrument that 'BINANCE:BTC/USDT' names, or None where no slash follows the venue."""
    venue, _, pair = text.partition(":")
    if "/" not in pair:
        return None
    symbol = Symbol.from_pair(venue, pair)
    _match(str(symbol))
    return symbol
