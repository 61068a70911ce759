"""A venue with a market that stands at 100, and clients that sign as the venue's documentation tells them to."""

import asyncio
import hashlib
import hmac
from typing import Any
from urllib.parse import urlencode

import httpx
from venue_tools import MINUTE_MS, NEW_YEAR_MS, market_of, tape_of

from paper_exchange.api.accounts import Account
from paper_exchange.api.app import create_app
from paper_exchange.api.order_count import OrderCounts
from paper_exchange.api.request_weight import RequestWeights
from paper_exchange.api.venue import Venue, open_venue
from paper_exchange.clock import Clock, StandingClock
from paper_exchange.market.market import Market

NOW_MS = NEW_YEAR_MS + 5 * MINUTE_MS + 30_000
WALL_MS = 1_790_000_000_123
COIN = 10**8
ANN = Account("ann", "ann-key", b"ann-secret", {"USDT": 10_000 * COIN, "BTC": 10 * COIN})
BOB = Account("bob", "bob-key", b"bob-secret", {"USDT": 500 * COIN})
EVE = Account("eve", "eve-key", b"eve-secret", {"USDT": 500 * COIN}, can_trade=False)


def hexdigest(secret: str, payload: str) -> str:
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def flat_markets() -> dict[str, Market]:
    """Ten minutes at 100.00, with 90 BTC in each."""
    tape = tape_of([(minute, 10_000, 10_000, 10_000, 10_000, 90_000) for minute in range(10)])
    return {"BTCUSDT": market_of(tape)}


def flat_venue(clock: Clock | None = None, **options: Any) -> Venue:
    """A venue of these; at NOW_MS its best bid is 100.00 for 1.115, its asks 100.01 for 2.6 and 100.02 for 1.384."""
    defaults: dict[str, Any] = {
        "accounts": (ANN, BOB, EVE),
        "weights": RequestWeights(0),
        "counts": OrderCounts(0),
        "wall_ns": lambda: WALL_MS * 1_000_000,
    }
    return open_venue(flat_markets(), clock or StandingClock(NOW_MS), **(defaults | options))


class Client:
    """Asks a venue in this process with an account's key."""

    def __init__(self, venue: Venue, account: Account = ANN) -> None:
        self.venue = venue
        self.account = account
        self.transport = httpx.ASGITransport(create_app(venue))

    def send(self, method: str, path: str, content: str = "", **headers: str) -> httpx.Response:
        """Send a request as it stands, whatever it holds."""

        async def go() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport, base_url="http://venue") as client:
                return await client.request(method, path, content=content.encode(), headers=headers)

        return asyncio.run(go())

    def ask(self, method: str, path: str, **params: Any) -> httpx.Response:
        """Send a signed request to a path below /api/v3/, or to a path from the root."""
        query = urlencode(params | {"timestamp": params.get("timestamp", WALL_MS)})
        signature = hexdigest(self.account.secret.decode(), query)
        root = path if path.startswith("/") else f"/api/v3/{path}"
        return self.send(method, f"{root}?{query}&signature={signature}", **{"X-MBX-APIKEY": self.account.api_key})

    def get(self, path: str, **params: Any) -> Any:
        return _body(self.ask("GET", path, **params))

    def post(self, path: str, **params: Any) -> Any:
        return _body(self.ask("POST", path, **params))

    def delete(self, path: str, **params: Any) -> Any:
        return _body(self.ask("DELETE", path, **params))

    def limit(self, side: str, quantity: str, price: str, **more: Any) -> Any:
        """Place a LIMIT order that stays."""
        order = {"side": side, "type": "LIMIT", "timeInForce": "GTC", "quantity": quantity, "price": price}
        return self.post("order", symbol="BTCUSDT", **(order | more))

    def balance(self, asset: str) -> tuple[str, str]:
        """What is free and locked."""
        (found,) = (one for one in self.get("account")["balances"] if one["asset"] == asset)
        return found["free"], found["locked"]


def refusal(response: httpx.Response) -> tuple[int, int, str]:
    body = response.json()
    assert list(body) == ["code", "msg"]
    return response.status_code, body["code"], body["msg"]


def _body(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()
