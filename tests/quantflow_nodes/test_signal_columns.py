"""Signals as columns say what their models say: the same are refused, and the same documents are stored."""

from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import bson
import numpy as np
import pandas as pd
import pytest
from frames import NAN, factor, position
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from quantflow_nodes.nodes.export_signals import ExportSignalsParams, make_batch
from quantflow_nodes.signal_columns import NO_TIME, Label, SignalColumns
from schemas.documents import Signal
from schemas.errors import SignalError
from schemas.timeframes import Timeframe

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2022, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000
ADDED = {"run_id": "r", "created_at": START, "updated_at": START}

NUMBERS = st.sampled_from(
    [NAN, NAN, NAN, 0.0, -0.0, 0.5, 1.0, -1.0, 1.0000001, -1.5, float("inf"), float("-inf"), 1e300]
)
OFFSETS = st.sampled_from([0, 0, 0, 1, 999, 1_000, 60_000_000, 61_000_000, 4 * DAY_US, -(10**17), 3 * 10**17])
ENDS = st.sampled_from([NO_TIME, NO_TIME, 0, 1, 60_000_000, 60_000_001, DAY_US, 7 * DAY_US + 1, 300_000 * DAY_US])
LABELS = st.builds(
    Label,
    symbol=st.sampled_from(["BINANCE:BTCUSDT", "BINANCE:BTCUSDT.P", "btc", "BINANCE:XYZ"]),
    pair=st.sampled_from(["BTC/USDT", "BTC/USDT", "BTC/USDT:USDT", "BTCUSDT", ""]),
    action=st.sampled_from([None, None, "enter_long", "exit_long", "buy"]),
    note=st.sampled_from([None, "", "n" * 5_000, 7]),
    source=st.sampled_from([None, "graph g"]),
)


def made(timeframe: str, rows: list[tuple[Label, int, float, float, int]], strategy: str = "s") -> SignalColumns:
    """Columns of (label, microseconds after the start, score, weight, microseconds from there to the end)."""
    base_us = (START - EPOCH) // timedelta(microseconds=1)
    ts_us = np.array([base_us + offset for _, offset, *_ in rows], np.int64)
    after = np.array([row[4] for row in rows], np.int64)
    return SignalColumns(
        strategy,
        Timeframe.parse(timeframe),
        tuple(row[0] for row in rows),
        np.arange(len(rows)),
        ts_us,
        np.array([row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.float64),
        np.where(after == NO_TIME, NO_TIME, ts_us + np.where(after == NO_TIME, 0, after)),
    )


def modelled(columns: SignalColumns, row: int) -> Signal | None:
    """The model of one signal, made by hand; None where there is none."""
    label, end = columns.labels[columns.label[row]], int(columns.valid_until_us[row])
    score, weight = float(columns.score[row]), float(columns.weight[row])
    try:
        return Signal(
            strategy_id=columns.strategy_id,
            timeframe=columns.timeframe.name,
            ts=EPOCH + timedelta(microseconds=int(columns.ts_us[row])),
            score=None if isnan(score) else score,
            weight=None if isnan(weight) else weight,
            valid_until=None if end == NO_TIME else EPOCH + timedelta(microseconds=end),
            **label._asdict(),
        )
    except (ValidationError, OverflowError):
        return None


def is_refused(columns: SignalColumns) -> bool:
    try:
        columns.check()
    except SignalError:
        return True
    return False


@settings(deadline=None)
@given(
    st.sampled_from(["1m", "1d", "1w"]),
    st.lists(st.tuples(LABELS, OFFSETS, NUMBERS, NUMBERS, ENDS), min_size=1, max_size=4),
    st.sampled_from(["s", "", "x" * 201]),
)
def test_the_model_decides_what_a_signal_is(timeframe: str, rows: list[Any], strategy: str) -> None:
    """Columns are refused if and only if the model refuses one of their rows: nothing is let through, nothing lost."""
    columns = made(timeframe, rows, strategy)
    assert is_refused(columns) == any(modelled(columns, row) is None for row in range(len(rows)))


@pytest.mark.parametrize("score", [float("inf"), NAN])
@pytest.mark.parametrize("place", [1, 5])
def test_one_bad_row_among_good_ones_is_found(score: float, place: int) -> None:
    """Rows that share a label with a good one are looked at too."""
    columns = made(
        "1m", [(Label("BINANCE:BTCUSDT", "BTC/USDT"), minute * 60_000_000, 0.5, NAN, NO_TIME) for minute in range(6)]
    )
    one_label = SignalColumns(
        "s", columns.timeframe, columns.labels[:1], np.zeros(6, np.int64), columns.ts_us, columns.score, columns.weight,
        columns.valid_until_us,
    )  # fmt: skip
    one_label.check()
    one_label.score[place] = score
    with pytest.raises(SignalError, match=f"BINANCE:BTCUSDT at 2022-01-01T00:0{place}:00.000000Z can not be published"):
        one_label.check()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([(0.5, None, None), (None, -1.0, None), (None, None, "exit_long"), (2.0, None, None)]),
            st.sampled_from([None, 3, 9]),
            st.sampled_from([None, "a", "bb"]),
        ),
        max_size=12,
    )
)
def test_documents_are_those_of_the_models(given_: list[Any]) -> None:
    """Byte for byte, with what the writer adds behind them; `created_at` may be each document's own."""
    signals = [
        Signal(
            strategy_id="s", symbol="BINANCE:BTCUSDT", pair="BTC/USDT", timeframe="1m",
            ts=START + timedelta(minutes=row), score=score, weight=weight, action=action, note=note,
            valid_until=None if end is None else START + timedelta(minutes=row + end, microseconds=1_234),
        )
        for row, ((score, weight, action), end, note) in enumerate(given_)
    ]  # fmt: skip
    columns = SignalColumns.of("s", Timeframe.parse("1m"), signals)
    versions = np.arange(1, len(signals) + 1)
    stored: dict[int, bytes] = {}
    for group in columns.documents(versions, ADDED, 1_000 * versions):
        stored |= {int(place): row.tobytes() for place, row in zip(group.signals, group.rows, strict=True)}
    created = [EPOCH + timedelta(seconds=int(version)) for version in versions]
    assert [stored[row] for row in range(len(signals))] == [
        bson.encode({**signal.to_mongo(), "version": row + 1, **ADDED, "created_at": created[row]})
        for row, signal in enumerate(signals)
    ]


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.25, 1.0, NAN]), min_size=1, max_size=30), st.integers(0, 30))
@pytest.mark.parametrize("value", ["action", "weight"])
@pytest.mark.parametrize("emit", ["changes", "every_bar"])
def test_a_frame_gives_the_signals_of_a_plain_loop(value: str, emit: str, values: list[float], first: int) -> None:
    """Row by row: what differs from the opinion before, of the bars asked for."""
    params = ExportSignalsParams(strategy_id="s", value=value, emit=emit, valid_for_bars=2, note="n")  # type: ignore[arg-type]
    frame = position(btc=values, eth=values[::-1])
    close_ms = round(START.timestamp() * 1000) + first * 60_000
    got = make_batch(frame, frame.data["position"], params, "src", close_ms).signals
    expected = []
    for symbol, series in (("BTC", values), ("ETH", values[::-1])):
        before: object = "exit_long" if value == "action" else 0.0
        for minute, one in enumerate(series):
            if isnan(one):
                continue
            said: object = ("enter_long" if one > 0 else "exit_long") if value == "action" else one
            ts = START + timedelta(minutes=minute)
            if (said != before or emit == "every_bar") and minute + 1 > first:
                expected.append(
                    Signal(
                        strategy_id="s",
                        symbol=f"BINANCE:{symbol}USDT",
                        pair=f"{symbol}/USDT",
                        timeframe="1m",
                        ts=ts,
                        note="n",
                        source="src",
                        valid_until=ts + timedelta(minutes=3),
                        **{value: said},
                    )
                )
            before = said
    assert list(got) == expected


def test_a_time_between_two_milliseconds_is_off_the_grid() -> None:
    """It is not cut to the grid, though MongoDB would cut it."""
    frame = factor(start="2022-01-01 00:00:00.000001", btc=[1.0])
    params = ExportSignalsParams(strategy_id="s", value="score", emit="every_bar")
    with pytest.raises(SignalError, match="is not on the grid of 1m"):
        make_batch(frame, frame.data["factor"], params, "src")


def test_a_validity_beyond_all_years_is_refused() -> None:
    """With a sentence, whatever the number of bars."""
    frame = position(btc=[1.0])
    for bars in (10**10, 10**18):
        with pytest.raises(SignalError, match="a time lies behind the year 9999"):
            make_batch(frame, frame.data["position"], ExportSignalsParams(strategy_id="s", valid_for_bars=bars), "src")


def test_the_frame_shows_what_the_models_hold() -> None:
    """Aware times, words, and numbers where there are some."""
    frame = position(btc=[1.0, 0.0], eth=[1.0, 1.0])
    columns = make_batch(frame, frame.data["position"], ExportSignalsParams(strategy_id="s"), "src").columns()
    shown = columns.frame()
    names = ["ts", "symbol", "pair", "action", "weight", "score"]
    assert list(shown.columns) == names
    assert str(shown["ts"].dtype) == "datetime64[us, UTC]"
    rows = [[None if pd.isna(value) else value for value in row] for row in shown.itertuples(index=False)]
    assert rows == [[getattr(signal, name) for name in names] for signal in columns]


def test_columns_carry_every_field_of_the_model() -> None:
    """A field that the model gains must find its place here, or it would be lost on the way to the store."""
    numbers = {"ts", "score", "weight", "valid_until"}
    assert {"strategy_id", "timeframe", *Label._fields, *numbers} == set(Signal.model_fields)
