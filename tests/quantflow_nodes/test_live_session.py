"""A session keeps signals up to date whatever comes: late bars, other values, restarts, a store that is away."""

import time
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from live_market import (
    BTC,
    ETH,
    TWO,
    export,
    factor,
    graph,
    live,
    position,
    run_over_history,
    signals_of,
    store,
    walk,
    without,
)
from market import START
from pydantic import SecretStr
from pymongo.errors import PyMongoError

from quantflow_nodes.publish import Batch, publish_signals
from schemas.collections import (
    MINUTE_BARS,
    SIGNAL_EXPORT_LEASES,
    SIGNAL_EXPORTS,
    SIGNALS,
    WORKFLOW_RUNS,
    Store,
)
from schemas.documents import SignalExport, WorkflowRun
from schemas.embedded import temporary_server
from schemas.errors import InputError, QuantFlowError
from schemas.mongo import connect
from schemas.settings import Settings
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo
MOMENTUM = graph(factor("{name: momentum, lookback_bars: 5}") + position() + export())
RANKS = graph(
    factor("{name: momentum, lookback_bars: 5}")
    + "  rank: {type: cross_sectional_rank, inputs: {factor: factor.factor}}\n"
    + position(0.5, 0.5, "rank.factor")
    + export(),
    TWO,
)


def exports(db: Store) -> list[SignalExport]:
    found = db[SIGNAL_EXPORTS].find({}, {"_id": 0}).sort("exported_at", 1)
    return [SignalExport.model_validate(document) for document in found]


def test_every_bar_has_an_export_even_without_a_signal(settings: Settings, db: Store) -> None:
    """Consumers read from it that research is alive; a bar without an opinion counts too."""
    never = graph(factor("{name: momentum, lookback_bars: 5}") + position(9.0, -9.0) + export())
    closes = walk(db, 20)
    store(db, [bar for bars in closes[:10] for bar in bars])
    with live(settings, db, never) as drive:
        drive.closes(closes[10:])
    assert db[SIGNALS].count_documents({}) == 0
    caught_up, *rest = exports(db)
    assert (caught_up.first_ts, caught_up.last_ts) == (START, START + timedelta(minutes=9))
    assert [one.last_ts for one in rest] == [START + timedelta(minutes=minute) for minute in range(10, 20)]
    for one in rest:
        assert one.bars_seen_at is not None
        assert one.bars_seen_at <= one.exported_at
        assert one.delay_s == (one.exported_at - START - timedelta(minutes=1) - (one.last_ts - START)).total_seconds()  # type: ignore[operator]


def test_a_session_is_one_run(settings: Settings, db: Store) -> None:
    """It tells through which close all is exported; nodes that lead to no export are skipped."""
    text = MOMENTUM + "  backtest: {type: backtest, inputs: {bars: bars.bars, position: position.position}}\n"
    closes = walk(db, 20)
    store(db, [bar for bars in closes[:10] for bar in bars])
    with live(settings, db, text) as drive:
        drive.closes(closes[10:])
        (running,) = db[WORKFLOW_RUNS].find({}, {"_id": 0})
        assert WorkflowRun.model_validate(running).state == "running"
    (document,) = db[WORKFLOW_RUNS].find({}, {"_id": 0})
    run = WorkflowRun.model_validate(document)
    assert run.live is not None
    assert (run.state, run.live.strategies, run.live.exports) == ("succeeded", ["s"], 11)
    assert run.live.through == run.data_last == START + timedelta(minutes=20)
    assert (run.nodes["backtest"].state, run.nodes["export"].state) == ("skipped", "succeeded")
    assert {signal["run_id"] for signal in db[SIGNALS].find()} == {run.run_id}


def test_a_late_bar_revises_what_was_said_without_it(settings: Settings, db: Store) -> None:
    """A bar is missing when its patience is over, and comes three closes later."""
    closes = walk(db, 60, BTC, ETH)
    (late,) = [bar for bar in closes[40] if bar["symbol"] == ETH]
    store(db, [bar for bars in closes[:40] for bar in bars])
    with live(settings, db, RANKS) as drive:
        drive.closes(without(closes[40:44], ETH, [40]))
        missing = [event for event in drive.events if event.kind == "missing"]
        assert [(event.facts["symbols"], event.facts["close"]) for event in missing] == [
            ([ETH], "2022-01-01T00:41:00+00:00")
        ]
        assert [export.missing_bars for export in exports(db)] == [0, 1, 0, 0, 0]
        drive.late([late])
        drive.closes(closes[44:])
    assert signals_of(db) == run_over_history(settings, RANKS, closes)


def test_a_bar_that_changes_is_looked_at_again(settings: Settings, db: Store) -> None:
    """An import replaces a bar long exported: signals follow, and their old content is kept."""
    closes = walk(db, 700)
    other = {**closes[20][0], "close": 1.0, "low": 0.5}
    store(db, [bar for bars in closes[:690] for bar in bars])
    with live(settings, db, MOMENTUM) as drive:
        drive.closes(closes[690:695])
        db[MINUTE_BARS].replace_one({"symbol": BTC, "datetime": other["datetime"]}, other)
        drive.turn_until(lambda: any(event.kind == "late" for event in drive.events))
        drive.closes(closes[695:])
    changed = [bars if number != 20 else [other] for number, bars in enumerate(closes)]
    assert signals_of(db) == run_over_history(settings, MOMENTUM, changed)
    assert signals_of(db) != run_over_history(settings, MOMENTUM, closes)


def test_a_bar_that_is_stored_again_as_it_is_changes_nothing(settings: Settings, db: Store) -> None:
    """No looking again, no export."""
    closes = walk(db, 30)
    store(db, [bar for bars in closes[:20] for bar in bars])
    with live(settings, db, MOMENTUM) as drive:
        drive.closes(closes[20:25])
        db[MINUTE_BARS].update_one({"datetime": closes[22][0]["datetime"]}, {"$set": {"touched": True}})
        db[MINUTE_BARS].update_one({"datetime": closes[22][0]["datetime"]}, {"$unset": {"touched": ""}})
        drive.closes(closes[25:])
    assert [event.kind for event in drive.events if event.kind != "silent"] == []  # its bars are years old
    assert len(exports(db)) == 11


def test_what_came_late_while_no_session_ran_is_made_up_for(settings: Settings, db: Store) -> None:
    """The next session is told by the change stream from where the last one stood."""
    closes = walk(db, 80, BTC, ETH)
    (late,) = [bar for bar in closes[40] if bar["symbol"] == ETH]
    store(db, [bar for bars in closes[:40] for bar in bars])
    with live(settings, db, RANKS) as drive:
        drive.closes(without(closes[40:50], ETH, [40]))
    store(db, [late])
    store(db, [bar for bars in closes[50:60] for bar in bars])
    with live(settings, db, RANKS) as drive:
        drive.turn_until(lambda: any(event.kind == "late" for event in drive.events))
        drive.closes(closes[60:])
    assert signals_of(db) == run_over_history(settings, RANKS, closes)


def test_too_few_bars_are_waited_for(settings: Settings, db: Store) -> None:
    """Nothing fails while a factor warms up; it is said once."""
    closes = walk(db, 12)
    with live(settings, db, MOMENTUM) as drive:
        for bars in closes[:5]:
            store(db, bars)
            drive.session.turn(0.2)
        drive.turn_until(lambda: [event.kind for event in drive.events if event.kind != "silent"] == ["waiting"])
        drive.closes(closes[5:])
        kinds = [event.kind for event in drive.events if event.kind != "silent"]
    assert kinds == ["waiting", "recovered"]
    assert signals_of(db) == run_over_history(settings, MOMENTUM, closes)


def test_nothing_before_from_is_exported(settings: Settings, db: Store) -> None:
    """Earlier bars only tell what the opinion was, also when one of them comes late."""
    closes = walk(db, 60)
    held = closes[30]
    store(db, [bar for bars in closes[:50] for bar in bars if bars is not held])
    since = START + timedelta(minutes=40)
    with live(settings, db, MOMENTUM, since=since) as drive:
        drive.late(held)
        drive.closes(closes[50:])
    whole = run_over_history(settings, MOMENTUM, closes)
    assert signals_of(db) == [signal for signal in whole if signal["ts"] >= since]
    assert len(signals_of(db)) > 2


def test_until_ends_a_session(settings: Settings, db: Store) -> None:
    """Later bars are not looked at; a session whose bars never come ends as well."""
    closes = walk(db, 60)
    store(db, [bar for bars in closes for bar in bars])
    with live(settings, db, MOMENTUM, until=START + timedelta(minutes=30)) as drive:
        assert drive.session.has_ended()
    assert max(one.last_ts for one in exports(db) if one.last_ts) == START + timedelta(minutes=29)
    with live(settings, db, MOMENTUM, until=START + timedelta(days=1)) as drive:
        drive.turn_until(drive.session.has_ended)
    assert max(one.last_ts for one in exports(db) if one.last_ts) == START + timedelta(minutes=59)


def test_bars_are_counted_from_when_it_has_caught_up(settings: Settings, db: Store) -> None:
    """--for 3 ends three closes later."""
    closes = walk(db, 30)
    store(db, [bar for bars in closes[:20] for bar in bars])
    with live(settings, db, MOMENTUM, bars=3) as drive:
        drive.closes(closes[20:22])
        assert not drive.session.has_ended()
        drive.closes(closes[22:23])
        assert drive.session.has_ended()


def test_a_run_that_exports_the_strategy_is_waited_for(settings: Settings, db: Store) -> None:
    """Its lease is void after a while, or it ends; nothing is lost."""
    closes = walk(db, 30)
    store(db, [bar for bars in closes[:20] for bar in bars])
    lease = {"run_id": "other", "host": "far", "pid": 1, "expires_at": datetime.now(UTC) + timedelta(hours=1)}
    with live(settings, db, MOMENTUM) as drive:
        db[SIGNAL_EXPORT_LEASES].insert_one({"_id": "s", **lease})
        store(db, closes[20])
        drive.turn_until(lambda: any(event.kind == "trouble" for event in drive.events))
        db[SIGNAL_EXPORT_LEASES].delete_one({"_id": "s"})
        drive.closes(closes[21:])
        assert [event.kind for event in drive.events] == ["trouble", "recovered"]
        assert "Run other is exporting s now" in drive.events[0].sentence
    assert signals_of(db) == run_over_history(settings, MOMENTUM, closes)


def test_a_mistake_of_the_graph_ends_it(settings: Settings, db: Store) -> None:
    """What a person has to mend is not tried again and again; the run is kept as failed."""
    closes = walk(db, 30)
    store(db, [bar for bars in closes[:20] for bar in bars])
    conflict = Batch("s", Timeframe.parse("1m"), [], [])
    publish_signals(db, conflict, "r", skew_s=2, lease_s=60)
    text = MOMENTUM.replace("threshold_position", "'counting_nodes:OutOfBounds'")
    with pytest.raises(QuantFlowError, match=r"A position lies in \[0, 1\]"), live(settings, db, text):
        pass
    (run,) = db[WORKFLOW_RUNS].find()
    assert run["state"] == "failed"


def test_a_patience_longer_than_a_bar_is_refused(settings: Settings, db: Store) -> None:
    """The next bar would close before this one is given up."""
    with pytest.raises(InputError, match="between 0 and the bar's length, 60 s, found 61"):  # noqa: SIM117
        with live(settings, db, MOMENTUM, patience_s=61.0):
            pass


def test_a_frozen_store_is_lived_through() -> None:
    """mongod stands still (SIGSTOP) and goes on: said once, and no bar is lost or doubled."""
    with temporary_server() as (server, uri):
        settings = Settings.load(mongo_uri=SecretStr(uri), db="test_frozen", home=server.home, mongo_timeout_s=1.0)
        with connect(settings) as db:
            closes = walk(db, 50)
            store(db, [bar for bars in closes[:40] for bar in bars])
            with live(settings, db, MOMENTUM) as drive:
                drive.closes(closes[40:42])
                store(db, closes[42])
                time.sleep(0.5)  # the change stream has told of the bar, which has not been read
                mongod = server.running().mongod()
                assert mongod is not None
                mongod.suspend()
                try:
                    deadline = time.monotonic() + 30
                    while not drive.events and time.monotonic() < deadline:
                        drive.session.turn(0.05)
                finally:
                    mongod.resume()
                drive.closes(closes[43:])
                kinds = [event.kind for event in drive.events if event.kind != "silent"]
            assert kinds == ["trouble", "recovered"]
            assert signals_of(db) == run_over_history(settings, MOMENTUM, closes)


def answers(db: Store) -> bool:
    """Whether the server is there, for the test's own writing."""
    try:
        db.command("ping")
    except PyMongoError:
        return False
    return True


def test_a_killed_store_is_lived_through() -> None:
    """mongod dies by kill -9 and comes back: said once, and no bar is lost or doubled."""
    with temporary_server() as (server, uri):
        settings = Settings.load(mongo_uri=SecretStr(uri), db="test_killed", home=server.home, mongo_timeout_s=1.0)
        with connect(settings) as db:
            closes = walk(db, 60)
            store(db, [bar for bars in closes[:40] for bar in bars])
            with live(settings, db, MOMENTUM) as drive:
                drive.closes(closes[40:45])
                mongod = server.running().mongod()
                assert mongod is not None
                mongod.kill()
                psutil.wait_procs([mongod], timeout=10)
                deadline = time.monotonic() + 30
                while (not drive.events or not answers(db)) and time.monotonic() < deadline:
                    drive.session.turn(0.05)
                drive.closes(closes[45:])
                kinds = [event.kind for event in drive.events if event.kind != "silent"]
            assert kinds == ["trouble", "recovered"]
            assert signals_of(db) == run_over_history(settings, MOMENTUM, closes)
            lasts = [one.last_ts for one in exports(db)]
            assert len(lasts) == len(set(lasts)) == 21
