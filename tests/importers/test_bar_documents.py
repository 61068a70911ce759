"""Bars as BSON rows: byte for byte what the general encoder gives."""

from datetime import UTC, datetime, timedelta

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from import_samples import BTC, DAY, MINUTE, START_MS, rising_bars

from importers.bar_documents import BarLayout, decoded
from importers.bars import Bars
from schemas.documents import DayBar, MinuteBar
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def expected(bars: Bars, row: int) -> bytes:
    """Encode one bar in the general way, in the order of fields that readers rely on."""
    time = EPOCH + timedelta(milliseconds=int(bars.open_ms[row]))
    key = {"date": f"{time:%Y%m%d}"} if bars.timeframe.name == "1d" else {"datetime": time}
    names = ("open", "high", "low", "close", "volume")
    values = {name: float(column[row]) for name, column in zip(names, bars.ohlcv, strict=True)}
    return bson.encode({**key, "symbol": str(bars.symbol), **values})


@pytest.mark.parametrize("timeframe", [MINUTE, DAY])
@pytest.mark.parametrize("symbol", [BTC, Symbol("BINANCE", "1000SHIB", "USDT", "USDT")])
def test_rows_are_the_documents_of_the_design(timeframe: Timeframe, symbol: Symbol) -> None:
    """Every row equals the encoder's bytes for the same document, in the fixed order of fields."""
    bars = rising_bars(50, timeframe=timeframe, symbol=symbol)
    rows = BarLayout(symbol, timeframe).rows(bars)
    assert [row.tobytes() for row in rows] == [expected(bars, row) for row in range(50)]


@pytest.mark.parametrize(("timeframe", "model"), [(MINUTE, MinuteBar), (DAY, DayBar)])
def test_rows_fit_the_strict_models(timeframe: Timeframe, model: type[MinuteBar] | type[DayBar]) -> None:
    """A decoded row is a valid document of its collection, with exactly its fields."""
    rows = BarLayout(BTC, timeframe).rows(rising_bars(2, timeframe=timeframe))
    assert model(**decoded(rows[1])).close == 101.5


@given(st.integers(0, 25_000))
def test_keys_go_both_ways(day: int) -> None:
    """A key gives back the open that it was made of, for both timeframes."""
    open_ms = day * 86_400_000
    for timeframe in (MINUTE, DAY):
        layout = BarLayout(BTC, timeframe)
        assert layout.open_ms(layout.key(open_ms)) == open_ms


@pytest.mark.parametrize("key", [None, 5, "2022-01-01", "20221341"])
def test_a_foreign_key_is_no_open(key: object) -> None:
    """What another program stored as a key, and is none, gives None instead of an error."""
    assert BarLayout(BTC, DAY).open_ms(key) is None
    assert BarLayout(BTC, MINUTE).open_ms(key) is None
    assert BarLayout(BTC, DAY).open_ms("20220101") == START_MS
