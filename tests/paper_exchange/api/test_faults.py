"""Faults strike what they are asked to strike, as often and as long as asked, and count it; the rest goes on."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from signed_tools import ANN, NOW_MS, WALL_MS, Client, flat_markets, flat_venue, hexdigest

from paper_exchange.api.fault_kinds import FaultError, read_fault
from paper_exchange.api.fault_middleware import FaultMiddleware
from paper_exchange.api.faults import Faults
from paper_exchange.api.order_count import OrderCounts
from paper_exchange.api.request_weight import RequestWeights
from paper_exchange.api.venue import open_venue
from paper_exchange.cli import application
from paper_exchange.clock import RunningClock
from paper_exchange.options.faults import with_faults
from paper_exchange.streaming import open_streaming

BUY = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "99"}
UNKNOWN = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."


@dataclass
class Machine:
    """A machine's clock that is moved by hand, in ns."""

    now_ns: int = 10**18

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class Bench:
    """A venue with faults and a client of it; its time runs with the machine's from NOW_MS on."""

    machine: Machine = field(default_factory=Machine)

    def __post_init__(self) -> None:
        clock = RunningClock(NOW_MS, 1, time_ns=self.machine)
        self.faults = Faults(clock, self.machine)
        markets, liquidity = with_faults(flat_markets(), self.faults)
        limits = {"weights": RequestWeights(0), "counts": OrderCounts(0), "wall_ns": lambda: WALL_MS * 10**6}
        venue = open_venue(markets, clock, accounts=(ANN,), liquidity=liquidity, **limits)
        self.client = Client(venue)
        self.client.transport = httpx.ASGITransport(application(venue, open_streaming(venue), self.faults))

    def control(self, method: str, path: str = "", **fault: Any) -> Any:
        """Ask the control endpoint; the answer's body."""
        content = json.dumps(fault) if fault else ""
        return self.client.send(method, f"/control/faults{path}", content).json()

    def order(self, **changes: str) -> httpx.Response:
        return self.client.ask("POST", "order", **(BUY | changes))

    def look(self, path: str, **params: Any) -> Any:
        """What a public endpoint answers."""
        return self.client.send("GET", f"/api/v3/{path}?{urlencode(params)}").json()

    def open_orders(self) -> int:
        return len(self.client.get("openOrders"))

    def pass_s(self, seconds: float) -> None:
        self.machine.now_ns += round(seconds * 10**9)


@pytest.fixture
def bench() -> Bench:
    """A venue without any fault yet."""
    return Bench()


def refused(response: httpx.Response) -> tuple[int, int, str]:
    return response.status_code, response.json()["code"], response.json()["msg"]


def test_an_order_may_take_effect_though_its_sender_is_told_of_a_failure(bench: Bench) -> None:
    """The nasty one: 503 with an unknown state, and the order is there, once."""
    bench.control("POST", kind="error", when="after", count=1)
    assert refused(bench.order(newClientOrderId="mine")) == (503, -1007, UNKNOWN)
    assert [order["clientOrderId"] for order in bench.client.get("openOrders")] == ["mine"]
    assert bench.order().status_code == 200
    assert bench.open_orders() == 2


def test_an_order_may_fail_before_it_takes_effect(bench: Bench) -> None:
    """Twice here, with the status that was asked for; nothing is there afterwards."""
    bench.control("POST", kind="error", status=502, count=2)
    for _ in range(2):
        assert refused(bench.order())[:2] == (502, -1001)
    assert bench.open_orders() == 0
    assert bench.order().status_code == 200
    (fault,) = bench.control("GET")
    assert (fault["on"], fault["struck"], fault["left"]) == (False, 2, 0)


def test_orders_are_rejected_with_any_code(bench: Bench) -> None:
    """Of one symbol alone; other requests are not touched."""
    bench.control("POST", kind="reject", code=-2010, msg="Account has insufficient balance.", symbols=["BTCUSDT"])
    assert refused(bench.order()) == (400, -2010, "Account has insufficient balance.")
    assert refused(bench.order(symbol="ETHUSDT"))[1] == -1121
    assert bench.client.ask("GET", "account").status_code == 200
    assert bench.control("GET")[0]["struck"] == 1


@pytest.mark.parametrize("status", [429, 418])
def test_requests_are_refused_as_too_many(bench: Bench, status: int) -> None:
    """With the header that says when to come again, until the fault's time is over."""
    bench.control("POST", kind="rate_limit", status=status, retry_after_s=7, seconds=3)
    response = bench.client.send("GET", "/api/v3/time")
    assert (response.status_code, response.json()["code"], response.headers["retry-after"]) == (status, -1003, "7")
    bench.pass_s(2.9)
    assert bench.client.send("GET", "/api/v3/time").status_code == status
    bench.pass_s(0.1)
    assert bench.client.send("GET", "/api/v3/time").status_code == 200
    assert bench.control("GET")[0]["struck"] == 2


def test_a_fault_of_some_paths_and_methods_leaves_the_others(bench: Bench) -> None:
    """Here cancels alone fail."""
    bench.control("POST", kind="error", paths=["/api/v3/order"], methods=["DELETE"])
    order = bench.order().json()
    cancel = {"symbol": "BTCUSDT", "orderId": order["orderId"]}
    assert bench.client.ask("DELETE", "order", **cancel).status_code == 503
    assert bench.client.ask("GET", "order", **cancel).status_code == 200


def test_a_slow_answer_comes_late(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two latencies add up; other paths are not slowed."""
    waits: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr("paper_exchange.api.fault_middleware.asyncio.sleep", sleep)
    bench.control("POST", kind="latency", ms=200, paths=["/api/v3/time"])
    bench.control("POST", kind="latency", ms=50)
    bench.client.send("GET", "/api/v3/time")
    bench.client.send("GET", "/api/v3/ping")
    assert waits == [0.25, 0.05]


def test_only_a_part_of_the_liquidity_is_there_for_some_orders(bench: Bench) -> None:
    """Of the best ask, 2.6, ten percent; the order after that meets all of it."""
    bench.control("POST", kind="partial", percent=10, count=1)
    assert bench.look("depth", symbol="BTCUSDT", limit=1)["asks"] == [["100.01000000", "0.26000000"]]
    taken = bench.order(price="100.01", timeInForce="IOC").json()
    assert (taken["status"], taken["executedQty"]) == ("EXPIRED", "0.26000000")
    taken = bench.order(price="100.01", timeInForce="IOC").json()
    assert (taken["status"], taken["executedQty"]) == ("FILLED", "1.00000000")


def test_a_frozen_market_stands_while_time_goes_on(bench: Bench) -> None:
    """Book, trades and klines are those of the freeze's begin; after it all that happened is there."""
    one = {"symbol": "BTCUSDT"}
    views = ("depth", "trades", "ticker/price", "aggTrades")

    def seen() -> list[Any]:
        return [bench.look(path, **one) for path in views] + bench.look("klines", interval="1m", **one)

    before = seen()
    bench.control("POST", kind="freeze", seconds=90)
    bench.pass_s(89)
    assert bench.look("time")["serverTime"] == NOW_MS + 89_000
    assert seen() == before
    bench.pass_s(1)
    after = seen()
    assert len(after) == len(before) + 2
    assert after[1][-1]["time"] > NOW_MS + 60_000


def test_clearing_a_freeze_thaws_it(bench: Bench) -> None:
    """At once; it stays in the past as it was, so that time never turns back."""
    fault = bench.control("POST", kind="freeze", seconds=1000)
    bench.pass_s(100)
    frozen = bench.look("ticker/24hr", symbol="BTCUSDT")
    assert bench.control("DELETE", f"/{fault['id']}")["struck"] == 1
    assert bench.look("ticker/24hr", symbol="BTCUSDT")["count"] > frozen["count"]
    assert bench.faults.seen_ms("BTCUSDT", NOW_MS + 50_000) == NOW_MS
    assert bench.faults.seen_ms("BTCUSDT", NOW_MS + 100_000) == NOW_MS + 100_000


def test_a_candle_is_told_late_while_trades_are_on_time(bench: Bench) -> None:
    """Forty seconds behind, the minute of now is not there yet."""
    one = {"symbol": "BTCUSDT"}
    trade = bench.look("trades", limit=1, **one)
    on_time = bench.look("klines", interval="1m", limit=1, **one)[0]
    bench.control("POST", kind="late_candle", ms=40_000)
    late = bench.look("klines", interval="1m", limit=1, **one)[0]
    assert late[0] == on_time[0] - 60_000
    assert bench.look("trades", limit=1, **one) == trade
    bench.control("DELETE")
    assert bench.look("klines", interval="1m", limit=1, **one)[0] == on_time


def test_an_order_that_rests_is_filled_by_what_a_freeze_has_hidden(bench: Bench) -> None:
    """Not during the freeze; when it thaws, at once."""
    bench.control("POST", kind="freeze", seconds=30)
    order = bench.order(price="100", quantity="0.5").json()
    bench.pass_s(29)
    assert bench.client.get("order", symbol="BTCUSDT", orderId=order["orderId"])["status"] == "NEW"
    bench.pass_s(1)
    assert bench.client.get("order", symbol="BTCUSDT", orderId=order["orderId"])["status"] == "FILLED"


def test_faults_are_listed_with_counters_and_cleared(bench: Bench) -> None:
    """Each with its id and all that it was asked for."""
    assert bench.control("GET") == []
    made = bench.control("POST", kind="reject", count=3, seconds=60)
    assert made == {
        "id": 1, "kind": "reject", "count": 3, "seconds": 60.0, "code": -2010,
        "msg": "Account has insufficient balance for requested action.", "symbols": [],
        "on": True, "struck": 0, "left": 3, "ends_in_s": 60.0,
    }  # fmt: skip
    bench.order()
    bench.pass_s(20)
    (listed,) = bench.control("GET")
    assert (listed["struck"], listed["left"], listed["ends_in_s"]) == (1, 2, 40.0)
    assert bench.control("DELETE") == [listed]
    assert bench.control("GET") == []
    assert bench.order().status_code == 200
    assert "No fault has the id 1" in bench.control("DELETE", "/1")["error"]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b'{"kind":"latency"}', "latency.ms: Field required"),
        (b'{"kind":"latency","ms":0}', "latency.ms: Input should be greater than or equal to 1"),
        (b'{"kind":"earthquake"}', "Input tag 'earthquake'"),
        (b'{"kind":"drop","speed":1}', "drop.speed: Extra inputs are not permitted"),
        (b'{"kind":"error","status":404}', "error.status"),
        (b'{"kind":"freeze"}', "freeze.seconds: Field required"),
        (b'{"kind":"partial","percent":100}', "partial.percent"),
        (b"{", "Invalid JSON"),
    ],
)
def test_what_is_no_fault_is_refused_with_its_reason(document: bytes, says: str) -> None:
    """Which field, and what was wanted."""
    with pytest.raises(FaultError, match="That is no fault: ") as refusal:
        read_fault(document)
    assert says in str(refusal.value)


def test_only_programs_of_this_machine_control_faults(bench: Bench) -> None:
    """Another machine is refused, and so is a page in a browser here, which sends its origin."""
    from_page = bench.client.send("POST", "/control/faults", '{"kind":"drop"}', Origin="http://evil.example")
    assert from_page.status_code == 403
    bench.client.transport = httpx.ASGITransport(bench.client.transport.app, client=("192.0.2.7", 1234))
    assert bench.client.send("GET", "/control/faults").status_code == 403


class Socket:
    """A websocket of the venue, driven by hand."""

    def __init__(self, bench: Bench, path: str) -> None:
        self.cut = 0
        self.sent: list[Any] = []
        self.incoming: list[dict[str, Any]] = [{"type": "websocket.connect"}]
        scope = {
            "type": "websocket", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [],
            "subprotocols": [], "client": ("127.0.0.1", 5), "scheme": "ws", "server": ("127.0.0.1", 80),
            "root_path": "", "http_version": "1.1",
            "extensions": {"paper_exchange.abort": self.abort, "websocket.http.response": {}},
        }  # fmt: skip
        self.scope, self.app = scope, bench.client.transport.app

    def abort(self) -> None:
        self.cut += 1

    async def run(self) -> None:
        """Speak until all that was to be sent has been read."""

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0.001)
            return self.incoming.pop(0) if self.incoming else {"type": "websocket.disconnect", "code": 1000}

        async def send(message: Any) -> None:
            self.sent.append(message)

        await self.app(self.scope, receive, send)

    def say(self, method: str, message_id: int, **params: Any) -> None:
        """Send a signed request of the websocket API."""
        params = {"apiKey": ANN.api_key, "timestamp": WALL_MS} | params
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        params["signature"] = hexdigest(ANN.secret.decode(), payload)
        text = json.dumps({"id": message_id, "method": method, "params": params})
        self.incoming.append({"type": "websocket.receive", "text": text})

    def answers(self) -> dict[int, tuple[int, int | None]]:
        """Status and code of each answer by its id."""
        said = [json.loads(message["text"]) for message in self.sent if message["type"] == "websocket.send"]
        return {one["id"]: (one["status"], one.get("error", {}).get("code")) for one in said if "id" in one}


def test_orders_over_the_websocket_api_are_struck_alike(bench: Bench) -> None:
    """Rejected, lost before, lost after it took effect, refused as too many; then all is well."""
    for fault in (
        {"kind": "reject", "code": -2010},
        {"kind": "error", "when": "before"},
        {"kind": "error", "when": "after"},
    ):
        bench.control("POST", **fault, count=1)
    socket = Socket(bench, "/ws-api/v3")
    for number in range(1, 5):
        socket.say("order.place", number, **BUY)
    socket.say("openOrders.status", 5)
    asyncio.run(socket.run())
    assert socket.answers() == {1: (400, -2010), 2: (503, -1001), 3: (503, -1007), 4: (200, None), 5: (200, None)}
    assert bench.open_orders() == 2
    assert [fault["struck"] for fault in bench.control("GET")] == [1, 1, 1]


def test_sockets_are_cut_off_and_new_ones_refused_for_a_while(bench: Bench) -> None:
    """Those of the path that was named; the refusal is an answer to the handshake, with status 503."""
    market, user = Socket(bench, "/ws/btcusdt@trade"), Socket(bench, "/ws-api/v3")

    async def run() -> None:
        running = [asyncio.create_task(socket.run()) for socket in (market, user)]
        await asyncio.sleep(0)
        fault = read_fault(b'{"kind":"drop","refuse_s":5,"paths":["/ws/*"]}')
        assert bench.faults.add(fault)["sockets_cut"] == 1
        assert (market.cut, user.cut) == (1, 0)
        late = Socket(bench, "/ws/btcusdt@trade")
        await late.run()
        assert late.sent[0] == {
            "type": "websocket.http.response.start",
            "status": 503,
            "headers": late.sent[0]["headers"],
        }
        bench.pass_s(5)
        again = Socket(bench, "/ws/btcusdt@trade")
        await again.run()
        assert again.sent[0]["type"] == "websocket.accept"
        await asyncio.gather(*running)

    asyncio.run(run())


def test_sockets_are_cut_off_again_and_again(bench: Bench) -> None:
    """As often as asked, at the interval asked for; then never more."""

    async def run() -> list[int]:
        bench.faults.add(read_fault(b'{"kind":"drop","every_s":0.001,"count":3}'))
        struck = [bench.faults.listed()[0]["struck"]]
        while bench.faults.listed()[0]["on"]:
            await asyncio.sleep(0.001)
            struck.append(bench.faults.listed()[0]["struck"])
        return struck

    struck = asyncio.run(run())
    assert (struck[0], struck[-1]) == (1, 3)


def test_a_venue_without_a_fault_is_the_venue(bench: Bench) -> None:
    """The middleware that may strike changes nothing by itself."""
    assert isinstance(bench.client.transport.app, FaultMiddleware)
    plain = Client(flat_venue(clock=bench.client.venue.clock))
    for path in ("exchangeInfo", "depth?symbol=BTCUSDT", "klines?symbol=BTCUSDT&interval=1m", "ticker/24hr", "nothing"):
        ours, theirs = (client.send("GET", f"/api/v3/{path}") for client in (bench.client, plain))
        assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
