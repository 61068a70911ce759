"""What the change stream proves, and that nothing is taken as proven where it can not be."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson.objectid import ObjectId
from bson.timestamp import Timestamp
from own_mongod import own_mongod
from pymongo import MongoClient
from pymongo.errors import ExecutionTimeout
from pymongo.write_concern import WriteConcern
from structlog.testing import capture_logs

from research.readers import get_crypto_min_data
from research.stored.bars_copy import BarsCopies, Moment
from research.stored.freshness import NoProofError, changes, collection_id, is_past_of, present
from research.stored.stored_bars import MINUTES, read_stretch
from schemas.collections import MINUTE_BARS, Store, ensure_collections
from schemas.embedded import EmbeddedServer
from schemas.mongo import connect
from schemas.mongod_binary import find_mongod
from schemas.settings import Settings

pytestmark = pytest.mark.mongo

BTC = "BINANCE:BTCUSDT"
START = datetime(2022, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000
START_MS = 1_640_995_200_000


def bar(day: int, symbol: str = BTC) -> dict[str, Any]:
    values = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    return {"datetime": START + timedelta(days=day), "symbol": symbol} | values


def test_inserts_are_told_by_symbol_and_open_where_they_matter(db: Store) -> None:
    """Bars of other symbols, and bars at and after the watched end, are not told."""
    token = changes(db, MINUTES, None, present(db).newest, {}).token
    db[MINUTE_BARS].insert_many([bar(0), bar(1), bar(2), bar(1, "BINANCE:ETHUSDT")])
    told = changes(db, MINUTES, token, present(db).newest, {BTC: START_MS + 2 * DAY_MS})
    assert list(told.inserted) == [(BTC, START_MS), (BTC, START_MS + DAY_MS)]
    assert not told.is_all
    assert list(changes(db, MINUTES, told.token, told.after, {BTC: START_MS + 2 * DAY_MS}).inserted) == []


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns after every few steps, so that what may happen between two steps does."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty_threads")
def test_threads_of_one_client_may_look_at_once(db: Store) -> None:
    """A stream's later replies are asked for in the session that opened it, whatever other threads do."""
    token = changes(db, MINUTES, None, present(db).newest, {}).token
    db[MINUTE_BARS].insert_one(bar(0))
    newest = present(db).newest
    with ThreadPoolExecutor(8) as pool:
        told = pool.map(lambda _: changes(db, MINUTES, token, newest, {BTC: START_MS + DAY_MS}), range(200))
        assert {tuple(look.inserted) for look in told} == {((BTC, START_MS),)}


@pytest.mark.parametrize("odd", [{"symbol": [BTC, "BINANCE:ETHUSDT"]}, {"datetime": [START, START + timedelta(1)]}])
def test_an_inserted_bar_that_is_odd_may_be_any(db: Store, odd: dict[str, Any]) -> None:
    """A query matches a list by each of its values, so no single month can be named."""
    token = changes(db, MINUTES, None, present(db).newest, {}).token
    db[MINUTE_BARS].insert_one(bar(0) | odd)
    assert changes(db, MINUTES, token, present(db).newest, {BTC: START_MS + DAY_MS}).is_all


def test_too_many_inserts_to_look_at_may_be_any(db: Store) -> None:
    """An import of the past replaces copies as a whole."""
    token = changes(db, MINUTES, None, present(db).newest, {}).token
    db[MINUTE_BARS].insert_many([bar(day) for day in range(1_500)])
    assert changes(db, MINUTES, token, present(db).newest, {BTC: START_MS + 9_999 * DAY_MS}).is_all


@pytest.mark.parametrize("token", [{"_data": "82"}, {"_data": "82" + "0" * 24}, {"other": 1}])
def test_a_token_that_is_of_no_use_proves_nothing(db: Store, token: dict[str, Any]) -> None:
    """Older than the oplog, or none at all: everything may have changed, and a new token begins."""
    told = changes(db, MINUTES, token, present(db).newest, {BTC: START_MS})
    assert told.is_all
    assert not changes(db, MINUTES, told.token, told.after, {BTC: START_MS}).is_all


def test_a_view_and_a_missing_collection_have_no_copies(db: Store) -> None:
    """A view has no changes of its own, and texts compared by a collation are other bars than those named."""
    db.create_collection("seen", viewOn=MINUTE_BARS, pipeline=[])
    db.create_collection("loose", collation={"locale": "en", "strength": 2})
    for name in ("seen", "loose", "missing"):
        with pytest.raises(NoProofError, match=f"{name} is no plain collection"):
            collection_id(db, name)


def test_a_moment_is_past_where_the_oplog_holds_it(db: Store) -> None:
    """A restart makes another process; an operation that is gone then, or is of another term, was restored away."""
    db[MINUTE_BARS].insert_one(bar(0))
    now = present(db).moment
    other = Moment("0" * 24, now.seconds, now.increment, now.term)
    assert is_past_of(db, other, now)
    assert not is_past_of(db, Moment("0" * 24, now.seconds, now.increment, now.term + 1), now)
    assert not is_past_of(db, Moment("0" * 24, now.seconds - 999_999, now.increment, now.term), now)


def test_copies_outlive_a_restart_but_not_a_restored_data_folder(tmp_path: Path) -> None:
    """What was read after the backup is not in the server that was put back to it, and copies do not pretend so."""
    settings = Settings.load(home=tmp_path / "home", mongo_uri=None)
    server, backup = EmbeddedServer(settings.home), tmp_path / "backup"
    days = [*range(100), *range(101, 120)]

    def read() -> list[int]:
        with connect(settings) as db:
            opens = get_crypto_min_data("2022-01-01", "2022-12-31", BTC, db=db)["datetime"]
        server.stop()
        return [(open_ - START).days for open_ in opens]

    def copies() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in settings.home.glob("bars/*/*/*.columns")}

    with connect(settings) as db:
        db[MINUTE_BARS].insert_many([bar(day) for day in days])
    assert read() == days
    made = copies()
    assert read() == days
    assert copies() == made
    shutil.copytree(server.data, backup)
    with connect(settings) as db:
        db[MINUTE_BARS].insert_one(bar(100))
    assert read() == list(range(120))
    shutil.rmtree(server.data)
    shutil.copytree(backup, server.data)
    assert read() == days


@pytest.fixture
def standalone(tmp_path: Path) -> Iterator[str]:
    """The address of a server that is no replica set."""
    mongod = find_mongod(tmp_path / "lib")
    data = tmp_path / "standalone"
    data.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    options = ["--dbpath", str(data), "--port", port, "--bind_ip", "127.0.0.1", "--wiredTigerCacheSizeGB", "0.25"]
    process = subprocess.Popen(
        [str(mongod.path), "--nounixsocket", *options], env=mongod.environment, stdout=subprocess.DEVNULL
    )
    yield f"mongodb://127.0.0.1:{port}/?directConnection=true"
    process.terminate()
    process.wait(30)


def test_a_standalone_server_is_read_plainly(standalone: str, tmp_path: Path) -> None:
    """It has no change streams: no copy is made, and the log says why, once."""
    settings = Settings.load(mongo_uri=standalone, home=tmp_path / "home", mongo_timeout_s=60)
    with connect(settings) as db, capture_logs() as logs:
        db[MINUTE_BARS].insert_many([bar(day) for day in range(120)])
        for _ in range(2):
            assert len(get_crypto_min_data("2022-01-01", "2022-12-31", BTC, db=db)) == 120
    assert [entry["reason"] for entry in logs] == ["the server is no primary of a replica set"]
    assert BarsCopies(settings.home, 0).kept() == []


def test_a_wait_for_the_majority_that_lasts_is_no_proof(db: Store) -> None:
    """An operation far ahead is not waited for without end: the driver's error leads to the plain way."""
    with pytest.raises(NoProofError):
        changes(db, MINUTES, None, Timestamp(present(db).newest.time + 3_000, 1), {})


def test_a_shard_reached_directly_is_read_plainly(tmp_path: Path) -> None:
    """Its change stream is silent about what the cluster moves; it is known by what it adds to its replies."""
    identity = {"shardName": "one", "clusterId": ObjectId(), "configsvrConnectionString": "config/127.0.0.1:1"}
    with own_mongod(tmp_path, "shard", ("--shardsvr",)) as server, MongoClient[Any](server.uri) as client:
        assert present(client["any"])
        client["admin"]["system.version"].update_one({"_id": "shardIdentity"}, {"$set": identity}, upsert=True)
        with pytest.raises(NoProofError, match="member of a cluster"):
            present(client["any"])


def test_what_a_new_stream_leaves_out_is_in_the_copy_or_there_is_none(tmp_path: Path) -> None:
    """While the majority lags, a stream that begins is ahead of it: a copy waits for that, though not without end."""
    options = ("--setParameter", "enableTestCommands=1")
    with own_mongod(tmp_path, "lagging", options) as server, MongoClient[Any](server.uri) as client:
        db = client.get_database("bars")
        ensure_collections(db)
        db[MINUTE_BARS].insert_one(bar(0))
        newest = present(db).newest
        client.admin.command("configureFailPoint", "pauseJournalFlusherBeforeFlush", mode="alwaysOn")
        db.get_collection(MINUTE_BARS, write_concern=WriteConcern(w=1)).insert_one(bar(1))
        for _ in range(2):
            with pytest.raises(NoProofError, match=r"the majority takes too long$"):
                changes(db, MINUTES, None, present(db).newest, {})
        told = changes(db, MINUTES, None, newest, {})
        stretch = (db, MINUTES, BTC, START_MS, START_MS + 9 * DAY_MS, ())
        with pytest.raises(ExecutionTimeout):
            read_stretch(*stretch, committed_after=told.after)
        client.admin.command("configureFailPoint", "pauseJournalFlusherBeforeFlush", mode="off")
        assert read_stretch(*stretch, committed_after=told.after)["datetime"].size == 2
        again = changes(db, MINUTES, told.token, present(db).newest, {BTC: START_MS + 9 * DAY_MS})
        assert not again.inserted
