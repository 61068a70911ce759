"""A replay sees each signal as it was known: every writing at its time, retracted and rewritten ones included."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from quantflow_nodes.known_signals import known_writings, write
from quantflow_nodes.publish import Batch, Opinion, publish_signals
from schemas.collections import SIGNAL_REVISIONS, SIGNALS, Store
from schemas.documents import Signal
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo
NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
MINUTE = Timeframe.parse("1m")


def export(db: Store, run_id: str, *actions: tuple[int, str]) -> None:
    """Export signals of the three minutes from noon on, and an opinion about all three."""
    opens = np.array([round((NOON + timedelta(minutes=n)).timestamp() * 1000) for n in range(3)], np.int64)
    signals = [
        Signal(strategy_id="s", symbol="BINANCE:BTCUSDT", pair="BTC/USDT", timeframe="1m", action=action,
               ts=NOON + timedelta(minutes=minute))  # type: ignore[arg-type]
        for minute, action in actions
    ]  # fmt: skip
    batch = Batch("s", MINUTE, signals, [Opinion("BTC/USDT", opens)])
    publish_signals(db, batch, run_id, skew_s=2.0, lease_s=60.0)


def told(db: Store) -> list[tuple[int, str | None]]:
    """Each writing as its minute and action; None for a retraction."""
    writings = known_writings(db, "s", "1m", NOON, NOON + timedelta(minutes=3))
    assert [writing.at for writing in writings] == sorted(writing.at for writing in writings)
    return [
        (round((writing.key["ts"] - NOON).total_seconds() / 60), writing.content and writing.content["action"])
        for writing in writings
    ]


def test_rewritten_and_retracted_signals_come_back_in_order(db: Store) -> None:
    """Written, then rewritten, then retracted, then written again: four times of one signal."""
    export(db, "first", (0, "enter_long"), (1, "exit_long"))
    export(db, "second", (0, "exit_long"), (1, "exit_long"))
    export(db, "third", (1, "exit_long"))
    export(db, "fourth", (0, "enter_long"), (1, "exit_long"))
    assert sorted(told(db)[:2]) == [(0, "enter_long"), (1, "exit_long")]
    assert told(db)[2:] == [(0, "exit_long"), (0, None), (0, "enter_long")]


def test_a_replacement_that_a_kill_prevented_is_no_writing(db: Store) -> None:
    """The revision was kept, and its writer died before it replaced the signal."""
    export(db, "first", (0, "enter_long"))
    stored = db[SIGNALS].find_one({}, {"_id": False}) or {}
    fate: dict[str, Any] = {"replaced_at": stored["updated_at"], "replaced_by": "killed", "retracted": True}
    db[SIGNAL_REVISIONS].insert_one(dict(stored) | fate)
    assert told(db) == [(0, "enter_long")]


def test_of_two_replacements_of_one_content_the_newer_happened(db: Store) -> None:
    """The earlier one, a retraction, was killed before it deleted the signal, which stood until it was replaced."""
    export(db, "first", (0, "enter_long"))
    stored = db[SIGNALS].find_one({}, {"_id": False}) or {}
    fate: dict[str, Any] = {"replaced_at": stored["updated_at"], "replaced_by": "killed", "retracted": True}
    db[SIGNAL_REVISIONS].insert_one(dict(stored) | fate)
    export(db, "second", (0, "exit_long"))
    assert told(db) == [(0, "enter_long"), (0, "exit_long")]


def test_writings_made_again_lead_to_the_same_signals(db: Store) -> None:
    """After all writings the replay's store says what the store says."""
    export(db, "first", (0, "enter_long"), (1, "exit_long"), (2, "enter_long"))
    export(db, "second", (0, "exit_long"), (2, "enter_long"))
    writings = known_writings(db, "s", "1m", NOON, NOON + timedelta(minutes=3))
    before = list(db[SIGNALS].find({}, {"_id": False}).sort("ts", 1))
    db[SIGNALS].delete_many({})
    for writing in writings:
        write(db, writing)
    assert list(db[SIGNALS].find({}, {"_id": False}).sort("ts", 1)) == before
