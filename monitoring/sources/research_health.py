"""Reads how research does: its exports of late, and whether a run of its graphs failed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING

from monitoring.chain.document_shape import READABLE_TIMES, fault_of
from monitoring.facts import ExportFacts, FailedRun, ResearchHealth
from schemas.collections import SIGNAL_EXPORTS, SIGNALS, WORKFLOW_RUNS, Store
from schemas.timeframes import Timeframe

_NEWEST_EXPORTS = 50
_DUE_BARS = 0.5  # an export within half a bar of the close is in time
# The names are read off an index, and so is each one's newest run that says something: runs of years cost no more.
_NEWEST_OF_EACH_NAME: list[dict[str, Any]] = [
    {"$sort": {"name": 1, "started_at": 1}},
    {"$group": {"_id": "$name"}},
    {"$match": {"_id": {"$type": "string"}}},
    {
        "$lookup": {
            "from": WORKFLOW_RUNS,
            "localField": "_id",
            "foreignField": "name",
            "pipeline": [
                {"$match": {"state": {"$in": ["succeeded", "running", "failed"]}, "started_at": READABLE_TIMES}},
                {"$sort": {"started_at": -1}},
                {"$limit": 1},
                {"$project": {"run_id": 1, "name": 1, "state": 1, "started_at": 1, "ended_at": 1, "error": 1}},
            ],
            "as": "newest",
        }
    },
    {"$unwind": "$newest"},
    {"$replaceRoot": {"newRoot": "$newest"}},
]
Document = Mapping[str, Any]


class ResearchReader:
    """Reads what the newest exports do not tell of a strategy, and remembers what can not change.

    Parameters
    ----------
    db : Database
    """

    def __init__(self, db: Store) -> None:
        self._db = db
        self._first: dict[tuple[str, str], datetime] = {}
        self._earlier: dict[tuple[str, str, str], datetime | None] = {}

    def first_export_at(self, strategy_id: str, timeframe: str) -> datetime | None:
        """Return when the first export of a strategy and timeframe ended."""
        key = (strategy_id, timeframe)
        if key not in self._first:
            own = {"strategy_id": strategy_id, "timeframe": timeframe, "exported_at": READABLE_TIMES}
            found = self._db[SIGNAL_EXPORTS].find_one(own, {"exported_at": True}, sort=[("exported_at", ASCENDING)])
            if found is None:
                return None
            self._first[key] = found["exported_at"]
        return self._first[key]

    def last_export(self, strategy_id: str, timeframe: str) -> Document | None:
        """Return the export that ended last, of whatever age, and can be used."""
        own = {"strategy_id": strategy_id, "timeframe": timeframe, "exported_at": READABLE_TIMES}
        ended = self._db[SIGNAL_EXPORTS].find(own, batch_size=2).sort("exported_at", DESCENDING)
        newest = ended.limit(_NEWEST_EXPORTS)
        return next((export for export in newest if fault_of(SIGNAL_EXPORTS, export) is None), None)

    def last_signals(
        self, strategy_id: str, timeframe: str, pairs: Iterable[str], signals: Iterable[Document], since: datetime
    ) -> dict[str, datetime]:
        """Return `ts` of each pair's newest signal: from `signals`, which are all since a time, else from the store.

        What the store says of the time before is remembered, and asked again when a newer signal has grown that old.
        """
        newest: dict[str, datetime] = {}
        for signal in signals:
            newest[signal["pair"]] = max(signal["ts"], newest.get(signal["pair"], signal["ts"]))
        for pair in sorted({*pairs} - {*newest}):
            ts = self._earlier_signal(strategy_id, timeframe, pair, since)
            if ts is not None:
                newest[pair] = ts
        for pair in newest:
            if newest[pair] >= since:
                self._earlier.pop((strategy_id, timeframe, pair), None)
        return newest

    def _earlier_signal(self, strategy_id: str, timeframe: str, pair: str, since: datetime) -> datetime | None:
        key = (strategy_id, timeframe, pair)
        if key not in self._earlier:
            own: dict[str, Any] = {"strategy_id": strategy_id, "pair": pair, "timeframe": timeframe}
            own["ts"] = READABLE_TIMES | {"$lt": since}
            found = self._db[SIGNALS].find_one(own, {"ts": True}, sort=[("ts", DESCENDING)])
            self._earlier[key] = None if found is None else found["ts"]
        return self._earlier[key]


class RunReader:
    """Finds the graphs whose newest run failed, and which strategies they export."""

    def __init__(self, db: Store) -> None:
        self._db = db
        self._strategies: dict[str, frozenset[str]] = {}

    def failed_runs(self) -> dict[str, tuple[FailedRun, ...]]:
        """Return for each strategy the failed runs of the graphs that export it, one a graph, oldest first.

        A run that succeeded or is running ends the failure of earlier ones of the same graph's name; one that was
        interrupted says nothing.
        """
        lasting = [run for run in self._db[WORKFLOW_RUNS].aggregate(_NEWEST_OF_EACH_NAME) if run["state"] == "failed"]
        self._learn(lasting)
        found: dict[str, tuple[FailedRun, ...]] = {}
        for run in sorted(lasting, key=lambda run: run["started_at"]):
            error = str(run.get("error") or "It does not say why.")
            failure = FailedRun(run["run_id"], run["name"], run.get("ended_at") or run["started_at"], error)
            for strategy_id in self._strategies[run["run_id"]]:
                found[strategy_id] = (*found.get(strategy_id, ()), failure)
        return found

    def _learn(self, runs: Sequence[Document]) -> None:
        """Look up which strategies runs export, once for each run."""
        wanted = [run["run_id"] for run in runs]
        self._strategies = {run_id: known for run_id, known in self._strategies.items() if run_id in wanted}
        new = [run_id for run_id in wanted if run_id not in self._strategies]
        if new:
            fields = {"run_id": True, "graph.nodes": True, "live.strategies": True}
            for run in self._db[WORKFLOW_RUNS].find({"run_id": {"$in": new}}, fields):
                self._strategies[run["run_id"]] = _exported_by(run)


def research_health(
    exports: Sequence[Document],
    timeframe: Timeframe,
    since: datetime,
    at: datetime,
    *,
    last_export: Document | None,
    first_export_at: datetime | None,
    failed_runs: tuple[FailedRun, ...],
    last_signals: Mapping[str, datetime],
) -> ResearchHealth:
    """Return how research did from `since` to `at`.

    Parameters
    ----------
    exports : sequence of documents
        Those of the strategy and timeframe that ended in that time, oldest first.
    timeframe : Timeframe
    since, at : datetime
    last_export : document or None
        The one that ended last, of whatever age.
    first_export_at : datetime or None
        When the first one ended.
    failed_runs : tuple of FailedRun
    last_signals : mapping of str to datetime
    """
    recorded = _recorded(exports)
    closes, covered = _closes(exports, timeframe, since, at, first_export_at)
    return ResearchHealth(
        last_export_at=None if last_export is None else last_export["exported_at"],
        last_bar=None if last_export is None else last_export.get("last_ts"),
        exports=len(exports),
        closes=closes,
        closes_exported=covered,
        failed_runs=failed_runs,
        inserted=sum(one.inserted for one in recorded),
        changed=sum(one.changed for one in recorded),
        unchanged=sum(one.unchanged for one in recorded),
        retracted=sum(one.retracted for one in recorded),
        refused=sum(one.refused for one in recorded),
        missing_bars=sum(int(export.get("missing_bars") or 0) for export in exports),
        delay_s=tuple(one.delay_s for one in recorded if one.delay_s is not None),
        last_signals=dict(last_signals),
        recorded=recorded,
        first_export_at=first_export_at,
    )


def _recorded(exports: Sequence[Document]) -> tuple[ExportFacts, ...]:
    """Return exports as facts; the delay is left out of those that made up for a time without a session.

    These are the exports of runs over history, and the first one of a session where it covers several bars.
    """
    runs: set[str] = set()
    recorded = []
    for export in exports:
        is_first_of_many = export["run_id"] not in runs and export.get("first_ts") != export.get("last_ts")
        runs.add(export["run_id"])
        catching_up = export.get("bars_seen_at") is None or is_first_of_many
        recorded.append(
            ExportFacts(
                run_id=export["run_id"],
                exported_at=export["exported_at"],
                inserted=export["inserted"],
                changed=export["changed"],
                unchanged=export["unchanged"],
                retracted=export["retracted"],
                refused=export["refused"],
                delay_s=None if catching_up else export.get("delay_s"),
            )
        )
    return tuple(recorded)


def _closes(
    exports: Sequence[Document], timeframe: Timeframe, since: datetime, at: datetime, first_export_at: datetime | None
) -> tuple[int, int]:
    """Count the closes that were due, and those of them that an export covers.

    A close is due when half a bar has passed since, or when it is covered already.
    """
    if first_export_at is None:
        return 0, 0
    bar = timeframe.delta
    first = max(timeframe.floor(since), timeframe.floor(first_export_at))  # the first bar that closes after that
    end = timeframe.floor(at - _DUE_BARS * bar)  # the open of the first bar whose close is not due
    covered: set[datetime] = set()
    newest = timeframe.floor(at)  # a bar that has not opened has no close, whatever an export says
    for export in exports:
        if export.get("first_ts") is None:
            continue
        ts = max(export["first_ts"], first)
        while ts <= min(export["last_ts"], newest):
            covered.add(ts)
            ts += bar
    due = max(0, (end - first) // bar)
    early = sum(ts >= end for ts in covered)
    return due + early, len(covered)


def _exported_by(run: Document) -> frozenset[str]:
    """Return the strategies that a run exports: a session says it, else the stored graph does."""
    strategies = (run.get("live") or {}).get("strategies")
    if strategies:
        return frozenset(map(str, strategies))
    nodes = (run.get("graph") or {}).get("nodes") or {}
    named = [(node.get("params") or {}).get("strategy_id") for node in nodes.values()]
    return frozenset(str(name) for name in named if name)
