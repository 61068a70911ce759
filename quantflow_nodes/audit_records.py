"""Reads what an audit tells: contents of signals as they were, the runs that wrote them, what bots did with them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from quantflow_nodes.audit import Standing, last_closed, standing_at
from quantflow_nodes.known_signals import SignalVersion, signal_versions
from schemas.collections import (
    FILLS,
    POSITIONS,
    SIGNAL_EXPORTS,
    SIGNAL_RECEIPTS,
    SIGNAL_REVISIONS,
    SIGNALS,
    WORKFLOW_RUNS,
    Store,
)
from schemas.signal_rule import SignalWindow
from schemas.timeframes import Timeframe

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one standing.

    Attributes
    ----------
    runs : mapping of str to document
        Of `workflow_runs`, by run: those that wrote or ended a content of the signal, as far as they are kept.
    export : document or None
        Of `signal_exports`, that in which the content was written.
    receipts, fills, positions : sequence of documents
        What bots did with the signal, whatever its content was then; positions are those that it opened.
    """

    standing: Standing
    runs: Mapping[str, Document]
    export: Document | None
    receipts: Sequence[Document]
    fills: Sequence[Document]
    positions: Sequence[Document]


def find_series(db: Store, strategy_id: str, pair: str | None, timeframe: str | None) -> list[tuple[str, str]]:
    """Return the pairs and timeframes of a strategy's signals, present and past, sorted."""
    wanted = {"strategy_id": strategy_id} | ({} if pair is None else {"pair": pair})
    pairs = {str(one) for name in (SIGNALS, SIGNAL_REVISIONS) for one in db[name].distinct("pair", wanted)}
    series = set()
    for one in pairs:
        key = {"strategy_id": strategy_id, "pair": one}
        for name in (SIGNALS, SIGNAL_REVISIONS):
            series |= {(one, str(found)) for found in db[name].distinct("timeframe", key)}
    return sorted(found for found in series if timeframe in (None, found[1]))


def read_record(
    db: Store, strategy_id: str, pair: str, timeframe: Timeframe, at: datetime, window: SignalWindow
) -> Record:
    """Return what stood for a pair at a time, with all that is known of it."""
    key = {"strategy_id": strategy_id, "pair": pair, "timeframe": timeframe.name}
    standing = standing_at(pair, timeframe, _versions(db, key, timeframe, at, window), at, window)
    if standing.version is None:
        return Record(standing, {}, None, (), (), ())
    signal = {**key, "ts": standing.version.content["ts"]}
    consumers = db[SIGNAL_RECEIPTS].distinct("consumer")  # the key's first field: with it each is one step in the index
    receipts = [db[SIGNAL_RECEIPTS].find_one({"consumer": one, **signal}, {"_id": False}) for one in consumers]
    return Record(
        standing,
        _runs(db, (*standing.earlier, standing.version, *standing.later)),
        _export(db, standing.version),
        sorted((one for one in receipts if one is not None), key=lambda one: one["seen_at"]),
        list(db[FILLS].find(signal, {"_id": False}).sort("filled_at", 1)),
        list(db[POSITIONS].find(signal, {"_id": False}).sort("opened_at", 1)),
    )


def _versions(
    db: Store, key: Document, timeframe: Timeframe, at: datetime, window: SignalWindow
) -> list[SignalVersion]:
    """Return the contents of the signals near a time, and of the newest one that had been written by then."""
    reach = {"$gte": last_closed(timeframe, at) - window.tolerance_bars * timeframe.delta, "$lte": at}
    opens: list[Any] = [{"ts": reach}]
    known = {**key, "ts": {"$lte": at}, "updated_at": {"$lte": at}}
    for name in (SIGNALS, SIGNAL_REVISIONS):
        newest = db[name].find_one(known, {"ts": True}, sort=[("ts", -1)])
        if newest is not None:
            opens.append({"ts": newest["ts"]})
    scope = {**key, "$or": opens}
    return signal_versions(db[SIGNALS].find(scope), db[SIGNAL_REVISIONS].find(scope))


def _runs(db: Store, versions: Iterable[SignalVersion]) -> dict[str, Document]:
    names = {one.content["run_id"] for one in versions} | {one.ended_by for one in versions if one.ended_by}
    found = db[WORKFLOW_RUNS].find({"run_id": {"$in": sorted(names)}}, {"_id": False, "live.position": False})
    return {run["run_id"]: run for run in found}


def _export(db: Store, version: SignalVersion) -> Document | None:
    """An export is recorded after what it wrote: it is the run's first one from the writing on."""
    content = version.content
    own = {
        "run_id": content["run_id"],
        "strategy_id": content["strategy_id"],
        "timeframe": content["timeframe"],
        "exported_at": {"$gte": version.known_from},
    }
    return db[SIGNAL_EXPORTS].find_one(own, {"_id": False}, sort=[("exported_at", 1)])
