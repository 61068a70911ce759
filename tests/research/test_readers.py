"""The readers' promises to a user: which bars, which columns and types, and a sentence for each mistake."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pymongo
import pytest
from pymongo.errors import PyMongoError

from research.readers import (
    _TEXTS_AT_ONCE,
    _symbol_column,
    get_crypto_market_data,
    get_crypto_min_data,
    get_market_data,
)
from schemas.collections import DAY_BARS, MINUTE_BARS, Store
from schemas.errors import InputError, StoreError, SymbolError, TimeError
from schemas.settings import Settings
from schemas.symbols import Symbol

pytestmark = pytest.mark.mongo

BTC, ETH = "BINANCE:BTCUSDT", "BINANCE:ETHUSDT"
START = datetime(2022, 1, 1, tzinfo=UTC)
COLUMNS = ["symbol", "datetime", "open", "high", "low", "close", "volume"]


def minute_bars(symbol: str, minutes: Iterable[int]) -> list[dict[str, Any]]:
    """Bars whose open is 100 + the minute; the minutes count from START."""
    return [
        {
            "datetime": START + timedelta(minutes=minute), "symbol": symbol, "open": 100.0 + minute,
            "high": 101.0 + minute, "low": 99.0 + minute, "close": 100.5 + minute, "volume": float(minute),
        }
        for minute in minutes
    ]  # fmt: skip


def day_bars(symbol: str, days: Iterable[str]) -> list[dict[str, Any]]:
    """Bars whose close is the day of the month."""
    return [
        {"date": day, "symbol": symbol, "open": 1.0, "high": 40.0, "low": 0.5, "close": float(day[6:]), "volume": 2.0}
        for day in days
    ]


@pytest.fixture
def bars(db: Store) -> Store:
    """Ten minutes of two symbols, stored backwards, and days around the end of a leap February."""
    db[MINUTE_BARS].insert_many(minute_bars(ETH, reversed(range(10))) + minute_bars(BTC, reversed(range(10))))
    db[DAY_BARS].insert_many(day_bars(BTC, ["20240228", "20240229", "20240301"]))
    return db


def minutes_of(frame: pd.DataFrame) -> list[int]:
    return [int((time - START).total_seconds() // 60) for time in frame["datetime"]]


def test_minutes_come_sorted_with_their_values(bars: Store) -> None:
    """Rows are sorted by symbol, then time, whatever the order of storing and asking was."""
    frame = get_crypto_min_data("2022-01-01", "2022-01-02", [ETH, BTC], db=bars)
    assert list(frame.columns) == COLUMNS
    assert frame["symbol"].tolist() == [BTC] * 10 + [ETH] * 10
    assert minutes_of(frame) == [*range(10), *range(10)]
    assert frame.iloc[3].tolist() == [BTC, pd.Timestamp("2022-01-01T00:03Z"), 103.0, 104.0, 102.0, 103.5, 3.0]
    assert frame.index.equals(pd.RangeIndex(20))


def test_start_is_included_and_end_is_not(bars: Store) -> None:
    """The range is half-open: two ranges that touch share no bar and lose none."""
    frame = get_crypto_min_data("2022-01-01T00:02Z", "2022-01-01T00:05Z", BTC, db=bars)
    assert minutes_of(frame) == [2, 3, 4]


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [
        (START + timedelta(minutes=2, microseconds=1), START + timedelta(minutes=4), [3]),
        (START + timedelta(minutes=2), START + timedelta(minutes=4, microseconds=1), [2, 3, 4]),
        (START, START, []),
        (pd.Timestamp("2022-01-01T00:08", tz="UTC"), date(2022, 1, 2), [8, 9]),
        (datetime(2022, 1, 1, 8, 8, tzinfo=timezone(timedelta(hours=8))), "20220102", [8, 9]),
        ("2022-01-01T08:08+08:00", "20220102T00", [8, 9]),
    ],
)
def test_times_are_exact_in_every_spelling(bars: Store, start: Any, end: Any, minutes: list[int]) -> None:
    """Texts, dates, datetimes and Timestamps of any zone name one instant, to less than MongoDB's millisecond."""
    assert minutes_of(get_crypto_min_data(start, end, BTC, db=bars)) == minutes


def test_days_open_at_midnight_utc(bars: Store) -> None:
    """A stored date becomes the bar's open; the leap day is one; the end's day is excluded."""
    frame = get_crypto_market_data("2024-02-28", "2024-03-01", BTC, db=bars)
    assert list(frame.columns) == COLUMNS
    assert frame["datetime"].tolist() == [pd.Timestamp("2024-02-28", tz="UTC"), pd.Timestamp("2024-02-29", tz="UTC")]
    assert frame["close"].tolist() == [28.0, 29.0]


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2024-02-28T00:00:01Z", "2024-03-02", [29, 1]),
        ("2024-02-28", "2024-02-28T00:00:01Z", [28]),
        ("2024-02-28T12:00Z", "2024-02-28T18:00Z", []),
        ("0001-01-01", "9999-12-31", [28, 29, 1]),
    ],
)
def test_a_day_belongs_to_the_range_by_its_open(bars: Store, start: str, end: str, days: list[int]) -> None:
    """A range that begins within a day does not hold that day's bar."""
    assert get_crypto_market_data(start, end, BTC, db=bars)["close"].tolist() == days


def test_fields_come_in_the_order_asked_for(bars: Store) -> None:
    """Each field once; symbol and datetime are always first."""
    frame = get_crypto_market_data(
        "2024-02-28", "2024-03-01", BTC, ["close", "date", "open", "close", "symbol"], db=bars
    )
    assert list(frame.columns) == ["symbol", "datetime", "close", "date", "open"]
    assert frame["date"].tolist() == ["20240228", "20240229"]
    assert list(get_crypto_min_data(START, "20230101", BTC, "volume", db=bars).columns) == [
        "symbol", "datetime", "volume",
    ]  # fmt: skip


@pytest.mark.parametrize("timeframe", ["1m", "1d"])
def test_an_empty_frame_has_the_columns_and_types_of_a_full_one(bars: Store, timeframe: str) -> None:
    """So that what is computed from it has no special case; an unknown symbol adds no rows."""
    full = get_market_data("2022-01-01", "2025-01-01", [BTC, "BINANCE:NOSUCHUSDT"], timeframe=timeframe, db=bars)
    empty = get_market_data("2022-01-01", "2025-01-01", "BINANCE:NOSUCHUSDT", timeframe=timeframe, db=bars)
    assert len(full) > 0
    assert empty.empty
    pd.testing.assert_series_equal(empty.dtypes, full.dtypes)
    assert str(full["datetime"].dtype) == "datetime64[ms, UTC]"
    assert full["symbol"].dtype == pd.Series(["text"]).dtype
    assert set(full.dtypes[2:].map(str)) == {"float64"}


def test_symbols_are_read_once_and_in_any_form(bars: Store) -> None:
    """A Symbol, a text and a generator name instruments; doubles are read once."""
    by_type = get_crypto_min_data(START, "20230101", Symbol.parse(BTC), db=bars)
    doubled = get_crypto_min_data(START, "20230101", (text for text in (BTC, BTC)), db=bars)
    assert len(by_type) == 10
    pd.testing.assert_frame_equal(by_type, doubled)


def test_get_market_data_is_the_others_by_timeframe(bars: Store) -> None:
    """The day is its default, as for other markets."""
    days = get_market_data("20240101", "20250101", [BTC], ["close"], "crypto", db=bars)
    pd.testing.assert_frame_equal(days, get_crypto_market_data("20240101", "20250101", [BTC], ["close"], db=bars))
    minutes = get_market_data("20220101", "20230101", [BTC], timeframe="1m", db=bars)
    pd.testing.assert_frame_equal(minutes, get_crypto_min_data("20220101", "20230101", [BTC], db=bars))


def test_many_pieces_make_one_series(db: Store) -> None:
    """A range longer than one piece, with a gap as long as a piece in it, comes whole, sorted and unique."""
    minutes = [*range(0, 70_000, 7), *range(200_000, 270_000, 7)]
    for symbol in (BTC, ETH):
        db[MINUTE_BARS].insert_many(minute_bars(symbol, minutes))
    frame = get_crypto_min_data("1980-01-01", "2080-01-01", [BTC, ETH], ["open"], db=db)
    expected = np.array([*minutes, *minutes], float) + 100
    np.testing.assert_array_equal(frame["open"].to_numpy(), expected)
    assert minutes_of(frame) == [*minutes, *minutes]
    assert not frame.duplicated(["symbol", "datetime"]).any()


def test_without_a_database_the_settings_name_it(
    bars: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call connects by the environment and closes what it opened."""
    assert settings.mongo_uri is not None
    monkeypatch.setenv("QUANTFLOW_MONGO_URI", settings.mongo_uri.get_secret_value())
    monkeypatch.setenv("QUANTFLOW_DB", settings.db)
    assert len(get_crypto_min_data("20220101", "20220102", BTC)) == 10


def test_a_server_that_is_away_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """No driver error comes out of a reader."""
    monkeypatch.setenv("QUANTFLOW_MONGO_URI", "mongodb://127.0.0.1:9/")
    monkeypatch.setenv("QUANTFLOW_MONGO_TIMEOUT_S", "0.2")
    with pytest.raises(StoreError, match="did not answer"):
        get_crypto_min_data("20220101", "20220102", BTC)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"type": "stock"}, InputError, "The market type 'crypto' was needed, found 'stock'"),
        ({"timeframe": "5m"}, InputError, "Bars of 1m and 1d are stored, not of 5m"),
        ({"timeframe": "soon"}, InputError, "A timeframe such as 1m"),
        ({"fields": ["clsoe"]}, InputError, "Bars of 1m have no field 'clsoe'; they have .* Did you mean close?"),
        ({"fields": ["date"]}, InputError, "Bars of 1m have no field 'date'"),
        ({"fields": [7]}, InputError, "Bars of 1m have no field 7"),
        ({"symbols": []}, InputError, "At least one symbol such as BINANCE:BTCUSDT was needed, found none"),
        ({"symbols": ["btcusdt"]}, SymbolError, "A symbol such as BINANCE:BTCUSDT was needed, found 'btcusdt'"),
        ({"symbols": [None]}, SymbolError, "found None"),
        (
            {"start": "2022-01-03"},
            InputError,
            "start must not lie after end, found start 2022-01-03 and end 2022-01-02",
        ),
        ({"start": datetime(2022, 1, 1)}, TimeError, "start must carry a zone, found the naive 2022-01-01"),  # noqa: DTZ001
        ({"end": "soon"}, TimeError, "end must be a time such as 2022-01-01"),
        ({"end": 5}, TimeError, "end must be a datetime with a zone, found 5"),
        ({"end": pd.NaT}, TimeError, "end must"),
    ],
)
def test_a_wrong_argument_is_a_sentence(
    db: Store, change: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    """It says what was needed, what was found and what would fit."""
    arguments = {"start": "2022-01-01", "end": "2022-01-02", "symbols": [BTC], "timeframe": "1m"}
    with pytest.raises(error, match=sentence):
        get_market_data(**(arguments | change), db=db)


def test_a_limit_of_time_holds_for_the_threads_that_read(bars: Store) -> None:
    """What `pymongo.timeout` says is kept with the caller's thread, and would be lost on the way."""
    with pymongo.timeout(1e-6), pytest.raises(PyMongoError) as caught:
        get_crypto_min_data(START, "2022-01-02", BTC, db=bars)
    assert caught.value.timeout


def test_each_row_has_its_symbol_however_many_there_are() -> None:
    """The column is made of runs that share their memory: longer ones than a run, none, one as long, a few rows."""
    counts = {"A:LONG": 2 * _TEXTS_AT_ONCE + 3, "B:NONE": 0, "C:WHOLE": _TEXTS_AT_ONCE, "D:FEW": 5}
    expected = np.repeat(list(counts), list(counts.values()))
    assert _symbol_column(counts).tolist() == expected.tolist()
