"""What is kept in memory is what is stored, by a change stream and by asking, and no more of it than the window."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from chain_documents import BOT, NOON, PAIR, STRATEGY, after_close, export, fill, opens, receipt, signal
from own_mongod import OwnMongod, own_mongod
from pymongo.errors import PyMongoError

from monitoring.chain.latency import Latency, latencies
from monitoring.chain.signal_chain import SignalChain, signal_chains
from monitoring.sources.chain_feed import ChainFeed
from monitoring.sources.chain_window import ChainKey
from schemas.collections import FILLS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.mongo import open_client
from schemas.settings import Settings
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo
MINUTE = Timeframe.parse("1m")
KEY = ChainKey(STRATEGY, MINUTE, frozenset({BOT}))
PAIRS = (PAIR, "ETH/USDT", "SOL/USDT")
LIMITS = {"serverSelectionTimeoutMS": 1_000, "connectTimeoutMS": 1_000, "socketTimeoutMS": 1_000}
Writing = tuple[str, str, dict[str, Any]]


@dataclass
class Script:
    """Random writes as the chain's programs do them: inserts, changes, retractions, late fills, other strategies'."""

    chance: random.Random
    number: int = 0
    signals: list[dict[str, Any]] = field(default_factory=list)

    def minute(self, minute: int) -> list[Writing]:
        """All that is written around one bar's close."""
        writes: list[Writing] = []
        for pair in PAIRS:
            if self.chance.random() < 0.7:
                writes += self._signal(minute, pair)
        ended = self.chance.randrange(500, 900)
        own = {"pairs": list(PAIRS), "_id": self._identity("export")}
        writes.append(("insert", SIGNAL_EXPORTS, export(minute, ended, self.chance.randrange(10, 100), **own)))
        if self.signals and self.chance.random() < 0.3:
            writes += self._afterthought(minute)
        return writes

    def _identity(self, kind: str) -> str:
        self.number += 1
        return f"{kind}-{self.number}"

    def _signal(self, minute: int, pair: str) -> list[Writing]:
        new = signal(minute, self.chance.randrange(100, 400), pair, _id=self._identity("signal"))
        self.signals.append(new)
        seen = self.chance.randrange(1_000, 90_000)
        own = {"pair": pair, "ts": new["ts"]}
        first = receipt(minute, seen, pair, _id=self._identity("receipt"), decision="entered")
        order = self._identity("order")
        writes: list[Writing] = [
            ("insert", SIGNALS, new),
            ("insert", SIGNAL_RECEIPTS, first),
            ("insert", FILLS, fill(minute, seen + 100, seen + 300, order, _id=order, **own)),
            ("insert", SIGNAL_RECEIPTS, first | {"_id": self._identity("receipt"), "consumer": "another-bot"}),
            ("insert", SIGNALS, new | {"_id": self._identity("signal"), "strategy_id": "another"}),
        ]
        return writes[: self.chance.choice([1, 2, 3, 5])]

    def _afterthought(self, minute: int) -> list[Writing]:
        """A signal that was written before changes, is taken back, or is filled late; its receipt is corrected."""
        earlier = self.chance.choice(self.signals[-12:])
        key = {"_id": earlier["_id"]}
        kind = self.chance.choice(["change", "retract", "correct", "fill", "lose"])
        if kind == "change":
            return [("replace", SIGNALS, earlier | {"action": "exit_long", "version": 2})]
        if kind == "retract":
            return [("delete", SIGNALS, key)]
        if kind == "correct":
            own = {"ts": earlier["ts"], "pair": earlier["pair"], "consumer": BOT}
            return [("update", SIGNAL_RECEIPTS, own | {"$set": {"decision": "skipped", "reason": "order_unfilled"}})]
        if kind == "lose":
            return [("delete", FILLS, {"ts": earlier["ts"], "pair": earlier["pair"]})]
        order = self._identity("late")
        late = fill(minute, 100, 700, order, _id=order, pair=earlier["pair"]) | {"ts": earlier["ts"]}
        return [("insert", FILLS, late)]


def write(db: Store, writes: list[Writing]) -> None:
    for kind, collection, document in writes:
        if kind == "insert":
            db[collection].insert_one(dict(document))
        elif kind == "replace":
            db[collection].replace_one({"_id": document["_id"]}, document)
        elif kind == "update":
            own = {name: value for name, value in document.items() if name != "$set"}
            db[collection].update_one(own, {"$set": document["$set"]})
        else:
            db[collection].delete_many(document)


def shown(feed: ChainFeed, at: datetime) -> tuple[list[SignalChain], list[Latency], list[dict[str, Any]]]:
    """Everything that is made of what a feed holds."""
    stored = feed.window(KEY).stored(BOT)
    chains = signal_chains(stored, MINUTE)
    exports = [{name: one[name] for name in ("_id", "exported_at", "last_ts", "delay_s")} for one in stored.exports]
    return (
        [replace(one, fills=tuple(_plain(one))) for one in chains],
        latencies(STRATEGY, MINUTE, chains, at, NOON),
        exports,
    )


def _plain(chain: SignalChain) -> Iterator[dict[str, Any]]:
    for one in chain.fills:
        yield {
            name: value for name, value in one.items() if name in ("_id", "order_id", "ordered_at", "filled_at", "ts")
        }


@contextmanager
def database(uri: str, name: str, **options: Any) -> Iterator[Store]:
    with open_client(uri, "QUANTFLOW_MONGO_URI", **options) as client:
        db: Any = client[name]
        yield db


def test_a_stream_and_asking_give_the_same_figures(
    settings: Settings, db: Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same writes to a replica set, followed by its change stream and by asking, and to a standalone server.

    After each bar all signals, latencies and exports are the same, while the windows move on.
    """
    script, bars = Script(random.Random(11)), 8
    with own_mongod(tmp_path_factory.mktemp("standalone")) as server, database(server.uri, settings.db) as alone:
        feeds = [(ChainFeed(db, bars), True), (ChainFeed(db, bars), False), (ChainFeed(alone, bars), False)]
        for minute in range(40):
            writes = script.minute(minute)
            for one in (db, alone):
                write(one, writes)
            at = after_close(minute, 2_000)
            told = []
            for feed, has_streams in feeds:
                feed.refresh([KEY], at, has_streams=has_streams)
                told.append(shown(feed, at))
            assert told[0] == told[1] == told[2], minute
            assert told[0][0], "there are signals to compare"
        assert [feed.is_streaming for feed, _ in feeds] == [True, False, False]
        for feed, _ in feeds:
            feed.close()


def test_memory_does_not_grow(db: Store) -> None:
    """After many times the window's length there are as few documents in memory as after the first."""
    feed, held = ChainFeed(db, 5), []
    for minute in range(60):
        db[SIGNALS].insert_one(signal(minute, 80))
        db[SIGNAL_EXPORTS].insert_one(export(minute, 95, 30))
        db[SIGNAL_RECEIPTS].insert_one(receipt(minute, 500))
        db[FILLS].insert_one(fill(minute, 600, 700, str(minute)))
        feed.refresh([KEY], after_close(minute, 800), has_streams=True)
        held.append(len(feed))
    assert feed.is_streaming
    # Of five bars there are four documents each, and the export that ended when the first of them opened.
    assert set(held[6:]) == {5 * 4 + 1}
    feed.close()


def test_what_was_stored_before_is_read_at_the_start(db: Store) -> None:
    """The first refresh shows the window as it is stored, without bars that are older."""
    db[SIGNALS].insert_many([signal(minute, 80) for minute in range(10)])
    feed = ChainFeed(db, 4)
    feed.refresh([KEY], opens(10), has_streams=True)
    assert [one["ts"] for one in feed.window(KEY).stored(BOT).signals] == [opens(minute) for minute in range(6, 10)]
    feed.close()


def test_a_bot_that_comes_later_is_followed_with_its_past(db: Store) -> None:
    """Other keys begin anew: what the bot wrote before it was watched is there."""
    feed = ChainFeed(db, 10)
    db[SIGNALS].insert_one(signal(0, 80))
    db[SIGNAL_RECEIPTS].insert_one(receipt(0, 500, consumer="new-bot"))
    feed.refresh([KEY], opens(2), has_streams=True)
    both = replace(KEY, consumers=frozenset({BOT, "new-bot"}))
    feed.refresh([both], opens(2), has_streams=True)
    assert len(feed.window(both).stored("new-bot").receipts) == 1
    assert len(feed.window(both).stored(BOT).receipts) == 0
    feed.close()


def test_a_collection_that_is_dropped_is_read_again(db: Store) -> None:
    """A restored backup begins with a drop; what is there afterwards is shown."""
    feed = ChainFeed(db, 10)
    db[SIGNALS].insert_many([signal(0, 80), signal(1, 80)])
    feed.refresh([KEY], opens(3), has_streams=True)
    db[SIGNALS].drop()
    db[SIGNALS].insert_one(signal(1, 90))
    for _ in range(2):
        feed.refresh([KEY], opens(3), has_streams=True)
        (only,) = feed.window(KEY).stored(BOT).signals
        assert only["created_at"] == after_close(1, 90)
    db[SIGNALS].insert_one(signal(2, 80))
    feed.refresh([KEY], opens(3), has_streams=True)
    assert len(feed.window(KEY).stored(BOT).signals) == 2
    assert feed.is_streaming
    feed.close()


def test_documents_of_other_programs_do_no_harm(db: Store) -> None:
    """A signal without a time, a fill without a signal, an export without bars: they are not shown."""
    feed = ChainFeed(db, 10)
    feed.refresh([KEY], opens(3), has_streams=True)
    db[SIGNALS].insert_one({"strategy_id": STRATEGY, "pair": PAIR, "timeframe": "1m", "ts": "noon"})
    db[FILLS].insert_one({name: value for name, value in fill(1, 1, 2, "9").items() if name != "ts"})
    db[SIGNAL_EXPORTS].insert_one(export(1, 95, 30, first_ts=None, last_ts=None))
    db[SIGNALS].insert_one(signal(1, 80))
    for has_streams in (True, False):
        feed.refresh([KEY], opens(3), has_streams=has_streams)
        (chain,) = signal_chains(feed.window(KEY).stored(BOT), MINUTE)
        assert (chain.ts, chain.available, chain.fills) == (opens(1), None, ())
    feed.close()


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnMongod]:
    """A replica set of one, which the test may kill."""
    with own_mongod(tmp_path_factory.mktemp("members"), "own") as server:
        yield server


def test_a_stream_goes_on_after_the_server_was_killed(members: OwnMongod) -> None:
    """While MongoDB is away it is an error; afterwards what was written meanwhile is there, and nothing is lost."""
    with database(members.uri, "killed", **LIMITS) as db:
        feed = ChainFeed(db, 20)
        db[SIGNALS].insert_one(signal(0, 80))
        feed.refresh([KEY], opens(2), has_streams=True)
        assert feed.is_streaming
        members.kill()
        with pytest.raises(PyMongoError):
            feed.refresh([KEY], opens(3), has_streams=True)
        members.start()
        with database(members.uri, "killed") as other:
            other[SIGNALS].insert_one(signal(2, 80))
            other[SIGNALS].delete_one({"ts": opens(0)})
        feed.refresh([KEY], opens(4), has_streams=True)
        assert [one["ts"] for one in feed.window(KEY).stored(BOT).signals] == [opens(2)]
        assert feed.is_streaming
        feed.close()


def test_a_past_that_the_server_has_forgotten_is_read_again(members: OwnMongod) -> None:
    """So much was written while nobody followed that the stream can not go on: the window is read as it is stored."""
    with database(members.uri, "forgotten", **LIMITS) as db, database(members.uri, "forgotten") as other:
        feed = ChainFeed(db, 20)
        db[SIGNALS].insert_many([signal(0, 80), signal(1, 80)])
        feed.refresh([KEY], opens(3), has_streams=True)
        members.kill()
        with pytest.raises(PyMongoError):
            feed.refresh([KEY], opens(3), has_streams=True)
        members.start()
        other[SIGNALS].delete_one({"ts": opens(0)})
        forget_the_past(other)
        feed.refresh([KEY], opens(3), has_streams=True)
        assert [one["ts"] for one in feed.window(KEY).stored(BOT).signals] == [opens(1)]
        other[SIGNALS].insert_one(signal(2, 80))
        feed.refresh([KEY], opens(3), has_streams=True)
        assert len(feed.window(KEY).stored(BOT).signals) == 2
        feed.close()


def forget_the_past(db: Store) -> None:
    """Write until the server has cut the beginning of its small oplog off."""
    oplog = db.client["local"]["oplog.rs"]
    until = oplog.find_one(sort=[("$natural", -1)])
    assert until is not None
    deadline = time.monotonic() + 60
    while True:
        first = oplog.find_one(sort=[("$natural", 1)])
        assert first is not None
        if first["ts"] > until["ts"]:
            return
        assert time.monotonic() < deadline, "the oplog was not cut off"
        db["junk"].insert_many([{"of": b"x" * 1_000_000} for _ in range(8)])
        db["junk"].drop()


def test_a_server_that_refuses_streams_is_asked(tmp_path: Path) -> None:
    """A standalone server that was taken for a replica set: the documents are read all the same, time after time."""
    with own_mongod(tmp_path) as server, database(server.uri, "q") as db:
        feed = ChainFeed(db, 10)
        for minute in range(3):
            db[SIGNALS].insert_one(signal(minute, 80))
            feed.refresh([KEY], opens(minute + 1), has_streams=True)
            assert (len(feed), feed.is_streaming) == (minute + 1, False)
