"""How long signals took: percentiles by hand and by another implementation, steps that add up, shares in time."""

import random
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from chain_documents import BOT, NOON, PAIR, STRATEGY, after_close, export, fill, opens, receipt, signal
from hypothesis import given
from hypothesis import strategies as st

from monitoring.chain.latency import Figures, Share, figures, latencies
from monitoring.chain.signal_chain import STAGES, Scope, SignalChain, read_stored, signal_chains
from schemas.collections import FILLS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.timeframes import Timeframe

MINUTE = Timeframe.parse("1m")
LATER = NOON + timedelta(hours=2)


def chain(minute: int = 0, pair: str = PAIR, **ms: float) -> SignalChain:
    """A signal that reached the named stages so many milliseconds after its close."""
    times: dict[str, Any] = {name: after_close(minute, ms[name]) if name in ms else None for name in STAGES}
    own = {"pair": pair, "ts": opens(minute), "close": opens(minute + 1), "content": "enter_long"}
    return SignalChain(**own, **times, decision=None, reason=None, fills=())


def test_percentiles_are_values_that_occurred() -> None:
    """Nearest rank: of 1 to 200 ms the 99th percentile is the 198th value."""
    found = figures(timedelta(milliseconds=one) for one in range(200, 0, -1))
    assert found == Figures(200, 100.0, 190.0, 198.0, 200.0)
    assert figures([]) is None


def test_steps_leave_out_a_stage_that_nobody_told() -> None:
    """Without the time at which the bars were there, the export's step begins at the close."""
    steps = chain(exported=80, seen=540, filled=1_180).steps()
    assert {stage: step / timedelta(milliseconds=1) for stage, step in steps.items()} == {
        "exported": 80,
        "seen": 460,
        "filled": 640,
    }


@given(st.lists(st.none() | st.integers(-5_000_000, 400_000_000), min_size=len(STAGES), max_size=len(STAGES)))
def test_the_steps_add_up_to_the_time_since_the_close(microseconds: list[int | None]) -> None:
    """Exactly, whatever stages are known, and also where clocks that differ put one before another."""
    times = {
        stage: opens(1) + timedelta(microseconds=one)
        for stage, one in zip(STAGES, microseconds, strict=True)
        if one is not None
    }
    own = {"pair": PAIR, "ts": NOON, "close": opens(1), "content": "", "decision": None, "reason": None, "fills": ()}
    one = SignalChain(**(own | dict.fromkeys(STAGES) | times))  # type: ignore[arg-type]
    steps = one.steps()
    assert list(steps) == list(times)
    last = list(times.values())[-1:] or [one.close]
    assert sum(steps.values(), timedelta()) == last[0] - one.close


def test_the_share_in_time_has_its_limits_inside() -> None:
    """Half a bar for the export, three bars for the bot: at the limit is in time, a millisecond later is not."""
    chains = [
        chain(0, exported=30_000, seen=180_000),
        chain(1, exported=30_001, seen=180_001),
        chain(2, exported=100),
    ]
    (found,) = latencies(STRATEGY, MINUTE, chains, LATER, NOON)
    assert (found.exported, found.seen) == (Share(2, 3), Share(1, 3))
    assert found.exported.ratio == pytest.approx(2 / 3)


def test_a_signal_whose_time_is_not_over_counts_as_neither() -> None:
    """Nobody has seen it yet, and it may still be seen in time."""
    chains = [chain(0, exported=100, seen=900), chain(5, exported=100)]
    (found,) = latencies(STRATEGY, MINUTE, chains, opens(6) + timedelta(minutes=3), NOON)
    assert found.seen == Share(1, 1)
    (found,) = latencies(STRATEGY, MINUTE, chains, opens(6) + timedelta(minutes=3, milliseconds=1), NOON)
    assert found.seen == Share(1, 2)


def test_what_was_exported_before_anybody_waited_is_no_latency() -> None:
    """A catch-up exports old bars hours after their close; one of them that the bot saw counts all the same."""
    chains = [chain(0, exported=7_200_000), chain(1, exported=7_200_000, seen=7_300_000), chain(60, exported=100)]
    (found,) = latencies(STRATEGY, MINUTE, chains, LATER, opens(60))
    assert (found.signals, found.exported) == (2, Share(1, 2))
    assert [one.signals for one in latencies(STRATEGY, MINUTE, chains, LATER, None)] == [1]


def test_all_pairs_together_come_first_where_there_are_several() -> None:
    """Each pair has its own figures, and together they have those of all signals."""
    chains = [chain(0, "ETH/USDT", exported=300), chain(0, exported=100), chain(1, exported=200)]
    found = latencies(STRATEGY, MINUTE, chains, LATER, NOON)
    assert [(one.pair, one.signals) for one in found] == [(None, 3), (PAIR, 2), ("ETH/USDT", 1)]
    exported = [one.stages["exported"].after_close for one in found]
    assert [one.worst_ms for one in exported if one is not None] == [300.0, 200.0, 300.0]
    assert found[0].stages["seen"].after_close is None


def traded(count: int) -> dict[str, list[dict[str, Any]]]:
    """Signals of so many bars with random times; some are not seen, ordered or filled, some exports tell no time."""
    chance = random.Random(7)
    written: dict[str, list[dict[str, Any]]] = {name: [] for name in (SIGNALS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, FILLS)}
    for minute in range(count):
        bars, exported, ended, seen = sorted(chance.sample(range(10, 40_000), 4))
        written[SIGNALS].append(signal(minute, exported))
        written[SIGNAL_EXPORTS].append(export(minute, ended, bars if chance.random() < 0.9 else None))
        if chance.random() < 0.9:
            written[SIGNAL_RECEIPTS].append(receipt(minute, seen))
            for number in range(chance.choice([0, 1, 1, 2])):
                ordered = seen + chance.randrange(1, 5_000)
                written[FILLS].append(fill(minute, ordered, ordered + chance.randrange(1, 900), f"{minute}-{number}"))
    return written


@pytest.mark.mongo
def test_the_table_agrees_with_the_documents_own_times(db: Store) -> None:
    """Computed again from the raw documents, by numpy's inverted distribution function, which is the nearest rank."""
    written = traded(90)
    for name, documents in written.items():
        db[name].insert_many(documents)
    scope = Scope(STRATEGY, BOT, MINUTE, NOON, LATER)
    (found,) = latencies(STRATEGY, MINUTE, signal_chains(read_stored(db, scope), MINUTE), LATER, NOON)

    closes = {one["ts"]: one["ts"] + timedelta(minutes=1) for one in written[SIGNALS]}
    reached: dict[str, dict[datetime, datetime]] = {stage: {} for stage in STAGES}
    for one in written[SIGNAL_EXPORTS]:
        if "bars_seen_at" in one:
            reached["available"][one["last_ts"]] = one["bars_seen_at"]
    reached["exported"] = {one["ts"]: one["created_at"] for one in written[SIGNALS]}
    reached["seen"] = {one["ts"]: one["seen_at"] for one in written[SIGNAL_RECEIPTS]}
    for one in written[FILLS]:
        ordered, filled = reached["ordered"], reached["filled"]
        ordered[one["ts"]] = min(ordered.get(one["ts"], LATER), one["ordered_at"])
        filled[one["ts"]] = max(filled.get(one["ts"], NOON), one["filled_at"])

    before = closes
    for stage in STAGES:
        times = found.stages[stage]
        since_close = [(at - closes[ts]) / timedelta(milliseconds=1) for ts, at in reached[stage].items()]
        steps = [(at - before[ts]) / timedelta(milliseconds=1) for ts, at in reached[stage].items()]
        for told, raw in ((times.after_close, since_close), (times.step, steps)):
            wanted = [float(np.percentile(raw, one, method="inverted_cdf")) for one in (50, 95, 99, 100)]
            assert told == Figures(len(raw), *wanted), stage
        before = before | reached[stage]
    assert found.exported == Share(
        sum(at - closes[ts] <= timedelta(seconds=30) for ts, at in reached["exported"].items()), 90
    )
    assert found.seen == Share(len(written[SIGNAL_RECEIPTS]), 90)
