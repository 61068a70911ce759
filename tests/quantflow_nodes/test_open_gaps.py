"""Open gaps that touch the bars' range are told; on a stand-in for speed, and on the real server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import mongomock
import pytest

from quantflow_nodes.nodes.read_bars import open_gaps
from schemas.collections import BAR_GAPS
from schemas.timeframes import Timeframe

MINUTE = Timeframe.parse("1m")
START = datetime(2022, 1, 1, tzinfo=UTC)
BTC, ETH = "BINANCE:BTCUSDT", "BINANCE:ETHUSDT"


@pytest.fixture(params=["stand-in", pytest.param("server", marks=pytest.mark.mongo)])
def store(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The same rules hold on both."""
    if request.param == "server":
        yield request.getfixturevalue("db")
    else:
        yield mongomock.MongoClient(tz_aware=True)["gaps"]


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def write_gap(store: Any, first: int, last: int, symbol: str = BTC, state: str = "open", timeframe: str = "1m") -> None:
    gap = {"symbol": symbol, "timeframe": timeframe, "start": at(first), "end": at(last), "state": state}
    store[BAR_GAPS].insert_one(gap | {"updated_at": START})


def found(store: Any, first: int, end: int) -> list[tuple[str, int, int]]:
    gaps = open_gaps(store, [BTC, ETH], MINUTE, at(first), at(end))
    minutes = timedelta(minutes=1)
    return [(gap.symbol, (gap.start - START) // minutes, (gap.end - START) // minutes) for gap in gaps]


def test_a_gap_counts_where_it_touches_the_range(store: Any) -> None:
    """The range is [10, 20): a gap that ends at 9 or begins at 20 lies outside."""
    for first, last in ((4, 9), (5, 10), (12, 13), (19, 25), (20, 25)):
        write_gap(store, first, last)
    assert found(store, 10, 20) == [(BTC, 5, 10), (BTC, 12, 13), (BTC, 19, 25)]


def test_only_open_gaps_of_the_symbols_and_timeframe_count(store: Any) -> None:
    """Filled and absent ones are settled."""
    write_gap(store, 11, 11, state="filled")
    write_gap(store, 12, 12, state="absent")
    write_gap(store, 13, 13, timeframe="1d")
    write_gap(store, 14, 14, symbol="BINANCE:SOLUSDT")
    write_gap(store, 15, 15, symbol=ETH)
    assert found(store, 0, 100) == [(ETH, 15, 15)]
