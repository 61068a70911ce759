"""ccxt.pro, unpatched, watches the venue's market over websockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt.pro
import pytest
from venue_tools import MINUTE_MS, Venue, exchange_block

pytestmark = pytest.mark.venue
PAIR = "BTC/USDT"
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """Two markets in the middle of January 2022 at sixty times the speed."""
    folder = tmp_path_factory.mktemp("replay")
    options = ("--symbol", "BTCUSDT,ETHUSDT", "--seed", "7", "--start", "2022-01-11", "--weight-limit", "0")
    with Venue(folder, "--bars", "synthetic", *options, "--speed", "60") as started:
        yield started


@asynccontextmanager
async def client(venue: Venue) -> AsyncIterator[Any]:
    block = exchange_block(venue.url)
    block["urls"]["api"]["ws"] = {"spot": venue.url.replace("http", "ws") + "/ws"}
    exchange = ccxt.pro.binance(block)
    try:
        await exchange.load_markets()
        yield exchange
    finally:
        await exchange.close()


def watch(venue: Venue, what: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with client(venue) as exchange, asyncio.timeout(PATIENCE_S):
            return await what(exchange)

    return asyncio.run(run())


def test_watched_candles_are_those_that_are_fetched(replay: Venue) -> None:
    """Two whole minutes are watched as they form; once closed, REST has the same."""

    async def candles(exchange: Any) -> tuple[list[Any], list[Any]]:
        seen: dict[int, list[float]] = {}
        while len(seen) < 4:
            for row in await exchange.watch_ohlcv(PAIR, "1m"):
                seen[row[0]] = row
        opens = sorted(seen)[1:3]
        fetched = await exchange.fetch_ohlcv(PAIR, "1m", since=opens[0], limit=2)
        return [seen[at] for at in opens], fetched

    watched, fetched = watch(replay, candles)
    assert watched == fetched
    assert fetched[1][0] - fetched[0][0] == MINUTE_MS


def test_watched_trades_are_those_that_are_fetched(replay: Venue) -> None:
    """With ids that have no hole."""

    async def trades(exchange: Any) -> tuple[list[Any], list[Any]]:
        exchange.apiKey = "any"  # ccxt asks for historical trades with a key only
        seen: list[Any] = []
        while len(seen) < 12:
            seen += await exchange.watch_trades(PAIR)
        fetched = await exchange.public_get_historicaltrades(
            {"symbol": "BTCUSDT", "fromId": seen[0]["id"], "limit": len(seen)}
        )
        return seen, fetched

    watched, fetched = watch(replay, trades)
    assert [trade["id"] for trade in watched] == [str(trade["id"]) for trade in fetched]
    assert [trade["price"] for trade in watched] == [float(trade["price"]) for trade in fetched]
    assert [trade["side"] for trade in watched] == ["sell" if trade["isBuyerMaker"] else "buy" for trade in fetched]


def test_a_watched_book_keeps_up_with_the_one_that_is_fetched(replay: Venue) -> None:
    """ccxt checks that no change is missing; where both are of one moment, they are equal to the last level."""

    async def books(exchange: Any) -> list[tuple[Any, Any]]:
        same = []
        while len(same) < 2:
            watched = await exchange.watch_order_book(PAIR)
            fetched = await exchange.fetch_order_book(PAIR, 1000)
            if watched["nonce"] == fetched["nonce"]:
                same.append(({side: list(map(list, watched[side])) for side in ("bids", "asks")}, fetched))
        return same

    for watched, fetched in watch(replay, books):
        assert len(watched["bids"]) == 1000
        assert watched["bids"] == fetched["bids"]
        assert watched["asks"] == fetched["asks"]


def test_tickers_and_best_prices_are_watched(replay: Venue) -> None:
    """One symbol, several, and the best prices, each in ccxt's unified form."""

    async def tickers(exchange: Any) -> tuple[Any, Any, Any]:
        one = await exchange.watch_ticker(PAIR)
        both = {}
        while len(both) < 2:
            both |= await exchange.watch_tickers([PAIR, "ETH/USDT"])
        return one, both, (await exchange.watch_bids_asks([PAIR]))[PAIR]

    one, both, best = watch(replay, tickers)
    assert one["symbol"] == PAIR
    assert one["low"] <= one["last"] <= one["high"]
    assert sorted(both) == [PAIR, "ETH/USDT"]
    assert best["bid"] < best["ask"]
