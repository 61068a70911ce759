"""A venue that is killed in the middle of trading and started again knows all that it has acknowledged, once."""

import json
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from signed_tools import hexdigest
from venue_tools import MINUTE_MS, Venue

pytestmark = pytest.mark.venue
ACCOUNTS = [
    {"name": name, "api_key": f"{name}-key", "secret": f"{name}-secret", "balances": {"USDT": "100000", "BTC": "10"}}
    for name in ("ann", "bob")
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class Trader(threading.Thread):
    """Sends orders and cancels as fast as they are answered, and notes every answer, until the venue is gone."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__()
        self.url, self.trader = url, name
        self.accepted: dict[int, dict[str, Any]] = {}
        self.fills: dict[int, dict[str, Any]] = {}
        self.cancelled: set[int] = set()

    def run(self) -> None:
        with httpx.Client(base_url=self.url) as client:
            try:
                for number in range(100_000):
                    self.trade(client, number)
            except httpx.TransportError:
                return

    def trade(self, client: httpx.Client, number: int) -> None:
        order = {"symbol": "BTCUSDT", "side": "BUY" if number % 2 else "SELL", "quantity": "0.001"}
        if number % 3:
            placed = self.ask(client, "POST", "order", type="MARKET", **order)
        else:
            price = "42000" if number % 2 else "60000"
            placed = self.ask(client, "POST", "order", type="LIMIT", timeInForce="GTC", price=price, **order)
        self.accepted[placed["orderId"]] = placed
        self.fills |= {fill["tradeId"]: fill for fill in placed["fills"]}
        if number % 6 == 3:
            gone = self.ask(client, "DELETE", "order", symbol="BTCUSDT", orderId=placed["orderId"])
            self.cancelled.add(gone["orderId"])

    def ask(self, client: httpx.Client, method: str, path: str, **params: Any) -> Any:
        query = "&".join(f"{name}={value}" for name, value in params.items())
        query += f"&timestamp={time.time_ns() // 1_000_000}"
        signature = hexdigest(f"{self.trader}-secret", query)
        headers = {"X-MBX-APIKEY": f"{self.trader}-key"}
        response = client.request(method, f"/api/v3/{path}?{query}&signature={signature}", headers=headers)
        assert response.status_code == 200, response.text
        return response.json()


def test_a_killed_venue_knows_each_acknowledged_order_and_fill_once(tmp_path: Path) -> None:
    """Two accounts trade while it is killed; with the same journal and port it has all they were told, and no more.

    What was under way at the kill may be there or not: at most one request of each account had no answer.
    """
    accounts = tmp_path / "accounts.json"
    accounts.write_text(json.dumps(ACCOUNTS))
    accounts.chmod(0o600)
    port = free_port()
    options = (
        *("--bars", "synthetic", "--days", "1", "--speed", "60", "--weight-limit", "0", "--order-limit", "0"),
        *("--accounts", str(accounts), "--journal", str(tmp_path / "journal")),
    )
    with Venue(tmp_path, *options, port=port) as venue:
        traders = [Trader(venue.url, account["name"]) for account in ACCOUNTS]
        for trader in traders:
            trader.start()
        while min(len(trader.accepted) for trader in traders) < 60:
            assert all(trader.is_alive() for trader in traders)
            time.sleep(0.01)
        killed_ms = httpx.get(f"{venue.url}/api/v3/time").json()["serverTime"]
        venue.stop(signal.SIGKILL)
        for trader in traders:
            trader.join()
    with Venue(tmp_path, *options, port=port) as venue, httpx.Client(base_url=venue.url) as client:
        assert venue.ready["accounts"] == ["ann", "bob"]
        for trader in traders:
            check_remembered(trader, client)
        now_ms = client.get("/api/v3/time").json()["serverTime"]
        assert killed_ms < now_ms < killed_ms + 30 * MINUTE_MS  # the line goes on: seconds at 60 times the speed
        first = traders[0]
        placed = first.ask(client, "POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.001")
        assert placed["orderId"] > max(max(trader.accepted) for trader in traders)
        assert placed["fills"][0]["tradeId"] > max(max(trader.fills) for trader in traders)


def check_remembered(trader: Trader, client: httpx.Client) -> None:
    """Compare what the trader was told with what the venue knows now."""
    orders = trader.ask(client, "GET", "allOrders", symbol="BTCUSDT", limit=1000, orderId=0)
    found = {order["orderId"]: order for order in orders}
    assert len(found) == len(orders)
    assert trader.accepted.keys() <= found.keys()
    assert len(found.keys() - trader.accepted.keys()) <= 1
    for number, order in trader.accepted.items():
        assert found[number]["clientOrderId"] == order["clientOrderId"]
        if order["type"] == "MARKET":
            assert [found[number][name] for name in ("status", "executedQty")] == [
                order["status"],
                order["executedQty"],
            ]
    assert {found[number]["status"] for number in trader.cancelled} == {"CANCELED"}
    trades = trader.ask(client, "GET", "myTrades", symbol="BTCUSDT", limit=1000, fromId=0)
    kept = {trade["id"]: trade for trade in trades}
    assert len(kept) == len(trades)
    for number, fill in trader.fills.items():
        assert [kept[number][name] for name in ("price", "qty", "commission", "commissionAsset")] == [
            fill[name] for name in ("price", "qty", "commission", "commissionAsset")
        ]
    check_balances(trader, client, trades, orders)


def check_balances(trader: Trader, client: httpx.Client, trades: list[Any], orders: list[Any]) -> None:
    """What the account has is its deposit and its trades, no less and no more; what open orders need is locked."""
    usdt, btc = 100_000 * 10**8, 10 * 10**8
    for trade in trades:
        sign = 1 if trade["isBuyer"] else -1
        btc += sign * units(trade["qty"])
        usdt -= sign * units(trade["quoteQty"])
        if trade["commissionAsset"] == "BTC":
            btc -= units(trade["commission"])
        else:
            usdt -= units(trade["commission"])
    account = trader.ask(client, "GET", "account")
    held = {one["asset"]: (units(one["free"]), units(one["locked"])) for one in account["balances"]}
    assert {asset: sum(both) for asset, both in held.items()} == {"BTC": btc, "USDT": usdt}
    still_open = [order for order in orders if order["status"] in ("NEW", "PARTIALLY_FILLED")]
    left = {side: [one for one in still_open if one["side"] == side] for side in ("BUY", "SELL")}
    need = sum(
        units(one["price"]) * (units(one["origQty"]) - units(one["executedQty"])) // 10**8 for one in left["BUY"]
    )
    assert held["USDT"][1] == need
    assert held["BTC"][1] == sum(units(one["origQty"]) - units(one["executedQty"]) for one in left["SELL"])


def units(text: str) -> int:
    whole, fraction = text.split(".")
    return int(whole) * 10**8 + int(fraction)
