"""ccxt, unpatched, takes the venue for Binance."""

import asyncio
import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ccxt
import ccxt.async_support
import pytest
from venue_tools import MINUTE_MS, NEW_YEAR_MS, SHARED_BARS, Venue, exchange_block

from paper_exchange.market.synthetic import synthetic_tape

pytestmark = pytest.mark.venue
COLUMNS = ("open", "high", "low", "close", "volume")


@pytest.fixture(scope="module")
def exchange(venue: Venue) -> Iterator[Any]:
    """The synchronous client at the local venue."""
    client = ccxt.binance(exchange_block(venue.url))
    client.load_markets()
    yield client
    client.session.close()


def test_markets_carry_precision_and_limits(exchange: Any) -> None:
    """Tick, lot and least notional, from the filters; nothing but spot."""
    assert sorted(exchange.markets) == ["BTC/USDT", "ETH/USDT"]
    market = exchange.market("BTC/USDT")
    assert (market["spot"], market["active"], market["margin"]) == (True, True, False)
    assert market["precision"] == {"amount": 1e-5, "price": 0.01, "base": 1e-8, "quote": 1e-8}
    assert market["limits"]["cost"]["min"] == 5


def test_all_bars_come_over_once_and_exactly(exchange: Any) -> None:
    """Pages of 1000 from the start: the 44,640 bars of the seed, to the last digit."""
    tape = synthetic_tape("BTCUSDT", 7)
    rows: list[list[float]] = []
    since = NEW_YEAR_MS
    while page := exchange.fetch_ohlcv("BTC/USDT", "1m", since=since, limit=1000):
        rows += page
        since = page[-1][0] + MINUTE_MS
    assert [row[0] for row in rows] == tape.open_ms.tolist()
    for column, values, unit in ((1, tape.open, 100), (2, tape.high, 100), (3, tape.low, 100), (4, tape.close, 100)):
        assert [row[column] for row in rows] == (values / unit).tolist()
    assert [row[5] for row in rows] == (tape.volume / 1e5).tolist()


@pytest.mark.skipif(not SHARED_BARS.exists(), reason="the real bars are not on this machine")
def test_the_real_file_comes_over_as_it_is(tmp_path: Path) -> None:
    """45,031 bars; six of its volumes have float noise behind the eighth decimal, which no venue writes."""
    with gzip.open(SHARED_BARS, "rt") as file:
        wanted = [[float(row[name]) for name in COLUMNS] for row in csv.DictReader(file)]
    rows: list[list[float]] = []
    with Venue(tmp_path, "--bars", str(SHARED_BARS)) as venue:
        client = ccxt.binance(exchange_block(venue.url))
        while page := client.fetch_ohlcv("BTC/USDT", "1m", since=int(rows[-1][0]) + 1 if rows else 0, limit=1000):
            rows += page
        client.session.close()
    code, _, err = venue.stop()
    assert code == 0
    assert "6 values" in err
    assert len(rows) == len(wanted) == 45_031
    assert [row[1:5] for row in rows] == [bar[:4] for bar in wanted]
    different = [(row[5], bar[4]) for row, bar in zip(rows, wanted, strict=True) if row[5] != bar[4]]
    assert len(different) <= 6
    assert all(abs(got - meant) < 1e-8 for got, meant in different)


def test_tickers_trades_and_book_are_read(exchange: Any) -> None:
    """Each in ccxt's unified form, and in agreement."""
    ticker = exchange.fetch_ticker("BTC/USDT")
    assert ticker["bid"] < ticker["ask"]
    assert ticker["last"] in (ticker["bid"], ticker["ask"])
    assert sorted(exchange.fetch_tickers()) == ["BTC/USDT", "ETH/USDT"]
    assert sorted(exchange.fetch_tickers(["ETH/USDT"])) == ["ETH/USDT"]
    book = exchange.fetch_order_book("BTC/USDT", limit=5)
    assert (book["bids"][0][0], book["asks"][0][0]) == (ticker["bid"], ticker["ask"])
    trades = exchange.fetch_trades("BTC/USDT", limit=10)
    assert len(trades) == 10
    assert trades[-1]["price"] == ticker["last"]
    assert {trade["side"] for trade in trades} <= {"buy", "sell"}
    assert exchange.fetch_time() == 1_643_673_600_000


def test_refusals_become_ccxts_own_errors(exchange: Any) -> None:
    """By the venue's codes: a symbol that is not listed, an interval that does not exist."""
    with pytest.raises(ccxt.BadSymbol):
        exchange.public_get_klines({"symbol": "NOPEUSDT", "interval": "1m"})
    with pytest.raises(ccxt.BadRequest):
        exchange.public_get_klines({"symbol": "BTCUSDT", "interval": "7m"})


def test_the_asynchronous_client_fetches_many_at_once(venue: Venue) -> None:
    """Two symbols and four timeframes together, each with its own bars."""

    async def fetch() -> list[list[list[float]]]:
        async with ccxt.async_support.binance(exchange_block(venue.url)) as client:
            await client.load_markets()
            wanted = [(pair, tf) for pair in ("BTC/USDT", "ETH/USDT") for tf in ("1m", "1h", "1d", "1M")]
            return await asyncio.gather(
                *(client.fetch_ohlcv(pair, tf, since=NEW_YEAR_MS, limit=20) for pair, tf in wanted)
            )

    pages = asyncio.run(fetch())
    assert [len(page) for page in pages] == [20, 20, 20, 1] * 2
    assert all(page[0][0] == NEW_YEAR_MS for page in pages)
    assert pages[0][0][1] == 46_300.0
    assert pages[4][0][1] == 3_700.0


def test_a_client_past_the_limit_is_told_so_in_ccxts_terms(tmp_path: Path) -> None:
    """HTTP 429 with -1003 is what makes ccxt and Freqtrade slow down."""
    with Venue(tmp_path, "--bars", "synthetic", "--days", "1", "--weight-limit", "30") as venue:
        client = ccxt.binance(exchange_block(venue.url))
        client.load_markets()
        with pytest.raises(ccxt.DDoSProtection):  # RateLimitExceeded is one of these
            [client.fetch_time() for _ in range(40)]
        client.session.close()
