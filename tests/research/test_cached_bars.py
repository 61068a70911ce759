"""Bars read through local copies are those that MongoDB holds, whoever changed them, and however the copies fare."""

import itertools
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bar_writer import fill_on, write_on
from bson.int64 import Int64
from bson.timestamp import Timestamp
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from structlog.testing import capture_logs

from research.readers import get_crypto_min_data
from research.stored.bars_copy import BarsCopies, month_bounds
from research.stored.cached_bars import read_through_copies
from research.stored.freshness import collection_id
from research.stored.stored_bars import MINUTES
from schemas.collections import MINUTE_BARS, Store, ensure_collections
from schemas.mongo import connect
from schemas.settings import Settings

pytestmark = pytest.mark.mongo

BTC, ETH = "BINANCE:BTCUSDT", "BINANCE:ETHUSDT"
START = datetime(2022, 1, 1, tzinfo=UTC)
STEP = timedelta(hours=6)
COUNT = 4 * 180  # to the end of June
KEY = {"symbol": BTC, "datetime": START + 100 * STEP}  # of the bar that another process writes on and on


def bar(number: int, symbol: str = BTC, **other: Any) -> dict[str, Any]:
    values = {"open": 1.0 + number, "high": 2.0 + number, "low": float(number), "close": 1.5 + number, "volume": 3.0}
    return {"datetime": START + number * STEP, "symbol": symbol} | values | other


@pytest.fixture
def bars(db: Store) -> Store:
    """Half a year of two symbols, a bar every six hours; it was read once, so it is copied."""
    db[MINUTE_BARS].insert_many([bar(number, symbol) for symbol in (BTC, ETH) for number in range(COUNT)])
    read(db)
    return db


def read(db: Store, symbols: Any = (BTC, ETH), start: Any = "2022-01-01", end: Any = "2023-01-01", **more: Any) -> Any:
    return get_crypto_min_data(start, end, symbols, db=db, **more)


def plainly(settings: Settings, *arguments: Any, **more: Any) -> pd.DataFrame:
    """Read by the plain way: with copies turned off."""
    with connect(settings.model_copy(update={"bars_cache_mb": 0})) as db:
        frame: pd.DataFrame = read(db, *arguments, **more)
        return frame


def assert_copies_serve(db: Store, settings: Settings, *symbols: str, end: str = "2022-04-01") -> None:
    """Check that a read of whole months asks for no bar, only for changes, and gives the plain frame."""
    plain = plainly(settings, symbols or (BTC, ETH), end=end)
    db.command("profile", 2)
    frame = read(db, symbols or (BTC, ETH), end=end)
    db.command("profile", 0)
    pd.testing.assert_frame_equal(frame, plain)
    asked = db["system.profile"].distinct("command", {"ns": f"{db.name}.{MINUTE_BARS}"})
    names = {next(iter(command)) for command in asked}
    assert "killCursors" in names  # the change stream's
    assert "find" not in names
    db["system.profile"].drop()


def test_a_second_read_asks_for_no_bars_and_gives_the_same_frame(bars: Store, settings: Settings) -> None:
    """Where all months asked for are copied, only freshness is asked for; types, columns and rows are the same."""
    assert_copies_serve(bars, settings, end="2022-06-01")


def test_any_stretch_and_fields_are_those_of_the_plain_way(bars: Store, settings: Settings) -> None:
    """Months are cut at the edges of the stretch, and bars after the last copied one are read beside the copy."""
    stretches = [
        (START, START + COUNT * STEP),
        (START + 0.5 * STEP, START + (COUNT - 0.5) * STEP),
        ("2022-01-17T12:00Z", "2022-05-03T00:01Z"),
        ("2022-02-01", "2022-06-01"),
        ("1980-01-01", "2080-01-01"),
        ("2022-02-28T18:00Z", "2022-04-30T18:00Z"),
        ("2023-01-01", "2024-01-01"),
        ("2021-01-01", "2022-01-01T00:01Z"),
    ]
    with connect(settings.model_copy(update={"bars_cache_mb": 0})) as without_copies:
        for (start, end), fields in itertools.product(stretches, (None, ["close"], ["volume", "open"], [])):
            plain = read(without_copies, start=start, end=end, fields=fields)
            for _ in range(2):
                pd.testing.assert_frame_equal(read(bars, start=start, end=end, fields=fields), plain)


def insert_within(bars: Any) -> None:
    bars.insert_one(bar(7, datetime=START + 7.5 * STEP))


def insert_before(bars: Any) -> None:
    bars.insert_one(bar(0, datetime=START - 40 * STEP))


def insert_after(bars: Any) -> None:
    bars.insert_one(bar(COUNT))


def update_one(bars: Any) -> None:
    bars.update_one({"symbol": ETH, "datetime": START + 300 * STEP}, {"$inc": {"close": 1.0}})


def replace_one(bars: Any) -> None:
    bars.replace_one({"symbol": BTC, "datetime": START}, bar(0, close=99.0))


def move_to_another_symbol(bars: Any) -> None:
    bars.replace_one({"symbol": BTC, "datetime": START}, bar(0, "BINANCE:XRPUSDT"))


def move_to_another_time(bars: Any) -> None:
    bars.update_one({"symbol": BTC, "datetime": START}, {"$set": {"datetime": START + 9.5 * STEP}})


def unset_a_field(bars: Any) -> None:
    bars.update_many({"symbol": BTC, "datetime": {"$lt": START + 10 * STEP}}, {"$unset": {"volume": 1}})


def delete_one(bars: Any) -> None:
    bars.delete_one({"symbol": ETH, "datetime": START + 100 * STEP})


def delete_all(bars: Any) -> None:
    bars.delete_many({})


def insert_many(bars: Any) -> None:
    bars.insert_many([bar(0, datetime=START + timedelta(minutes=minute)) for minute in range(1, 2_000) if minute % 360])


def write_in_a_transaction(bars: Any) -> None:
    with bars.database.client.start_session() as session, session.start_transaction():
        bars.insert_one(bar(3, datetime=START + 3.5 * STEP), session=session)
        bars.delete_one({"symbol": ETH, "datetime": START}, session=session)


def drop_and_restore(bars: Any) -> None:
    kept = list(bars.find({"datetime": {"$gte": START + 10 * STEP}}))
    bars.drop()
    ensure_collections(bars.database)
    bars.insert_many(kept)


def rename_another_over_it(bars: Any) -> None:
    other = bars.database["other"]
    other.create_index([("symbol", 1), ("datetime", 1)], unique=True)
    other.insert_many([bar(number, symbol, close=5.0) for symbol in (BTC, ETH) for number in range(20, 300)])
    other.rename(bars.name, dropTarget=True)


def rename_it_away_and_back(bars: Any) -> None:
    database, name = bars.database, bars.name
    bars.rename("other")
    database["other"].delete_one({"symbol": ETH})
    database.drop_collection(name)
    database["other"].rename(name)


def write_over_it_by_out(bars: Any) -> None:
    list(bars.aggregate([{"$match": {"datetime": {"$gte": START + 50 * STEP}}}, {"$out": bars.name}]))


def drop_the_database(bars: Any) -> None:
    bars.database.client.drop_database(bars.database.name)
    ensure_collections(bars.database)
    bars.insert_one(bar(5))


@pytest.mark.parametrize(
    "change",
    [
        insert_within, insert_before, insert_after, update_one, replace_one, move_to_another_symbol,
        move_to_another_time, unset_a_field, delete_one, delete_all, insert_many, write_in_a_transaction,
        drop_and_restore, rename_another_over_it, rename_it_away_and_back, write_over_it_by_out, drop_the_database,
    ],
)  # fmt: skip
def test_the_next_read_sees_what_another_client_has_written(
    bars: Store, settings: Settings, mongo_uri: str, change: Callable[[Any], None]
) -> None:
    """Whatever it did, in whichever month, though it waited for no majority; and the read after that sees it too."""
    with MongoClient[Any](mongo_uri, tz_aware=True, w=1) as other:
        change(other[bars.name][MINUTE_BARS])
        seen = read(bars)
        pd.testing.assert_frame_equal(seen, plainly(settings))
        pd.testing.assert_frame_equal(read(bars), seen)


@pytest.mark.parametrize("odd", [Int64(7), 7.5])
def test_a_bar_with_a_number_as_id_is_seen_and_copies_go_on(bars: Store, settings: Settings, odd: Any) -> None:
    """The stream's token is then that bar's own, and holds bytes that say which kind of number it was.

    It is another one where anything else was written on the server in between, as by tests beside this one: then the
    next bar has to do.
    """
    for number in range(1, 51):
        time = START + 7.5 * STEP + timedelta(minutes=number)
        bars[MINUTE_BARS].insert_one(bar(7, datetime=time, _id=type(odd)(odd + number)))
        assert len(read(bars)) == 2 * COUNT + number
        records = [path.read_text() for path in BarsCopies(settings.home, 0).folder.glob("*/*/record.json")]
        if all("_typeBits" in record for record in records):
            break
    else:
        pytest.fail("of 50 bars no token was kept as the bar's own")
    assert_copies_serve(bars, settings)


def test_a_new_bar_at_the_end_leaves_copies_as_they_are(bars: Store, settings: Settings) -> None:
    """Live imports add bars after the copied ones: those are read beside the copy, and no file is written anew."""
    files = sorted((settings.home / "bars").rglob("*.columns"))
    bars[MINUTE_BARS].insert_many([bar(COUNT, symbol) for symbol in (BTC, ETH)])
    assert len(read(bars)) == 2 * COUNT + 2
    assert sorted((settings.home / "bars").rglob("*.columns")) == files


def test_reads_beside_a_writer_are_never_older_than_what_it_was_told(
    bars: Store, settings: Settings, mongo_uri: str
) -> None:
    """Each read holds a content between the last one acknowledged before it and the last one begun after it."""
    spawn = multiprocessing.get_context("spawn")
    begun, done, end = (spawn.Value("q", 0) for _ in range(3))
    writer = spawn.Process(target=write_on, args=(mongo_uri, bars.name, KEY, begun, done, end))
    writer.start()
    held = 0
    try:
        while held < 6:
            least = done.value
            frame = read(bars, BTC)
            close = frame.loc[frame["datetime"] == KEY["datetime"], "close"]
            assert len(frame) - COUNT in (0, -1)  # between a delete and an insert it is not there
            if least and len(close):
                assert least <= close.item() <= begun.value
                held += 1
    finally:
        end.value = 1
        writer.join(30)
    assert writer.exitcode == 0
    pd.testing.assert_frame_equal(read(bars), plainly(settings))
    assert_copies_serve(bars, settings)


def test_first_reads_beside_a_backfill_leave_nothing_out(bars: Store, settings: Settings, mongo_uri: str) -> None:
    """What is inserted while copies are made is in them, or the next read is told of it, at no majority's leave."""
    spawn = multiprocessing.get_context("spawn")
    begun, done, end = (spawn.Value("q", 0) for _ in range(3))
    writer = spawn.Process(target=fill_on, args=(mongo_uri, bars.name, BTC, START, begun, done, end))
    writer.start()
    copies = BarsCopies(settings.home, 0)
    try:
        while done.value < 200:
            copies.clear()
            for _ in range(2):
                least = done.value
                assert least <= len(read(bars, BTC)) - COUNT <= begun.value
    finally:
        end.value = 1
        writer.join(30)
    assert writer.exitcode == 0
    pd.testing.assert_frame_equal(read(bars), plainly(settings))
    assert_copies_serve(bars, settings)


def spoil_bytes(files: list[Path]) -> None:
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def cut_short(files: list[Path]) -> None:
    for path in files:
        os.truncate(path, 100)


def delete_files(files: list[Path]) -> None:
    for path in files:
        path.unlink()


def spoil_records(files: list[Path]) -> None:
    for folder in {path.parent for path in files}:
        (folder / "record.json").write_text('{"format": 1, "months": ')


@pytest.mark.parametrize("spoil", [spoil_bytes, cut_short, delete_files, spoil_records])
def test_a_damaged_copy_is_not_used(bars: Store, settings: Settings, spoil: Callable[[list[Path]], None]) -> None:
    """The answer is the plain one, and a later read makes the copy anew."""
    spoil(sorted((settings.home / "bars").rglob("*.columns")))
    for _ in range(3):
        pd.testing.assert_frame_equal(read(bars), plainly(settings))
    assert sum(kept.bars for kept in BarsCopies(settings.home, 0).kept()) == 2 * COUNT


class PoolBesideAnother(ThreadPoolExecutor):
    """Threads, and another process that acts before they read (asked for the 2nd time) or lay the columns (the 3rd)."""

    def __init__(self, act: Callable[[], object], time: int) -> None:
        super().__init__(2)
        self.act, self.time, self.asked = act, time, 0

    def map(self, *arguments: Any, **more: Any) -> Any:
        """Do what is asked, at that time after the other process."""
        self.asked += 1
        if self.asked == self.time:
            self.act()
        return super().map(*arguments, **more)


def test_a_record_names_a_moment_that_holds_all_that_was_copied(db: Store, settings: Settings) -> None:
    """What was written after the proof may be in the copy, and after a restore not in the server's history."""
    db[MINUTE_BARS].insert_many([bar(number) for number in range(8)])
    copies = BarsCopies(settings.home, 10**9)
    between = bar(3, datetime=START + 3.5 * STEP)
    with PoolBesideAnother(lambda: db[MINUTE_BARS].insert_one(between), 2) as pool:
        stretch = (1_640_995_200_000, 1_648_771_200_000)  # January to March
        assert read_through_copies(db, copies, MINUTES, [BTC], stretch, ["close"], pool)
    assert [kept.bars for kept in copies.kept()] == [9]
    record = copies.symbol_copy(collection_id(db, MINUTE_BARS), BTC).record()
    entry = db.client["local"]["oplog.rs"].find_one({"ns": f"{db.name}.{MINUTE_BARS}"}, sort=[("$natural", -1)])
    assert record
    assert entry
    assert Timestamp(record.moment.seconds, record.moment.increment) >= entry["ts"]


class Commands(CommandListener):
    """Notes the commands that are sent, and acts beside them after the first one of a name was answered."""

    def __init__(self, name: str = "", act: Callable[[], object] = lambda: None) -> None:
        self.sent: list[Any] = []
        self.name, self.act = name, act

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append(event.command)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        if event.command_name == self.name:
            self.name = ""
            self.act()

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def read_from_january_to_march(settings: Settings, uri: str, commands: Commands, *symbols: str) -> None:
    """Read through the copies below the settings' home, and check that this was possible."""
    copies, stretch = BarsCopies(settings.home, 10**9), (1_640_995_200_000, 1_648_771_200_000)
    with MongoClient[Any](uri, event_listeners=[commands]) as client, ThreadPoolExecutor(2) as pool:
        assert read_through_copies(client[settings.db], copies, MINUTES, symbols, stretch, ["close"], pool)


def test_what_is_copied_the_majority_has_committed(db: Store, settings: Settings, mongo_uri: str) -> None:
    """What a primary alone holds it may lose again, and no change stream tells of that."""
    db[MINUTE_BARS].insert_many([bar(number) for number in range(8)])
    commands = Commands()
    read_from_january_to_march(settings, mongo_uri, commands, BTC)
    concerns = [sent["readConcern"] for sent in commands.sent if "close" in sent.get("projection", {})]
    assert concerns
    assert {concern["level"] for concern in concerns if concern["afterClusterTime"]} == {"majority"}


def test_a_change_between_two_looks_is_seen_by_the_next_read(bars: Store, settings: Settings, mongo_uri: str) -> None:
    """Symbols that were read at other times have other tokens: what the first look gives has to hold for all."""
    for number in (COUNT, COUNT + 1):
        bars[MINUTE_BARS].insert_one(bar(number))
    read(bars, ETH)
    commands = Commands("aggregate", lambda: replace_one(bars[MINUTE_BARS]))
    read_from_january_to_march(settings, mongo_uri, commands, BTC, ETH)
    assert len([sent for sent in commands.sent if "aggregate" in sent]) >= 2
    pd.testing.assert_frame_equal(read(bars), plainly(settings))


def test_copies_that_another_process_replaces_are_not_damaged(bars: Store, settings: Settings) -> None:
    """It deletes what its record does not name: this read is answered plainly, and its record and copies stay."""
    copies = BarsCopies(settings.home, 10**9)
    place = copies.symbol_copy(collection_id(bars, MINUTE_BARS), BTC)
    record = place.record()
    assert record
    newer = replace(record, months={"2022-01": record.months["2022-01"]})
    with PoolBesideAnother(lambda: place.write_record(newer), 3) as pool, capture_logs() as logs:
        stretch = (1_640_995_200_000, 1_648_771_200_000)  # January to March
        assert read_through_copies(bars, copies, MINUTES, [BTC, ETH], stretch, ["close"], pool) is None
    assert place.record() == newer
    assert {kept.symbol: len(kept.months) for kept in copies.kept()} == {BTC: 1, ETH: 6}
    assert logs == []


def test_a_folder_that_can_not_be_written_costs_only_speed(db: Store, settings: Settings) -> None:
    """A file stands where the folder of copies would be made: the bars are read, and the log says why no copy is."""
    db[MINUTE_BARS].insert_many([bar(number) for number in range(COUNT)])
    settings.home.mkdir(parents=True)
    (settings.home / "bars").write_text("no folder")
    with capture_logs() as logs:
        for _ in range(2):
            pd.testing.assert_frame_equal(read(db), plainly(settings))
    assert [entry["event"] for entry in logs] == ["bars_copy_not_written"]


def test_copies_take_no_more_than_their_limit(bars: Store, settings: Settings) -> None:
    """The symbol used longest ago goes first."""
    copies = BarsCopies(settings.home, 0)
    sizes = {kept.symbol: kept.size_bytes for kept in copies.kept()}
    read(bars, ETH)
    read(bars, BTC)
    os.utime(next(copies.folder.glob("*/*ETH*/record.json")), (1, 1))
    for path in copies.folder.glob("*/*ETH*/*.columns"):
        os.utime(path, (1, 1))
    BarsCopies(settings.home, sizes[BTC]).make_room()
    assert [kept.symbol for kept in copies.kept()] == [BTC]


def test_a_read_larger_than_the_limit_is_not_copied(bars: Store, settings: Settings) -> None:
    """It would push out what it has just copied, each time; what lies there from a higher limit goes."""
    copies = BarsCopies(settings.home, 10_000)
    assert [kept.symbol for kept in copies.kept()] == [BTC, ETH]
    stretch = int(START.timestamp() * 1000), int((START + COUNT * STEP).timestamp() * 1000)
    with ThreadPoolExecutor(1) as pool:
        assert read_through_copies(bars, copies, MINUTES, [BTC, ETH], stretch, ["close"], pool) is None
    assert copies.kept() == []
    with connect(settings.model_copy(update={"bars_cache_mb": 5})) as small:
        pd.testing.assert_frame_equal(read(small), plainly(settings))
    assert copies.kept() == []


def test_an_empty_folder_among_the_copies_does_no_harm(db: Store, settings: Settings) -> None:
    """A full disk has room for a folder and none for its files; it is the first to go."""
    empty = settings.home / "bars" / "0" / "left"
    empty.mkdir(parents=True)
    db[MINUTE_BARS].insert_many([bar(number) for number in range(COUNT)])
    assert len(read(db, BTC)) == COUNT
    copies = BarsCopies(settings.home, 1)
    assert [kept.symbol for kept in copies.kept()] == ["left", BTC]
    copies.make_room()
    assert copies.kept() == []


def test_with_the_setting_at_zero_nothing_is_kept(db: Store, settings: Settings) -> None:
    """Nor is anything looked for."""
    db[MINUTE_BARS].insert_many([bar(number) for number in range(COUNT)])
    assert len(plainly(settings)) == COUNT
    assert not (settings.home / "bars").exists()


def test_a_month_with_what_is_no_bar_is_read_plainly(db: Store) -> None:
    """What is not asked for can not hurt, though a copy would hold it."""
    db[MINUTE_BARS].insert_many([bar(number) for number in range(COUNT)])
    db[MINUTE_BARS].update_one({"datetime": START}, {"$set": {"high": "broken"}})
    assert len(read(db, BTC, fields=["close"])) == COUNT
    assert len(read(db, BTC, start=START + STEP)) == COUNT - 1


def test_a_month_without_bars_is_copied_as_such(db: Store, settings: Settings) -> None:
    """A gap is a fact: it is not asked for again, and bars that fill it are seen."""
    months = [range(8), range(4 * 90, 4 * 100)]  # some in January, some in April
    db[MINUTE_BARS].insert_many([bar(number) for numbers in months for number in numbers])
    for start in (START, "2022-02-11"):
        for _ in range(2):
            pd.testing.assert_frame_equal(read(db, BTC, start), plainly(settings, BTC, start))
    assert BarsCopies(settings.home, 0).kept()[0].months == ("2022-01", "2022-02", "2022-03", "2022-04")
    for _ in range(2):
        assert_copies_serve(db, settings, BTC)
    db[MINUTE_BARS].insert_one(bar(4 * 45))
    pd.testing.assert_frame_equal(read(db, BTC), plainly(settings, BTC))


def test_months_are_those_of_the_calendar() -> None:
    """A leap year's February has 29 days."""
    begin, end = month_bounds("2024-02")
    assert (begin, end - begin) == (1_706_745_600_000, 29 * 86_400_000)
