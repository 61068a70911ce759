"""ccxt, unpatched and with keys, trades on the venue as it does on Binance; also with its default options."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ccxt
import ccxt.async_support
import pytest
from venue_tools import Venue, exchange_block

pytestmark = pytest.mark.venue
PAIR = "BTC/USDT"


@pytest.fixture
def trading(tmp_path: Path) -> Iterator[Venue]:
    """A venue whose clock stands, with 10,000 USDT and 1 BTC for the account that everybody knows."""
    options = ("--bars", "synthetic", "--days", "2", "--symbol", "BTCUSDT,ETHUSDT", "--seed", "7")
    with Venue(tmp_path, *options, "--deposit", "USDT=10000", "--deposit", "BTC=1") as started:
        yield started


@pytest.fixture
def exchange(trading: Venue) -> Iterator[Any]:
    """The synchronous client, with the options that stay at the venue."""
    client = with_keys(trading, ccxt.binance)
    client.load_markets()
    yield client
    client.session.close()


def with_keys(venue: Venue, kind: Any, **options: Any) -> Any:
    block = exchange_block(venue.url)
    block["options"] |= options
    return kind({**block, "apiKey": "paper-key", "secret": "paper-secret"})


def test_with_default_options_markets_and_coins_are_loaded(trading: Venue) -> None:
    """Currencies and margin pairs come from sapi; no pair is marginable, and the wallet's coins are the venue's."""
    client = with_keys(trading, ccxt.binance, fetchMargins=True, fetchCurrencies=True)
    markets = client.load_markets()
    assert sorted(markets) == [PAIR, "ETH/USDT"]
    assert markets[PAIR]["margin"] is False
    assert {"BTC", "ETH", "USDT"} <= client.currencies.keys()
    assert client.fetch_status()["status"] == "ok"
    assert client.fetch_trading_fees()[PAIR]["taker"] == client.fetch_trading_fee(PAIR)["maker"] == 0.001
    client.session.close()


def test_a_market_order_fills_at_the_book_and_pays_its_fee(exchange: Any) -> None:
    """All of it at the best ask or worse; the fee of 0.1 % is taken from what is bought."""
    ask = exchange.fetch_order_book(PAIR, limit=5)["asks"][0][0]
    order = exchange.create_order(PAIR, "market", "buy", 0.01)
    assert (order["status"], order["filled"], order["remaining"]) == ("closed", 0.01, 0)
    assert order["average"] == pytest.approx(ask, rel=1e-3)
    assert order["average"] >= ask
    assert order["fee"] == {"currency": "BTC", "cost": pytest.approx(0.00001)}
    balance = exchange.fetch_balance()
    assert balance["BTC"]["total"] == pytest.approx(1.00999)
    assert balance["USDT"]["free"] == pytest.approx(10_000 - order["cost"])
    (trade,) = exchange.fetch_my_trades(PAIR)
    assert (trade["order"], trade["takerOrMaker"], trade["amount"]) == (order["id"], "taker", 0.01)
    assert exchange.fetch_order_trades(order["id"], PAIR)[0]["id"] == trade["id"]


def test_a_limit_order_lives_until_it_is_cancelled(exchange: Any) -> None:
    """Its money is locked meanwhile; every way to ask for it tells the same."""
    price = exchange.price_to_precision(PAIR, exchange.fetch_ticker(PAIR)["last"] * 0.9)
    order = exchange.create_order(PAIR, "limit", "buy", 0.1, price)
    assert (order["status"], order["timeInForce"]) == ("open", "GTC")
    assert exchange.fetch_balance()["USDT"]["used"] == pytest.approx(float(price) * 0.1)
    assert [one["id"] for one in exchange.fetch_open_orders(PAIR)] == [order["id"]]
    assert exchange.fetch_order(order["id"], PAIR)["status"] == "open"
    assert exchange.fetch_order(None, PAIR, {"origClientOrderId": order["clientOrderId"]})["id"] == order["id"]
    assert exchange.cancel_order(order["id"], PAIR)["status"] == "canceled"
    assert exchange.fetch_orders(PAIR)[-1]["status"] == "canceled"
    assert exchange.fetch_balance()["USDT"] == {"free": 10_000, "used": 0, "total": 10_000}


def test_every_kind_of_order_is_taken(exchange: Any) -> None:
    """Post only, stops, IOC, FOK, by cost, as a test: in ccxt's own words."""
    last = exchange.fetch_ticker(PAIR)["last"]
    maker = exchange.create_order(PAIR, "limit", "sell", 0.01, round(last * 1.1), {"postOnly": True})
    assert exchange.fetch_order(maker["id"], PAIR)["type"] == "limit"
    stop = exchange.create_order(PAIR, "limit", "sell", 0.01, round(last * 0.89), {"stopLossPrice": round(last * 0.9)})
    assert exchange.fetch_order(stop["id"], PAIR)["triggerPrice"] == round(last * 0.9)
    take = exchange.create_order(PAIR, "limit", "sell", 0.01, round(last * 1.1), {"takeProfitPrice": round(last * 1.1)})
    assert exchange.fetch_order(take["id"], PAIR)["status"] == "open"
    ioc = exchange.create_order(PAIR, "limit", "buy", 0.01, round(last * 0.9), {"timeInForce": "IOC"})
    assert (ioc["status"], ioc["filled"]) == ("expired", 0)
    fok = exchange.create_order(PAIR, "limit", "buy", 0.01, round(last * 1.01), {"timeInForce": "FOK"})
    assert (fok["status"], fok["filled"]) == ("closed", 0.01)
    spent = exchange.create_market_buy_order_with_cost(PAIR, 100)
    assert (spent["status"], spent["cost"] <= 100) == ("closed", True)
    exchange.create_order(PAIR, "limit", "buy", 0.01, round(last * 0.9), {"test": True})
    assert sorted(one["id"] for one in exchange.fetch_open_orders(PAIR)) == [maker["id"], stop["id"], take["id"]]
    assert len(exchange.cancel_all_orders(PAIR)) == 3
    assert exchange.private_get_openorders() == []


def test_refusals_become_ccxts_own_errors(exchange: Any, trading: Venue) -> None:
    """Each of the venue's codes is the exception that Freqtrade and others catch."""
    last = exchange.fetch_ticker(PAIR)["last"]
    with pytest.raises(ccxt.InsufficientFunds):
        exchange.create_order(PAIR, "market", "buy", 5)
    with pytest.raises(ccxt.InvalidOrder):
        exchange.private_post_order(limit(price="100.001"))
    with pytest.raises(ccxt.InvalidOrder):
        exchange.private_post_order(limit(quantity="0.000001"))
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        exchange.create_order(PAIR, "limit", "buy", 0.01, round(last * 1.01), {"postOnly": True})
    with pytest.raises(ccxt.OrderNotFound):
        exchange.fetch_order("99", PAIR)
    with pytest.raises(ccxt.OrderNotFound):
        exchange.cancel_order("99", PAIR)
    for change, error in (
        ({"apiKey": "nobody"}, ccxt.AuthenticationError),
        ({"secret": "guessed"}, ccxt.AuthenticationError),
    ):
        stranger = ccxt.binance(
            exchange_block(trading.url) | {"apiKey": "paper-key", "secret": "paper-secret"} | change
        )
        with pytest.raises(error):
            stranger.fetch_balance()
        stranger.session.close()
    late = with_keys(trading, ccxt.binance)
    late.nonce = lambda: late.milliseconds() - 70_000
    with pytest.raises(ccxt.InvalidNonce):
        late.fetch_balance()
    late.session.close()


def limit(**change: str) -> dict[str, str]:
    good = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "100"}
    return good | change


def test_the_asynchronous_client_trades_many_at_once(trading: Venue) -> None:
    """Twenty orders on the way together, each accepted once."""

    async def trade() -> tuple[list[Any], list[Any]]:
        async with with_keys(trading, ccxt.async_support.binance) as client:
            await client.load_markets()
            price = round((await client.fetch_ticker(PAIR))["last"] * 0.9)
            orders = await asyncio.gather(
                *(client.create_order(PAIR, "limit", "buy", 0.001, price - number) for number in range(20))
            )
            return orders, await client.fetch_open_orders(PAIR)

    orders, found = asyncio.run(trade())
    assert sorted(order["id"] for order in orders) == sorted(order["id"] for order in found)
    assert len({order["id"] for order in found}) == 20
