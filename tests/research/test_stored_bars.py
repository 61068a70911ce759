"""Bars as other programs may have stored them: every shape is read by value, and what is no bar is a sentence."""

import contextlib
import itertools
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pymongo import MongoClient
from pymongo.errors import AutoReconnect
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from pymongo.read_concern import ReadConcern

from research.readers import get_crypto_market_data, get_crypto_min_data
from research.stored.stored_bars import DAYS, MINUTES, find_command, read_stretch
from schemas.collections import DAY_BARS, MINUTE_BARS, Store, ensure_collections
from schemas.errors import StoreError
from schemas.settings import Settings

pytestmark = pytest.mark.mongo

BTC = "BINANCE:BTCUSDT"
START = datetime(2022, 1, 1, tzinfo=UTC)
START_MS = 1_640_995_200_000
FIELDS = ("open", "high", "low", "close", "volume")


def stored(minute: int, **other: Any) -> dict[str, Any]:
    bar = {"datetime": START + timedelta(minutes=minute), "symbol": BTC}
    return bar | dict.fromkeys(FIELDS, 1.0 + minute) | other


def test_numbers_of_every_type_are_read_by_value(db: Store) -> None:
    """Integers and decimals become floats; what is missing or null is NaN, never zero."""
    without_volume = stored(5)
    del without_volume["volume"]
    documents = [
        stored(0),
        stored(1, open=7),
        stored(2, open=Int64(2**53)),
        stored(3, open=Decimal128("0.1")),
        stored(4, volume=None),
        without_volume,
        stored(6, turnover=3.0, note="from elsewhere"),
        dict(reversed(stored(7).items())),
    ]
    db[MINUTE_BARS].insert_many(documents)
    frame = get_crypto_min_data(START, "20230101", BTC, db=db)
    assert frame["open"].tolist() == [1.0, 7.0, 2.0**53, 0.1, 5.0, 6.0, 7.0, 8.0]
    assert frame["volume"].isna().tolist() == [False] * 4 + [True, True, False, False]
    assert frame["close"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert list(frame.columns) == ["symbol", "datetime", *FIELDS]


def test_mixed_shapes_read_as_the_plain_driver_reads_them(db: Store) -> None:
    """5,000 documents of random shapes, seeded: the reader's columns equal those of a list of dicts."""
    random = np.random.default_rng(20220101)
    documents = []
    for minute in range(5_000):
        bar = stored(minute, **dict(zip(FIELDS, random.random(5).tolist(), strict=True)))
        if random.random() < 0.01:
            bar[FIELDS[random.integers(5)]] = int(random.integers(100))
        if random.random() < 0.01:
            del bar[FIELDS[random.integers(5)]]
        names = list(bar) if random.random() < 0.99 else list(random.permutation(list(bar)))
        documents.append({name: bar[name] for name in names})
    db[MINUTE_BARS].insert_many(documents)
    naive = pd.DataFrame(list(db[MINUTE_BARS].find({"symbol": BTC}).sort("datetime", 1)))
    frame = get_crypto_min_data(START, "20230101", BTC, db=db)
    assert frame["datetime"].tolist() == naive["datetime"].tolist()
    for field in FIELDS:
        np.testing.assert_array_equal(frame[field].to_numpy(), naive[field].to_numpy(float))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1.5", "'1.5'"), (True, "True"), ({"a": 1}, r"\{'a': 1\}"), ([1.0], r"\[1\.0\]"),
        (Decimal128("sNaN"), r"Decimal128\('NaN'\)"),
    ],
)  # fmt: skip
def test_a_value_that_is_no_number_is_a_sentence(db: Store, value: Any, shown: str) -> None:
    """It names the bar, the field and the value; it is not guessed about."""
    db[MINUTE_BARS].insert_many([stored(0), stored(1, close=value)])
    with pytest.raises(
        StoreError,
        match=rf"bar of {BTC} at 2022-01-01T00:01:00\+00:00 in crypto_market_1m has close = {shown}; a number",
    ):
        get_crypto_min_data(START, "20230101", BTC, db=db)


@pytest.mark.parametrize("years", [(2022, 2023), (1900, 2100)])
def test_a_list_of_times_is_a_sentence(db: Store, years: tuple[int, int]) -> None:
    """A query finds it by any of them, and by none of them where they lie around the range; it is no bar's open."""
    db[MINUTE_BARS].insert_one(stored(0, datetime=[datetime(year, 1, 1, tzinfo=UTC) for year in years]))
    with pytest.raises(StoreError, match=r"in crypto_market_1m has datetime = \[DatetimeMS.*; one time was needed"):
        get_crypto_min_data(START, "20220601", BTC, db=db)


def test_a_bar_that_is_not_asked_for_can_not_hurt(db: Store) -> None:
    """Fields that are not read, other symbols and other times are never looked at."""
    odd: list[Mapping[str, Any]] = [
        stored(0, high="broken"),
        stored(1) | {"symbol": "BINANCE:ETHUSDT", "close": "broken"},
        stored(2, close="broken"),
        {"symbol": BTC, "datetime": "2022-01-01"},
    ]
    db[MINUTE_BARS].insert_many(odd)
    frame = get_crypto_min_data(START, START + timedelta(minutes=2), BTC, "close", db=db)
    assert frame["close"].tolist() == [1.0]


@pytest.mark.parametrize("day", ["2022-01-01", "20220230", "20221301", "20220100", "2022010", "2022010x", "20220é1"])
@pytest.mark.parametrize("volume", [1.0, 1])
def test_a_day_that_is_none_is_a_sentence(db: Store, day: str, volume: float) -> None:
    """A malformed date is found on the fast path and on the general one."""
    bar = {"date": day, "symbol": BTC} | dict.fromkeys(FIELDS, 1.0) | {"volume": volume}
    db[DAY_BARS].insert_one(bar)
    with pytest.raises(StoreError, match=f"A bar of {BTC} in crypto_market has date '.*', which is no day"):
        get_crypto_market_data("2020-01-01", "2023-01-01", BTC, db=db)


def test_days_of_mixed_number_types_are_read(db: Store) -> None:
    """The general decoder reads days as the fast path does."""
    days = ["20211231", "20220101", "20220102"]
    for day, volume in zip(days, [1.0, 2, 3.0], strict=True):
        db[DAY_BARS].insert_one({"date": day, "symbol": BTC} | dict.fromkeys(FIELDS, 1.0) | {"volume": volume})
    frame = get_crypto_market_data("2021-12-31", "2022-01-03", BTC, db=db)
    assert frame["volume"].tolist() == [1.0, 2.0, 3.0]
    assert frame["datetime"].dt.strftime("%Y%m%d").tolist() == days


@pytest.mark.parametrize("stored_bars", [MINUTES, DAYS], ids=["1m", "1d"])
def test_a_read_scans_the_index_and_sorts_nothing(db: Store, stored_bars: Any) -> None:
    """The server looks at the keys of the bars asked for, and no SORT stage is in its plan."""
    db[MINUTE_BARS].insert_many([stored(minute) for minute in range(100)])
    days = pd.date_range("2022-01-01", periods=100).strftime("%Y%m%d")
    db[DAY_BARS].insert_many([{"date": day, "symbol": BTC, "close": 1.0} for day in days])
    end_ms = START_MS + 40 * stored_bars.step_ms
    for order in (1, -1):
        command = find_command(stored_bars, BTC, START_MS, end_ms, FIELDS, order)
        plan = db.command({"explain": command, "verbosity": "executionStats"})
        assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])
        assert "SORT" not in str(plan["queryPlanner"]["winningPlan"])
        assert plan["executionStats"]["nReturned"] == 40
        assert plan["executionStats"]["totalDocsExamined"] == 40
        assert plan["executionStats"]["totalKeysExamined"] <= 41


def test_replies_that_the_server_cuts_are_put_together(db: Store) -> None:
    """A reply ends at 16 MB: the next find goes on after the last bar it held, and no cursor stays open."""
    count = 180_000  # of about 103 bytes each
    db[MINUTE_BARS].insert_many([stored(minute) for minute in range(count)], ordered=False)
    finds = _Finds()
    with MongoClient(*db.client.address, directConnection=True, event_listeners=[finds]) as client:
        columns = read_stretch(client[db.name], MINUTES, BTC, START_MS, START_MS + count * 60_000, FIELDS)
    np.testing.assert_array_equal(columns["datetime"], START_MS + np.arange(count) * 60_000)
    np.testing.assert_array_equal(columns["close"], np.arange(count) + 1.0)
    assert [rows > 0 for rows in finds.rows] == [True, True, False]
    assert finds.cursors == {0}


@pytest.mark.parametrize("level", ["majority", None])
def test_a_read_asks_for_what_the_database_asks_for(settings: Settings, mongo_uri: str, level: str | None) -> None:
    """A command of its own would leave the read concern out, which the driver adds to its finds."""
    finds = _Finds()
    with MongoClient[Any](mongo_uri, event_listeners=[finds]) as client:
        database = client.get_database(settings.db, read_concern=ReadConcern(level))
        ensure_collections(database)
        get_crypto_min_data(START, "20230101", BTC, db=database)
    assert finds.concerns == [{"level": level} if level else None]


def test_a_connection_that_breaks_once_is_no_failure(db: Store) -> None:
    """The find whose connection was cut is asked again on a new one."""
    db[MINUTE_BARS].insert_many([stored(minute) for minute in range(3)])
    with cutting_proxy(db.client.address, cuts=1) as port, MongoClient("127.0.0.1", port, directConnection=True) as via:
        assert read_stretch(via[db.name], MINUTES, BTC, START_MS, START_MS + 180_000, ["open"])["open"].size == 3


def test_a_connection_that_always_breaks_is_an_error(db: Store) -> None:
    """It is not asked again for ever."""
    with (
        cutting_proxy(db.client.address, cuts=1_000) as port,
        MongoClient("127.0.0.1", port, directConnection=True) as via,
        pytest.raises(AutoReconnect),
    ):
        read_stretch(via[db.name], MINUTES, BTC, START_MS, START_MS + 180_000, ["open"])


@contextmanager
def cutting_proxy(address: tuple[str, int], cuts: int) -> Iterator[int]:
    """Give the port of a way to the server that closes the connection at its first `cuts` finds."""
    left = itertools.count(cuts, -1)

    def forward(source: socket.socket, target: socket.socket, *, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if is_request and b"find\x00" in data and next(left) > 0:
                    break
                target.sendall(data)
        for side in (source, target):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(address)
                opened.extend((client, server))
                for source, target, is_request in ((client, server, True), (server, client, False)):
                    threads.append(Thread(target=forward, args=(source, target), kwargs={"is_request": is_request}))
                    threads[-1].start()

    opened: list[socket.socket] = []
    threads: list[Thread] = []
    listener = socket.create_server(("127.0.0.1", 0))
    accepting = Thread(target=serve, args=(listener,))
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for connection in opened:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for connection in (*opened, listener):
            connection.close()


def test_a_missing_index_is_a_sentence(db: Store) -> None:
    """Reading without it would sort a whole collection in memory."""
    db[MINUTE_BARS].drop_indexes()
    with pytest.raises(StoreError, match=r"crypto_market_1m of the database .* has no index on symbol, datetime"):
        get_crypto_min_data(START, "20230101", BTC, db=db)


def test_a_bar_that_is_stored_twice_is_a_sentence(db: Store) -> None:
    """Where the index is not unique a double may be there; a frame never holds it."""
    db[MINUTE_BARS].drop_indexes()
    db[MINUTE_BARS].create_index({"symbol": 1, "datetime": 1})
    db[MINUTE_BARS].insert_many([stored(0), stored(1), stored(1)])
    with pytest.raises(StoreError, match=rf"the bar of {BTC} at 2022-01-01T00:01:00\+00:00 twice"):
        get_crypto_min_data(START, "20230101", BTC, db=db)
    db.drop_collection(MINUTE_BARS)


class _Finds(CommandListener):
    """Notes how finds ask, what they return, and the cursors that they leave open."""

    def __init__(self) -> None:
        self.concerns: list[Any] = []
        self.cursors: set[int] = set()
        self.rows: list[int] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "find":
            self.concerns.append(event.command.get("readConcern"))

    def failed(self, event: CommandFailedEvent) -> None:
        pass

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if event.command_name == "find":
            self.cursors.add(event.reply["cursor"]["id"])
            self.rows.append(len(event.reply["cursor"]["firstBatch"]))
