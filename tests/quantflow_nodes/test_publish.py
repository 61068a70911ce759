"""Signals sent twice are stored once, a changed one adds a revision, and no earlier content is lost."""

import os
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from quantflow_nodes.export_lease import export_lease
from quantflow_nodes.process_identity import own_identity
from quantflow_nodes.publish import Arrival, Batch, ExportCounts, Opinion, publish_signals
from schemas.collections import SIGNAL_EXPORT_LEASES, SIGNAL_EXPORTS, SIGNAL_REVISIONS, SIGNALS, Store
from schemas.documents import Signal, SignalExport, SignalRevision, StoredSignal
from schemas.errors import LockedError, SignalConflictError, SignalError
from schemas.mongo import server_time
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo
MINUTE = Timeframe.parse("1m")
START = datetime(2022, 1, 1, tzinfo=UTC)


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def signal(minute: int, action: str = "enter_long", **changes: object) -> Signal:
    fields: dict[str, object] = {
        "strategy_id": "s",
        "symbol": "BINANCE:BTCUSDT",
        "pair": "BTC/USDT",
        "timeframe": "1m",
        "ts": at(minute),
        "action": action,
    }
    return Signal(**fields | changes)  # type: ignore[arg-type]


def publish(db: Store, *signals: Signal, run_id: str = "run-1", opinion: tuple[int, int] | None = None) -> ExportCounts:
    bars = [] if opinion is None else list(range(opinion[0], opinion[1] + 1))
    opinions = (
        [Opinion("BTC/USDT", np.array([int(at(bar).timestamp()) * 1000 for bar in bars], np.int64))] if bars else []
    )
    return publish_signals(db, Batch("s", MINUTE, signals, opinions), run_id, skew_s=2.0, lease_s=60.0)


def stored(db: Store) -> list[StoredSignal]:
    return [StoredSignal.model_validate(doc) for doc in db[SIGNALS].find({}, {"_id": 0}).sort("ts", 1)]


def revisions(db: Store) -> list[SignalRevision]:
    found = db[SIGNAL_REVISIONS].find({}, {"_id": 0}).sort([("ts", 1), ("version", 1), ("replaced_at", 1)])
    return [SignalRevision.model_validate(doc) for doc in found]


def counts(result: ExportCounts) -> tuple[int, int, int, int, int]:
    return result.inserted, result.changed, result.unchanged, result.retracted, result.refused


def test_new_signals_are_stored_whole(db: Store) -> None:
    """Every field of the contract is there, and the writer's own fields are the server's time and the run."""
    before = server_time(db)
    assert counts(publish(db, signal(0), signal(5, "exit_long", note="n", valid_until=at(9)))) == (2, 0, 0, 0, 0)
    first, second = stored(db)
    assert (first.action, first.version, first.run_id, first.ts) == ("enter_long", 1, "run-1", at(0))
    assert (second.action, second.note, second.valid_until) == ("exit_long", "n", at(9))
    assert before <= first.created_at == first.updated_at <= server_time(db)


def test_the_same_again_changes_nothing(db: Store) -> None:
    """Not even updated_at or the run."""
    publish(db, signal(0), signal(5, "exit_long"))
    before = list(db[SIGNALS].find())
    assert counts(publish(db, signal(0), signal(5, "exit_long"), run_id="run-2")) == (0, 0, 2, 0, 0)
    assert list(db[SIGNALS].find()) == before
    assert revisions(db) == []


def test_other_content_replaces_and_keeps_the_old_one(db: Store) -> None:
    """The version counts up, the old content goes to the revisions with the run that replaced it."""
    publish(db, signal(0), signal(5))
    old = stored(db)[0]
    assert counts(publish(db, signal(0, "exit_long"), signal(5), run_id="run-2")) == (0, 1, 1, 0, 0)
    new = stored(db)[0]
    assert (new.action, new.version, new.run_id, new.created_at) == ("exit_long", 2, "run-2", old.created_at)
    assert new.updated_at >= old.updated_at
    (revision,) = revisions(db)
    assert (revision.action, revision.version, revision.run_id) == ("enter_long", 1, "run-1")
    assert (revision.replaced_by, revision.retracted) == ("run-2", False)


def test_each_content_that_ever_was_can_be_read(db: Store) -> None:
    """Four contents, three revisions, in order."""
    for run, score in enumerate([0.1, 0.2, 0.3, 0.1]):
        publish(db, signal(0, action=None, score=score), run_id=f"run-{run}")  # type: ignore[arg-type]
    assert [(revision.version, revision.score) for revision in revisions(db)] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert [(one.version, one.score) for one in stored(db)] == [(4, 0.1)]


def test_a_signal_that_another_program_stored_is_the_first_version(db: Store) -> None:
    """It has what a signal must have and nothing of its writer: it is replaced and retracted like any other."""
    for minute in (0, 1):
        db[SIGNALS].insert_one(signal(minute, "exit_long").to_mongo())
    assert counts(publish(db, signal(0), opinion=(0, 1))) == (0, 1, 0, 1, 0)
    assert [(one.version, one.action) for one in stored(db)] == [(2, "enter_long")]
    kept = db[SIGNAL_REVISIONS].find({}, {"_id": 0, "version": 1, "retracted": 1}).sort("ts", 1)
    assert list(kept) == [{"version": 1, "retracted": False}, {"version": 1, "retracted": True}]
    assert counts(publish(db, signal(0), signal(1), opinion=(0, 1))) == (1, 0, 1, 0, 0)
    assert [one.version for one in stored(db)] == [2, 2]


def test_what_research_no_longer_says_is_retracted(db: Store) -> None:
    """Inside the stretch that an export speaks for, a signal that it does not repeat goes to the revisions."""
    publish(db, signal(0), signal(5), signal(9))
    assert counts(publish(db, signal(0), run_id="run-2", opinion=(0, 6))) == (0, 0, 1, 1, 0)
    assert [one.ts for one in stored(db)] == [at(0), at(9)]
    (revision,) = revisions(db)
    assert (revision.ts, revision.retracted, revision.replaced_by) == (at(5), True, "run-2")


def test_signals_outside_the_stretch_stay(db: Store) -> None:
    """An export of last week says nothing about today, and nothing about another pair."""
    publish(db, signal(0), signal(5))
    eth = signal(3, symbol="BINANCE:ETHUSDT", pair="ETH/USDT")
    publish(db, eth)
    assert counts(publish(db, opinion=(1, 4))) == (0, 0, 0, 0, 0)
    assert len(stored(db)) == 3


def test_a_retracted_signal_comes_back_with_the_next_version(db: Store) -> None:
    """The history of a key has no version twice."""
    publish(db, signal(5), opinion=(0, 9))
    publish(db, opinion=(0, 9), run_id="run-2")
    publish(db, signal(5), opinion=(0, 9), run_id="run-3")
    assert [one.version for one in stored(db)] == [2]
    publish(db, opinion=(0, 9), run_id="run-4")
    assert [revision.version for revision in revisions(db)] == [1, 2]


def test_a_signal_that_aged_out_comes_back_with_the_next_version(db: Store) -> None:
    """Its revisions outlive it, and are not written over."""
    publish(db, signal(5))
    publish(db, signal(5, "exit_long"), run_id="run-2")
    db[SIGNALS].delete_many({})  # what the index on age does
    publish(db, signal(5), run_id="run-3")
    publish(db, signal(5, "exit_long"), run_id="run-4")
    assert [(revision.version, revision.run_id) for revision in revisions(db)] == [(1, "run-1"), (2, "run-3")]
    assert [one.version for one in stored(db)] == [3]


def test_two_symbols_of_one_pair_are_a_conflict(db: Store) -> None:
    """Freqtrade knows the pair only, and would trade a mixture."""
    with pytest.raises(SignalConflictError, match="BTC/USDT from both BINANCE:BTCUSDT and OKX:BTCUSDT"):
        publish(db, signal(0), signal(1, symbol="OKX:BTCUSDT"))
    assert stored(db) == []


def test_a_killed_replacement_is_completed_by_the_next_run(db: Store) -> None:
    """Between writing the revision and replacing the signal a process may die: the next one adds its own revision."""
    publish(db, signal(0))
    (old,) = db[SIGNALS].find({}, {"_id": 0})
    db[SIGNAL_REVISIONS].insert_one({**old, "replaced_at": START, "replaced_by": "killed", "retracted": False})
    publish(db, signal(0, "exit_long"), run_id="run-2")
    assert [(one.version, one.replaced_by) for one in revisions(db)] == [(1, "killed"), (1, "run-2")]
    assert [(one.version, one.action) for one in stored(db)] == [(2, "exit_long")]


def test_another_symbol_under_a_stored_key_is_a_conflict(db: Store) -> None:
    """Nothing of the export is written then."""
    publish(db, signal(0))
    before = list(db[SIGNALS].find())
    with pytest.raises(SignalConflictError, match="from BINANCE:BTCUSDT, and this export has one from OKX:BTCUSDT"):
        publish(db, signal(1, symbol="OKX:BTCUSDT"), signal(0, symbol="OKX:BTCUSDT"))
    assert list(db[SIGNALS].find()) == before


def test_a_bar_that_has_not_closed_is_refused_and_the_rest_goes_on(db: Store) -> None:
    """A signal can not have been written before it was available."""
    forming = MINUTE.floor(server_time(db) + timedelta(seconds=30))
    early = signal(0).model_copy(update={"ts": forming + timedelta(minutes=1)})
    assert counts(publish(db, signal(0), early)) == (1, 0, 0, 0, 1)
    assert [one.ts for one in stored(db)] == [at(0)]


def test_the_same_key_twice_in_one_export_is_refused(db: Store) -> None:
    """Which of the two would be right nobody knows."""
    with pytest.raises(SignalError, match="stands twice in one export"):
        publish(db, signal(0), signal(0, "exit_long"))
    assert stored(db) == []


def test_a_signal_of_another_strategy_is_refused(db: Store) -> None:
    """A batch is one strategy and timeframe."""
    with pytest.raises(SignalError, match="found one of other 1m"):
        publish(db, signal(0, strategy_id="other"))


def test_an_export_is_recorded_with_its_counts_and_delay(db: Store) -> None:
    """signal_exports tells what was written and how long after the newest bar's close."""
    result = publish(db, signal(0), signal(5), opinion=(0, 7))
    (document,) = db[SIGNAL_EXPORTS].find({}, {"_id": 0})
    export = SignalExport.model_validate(document)
    assert (export.inserted, export.first_ts, export.last_ts, export.pairs) == (2, at(0), at(7), ["BTC/USDT"])
    assert export.delay_s == result.delay_s == (export.exported_at - at(8)).total_seconds()


def test_two_exports_of_one_strategy_at_once_are_refused(db: Store) -> None:
    """The second is told who holds the strategy; what is stored stays; another strategy is free."""
    publish(db, signal(0))
    with export_lease(db, "s", "other-run", 60.0):
        with pytest.raises(LockedError, match=f"Run other-run is exporting s now .pid {os.getpid()}"):
            publish(db, signal(1))
        publish_signals(db, Batch("t", MINUTE, [signal(1, strategy_id="t")], []), "run-2", skew_s=2, lease_s=60)
    assert [(one.strategy_id, one.ts) for one in stored(db)] == [("s", at(0)), ("t", at(1))]
    assert counts(publish(db, signal(1))) == (1, 0, 0, 0, 0)


def test_the_lease_of_a_dead_process_is_void(db: Store) -> None:
    """After kill -9 in an export the next one starts at once."""
    lease = {
        "run_id": "killed",
        **own_identity(),
        "pid": 2**22 + 1,
        "expires_at": datetime(2100, 1, 1, tzinfo=UTC),
    }
    db[SIGNAL_EXPORT_LEASES].insert_one({"_id": "s", **lease})
    assert counts(publish(db, signal(0))) == (1, 0, 0, 0, 0)
    assert db[SIGNAL_EXPORT_LEASES].count_documents({}) == 0


def test_the_lease_of_another_host_is_void_when_it_has_expired(db: Store) -> None:
    """Nobody can look at a process of another machine: its silence decides."""
    lease = {"run_id": "far", "host": "another-host", "pid": 1, "expires_at": server_time(db) + timedelta(hours=1)}
    db[SIGNAL_EXPORT_LEASES].insert_one({"_id": "s", **lease})
    with pytest.raises(LockedError, match="another-host"):
        publish(db, signal(0))
    db[SIGNAL_EXPORT_LEASES].update_one({"_id": "s"}, {"$set": {"expires_at": START}})
    assert counts(publish(db, signal(0))) == (1, 0, 0, 0, 0)


def test_a_live_session_takes_back_the_lease_that_it_left(db: Store) -> None:
    """The store went away before the lease was given back; another run's, or one held beside it, is respected."""
    expires = server_time(db) + timedelta(hours=1)
    db[SIGNAL_EXPORT_LEASES].insert_one({"_id": "s", "run_id": "run-1", **own_identity(), "expires_at": expires})
    batch, came = Batch("s", MINUTE, [signal(0)], []), Arrival(server_time(db), 0)
    with pytest.raises(LockedError, match="run-1 is exporting s now"):
        publish_signals(db, batch, "run-1", skew_s=2.0, lease_s=60.0)
    with pytest.raises(LockedError, match="run-1 is exporting s now"):
        publish_signals(db, batch, "run-2", skew_s=2.0, lease_s=60.0, arrival=came)
    publish_signals(db, batch, "run-1", skew_s=2.0, lease_s=60.0, arrival=came)
    (export,) = db[SIGNAL_EXPORTS].find({}, {"_id": 0})
    assert SignalExport.model_validate(export).missing_bars == 0


def test_a_lease_that_was_taken_over_can_not_be_renewed(db: Store) -> None:
    """A process that slept too long must not write over its successor."""
    with export_lease(db, "s", "slow", 60.0) as renew:
        db[SIGNAL_EXPORT_LEASES].update_one({"_id": "s"}, {"$set": {"run_id": "fast"}})
        with pytest.raises(LockedError, match="another run took it over"):
            renew()
    assert db[SIGNAL_EXPORT_LEASES].count_documents({"run_id": "fast"}) == 1
