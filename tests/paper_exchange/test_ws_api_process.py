"""The websocket API over real sockets: many requests at once, users apart, and what happens at the end.

web-socket-api.md, "General API Information" and "Response format", as of July 2026.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from signed_tools import hexdigest
from venue_tools import Venue
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

pytestmark = pytest.mark.venue
STANDING = ("--bars", "synthetic", "--days", "1", "--order-limit", "0", "--weight-limit", "0")
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001"}


def message(number: int, method: str, **params: Any) -> str:
    params = {"apiKey": "paper-key", "timestamp": time.time_ns() // 1_000_000} | params
    signature = hexdigest("paper-secret", "&".join(f"{name}={params[name]}" for name in sorted(params)))
    return json.dumps({"id": number, "method": method, "params": params | {"signature": signature}})


def talk(venue: Venue, conversation: Callable[[ClientConnection], Awaitable[None]], query: str = "") -> None:
    async def go() -> None:
        async with connect(f"{venue.url.replace('http', 'ws')}/ws-api/v3{query}", proxy=None) as socket:
            await asyncio.wait_for(conversation(socket), 60)

    asyncio.run(go())


async def receive(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [json.loads(await socket.recv()) for _ in range(count)]


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A venue whose clock stands, without limits."""
    with Venue(tmp_path_factory.mktemp("ws"), *STANDING) as venue:
        yield venue
    assert venue.stop()[::2] == (0, "")


def test_requests_in_flight_are_answered_in_their_order(standing: Venue) -> None:
    """Five hundred orders are sent before the first answer is read; ids come back one after the other."""

    async def conversation(socket: ClientConnection) -> None:
        for number in range(500):
            await socket.send(message(number, "order.place", price="42000", **LIMIT))
        answers = await receive(socket, 500)
        assert [answer["id"] for answer in answers] == list(range(500))
        assert {answer["status"] for answer in answers} == {200, 400}  # 200 orders may be open at once
        accepted = [answer["result"]["orderId"] for answer in answers if answer["status"] == 200]
        assert accepted == sorted(accepted)
        refused = {answer["error"]["msg"] for answer in answers if answer["status"] == 400}
        assert refused == {"Filter failure: MAX_NUM_ORDERS"}
        await socket.send(message(1, "openOrders.cancelAll", symbol="BTCUSDT"))
        (answer,) = await receive(socket, 1)
        assert len(answer["result"]) == len(accepted) == 200

    talk(standing, conversation)


def test_events_come_over_the_same_connection(standing: Venue) -> None:
    """NEW and the balance, then the cancel with both names and the balance again; the answers between them."""

    async def conversation(socket: ClientConnection) -> None:
        await socket.send(message(1, "userDataStream.subscribe.signature"))
        await socket.send(message(2, "order.place", price="42000", newClientOrderId="over-ws", **LIMIT))
        await socket.send(message(3, "order.cancel", symbol="BTCUSDT", origClientOrderId="over-ws"))
        said = await receive(socket, 7)
        assert [answer["status"] for answer in said if "status" in answer] == [200, 200, 200]
        events = [one["event"] for one in said if "event" in one]
        assert [(event["e"], event.get("x")) for event in events] == [
            ("executionReport", "NEW"),
            ("outboundAccountPosition", None),
            ("executionReport", "CANCELED"),
            ("outboundAccountPosition", None),
        ]
        assert events[2]["C"] == "over-ws"

    talk(standing, conversation, "?returnRateLimits=false")


def test_rate_limits_are_told_by_default(standing: Venue) -> None:
    """The field is there, and empty at a venue that has no limits; the URL can decline it."""

    async def conversation(socket: ClientConnection) -> None:
        await socket.send('{"id": "a", "method": "ping"}')
        (answer,) = await receive(socket, 1)
        assert answer == {"id": "a", "status": 200, "result": {}, "rateLimits": []}

    talk(standing, conversation)


def test_a_client_past_its_weight_is_not_let_in(tmp_path: Path) -> None:
    """Connecting weighs 2, as documented under "IP limits"."""
    with Venue(tmp_path, "--bars", "synthetic", "--days", "1", "--weight-limit", "3") as venue:

        async def conversation(socket: ClientConnection) -> None:
            with pytest.raises(InvalidStatus):
                await connect(f"{venue.url.replace('http', 'ws')}/ws-api/v3", proxy=None)
            await socket.send('{"id": 1, "method": "ping"}')
            (answer,) = await receive(socket, 1)
            assert answer["status"] == 429

        talk(venue, conversation)


def test_a_venue_that_ends_closes_its_connections(tmp_path: Path) -> None:
    """It says so in an event, as documented under "Server Shutdown", and closes with a frame."""
    with Venue(tmp_path, *STANDING) as venue:

        async def conversation(socket: ClientConnection) -> None:
            await socket.send('{"id": 1, "method": "ping"}')
            await receive(socket, 1)
            stopping = asyncio.create_task(asyncio.to_thread(venue.stop))
            (event,) = await receive(socket, 1)
            assert event == {"event": {"e": "serverShutdown", "E": venue.ready["time"]}}
            with pytest.raises(ConnectionClosed) as caught:
                await socket.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code in (1001, 1012)
            assert (await stopping)[0] == 0

        talk(venue, conversation)


def test_rest_and_messages_share_one_venue(standing: Venue) -> None:
    """An order placed by message is found over REST at once."""

    async def conversation(socket: ClientConnection) -> None:
        await socket.send(message(1, "order.place", price="42000", newClientOrderId="shared", **LIMIT))
        (placed,) = await receive(socket, 1)
        query = f"symbol=BTCUSDT&origClientOrderId=shared&timestamp={time.time_ns() // 1_000_000}"
        url = f"{standing.url}/api/v3/order?{query}&signature={hexdigest('paper-secret', query)}"
        async with httpx.AsyncClient() as client:
            found = (await client.get(url, headers={"X-MBX-APIKEY": "paper-key"})).json()
        assert found["orderId"] == placed["result"]["orderId"]

    talk(standing, conversation)


async def flood(socket: ClientConnection, request: str) -> None:
    while True:
        await socket.send(request)


def test_a_client_that_does_not_read_is_cut_off(standing: Venue) -> None:
    """It would have the venue hold ever more for it; others are served meanwhile."""

    async def conversation(socket: ClientConnection) -> None:
        klines = {"symbol": "BTCUSDT", "interval": "1m", "limit": 1000}
        request = json.dumps({"id": 1, "method": "klines", "params": klines})
        with pytest.raises(ConnectionClosed):
            await flood(socket, request)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{standing.url}/api/v3/ping")).json() == {}

    talk(standing, conversation)
