"""Storing bars: each once, changes replaced and counted, other shapes compared by value, other writers survived."""

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_samples import BTC, DAY, MINUTE, START_MS, minutes, rising_bars, stored

from importers.bar_documents import BarLayout
from importers.bars import OHLCV, Bars
from importers.stored_bars import PART_BARS, difference
from importers.writer import INSERT_ROWS, Written, _replace, write_bars
from schemas.collections import Store
from schemas.errors import StoreError
from schemas.mongo import store_errors
from schemas.settings import Settings
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo


def counts(written: Written) -> tuple[int, int, int]:
    return written.inserted, written.changed, written.unchanged


def changed_at(bars: Bars, row: int, volume: float) -> Bars:
    volumes = bars.volume.copy()
    volumes[row] = volume
    return Bars(bars.symbol, bars.timeframe, bars.open_ms, bars.open, bars.high, bars.low, bars.close, volumes)


@pytest.mark.parametrize("timeframe", [MINUTE, DAY])
def test_writing_twice_stores_once(db: Store, timeframe: Timeframe) -> None:
    """The second time nothing is inserted and nothing changed, and every document is a bar of the design."""
    bars = rising_bars(1234, timeframe=timeframe)
    assert counts(write_bars(db, bars)) == (1234, 0, 0)
    assert counts(write_bars(db, bars)) == (0, 0, 1234)
    found = stored(db, BarLayout(BTC, timeframe).collection)
    key = "date" if timeframe is DAY else "datetime"
    assert [list(document) for document in found] == [[key, "symbol", "open", "high", "low", "close", "volume"]] * 1234
    assert [document["close"] for document in found] == bars.close.tolist()


def test_a_changed_bar_is_replaced(db: Store) -> None:
    """Other values replace the stored ones, are counted as changed, and the document keeps its id."""
    bars = rising_bars(10)
    write_bars(db, bars)
    before = db["crypto_market_1m"].find_one({"open": 104.0})
    assert counts(write_bars(db, changed_at(bars, 4, 77.0))) == (0, 1, 9)
    assert before is not None
    after = db["crypto_market_1m"].find_one({"_id": before["_id"]})
    assert after == before | {"volume": 77.0}
    assert list(after) == ["_id", "datetime", "symbol", "open", "high", "low", "close", "volume"]


def test_only_what_is_missing_is_inserted(db: Store) -> None:
    """Bars round a hole leave those stored alone and report all opens of the stretch."""
    bars = rising_bars(10)
    write_bars(db, bars.take(np.array([0, 1, 5, 9])))
    assert counts(write_bars(db, bars.take(np.array([1, 2, 3, 9])))) == (2, 0, 2)
    written = write_bars(db, bars.take(np.array([0, 9])))
    assert written.present_ms.tolist() == minutes(0, 1, 2, 3, 5, 9).tolist()


@pytest.mark.parametrize(
    "document",
    [
        {"volume": 0, "close": 100.5, "low": 99, "high": 101, "open": 100},  # integers, another order
        {"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.5, "volume": 0.0, "note": "from elsewhere"},
    ],
)
def test_another_shape_with_equal_values_is_unchanged(db: Store, document: dict[str, Any]) -> None:
    """Documents that other programs wrote are compared by value, not by bytes."""
    bars = rising_bars(3)
    layout = BarLayout(BTC, MINUTE)
    db["crypto_market_1m"].insert_one({"symbol": str(BTC), "datetime": layout.key(START_MS), **document})
    assert counts(write_bars(db, bars)) == (2, 0, 1)


@pytest.mark.parametrize(
    "document",
    [
        {"open": 100.0},
        {"open": "100"},
        {"open": float("nan")},
        {"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.5, "volume": False},  # equals 0 in Python
    ],
)
def test_a_stored_bar_that_is_none_is_replaced(db: Store, document: dict[str, Any]) -> None:
    """A stored document without values, or with texts, NaN or truths, counts as changed."""
    layout = BarLayout(BTC, MINUTE)
    db["crypto_market_1m"].insert_one({"datetime": layout.key(START_MS), "symbol": str(BTC), **document})
    assert counts(write_bars(db, rising_bars(1))) == (0, 1, 0)
    assert counts(write_bars(db, rising_bars(1))) == (0, 0, 1)


def test_a_stored_day_that_is_none_is_no_bar_of_the_stretch(db: Store) -> None:
    """A date between the given ones that no calendar has is neither one of them nor a bar beside them."""
    bars = rising_bars(40, timeframe=DAY)
    layout = BarLayout(BTC, DAY)
    date = f"{layout.key(int(bars.open_ms[0]))!s:.6}99"
    db[layout.collection].insert_one({"date": date, "symbol": str(BTC), **dict.fromkeys(OHLCV, 1.0)})
    written = write_bars(db, bars)
    assert counts(written) == (40, 0, 0)
    assert written.present_ms.tolist() == bars.open_ms.tolist()


def test_a_changed_bar_keeps_an_id_of_any_kind(db: Store) -> None:
    """Another program's `_id` may be a text; the document is replaced in its place all the same."""
    document = {"datetime": BarLayout(BTC, MINUTE).key(START_MS), "symbol": str(BTC), "open": 1.0}
    db["crypto_market_1m"].insert_one({"_id": "own", **document})
    assert counts(write_bars(db, rising_bars(2))) == (1, 1, 0)
    replaced = db["crypto_market_1m"].find_one({"_id": "own"})
    assert replaced is not None
    assert (replaced["open"], list(replaced)[1:]) == (100.0, ["datetime", "symbol", *OHLCV])


def test_a_zero_of_another_sign_is_unchanged(db: Store) -> None:
    """0.0 and -0.0 are one value in different bytes."""
    bars = rising_bars(3)
    write_bars(db, changed_at(bars, 0, -0.0))
    assert counts(write_bars(db, bars)) == (0, 0, 3)


def test_a_bar_that_is_deleted_before_it_is_replaced_is_told(db: Store) -> None:
    """Nothing is stored under its old id: the writer looks again, and inserts it."""
    bars = rising_bars(4)
    write_bars(db, changed_at(changed_at(bars, 1, 9.0), 3, 9.0))
    layout = BarLayout(BTC, MINUTE)
    found = difference(db, layout, bars, layout.rows(bars))
    db["crypto_market_1m"].delete_one({"open": 101.0})
    assert _replace(db, layout, bars, layout.rows(bars), found) == (1, True)
    assert counts(write_bars(db, bars)) == (1, 0, 3)


def test_a_stretch_of_several_parts_is_compared_whole(db: Store) -> None:
    """Bars at the ends of parts, and stored ones between them that are not given, are each found once."""
    bars, end = rising_bars(2 * PART_BARS + 5), PART_BARS
    rows = np.array([0, end - 2, end - 1, end, end + 1, 2 * end - 1, 2 * end, 2 * end + 4])
    write_bars(db, changed_at(bars, end, 0.25).take(rows))
    is_given = np.ones(len(bars), np.bool_)
    is_given[[end - 1, 2 * end]] = False
    given, layout = bars.take(is_given), BarLayout(BTC, MINUTE)
    found = difference(db, layout, given, layout.rows(given))
    assert given.open_ms[~found.missing].tolist() == bars.open_ms[np.setdiff1d(rows, [end - 1, 2 * end])].tolist()
    assert given.open_ms[found.changed].tolist() == [int(bars.open_ms[end])]
    assert found.others_ms.tolist() == bars.open_ms[[end - 1, 2 * end]].tolist()


def test_symbols_do_not_meet(db: Store) -> None:
    """Bars of another symbol at the same times are other bars."""
    perpetual = rising_bars(5, symbol=type(BTC)("BINANCE", "BTC", "USDT", "USDT"))
    write_bars(db, rising_bars(5))
    assert counts(write_bars(db, perpetual)) == (5, 0, 0)


def test_a_dry_run_counts_and_writes_nothing(db: Store) -> None:
    """The counts are those that a real run would have; the store stays as it was."""
    bars = rising_bars(10)
    write_bars(db, bars.take(slice(0, 4)))
    assert counts(write_bars(db, changed_at(bars, 0, 5.5), dry_run=True)) == (6, 1, 3)
    assert [document["volume"] for document in stored(db)] == [0.0, 1.0, 2.0, 3.0]


def test_concurrent_writers_of_the_same_bars_all_succeed(db: Store) -> None:
    """Four writers at once store each bar once; what one inserted the others find equal."""
    bars = rising_bars(6000)
    results: list[Written] = []
    start = threading.Barrier(4)

    def write() -> None:
        start.wait()
        results.append(write_bars(db, bars))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result.inserted for result in results) == 6000
    assert sum(result.unchanged for result in results) == 18_000
    assert db["crypto_market_1m"].count_documents({}) == 6000


def test_a_refusal_by_the_server_names_its_cause(db: Store, settings: Settings) -> None:
    """What is not a double is told in the server's own words; the good bars of the insert are stored."""
    db.command("collMod", "crypto_market_1m", validator={"open": {"$lt": 105}})
    with pytest.raises(StoreError, match="refused an operation: Document failed validation"), store_errors(settings):
        write_bars(db, rising_bars(10))
    assert [document["open"] for document in stored(db)] == [100.0, 101.0, 102.0, 103.0, 104.0]


def test_a_whole_insert_of_doubles_fits_the_reply(db: Store) -> None:
    """The errors of the largest insert, all refused as doubles, come back without breaking the connection."""
    from importers.writer import _insert

    bars = rising_bars(INSERT_ROWS)
    layout = BarLayout(BTC, MINUTE)
    rows = layout.rows(bars)
    assert _insert(db, layout, rows) == (INSERT_ROWS, False)
    assert _insert(db, layout, rows) == (0, True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    have=st.sets(st.integers(0, 40)), send=st.sets(st.integers(0, 40), min_size=1), other=st.sets(st.integers(0, 40))
)
@pytest.mark.parametrize("timeframe", [MINUTE, DAY])
def test_difference_agrees_with_a_plain_comparison(
    db: Store, timeframe: Timeframe, have: set[int], send: set[int], other: set[int]
) -> None:
    """Missing, changed and other stored bars are those that a dict of the documents gives."""
    layout = BarLayout(BTC, timeframe)
    db[layout.collection].delete_many({})
    every = rising_bars(41, timeframe=timeframe)
    for step in sorted(have):
        write_bars(db, changed_at(every, step, 0.25 if step in other else float(step)).take(slice(step, step + 1)))
    bars = every.take(np.array(sorted(send)))
    found = difference(db, layout, bars, layout.rows(bars))
    assert found.missing.tolist() == [step not in have for step in sorted(send)]
    assert found.changed.tolist() == [step in have & other for step in sorted(send)]
    between = {step for step in have - send if min(send) <= step <= max(send)}
    assert found.others_ms.tolist() == [int(every.open_ms[step]) for step in sorted(between)]


def test_a_long_stretch_is_read_in_full(db: Store) -> None:
    """Array indexes of one to five digits lie at different distances; every bar among them is found."""
    bars = rising_bars(12_345)
    write_bars(db, bars)
    layout = BarLayout(BTC, MINUTE)
    found = difference(db, layout, bars, layout.rows(bars))
    assert not found.missing.any()
    assert not found.changed.any()
