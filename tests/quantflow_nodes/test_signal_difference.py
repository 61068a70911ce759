"""What is stored is compared by value with what is said, whoever stored it and in whatever shape."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from bson.int64 import Int64

from quantflow_nodes.publish import Batch, ExportCounts, Opinion, publish_signals
from schemas.collections import SIGNAL_REVISIONS, SIGNALS, Store
from schemas.documents import Signal
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo
MINUTE = Timeframe.parse("1m")
START = datetime(2022, 1, 1, tzinfo=UTC)
CONTENT = ("symbol", "action", "score", "weight", "valid_until", "note", "source")

SCORED: dict[str, Any] = {"score": 1.0, "note": "n"}
ENTERED: dict[str, Any] = {"action": "enter_long", "valid_until": START + timedelta(minutes=60)}
FOREIGN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (SCORED, {}),
    (SCORED, {"score": 1}),
    (SCORED, {"score": Int64(1)}),
    (SCORED, {"score": True}),
    (SCORED, {"score": 1.5}),
    (SCORED, {"score": float("nan")}),
    (SCORED, {"score": "1.0"}),
    (SCORED, {"score": None}),
    (SCORED, {"action": None, "weight": None, "source": None}),
    (SCORED, {"weight": float("nan")}),
    (SCORED, {"weight": 0.0}),
    (SCORED, {"note": "m"}),
    (SCORED, {"note": ["n"]}),
    (SCORED, {"remark": "of another program"}),
    (SCORED, {"pattern": re.compile("x")}),
    (ENTERED, {}),
    (ENTERED, {"action": "exit_long"}),
    (ENTERED, {"valid_until": START + timedelta(minutes=61)}),
    (ENTERED, {"valid_until": None}),
    (ENTERED, {"valid_until": "2022-01-01"}),
    (ENTERED, {"valid_until": Int64(1_640_998_800_000)}),
    (ENTERED, {"source": "elsewhere"}),
]


def signal(minute: int, content: Mapping[str, Any], pair: str = "BTC/USDT") -> Signal:
    symbol = "BINANCE:" + pair.replace("/", "")
    ts = START + timedelta(minutes=minute)
    return Signal(strategy_id="s", symbol=symbol, pair=pair, timeframe="1m", ts=ts, **content)


def publish(db: Store, signals: list[Signal], run_id: str = "run-2") -> ExportCounts:
    return publish_signals(db, Batch("s", MINUTE, signals, []), run_id, skew_s=2.0, lease_s=60.0)


def stored_by_another(said: Signal, changes: Mapping[str, Any], place: int) -> dict[str, Any]:
    """A document with other values; every second one with its fields in another order, and no ObjectId."""
    added = {"version": 1, "run_id": "run-1", "created_at": START, "updated_at": START}
    document = {**said.to_mongo(), **added, **changes}
    return document if place % 2 else {"_id": f"own-{place}", **dict(reversed(document.items()))}


def test_equal_content_is_that_of_a_plain_comparison(db: Store) -> None:
    """Field by field, absent and null alike: what differs is replaced and kept, what is equal stays as it is."""
    signals = [signal(minute, content) for minute, (content, _) in enumerate(FOREIGN)]
    documents = [
        stored_by_another(said, changes, minute)
        for minute, (said, (_, changes)) in enumerate(zip(signals, FOREIGN, strict=True))
    ]
    is_equal = [
        all(document.get(name) == said.to_mongo().get(name) for name in CONTENT)
        for said, document in zip(signals, documents, strict=True)
    ]
    assert (sum(is_equal), len(is_equal)) == (8, 22)  # else this test would prove little
    db[SIGNALS].insert_many(documents)
    before = {document["ts"]: document for document in db[SIGNALS].find()}
    counts = publish(db, signals)
    assert (counts.inserted, counts.changed, counts.unchanged) == (0, len(is_equal) - sum(is_equal), sum(is_equal))
    after = {document["ts"]: document for document in db[SIGNALS].find()}
    kept = {document["ts"]: document for document in db[SIGNAL_REVISIONS].find()}
    for said, equal in zip(signals, is_equal, strict=True):
        old, new = before[said.ts], after[said.ts]
        if equal:
            assert str(new) == str(old)
            assert said.ts not in kept
        else:
            assert {name: new.get(name) for name in CONTENT} == {name: said.to_mongo().get(name) for name in CONTENT}
            assert (new["_id"], new["version"], new["run_id"]) == (old["_id"], 2, "run-2")
            assert str({name: kept[said.ts][name] for name in old if name != "_id"}) == str(
                {name: value for name, value in old.items() if name != "_id"}
            )
    counts = publish(db, signals, "run-3")
    assert (counts.inserted, counts.changed, counts.unchanged) == (0, 0, len(signals))


def test_signals_of_several_pairs_and_labels_do_not_meet(db: Store) -> None:
    """The same times in two pairs, actions that alternate, and notes of their own: each is found at its key."""
    signals = [
        signal(
            minute, {"action": ("enter_long", "exit_long")[(minute + shift) % 2], "note": f"{minute % 3}" * shift}, pair
        )
        for shift, pair in enumerate(["BTC/USDT", "ETH/USDT"])
        for minute in range(300)
    ]
    assert publish(db, signals).inserted == 600
    assert publish(db, signals[::-1]).unchanged == 600
    found = {(document["pair"], document["ts"]): document["action"] for document in db[SIGNALS].find()}
    assert found == {(said.pair, said.ts): said.action for said in signals}


def test_a_revision_is_taken_for_no_other_key(db: Store) -> None:
    """An opinion reaches 1 ms beyond the signals, where the one pair has a revision: counted on from the last signal,
    that is where the next pair begins."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    signals = [signal(0, SCORED, pair).model_copy(update={"ts": epoch}) for pair in ("BTC/USDT", "ETH/USDT")]
    revision = {**signals[0].to_mongo(), "ts": epoch + timedelta(milliseconds=1), "version": 7}
    db[SIGNAL_REVISIONS].insert_one(revision)
    opinion = Opinion("BTC/USDT", np.array([1], np.int64))
    publish_signals(db, Batch("s", MINUTE, signals, [opinion]), "run-1", skew_s=2.0, lease_s=60.0)
    stored = {(one["pair"], one["version"]) for one in db[SIGNALS].find()}
    assert stored == {("BTC/USDT", 1), ("ETH/USDT", 1)}
