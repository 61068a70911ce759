"""ccxt.pro, unpatched, trades over the websocket API and hears of its orders and balances."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import ccxt.pro
import pytest
from venue_tools import Venue, exchange_block

pytestmark = pytest.mark.venue
PAIR = "BTC/USDT"
STANDING = ("--bars", "synthetic", "--days", "2", "--deposit", "USDT=10000", "--deposit", "BTC=1")
RUNNING = (*STANDING, "--speed", "120", "--weight-limit", "0")


def run(folder: Path, options: tuple[str, ...], talk: Callable[[Any], Awaitable[None]]) -> None:
    """Start a venue and let a client talk to it; the venue must have nothing to complain of."""

    async def go(url: str) -> None:
        block = exchange_block(url)
        ws = url.replace("http", "ws")
        block["urls"]["api"]["ws"] = {"spot": f"{ws}/ws", "ws-api": {"spot": f"{ws}/ws-api/v3"}}
        client = ccxt.pro.binance({**block, "apiKey": "paper-key", "secret": "paper-secret", "newUpdates": True})
        try:
            await client.load_markets()
            await asyncio.wait_for(talk(client), 60)
        finally:
            await client.close()

    with Venue(folder, *options) as venue:
        asyncio.run(go(venue.url))
    code, _, err = venue.stop()
    assert (code, err) == (0, "")


async def collect(watch: Callable[[], Awaitable[list[Any]]], until: Callable[[list[Any]], bool]) -> list[Any]:
    """What a watch method tells, until it is enough."""
    found: list[Any] = []
    while not until(found):
        found += await watch()
    return found


def test_orders_are_placed_asked_for_and_cancelled(tmp_path: Path) -> None:
    """createOrderWs, fetchOrderWs, fetchOpenOrdersWs, cancelOrderWs, cancelAllOrdersWs, fetchMyTradesWs."""

    async def talk(client: Any) -> None:
        bought = await client.create_order_ws(PAIR, "market", "buy", 0.01)
        assert (bought["status"], bought["filled"]) == ("closed", 0.01)
        order = await client.create_order_ws(PAIR, "limit", "buy", 0.01, 42_000)
        assert order["status"] == "open"
        assert (await client.fetch_order_ws(order["id"], PAIR))["price"] == 42_000
        assert [one["id"] for one in await client.fetch_open_orders_ws(PAIR)] == [order["id"]]
        assert (await client.cancel_order_ws(order["id"], PAIR))["status"] == "canceled"
        await client.create_order_ws(PAIR, "limit", "buy", 0.01, 42_000)
        assert len(await client.cancel_all_orders_ws(PAIR)) == 1
        assert [one["status"] for one in await client.fetch_orders_ws(PAIR)] == ["closed", "canceled", "canceled"]
        assert len(await client.fetch_my_trades_ws(PAIR)) == 1
        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_order_ws(PAIR, "limit", "buy", 10, 42_000)
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order_ws("99", PAIR)

    run(tmp_path, STANDING, talk)


def is_over(orders: list[Any]) -> bool:
    return bool(orders) and orders[-1]["status"] == "canceled"


def test_orders_balances_and_trades_are_watched(tmp_path: Path) -> None:
    """watchOrders, watchMyTrades and watchBalance hear what REST orders do, in order."""

    async def talk(client: Any) -> None:
        orders = asyncio.create_task(collect(client.watch_orders, is_over))
        trades = asyncio.create_task(collect(client.watch_my_trades, lambda found: len(found) >= 1))
        balance = asyncio.create_task(client.watch_balance())
        url = client.urls["api"]["ws"]["ws-api"]["spot"]
        while url not in client.clients or "spot" not in client.clients[url].subscriptions:
            await asyncio.sleep(0.01)
        await client.fetch_open_orders_ws(PAIR)  # answered after the subscription was
        bought = await client.create_order(PAIR, "market", "buy", 0.01)
        kept = await client.create_order(PAIR, "limit", "sell", 0.01, 50_000)
        await client.cancel_order(kept["id"], PAIR)
        told = await orders
        assert {(one["id"], one["status"]) for one in told} >= {(bought["id"], "closed"), (kept["id"], "canceled")}
        (trade,) = await trades
        assert (trade["order"], trade["amount"], trade["takerOrMaker"]) == (bought["id"], 0.01, "taker")
        assert (await balance)["BTC"]["total"] == pytest.approx(1.00999)

    run(tmp_path, STANDING, talk)


def test_a_resting_order_fills_as_the_market_passes(tmp_path: Path) -> None:
    """At 120 times the speed the price comes to it; the watcher hears the maker's fill at its own price."""

    async def talk(client: Any) -> None:
        trades = asyncio.create_task(client.watch_my_trades())
        last = (await client.fetch_ticker(PAIR))["last"]
        prices = [round(last * (1 + sign * 0.0005), 2) for sign in (-1, 1)]
        await client.create_order_ws(PAIR, "limit", "buy", 0.01, prices[0])
        await client.create_order_ws(PAIR, "limit", "sell", 0.01, prices[1])
        trade = (await trades)[0]
        assert trade["price"] in prices
        assert (trade["takerOrMaker"], trade["side"]) == ("maker", "buy" if trade["price"] == prices[0] else "sell")

    run(tmp_path, RUNNING, talk)
