"""Market streams of a real process, read with plain websockets: their paths, forms, limits, and agreement with REST.

Field lists are those of web-socket-streams.md of binance-spot-api-docs ("Detailed Stream information"), July 2026.
"""

import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from venue_tools import MINUTE_MS, Venue
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.venue
PATIENCE_S = 60.0
FIELDS = {
    "trade": ["e", "E", "s", "t", "p", "q", "T", "m", "M"],
    "aggTrade": ["e", "E", "s", "a", "p", "q", "f", "l", "T", "m", "M"],
    "kline_1m": ["e", "E", "s", "k"],
    "miniTicker": ["e", "E", "s", "c", "o", "h", "l", "v", "q"],
    "ticker": [
        *("e", "E", "s", "p", "P", "w", "x", "c", "Q", "b", "B", "a", "A", "o", "h", "l", "v", "q"),
        *("O", "C", "F", "L", "n"),
    ],
    "bookTicker": ["u", "s", "b", "B", "a", "A"],
    "avgPrice": ["e", "E", "s", "i", "w", "T"],
    "depth10": ["lastUpdateId", "bids", "asks"],
    "depth": ["e", "E", "s", "U", "u", "b", "a"],
}
KLINE_FIELDS = ["t", "T", "s", "i", "f", "L", "o", "c", "h", "l", "v", "n", "x", "q", "V", "Q", "B"]
NAMES = {"trade": "trade", "aggTrade": "aggTrade", "kline_1m": "kline", "miniTicker": "24hrMiniTicker",
         "ticker": "24hrTicker", "avgPrice": "avgPrice", "depth": "depthUpdate"}  # fmt: skip


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """Two markets in the middle of January 2022 at sixty times the speed."""
    folder = tmp_path_factory.mktemp("replay")
    options = ("--symbol", "BTCUSDT,ETHUSDT", "--seed", "7", "--start", "2022-01-11", "--weight-limit", "0")
    with Venue(folder, "--bars", "synthetic", *options, "--speed", "60", "--message-limit", "0") as started:
        yield started


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """The same markets, the clock standing in the middle of a minute."""
    folder = tmp_path_factory.mktemp("standing")
    options = ("--symbol", "BTCUSDT,ETHUSDT", "--seed", "7", "--start", "2022-01-11T12:34:30.500")
    with Venue(folder, "--bars", "synthetic", *options) as started:
        yield started


def listen(venue: Venue, path: str) -> ClientConnection:
    return connect(venue.url.replace("http", "ws") + path, max_size=2**24)


def ask(socket: ClientConnection, method: str, *params: Any) -> Any:
    """Send a message and return its answer; events that come before it are passed over."""
    socket.send(json.dumps({"method": method, "params": list(params), "id": 99}))
    return wait_for(socket, lambda said: isinstance(said, dict) and said.get("id") == 99)


def wait_for(socket: ClientConnection, is_it: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        said = json.loads(socket.recv(timeout=deadline - time.monotonic()))
        if is_it(said):
            return said


def get(venue: Venue, path: str, **params: Any) -> Any:
    return httpx.get(f"{venue.url}/api/v3/{path}", params=params).raise_for_status().json()


@pytest.mark.parametrize("path", ["/", "/ws", "/ws/", "/ws/0", "/ws/199"])
def test_a_socket_without_streams_is_subscribed_by_message(standing: Venue, path: str) -> None:
    """The paths that clients use: ccxt numbers its sockets, vnpy takes the bare one."""
    with listen(standing, path) as socket:
        assert ask(socket, "SUBSCRIBE", "btcusdt@miniTicker") == {"result": None, "id": 99}
        assert ask(socket, "LIST_SUBSCRIPTIONS") == {"result": ["btcusdt@miniTicker"], "id": 99}
        assert json.loads(socket.recv(timeout=PATIENCE_S))["e"] == "24hrMiniTicker"
        assert ask(socket, "UNSUBSCRIBE", "btcusdt@miniTicker") == {"result": None, "id": 99}


def test_streams_are_named_by_the_path(standing: Venue) -> None:
    """Raw at /ws/<a>/<b>, combined at /stream?streams=<a>/<b>; the property says which."""
    with listen(standing, "/ws/btcusdt@ticker/ethusdt@ticker") as socket:
        assert ask(socket, "LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@ticker", "ethusdt@ticker"]
        assert ask(socket, "GET_PROPERTY", "combined")["result"] is False
        wait_for(socket, lambda said: said["s"] == "ETHUSDT")
    with listen(standing, "/stream?streams=btcusdt@ticker/ethusdt@miniTicker") as socket:
        said = wait_for(socket, lambda said: said["stream"] == "ethusdt@miniTicker")
        assert list(said) == ["stream", "data"]
        assert (said["data"]["e"], said["data"]["s"]) == ("24hrMiniTicker", "ETHUSDT")
        assert ask(socket, "SET_PROPERTY", "combined", False)["result"] is None
        wait_for(socket, lambda said: said.get("e") == "24hrTicker")


def test_events_have_the_documented_fields(replay: Venue) -> None:
    """In the documented order, with the documented names."""
    wanted = set(FIELDS)
    with listen(replay, "/stream?streams=" + "/".join(f"ethusdt@{name}" for name in FIELDS)) as socket:
        while wanted:
            said = json.loads(socket.recv(timeout=PATIENCE_S))
            kind = said["stream"].partition("@")[2]
            event = said["data"]
            assert list(event) == FIELDS[kind]
            assert event.get("e") == NAMES.get(kind)
            assert event.get("s", "ETHUSDT") == "ETHUSDT"
            if kind == "kline_1m":
                assert list(event["k"]) == KLINE_FIELDS
                assert (event["k"]["s"], event["k"]["i"]) == ("ETHUSDT", "1m")
            wanted.discard(kind)


def test_what_streams_tell_of_an_instant_is_what_rest_answers(standing: Venue) -> None:
    """The clock stands, so both speak of the same moment."""
    names = ("ticker", "miniTicker", "avgPrice", "bookTicker", "depth5", "depth20@100ms", "kline_1m", "kline_1w")
    told: dict[str, Any] = {}
    with listen(standing, "/stream?streams=" + "/".join(f"btcusdt@{name}" for name in names)) as socket:
        while len(told) < len(names):
            said = json.loads(socket.recv(timeout=PATIENCE_S))
            told[said["stream"].partition("@")[2]] = said["data"]
    one = {"symbol": "BTCUSDT"}
    ticker, rest = told["ticker"], get(standing, "ticker/24hr", **one)
    assert list(rest.values()) == ["BTCUSDT", *(ticker[name] for name in "pPwxcQbBaAohlvqOCFLn")]
    assert [told["miniTicker"][name] for name in "ohlcvq"] == [ticker[name] for name in "ohlcvq"]
    average = get(standing, "avgPrice", **one)
    assert (told["avgPrice"]["w"], told["avgPrice"]["T"]) == (average["price"], average["closeTime"])
    best = get(standing, "ticker/bookTicker", **one)
    assert [told["bookTicker"][name] for name in "bBaA"] == list(best.values())[1:]
    assert told["depth5"] == get(standing, "depth", limit=5, **one)
    assert told["depth20@100ms"] == get(standing, "depth", limit=20, **one)
    assert told["bookTicker"]["u"] == told["depth5"]["lastUpdateId"]
    for interval in ("1m", "1w"):
        kline = told[f"kline_{interval}"]["k"]
        row = get(standing, "klines", interval=interval, limit=1, **one)[0]
        assert [kline[name] for name in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")] == row


def test_all_trades_of_a_replay_are_those_of_rest(replay: Venue) -> None:
    """At sixty times the speed, of two symbols: no id is missing, and nothing is told twice."""
    told: dict[str, list[Any]] = {"BTCUSDT": [], "ETHUSDT": []}
    with listen(replay, "/ws/btcusdt@trade/ethusdt@trade/btcusdt@aggTrade") as socket:
        while min(map(len, told.values())) < 30:
            event = json.loads(socket.recv(timeout=PATIENCE_S))
            if event["e"] == "trade":
                told[event["s"]].append(event)
            else:
                assert [event[name] for name in ("p", "q", "m")] == [
                    told["BTCUSDT"][-1][name] for name in ("p", "q", "m")
                ]
    for symbol, events in told.items():
        trades = get(replay, "historicalTrades", symbol=symbol, fromId=events[0]["t"], limit=len(events))
        fields = ("id", "price", "qty", "time", "isBuyerMaker", "isBestMatch")
        assert [[trade[name] for name in fields] for trade in trades] == [
            [event[name] for name in "tpqTmM"] for event in events
        ]


def test_closed_klines_of_a_replay_are_those_of_rest(replay: Venue) -> None:
    """Each comes once, closed, and the next one opens right behind it."""
    closed: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    with listen(replay, "/ws/btcusdt@kline_1m/btcusdt@kline_3m") as socket:
        while sum(kline["i"] == "1m" for kline in closed) < 5:
            event = json.loads(socket.recv(timeout=PATIENCE_S))
            assert event["k"]["t"] <= event["E"]
            told.append(event["k"])
            if event["k"]["x"]:
                closed.append(event["k"])
    minutes = [kline for kline in closed if kline["i"] == "1m"]
    opens = [kline["t"] for kline in minutes]
    assert opens == list(range(opens[0], opens[0] + 5 * MINUTE_MS, MINUTE_MS))
    for kline in closed:
        row = get(replay, "klines", symbol="BTCUSDT", interval=kline["i"], startTime=kline["t"], limit=1)[0]
        assert row == [kline[name] for name in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")]
    of_minutes = [kline for kline in told if kline["i"] == "1m"]
    for kline, following in pairwise(of_minutes):
        assert following["t"] == (kline["T"] + 1 if kline["x"] else kline["t"])


def test_a_book_kept_from_its_stream_is_the_book_of_rest(replay: Venue) -> None:
    """By the procedure of "How to manage a local order book correctly", checked against later snapshots."""
    agreed = 0
    with listen(replay, "/ws/btcusdt@depth@100ms") as socket:
        first = json.loads(socket.recv(timeout=PATIENCE_S))
        start = get(replay, "depth", symbol="BTCUSDT", limit=5000)
        assert start["lastUpdateId"] >= first["U"]
        kept = {side: dict(start[name]) for side, name in (("b", "bids"), ("a", "asks"))}
        last_id = start["lastUpdateId"]
        goal = get(replay, "depth", symbol="BTCUSDT", limit=5000)
        event = first
        while agreed < 3:
            if event["u"] > last_id:
                assert event["U"] <= last_id + 1
                last_id = event["u"]
                for side in ("b", "a"):
                    kept[side] |= dict(event[side])
                    kept[side] = {price: size for price, size in kept[side].items() if float(size)}
            if last_id >= goal["lastUpdateId"]:
                if last_id == goal["lastUpdateId"]:
                    assert kept == {"b": dict(goal["bids"]), "a": dict(goal["asks"])}
                    agreed += 1
                goal = get(replay, "depth", symbol="BTCUSDT", limit=5000)
            event = json.loads(socket.recv(timeout=PATIENCE_S))


def test_too_many_messages_end_the_socket(standing: Venue) -> None:
    """Five a second are allowed; the sixth closes with 1008, as at the venue."""
    with listen(standing, "/ws") as socket:
        for number in range(6):
            socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        with pytest.raises(ConnectionClosedError) as ended:
            wait_for(socket, lambda _: False)
    assert ended.value.rcvd is not None
    assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (1008, "Too many requests")


def test_a_mistake_does_not_end_the_socket(standing: Venue) -> None:
    """It is answered, in a text or in bytes, and the socket goes on."""
    with listen(standing, "/ws") as socket:
        socket.send("nonsense")
        assert json.loads(socket.recv(timeout=PATIENCE_S))["error"]["code"] == 3
        socket.send(b'{"method":"LIST_SUBSCRIPTIONS","id":1}')
        assert json.loads(socket.recv(timeout=PATIENCE_S)) == {"result": [], "id": 1}


def test_an_ending_venue_says_goodbye(tmp_path: Path) -> None:
    """First the documented event, then a closing frame; and its own end is clean."""
    with Venue(tmp_path, "--bars", "synthetic", "--days", "1") as venue, listen(venue, "/stream") as socket:
        assert ask(socket, "LIST_SUBSCRIPTIONS")["result"] == []
        code, _, err = venue.stop()
        said = json.loads(socket.recv(timeout=PATIENCE_S))
        with pytest.raises(ConnectionClosedError) as ended:
            socket.recv(timeout=PATIENCE_S)
    assert (code, err) == (0, "")
    assert said == {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": venue.ready["time"]}}
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1012
