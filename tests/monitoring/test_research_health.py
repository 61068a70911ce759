"""How research does, by its exports of late and by the runs of its graphs."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from chain_documents import NOON, PAIR, STRATEGY, after_close, export, opens, signal

from monitoring.facts import FailedRun, ResearchHealth
from monitoring.sources.research_health import ResearchReader, RunReader, research_health
from schemas.collections import SIGNAL_EXPORTS, SIGNALS, WORKFLOW_RUNS, Store
from schemas.timeframes import Timeframe

MINUTE = Timeframe.parse("1m")


def health(
    exports: list[dict[str, Any]], at: datetime, since: datetime = NOON, first: datetime | None = None
) -> ResearchHealth:
    return research_health(
        exports,
        MINUTE,
        since,
        at,
        last_export=exports[-1] if exports else None,
        first_export_at=first or (exports[0]["exported_at"] if exports else None),
        failed_runs=(),
        last_signals={},
    )


def test_counts_are_sums_over_the_exports() -> None:
    """Also of those that changed nothing, which are heartbeats."""
    given = [
        export(0, 900, 400, inserted=2, refused=1, missing_bars=3),
        export(1, 800, 400, inserted=0, unchanged=2, changed=1, retracted=4),
    ]
    found = health(given, opens(3))
    assert (found.exports, found.inserted, found.changed, found.unchanged) == (2, 2, 1, 2)
    assert (found.retracted, found.refused, found.missing_bars) == (4, 1, 3)
    assert (found.last_export_at, found.last_bar) == (after_close(1, 800), opens(1))
    assert found.delay_s == (0.9, 0.8)
    assert [one.exported_at for one in found.recorded] == [after_close(0, 900), after_close(1, 800)]


def test_a_close_without_an_export_lowers_the_success() -> None:
    """Of the closes since the first export: four were due, one of them was not exported."""
    given = [export(minute, 900, 400) for minute in (0, 1, 2, 4)]
    found = health(given, after_close(4, 45_000))
    assert (found.closes, found.closes_exported, found.success) == (4, 3, 0.75)


def test_a_close_is_due_after_half_a_bar_or_when_it_is_exported() -> None:
    """Until then nobody knows whether it will be."""
    given = [export(minute, 900, 400) for minute in (0, 1, 2)]
    assert (health(given, after_close(3, 29_000)).closes, health(given, after_close(3, 30_000)).closes) == (2, 3)
    assert health(given, after_close(2, 1_000)).success == 1.0
    assert health(given, after_close(3, 30_000)).success == pytest.approx(2 / 3)


def test_an_export_of_several_bars_covers_them_all() -> None:
    """A session that was away makes up for it; bars of the time before the span do not count."""
    given = [export(-60, 900, 400), export(9, 900, 400, first_ts=opens(-50), last_ts=opens(9))]
    found = health(given, opens(10) + timedelta(seconds=2), since=NOON)
    assert (found.closes, found.closes_exported) == (10, 10)


def test_the_delay_of_a_catch_up_is_none() -> None:
    """Of a run over history, and of a session's first export of several bars; a late one in between is."""
    several = {"first_ts": opens(0), "last_ts": opens(8)}
    given = [
        export(8, 7_000_000, None, run_id="history", **several),
        export(8, 60_000, 400, run_id="session", **several),
        export(9, 900, 400, run_id="session"),
        export(12, 70_000, 400, run_id="session", first_ts=opens(10), last_ts=opens(12)),
    ]
    assert health(given, opens(15)).delay_s == (0.9, 70.0)


def test_without_exports_nothing_is_due() -> None:
    """There is no share of nothing."""
    found = health([], opens(15))
    assert (found.exports, found.closes, found.success, found.last_export_at) == (0, 0, None, None)


@pytest.mark.mongo
def test_the_newest_signal_of_a_pair_may_be_of_any_age(db: Store) -> None:
    """From the span where there is one, else from the store; one that is taken back is not the newest any more."""
    db[SIGNALS].insert_many([signal(-500, 80, "ETH/USDT"), signal(-900, 80, "ETH/USDT"), signal(-20, 80)])
    reader, recent = ResearchReader(db), [signal(2, 80), signal(1, 80)]
    pairs = (PAIR, "ETH/USDT", "SOL/USDT")
    found = reader.last_signals(STRATEGY, "1m", pairs, recent, NOON)
    assert found == {PAIR: opens(2), "ETH/USDT": opens(-500)}
    assert reader.last_signals(STRATEGY, "1m", pairs, [], NOON)[PAIR] == opens(-20)


@pytest.mark.mongo
def test_first_and_last_exports_are_those_of_the_timeframe(db: Store) -> None:
    """Whatever their age; where there is none there is no time."""
    reader = ResearchReader(db)
    assert reader.first_export_at(STRATEGY, "1m") is None
    db[SIGNAL_EXPORTS].insert_many([export(minute, 900) for minute in (3, 1, 2)])
    db[SIGNAL_EXPORTS].insert_one(export(0, 900, timeframe="5m"))
    assert reader.first_export_at(STRATEGY, "1m") == after_close(1, 900)
    last = reader.last_export(STRATEGY, "1m")
    assert last is not None
    assert last["last_ts"] == opens(3)


def run(name: str, minute: int, state: str, strategy_id: str = STRATEGY, **other: Any) -> dict[str, Any]:
    nodes = {"bars": {"type": "read_bars", "params": {}}, "out": {"params": {"strategy_id": strategy_id}}}
    times = {"started_at": opens(minute), "ended_at": opens(minute + 1), "error": "out: no bars"}
    return {"run_id": f"{name}-{minute}", "name": name, "state": state, "graph": {"nodes": nodes}} | times | other


@pytest.mark.mongo
def test_exports_without_a_time_are_neither_the_first_nor_the_last(db: Store) -> None:
    """Nor is one without its counts the last: the newest that can be read is the heartbeat."""
    odd = [export(3, 900, exported_at=None), export(4, 900, exported_at="noon"), export(5, 900, inserted=None)]
    db[SIGNAL_EXPORTS].insert_many([export(1, 900), export(2, 900), *odd])
    reader = ResearchReader(db)
    assert reader.first_export_at(STRATEGY, "1m") == after_close(1, 900)
    assert (reader.last_export(STRATEGY, "1m") or {})["exported_at"] == after_close(2, 900)


def failed_runs(db: Store, *runs: dict[str, Any]) -> dict[str, tuple[FailedRun, ...]]:
    db[WORKFLOW_RUNS].delete_many({})
    db[WORKFLOW_RUNS].insert_many(list(runs))
    return RunReader(db).failed_runs()


@pytest.mark.mongo
def test_a_failure_lasts_until_the_graph_runs_again(db: Store) -> None:
    """A newer run of the same name ends it, when it succeeded or is running; one that was interrupted does not."""
    failed = run("g", 5, "failed")
    told = {STRATEGY: (FailedRun("g-5", "g", opens(6), "out: no bars"),)}
    assert failed_runs(db, failed) == told
    assert failed_runs(db, run("g", 1, "succeeded"), failed) == told
    assert failed_runs(db, failed, run("g", 7, "interrupted")) == told
    assert failed_runs(db, failed, run("another", 7, "succeeded")) == told
    for state in ("succeeded", "running"):
        assert failed_runs(db, failed, run("g", 7, state)) == {}
    assert failed_runs(db, run("g", 7, "interrupted")) == {}


@pytest.mark.mongo
def test_a_session_says_itself_which_strategies_it_exports(db: Store) -> None:
    """Else the stored graph does; the failures of all graphs that export a strategy are told."""
    session = run("live", 5, "failed", "ignored", live={"strategies": ["a", "b"]})
    found = failed_runs(db, session, run("other", 8, "failed", "b"), run("old", 2, "failed", "c"))
    told = {strategy: [one.run_id for one in failed] for strategy, failed in found.items()}
    assert told == {"a": ["live-5"], "b": ["live-5", "other-8"], "c": ["old-2"]}


@pytest.mark.mongo
def test_many_failures_of_one_graph_do_not_hide_anothers(db: Store) -> None:
    """However often a graph failed since, the others' newest runs failed all the same."""
    found = failed_runs(db, run("quiet", 0, "failed"), *(run("noisy", minute, "failed") for minute in range(1, 251)))
    assert [one.run_id for one in found[STRATEGY]] == ["quiet-0", "noisy-250"]


@pytest.mark.mongo
def test_a_reader_that_goes_on_sees_failures_come_and_go(db: Store) -> None:
    """What it remembers of runs does not hide that they are over."""
    reader = RunReader(db)
    assert reader.failed_runs() == {}
    db[WORKFLOW_RUNS].insert_one(run("g", 1, "failed"))
    assert [one.run_id for failed in reader.failed_runs().values() for one in failed] == ["g-1"]
    db[WORKFLOW_RUNS].insert_one(run("g", 3, "failed"))
    assert [one.run_id for failed in reader.failed_runs().values() for one in failed] == ["g-3"]
    db[WORKFLOW_RUNS].insert_one(run("g", 5, "running"))
    assert reader.failed_runs() == {}
