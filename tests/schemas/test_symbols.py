"""One instrument has one name with us, one with Freqtrade and one with its venue, and each leads to the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SymbolError
from schemas.symbols import (
    KNOWN_QUOTES,
    Symbol,
    parse_names,
    parse_symbols,
    split_venue_name,
    symbol_parts,
    symbol_text,
)


@pytest.mark.parametrize(
    ("text", "base", "quote", "pair", "venue_name"),
    [
        ("BINANCE:BTCUSDT", "BTC", "USDT", "BTC/USDT", "BTCUSDT"),
        ("BINANCE:BTCUSDT.P", "BTC", "USDT", "BTC/USDT:USDT", "BTCUSDT"),
        ("BINANCE:ETHBTC", "ETH", "BTC", "ETH/BTC", "ETHBTC"),
        ("BINANCE:BTCFDUSD", "BTC", "FDUSD", "BTC/FDUSD", "BTCFDUSD"),
        ("BINANCE:1000SATSUSDT", "1000SATS", "USDT", "1000SATS/USDT", "1000SATSUSDT"),
        ("BYBIT:TUSDUSDT", "TUSD", "USDT", "TUSD/USDT", "TUSDUSDT"),
        ("BINANCE:USDCUSDT", "USDC", "USDT", "USDC/USDT", "USDCUSDT"),
        ("BINANCE:BTCUSD1", "BTC", "USD1", "BTC/USD1", "BTCUSD1"),
    ],
)
def test_every_spelling_leads_to_the_others(text: str, base: str, quote: str, pair: str, venue_name: str) -> None:
    """Ours, Freqtrade's and the venue's, for spot and perpetuals."""
    symbol = Symbol.parse(text)
    assert (symbol.base, symbol.quote, symbol.pair, symbol.venue_name) == (base, quote, pair, venue_name)
    assert str(symbol) == text
    assert Symbol.from_pair(symbol.venue, pair) == symbol


@pytest.mark.parametrize(
    ("name", "base", "quote"),
    [
        ("BTCFDUSD", "BTC", "FDUSD"),  # not BTCFD in USD
        ("BTCBUSD", "BTC", "BUSD"),  # not BTCB in USD
        ("BTCTUSD", "BTC", "TUSD"),
        ("BTCUSDT", "BTC", "USDT"),
        ("USDTUSD", "USD", "TUSD"),  # by the rule; the market list of a venue that trades it says USDT in USD
        ("BTCBTC", "BTC", "BTC"),
    ],
)
def test_the_longest_known_quote_wins(name: str, base: str, quote: str) -> None:
    """A name that several quotes fit is split at the longest."""
    assert split_venue_name(name) == (base, quote)


def test_a_venues_own_quotes_settle_what_is_ambiguous() -> None:
    """DUSDT: D in USDT by the known quotes, DUSD in T where a venue has no other quote than T."""
    assert split_venue_name("DUSDT") == ("D", "USDT")
    assert split_venue_name("DUSDT", ["T"]) == ("DUSD", "T")
    assert split_venue_name("USDTUSD", ["USD", "EUR"]) == ("USDT", "USD")
    assert Symbol.parse("VENUE:ABCVAI", ["VAI"]).pair == "ABC/VAI"


@pytest.mark.parametrize("name", ["USDT", "BTCXYZ", "X", "", "BTC"])
def test_a_name_that_can_not_be_split_is_named(name: str) -> None:
    """No split is guessed; a quote alone has no base."""
    with pytest.raises(SymbolError, match=f"^{name} can not be split into base and quote"):
        split_venue_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "BTCUSDT", "BTC/USDT", "binance:BTCUSDT", "BINANCE:btcusdt", "BINANCE:", ":BTCUSDT", "BINANCE:BTC-USDT", "",
        "BINANCE:BTCUSDT ", "BINANCE:BTCUSDT\n", "BINANCE:BTCUSDT.p", "BINANCE:BTCUSDT.PP", "A:B:C", "BINANCE:ＢUSDT",
    ],
)  # fmt: skip
def test_a_symbol_of_another_form_is_shown(text: str) -> None:
    """The sentence says what was needed and what was found."""
    with pytest.raises(SymbolError, match="A symbol such as BINANCE:BTCUSDT was needed, found"):
        Symbol.parse(text)
    with pytest.raises(SymbolError):
        symbol_text(text)


@pytest.mark.parametrize("text", [None, 5, b"BINANCE:BTCUSDT", ["BINANCE:BTCUSDT"]])
def test_what_is_no_text_is_no_symbol(text: object) -> None:
    """Values that came from a file or a frame are refused as well."""
    with pytest.raises(SymbolError):
        Symbol.parse(text)  # type: ignore[arg-type]
    with pytest.raises(SymbolError):
        Symbol.from_pair("BINANCE", text)  # type: ignore[arg-type]


def test_a_symbols_form_needs_no_known_quote() -> None:
    """Bars can be read under a name that nobody here can split."""
    assert symbol_text("BINANCE:ABCXYZ") == "BINANCE:ABCXYZ"


@pytest.mark.parametrize("pair", ["BTCUSDT", "BTC/", "/USDT", "btc/usdt", "BTC/USDT/", "BTC/USDT:", "BTC USDT", ""])
def test_a_pair_of_another_form_is_shown(pair: str) -> None:
    """Freqtrade's spelling has a slash and capitals."""
    with pytest.raises(SymbolError, match="A pair such as BTC/USDT was needed, found"):
        Symbol.from_pair("BINANCE", pair)


def test_a_perpetual_that_is_settled_in_its_base_is_refused() -> None:
    """An inverse contract's profit is counted otherwise: it is not taken for a linear one."""
    with pytest.raises(SymbolError, match="The pair BTC/USD:BTC is settled in BTC"):
        Symbol.from_pair("BINANCE", "BTC/USD:BTC")


def test_a_venue_is_written_in_capitals() -> None:
    """ccxt writes its exchanges small."""
    assert str(Symbol.from_pair("binance", "BTC/USDT")) == "BINANCE:BTCUSDT"


def test_a_list_is_read_in_order_each_symbol_once() -> None:
    """Spaces and small letters are a typist's; doubles are dropped."""
    assert [str(symbol) for symbol in parse_symbols(" binance:ethusdt,BINANCE:BTCUSDT, BINANCE:ETHUSDT,")] == [
        "BINANCE:ETHUSDT",
        "BINANCE:BTCUSDT",
    ]


def test_a_typed_pair_says_where_to_split() -> None:
    """A name with an unknown quote, or with two that fit, is read as it was meant; unsplit it is the usual name."""
    text = "coinbase:dot/usd,COINBASE:DOTUSD,BINANCE:BTC/VAI,BINANCE:BTC/USDT:USDT"
    assert [symbol.pair for symbol in parse_symbols(text.replace("COINBASE:DOTUSD,", ""))] == [
        "DOT/USD",
        "BTC/VAI",
        "BTC/USDT:USDT",
    ]
    assert parse_names(text) == ["COINBASE:DOTUSD", "BINANCE:BTCVAI", "BINANCE:BTCUSDT.P"]


def test_names_are_taken_without_a_split() -> None:
    """A venue's own list splits them: a quote that nobody here knows is none of our business, another form is."""
    assert parse_names("binance:btcvai, BINANCE:ABCXYZ.P,BINANCE:BTCVAI") == ["BINANCE:BTCVAI", "BINANCE:ABCXYZ.P"]
    assert symbol_parts("BINANCE:ABCXYZ.P") == ("BINANCE", "ABCXYZ", True)
    assert symbol_parts("BINANCE:ABCXYZ") == ("BINANCE", "ABCXYZ", False)


@pytest.mark.parametrize("text", ["BTCUSDT", "BTC/USDT", "BTC/USDT:USDT", ":BTC/USDT", "A:BTC/", "A:B/C/D", "A B:C/D"])
def test_a_typed_symbol_of_another_form_is_shown(text: str) -> None:
    """A pair needs its venue as well."""
    for read in (parse_symbols, parse_names):
        with pytest.raises(SymbolError, match="was needed, found"):
            read(text)


@pytest.mark.parametrize("text", ["", " , ", ","])
def test_an_empty_list_is_a_sentence(text: str) -> None:
    """Nothing to do is a mistake."""
    with pytest.raises(SymbolError, match="At least one symbol such as BINANCE:BTCUSDT was needed, found none"):
        parse_symbols(text)


assets = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=10)


@given(assets, assets, st.sampled_from(KNOWN_QUOTES), st.booleans())
def test_pairs_survive_the_way_to_freqtrade_and_back(venue: str, base: str, quote: str, perpetual: bool) -> None:
    """Whatever the assets are called."""
    symbol = Symbol(venue, base, quote, quote if perpetual else None)
    assert Symbol.from_pair(venue, symbol.pair) == symbol


@given(assets, assets, st.sampled_from(KNOWN_QUOTES), st.booleans())
def test_our_spelling_is_read_back_as_it_was_written(venue: str, base: str, quote: str, perpetual: bool) -> None:
    """The text never changes; the split does only where a longer known quote fits the same name."""
    text = str(Symbol(venue, base, quote, quote if perpetual else None))
    again = Symbol.parse(text)
    assert str(again) == text
    assert len(again.quote) >= len(quote)
    assert Symbol.parse(text, [quote]) == Symbol(venue, base, quote, quote if perpetual else None)
