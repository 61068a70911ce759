"""Bars are told when they are stored: by change streams, or by asking where a server has none."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from live_market import BTC, ETH, FOLDER, Bar, export, factor, graph, live, position, run_over_history, store, walk
from live_market import signals_of as stored_signals
from market import START
from pydantic import SecretStr
from pymongo import MongoClient

from quantflow_nodes.graph import parse_graph
from quantflow_nodes.live.bar_feed import BarChange, BarFeed, FeedBack, PollingFeed, open_feed
from quantflow_nodes.live.live_plan import BarSource, plan_live
from quantflow_nodes.plan import plan_graph
from schemas.collections import MINUTE_BARS, Store
from schemas.mongo import connect
from schemas.mongod_binary import find_mongod
from schemas.settings import Settings

pytestmark = pytest.mark.mongo
MOMENTUM = graph(factor("{name: momentum, lookback_bars: 5}") + position() + export())


def sources() -> list[BarSource]:
    return list(plan_live(plan_graph(parse_graph(MOMENTUM, "g", FOLDER))).sources.values())


def bar(minute: int, symbol: str = BTC, close: float = 1.0) -> Bar:
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), close)
    return {"symbol": symbol, "datetime": START + timedelta(minutes=minute), **prices}


def told(feed: BarFeed, is_enough: Callable[[list[Any]], bool]) -> list[Any]:
    found: list[Any] = []
    deadline = time.monotonic() + 20
    while not is_enough(found):
        assert time.monotonic() < deadline, found
        found += feed.wait(0.2)
    return found


def minutes(changes: list[Any]) -> list[int]:
    start = int(START.timestamp()) * 1000
    return [(change.open_ms - start) // 60_000 for change in changes]


def test_stored_and_changed_bars_of_the_symbols_are_told(settings: Settings, db: Store) -> None:
    """With their values; bars of other symbols are not, and an integer's value is left to be read."""
    with open_feed(db, settings, sources(), None) as feed:
        store(db, [bar(0), bar(0, ETH)])
        db[MINUTE_BARS].replace_one({"symbol": BTC}, bar(0, close=2.0))
        store(db, [bar(1) | {"volume": 3}])
        changes = told(feed, lambda found: len(found) == 3)
    assert minutes(changes) == [0, 0, 1]
    assert [change.values for change in changes] == [(1.0,) * 5, (2.0,) * 5, None]
    assert {change.symbol for change in changes} == {BTC}


def test_a_feed_goes_on_where_another_one_stood(settings: Settings, db: Store) -> None:
    """What was stored in between is told first."""
    with open_feed(db, settings, sources(), None) as feed:
        store(db, [bar(0)])
        told(feed, lambda found: len(found) == 1)
        position = feed.position()
    store(db, [bar(1)])
    with open_feed(db, settings, sources(), position) as feed:
        store(db, [bar(2)])
        assert minutes(told(feed, lambda found: len(found) == 2)) == [1, 2]


def test_a_position_that_the_server_does_not_know_is_told(settings: Settings, db: Store) -> None:
    """Then nobody knows what came in between, and new bars are told all the same."""
    with open_feed(db, settings, sources(), {MINUTE_BARS: {"_data": "00"}}) as feed:
        store(db, [bar(0)])
        found = told(feed, lambda found: len(found) == 2)
    assert found[0] == FeedBack(complete=False)
    assert isinstance(found[1], BarChange)


def test_a_waiting_feed_can_be_woken(settings: Settings, db: Store) -> None:
    """A signal ends a session at once, and not after its wait."""
    with open_feed(db, settings, sources(), None) as feed:
        feed.wait(2.0)
        feed.wake()
        started = time.monotonic()
        feed.wait(30.0)
        assert time.monotonic() - started < 20


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A server that is no member of a replica set, and so has no change streams."""
    folder: Path = tmp_path_factory.mktemp("standalone")
    mongod = find_mongod(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([str(mongod.path), *arguments], env=mongod.environment, **quiet)  # type: ignore[call-overload]
    try:
        uri = f"mongodb://127.0.0.1:{port}/"
        with MongoClient[Any](uri, serverSelectionTimeoutMS=30_000) as client:
            client.admin.command("ping")
        yield Settings.load(mongo_uri=SecretStr(uri), db="test_standalone", home=folder)
    finally:
        process.terminate()
        process.wait(30)


def test_a_server_without_change_streams_is_asked(standalone: Settings) -> None:
    """A session there gives the same signals, a bar that comes late among them."""
    with connect(standalone) as db:
        closes = walk(db, 40)
        store(db, [one for bars in closes[:20] for one in bars])
        with live(standalone, db, MOMENTUM) as drive:
            drive.closes([*closes[20:24], *closes[25:27]])
            drive.late(closes[24])
            drive.closes(closes[27:])
        assert stored_signals(db) == run_over_history(standalone, MOMENTUM, closes)


def test_asking_tells_new_bars_once(standalone: Settings) -> None:
    """What was stored before is no news."""
    with connect(standalone) as db:
        db[MINUTE_BARS].delete_many({})
        store(db, [bar(0), bar(1)])
        feed = PollingFeed(db, standalone, sources())
        assert feed.wait(0.0) == []
        store(db, [bar(2), bar(3, ETH)])
        assert minutes(told(feed, lambda found: len(found) == 1)) == [2]
        assert feed.wait(0.1) == []
