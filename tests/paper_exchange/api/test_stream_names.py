"""The names of streams that the venue documents are understood, and others are not (web-socket-streams.md)."""

import pytest

from paper_exchange.api.stream_names import Kind, Stream, is_well_formed, stream_of


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("btcusdt@trade", ("BTCUSDT", Kind.TRADE)),
        ("btcusdt@aggTrade", ("BTCUSDT", Kind.AGGREGATE_TRADE)),
        ("btcusdt@kline_1m", ("BTCUSDT", Kind.KLINE, "1m")),
        ("btcusdt@kline_1M", ("BTCUSDT", Kind.KLINE, "1M")),
        ("ethusdt@kline_1d@+08:00", ("ETHUSDT", Kind.KLINE, "1d", 28_800_000)),
        ("btcusdt@miniTicker", ("BTCUSDT", Kind.MINI_TICKER)),
        ("btcusdt@ticker", ("BTCUSDT", Kind.TICKER)),
        ("btcusdt@bookTicker", ("BTCUSDT", Kind.BOOK_TICKER)),
        ("btcusdt@avgPrice", ("BTCUSDT", Kind.AVERAGE_PRICE)),
        ("btcusdt@depth", ("BTCUSDT", Kind.DEPTH)),
        ("btcusdt@depth@100ms", ("BTCUSDT", Kind.DEPTH)),
        ("btcusdt@depth5", ("BTCUSDT", Kind.PARTIAL_DEPTH, "", 0, 5)),
        ("btcusdt@depth10@100ms", ("BTCUSDT", Kind.PARTIAL_DEPTH, "", 0, 10)),
        ("1000satsusdt@depth20@1000ms", ("1000SATSUSDT", Kind.PARTIAL_DEPTH, "", 0, 20)),
        ("!miniTicker@arr", ("", Kind.ALL_MINI_TICKERS)),
        ("!ticker@arr", ("", Kind.ALL_TICKERS)),
    ],
)
def test_a_documented_name_says_symbol_kind_and_detail(name: str, stream: tuple[str, Kind]) -> None:
    """Symbols are written small in names."""
    assert stream_of(name) == Stream(name, *stream)


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT@trade",
        "btcusdt@kline_7m",
        "btcusdt@kline_1s",
        "btcusdt@depth7",
        "btcusdt@depth5@250ms",
        "btcusdt@x",
        "!x@arr",
    ],
)
def test_a_name_of_no_stream_is_accepted_and_means_none(name: str) -> None:
    """As at the venue: it is well formed, and nothing will ever be told on it."""
    assert is_well_formed(name)
    assert stream_of(name) is None


@pytest.mark.parametrize("name", ["", "0", "btcusdt", "btc usdt@trade", "@trade", "btcusdt@", "!x"])
def test_a_malformed_name_is_told_from_others(name: str) -> None:
    """A part of a path such as /ws/0 is one of these."""
    assert not is_well_formed(name)
    assert stream_of(name) is None
