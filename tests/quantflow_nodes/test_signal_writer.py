"""Missing signals are stored in chunks: each in the order given, stamped when it is written."""

import time
from datetime import UTC, datetime

import numpy as np
import pytest

from quantflow_nodes.signal_columns import NO_TIME, Label, SignalColumns
from quantflow_nodes.signal_difference import Difference, signal_difference
from quantflow_nodes.signal_writer import CHUNK, SignalWriter
from schemas.collections import SIGNALS, Store
from schemas.mongo import server_time
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo
START_US = int(datetime(2022, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
COUNT = CHUNK + 1_000
PAUSE_S = 0.05


class KilledError(Exception):
    """Stands for the end of the process."""


def entries_and_exits(db: Store) -> Difference:
    """Return an export of more than one chunk, turn by turn an entry and an exit, of which nothing is stored."""
    labels = tuple(Label("BINANCE:BTCUSDT", "BTC/USDT", action) for action in ("enter_long", "exit_long"))
    place, nothing = np.arange(COUNT), np.full(COUNT, np.nan)
    signals = SignalColumns(
        "s",
        Timeframe.parse("1m"),
        labels,
        label=place % 2,
        ts_us=START_US + place * 60_000_000,
        score=nothing,
        weight=nothing,
        valid_until_us=np.full(COUNT, NO_TIME),
    )
    return signal_difference(db, None, signals, {})


def test_a_kill_between_chunks_leaves_a_beginning_of_what_was_given(db: Store) -> None:
    """Entries with their exits, up to some bar: never all entries and no exit, which would be long for ever."""
    renewed: list[int] = []

    def renew() -> None:
        renewed.append(db[SIGNALS].count_documents({}))
        if len(renewed) == 2:
            raise KilledError

    difference = entries_and_exits(db)
    with pytest.raises(KilledError):
        SignalWriter(db, "run-1", server_time(db), renew).insert(difference)
    stored = [(one["ts"], one["action"]) for one in db[SIGNALS].find().sort("ts", 1)]
    given = difference.signals[:CHUNK]
    assert renewed == [0, CHUNK]
    assert stored == [(one.ts, one.action) for one in given]


def test_each_chunk_bears_the_time_at_which_it_is_written(db: Store) -> None:
    """No signal counts as known from before it was stored: the later chunk's times lie behind the pause before it."""
    SignalWriter(db, "run-1", server_time(db), lambda: time.sleep(PAUSE_S)).insert(entries_and_exits(db))
    stored = list(db[SIGNALS].find().sort("ts", 1))
    first, last = stored[0], stored[-1]
    assert len(stored) == COUNT
    assert (last["created_at"] - first["created_at"]).total_seconds() >= PAUSE_S
    assert last["updated_at"] == last["created_at"]
