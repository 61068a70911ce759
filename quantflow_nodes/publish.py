"""Writes signals into `crypto_signals`: what is sent twice is stored once, and no earlier content is lost."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from pymongo import DeleteOne, InsertOne, ReplaceOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from quantflow_nodes.export_lease import export_lease
from schemas.collections import SIGNAL_EXPORTS, SIGNAL_REVISIONS, SIGNALS, Store
from schemas.documents import Signal, SignalExport
from schemas.errors import LockedError, SignalConflictError, SignalError
from schemas.mongo import server_time
from schemas.timeframes import Timeframe

CHUNK = 5_000
_CONTENT = ("symbol", "action", "score", "weight", "valid_until", "note", "source")
_DUPLICATE_KEY = 11000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Key = tuple[str, datetime]
Stored = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Opinion:
    """The bars of one pair about which an export says everything that it has to say.

    A signal that is stored for one of these bars and that the export does not repeat is retracted: the research that
    gave it no longer does. Signals of other bars are not touched.

    Attributes
    ----------
    pair : str
        The pair.
    bars_ms : int64 array, shape (n,)
        Opens of the bars, milliseconds since the epoch, ascending.
    """

    pair: str
    bars_ms: npt.NDArray[np.int64]

    def covers(self, ts: datetime) -> bool:
        """Tell whether the bar that opened at `ts` is among them."""
        wanted = _milliseconds(ts)
        place = int(np.searchsorted(self.bars_ms, wanted))
        return place < self.bars_ms.size and int(self.bars_ms[place]) == wanted

    @property
    def ends(self) -> list[datetime]:
        """The first and the last of the bars; nothing where there are none."""
        return [_time(int(ms)) for ms in self.bars_ms[[0, -1]]] if self.bars_ms.size else []


@dataclass(frozen=True, slots=True)
class Batch:
    """All that one export publishes: signals of one strategy and timeframe, and the bars that it has an opinion on.

    Attributes
    ----------
    strategy_id : str
    timeframe : Timeframe
    signals : sequence of Signal
    opinions : sequence of Opinion
    stretch_ms : (int, int) or None
        Opens of the first and the last bar that were looked at, with an opinion or without; by default those of the
        opinions and signals.
    """

    strategy_id: str
    timeframe: Timeframe
    signals: Sequence[Signal]
    opinions: Sequence[Opinion]
    stretch_ms: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """How the bars of a live export came: when the last one that was waited for was seen, and how many never were."""

    seen_at: datetime
    missing_bars: int


@dataclass(frozen=True, slots=True)
class ExportCounts:
    """What an export did, in signals; `refused` are those of bars that had not closed, `delay_s` is the time from
    the newest bar's close to the end of the export."""

    inserted: int
    changed: int
    unchanged: int
    retracted: int
    refused: int
    delay_s: float | None


@dataclass(slots=True)
class _Difference:
    inserts: list[Signal] = field(default_factory=list)
    changes: list[tuple[Signal, Stored]] = field(default_factory=list)
    retractions: list[Stored] = field(default_factory=list)
    unchanged: int = 0


def publish_signals(
    db: Store, batch: Batch, run_id: str, *, skew_s: float, lease_s: float, arrival: Arrival | None = None
) -> ExportCounts:
    """Make `crypto_signals` say what the batch says, and return the counts.

    The same signal again changes nothing. Another content for a stored key replaces it, adds 1 to `version`, and the
    old content goes to `crypto_signal_revisions` first, so that a process killed in between loses nothing and a
    second run completes the first. The export is recorded in `signal_exports`.

    Parameters
    ----------
    db : Database
        From `schemas.mongo.connect`: majority writes, aware times.
    batch : Batch
        What to publish.
    run_id : str
        Names the run in every document written.
    skew_s : float
        How far the clock of this process may be ahead of the server's when a bar counts as closed, seconds.
    lease_s : float
        Seconds after which a silent export loses its lock.
    arrival : Arrival, optional
        In a live session, how the bars came; kept with the export.

    Raises
    ------
    SignalError
        Where a signal belongs to another strategy or timeframe, or a key stands twice; nothing is written then.
    SignalConflictError
        Where a key is stored for another symbol; nothing is written then.
    LockedError
        Where another run exports the same strategy.
    """
    with export_lease(db, batch.strategy_id, run_id, lease_s, retake=arrival is not None) as renew:
        now = server_time(db)
        closed = [signal for signal in batch.signals if _has_closed(signal.ts, batch.timeframe, now, skew_s)]
        _check(batch)
        difference = _difference(db, batch, closed)
        writer = _Writer(db, run_id, now, renew)
        writer.insert(difference.inserts, _earlier_versions(db, batch, difference.inserts))
        writer.replace(difference.changes)
        writer.retract(difference.retractions)
        return _record(db, batch, run_id, difference, len(batch.signals) - len(closed), arrival)


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _time(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _times(batch: Batch) -> list[datetime]:
    return [signal.ts for signal in batch.signals] + [end for opinion in batch.opinions for end in opinion.ends]


def _has_closed(ts: datetime, timeframe: Timeframe, now: datetime, skew_s: float) -> bool:
    return ts + timeframe.delta <= now + timedelta(seconds=skew_s)


def _check(batch: Batch) -> None:
    seen: set[Key] = set()
    symbols: dict[str, str] = {}
    for signal in batch.signals:
        if (signal.strategy_id, signal.timeframe) != (batch.strategy_id, batch.timeframe.name):
            raise SignalError(
                f"Signals of {batch.strategy_id} {batch.timeframe} were needed, found one of {signal.strategy_id} "
                f"{signal.timeframe} at {signal.ts.isoformat()}. Export each strategy and timeframe by itself."
            )
        if (signal.pair, signal.ts) in seen:
            raise SignalError(
                f"The signal of {signal.strategy_id} for {signal.pair} at {signal.ts.isoformat()} stands twice in one "
                "export. Each bar gives at most one."
            )
        seen.add((signal.pair, signal.ts))
        if symbols.setdefault(signal.pair, signal.symbol) != signal.symbol:
            raise SignalConflictError(
                f"{batch.strategy_id} would publish {signal.pair} from both {symbols[signal.pair]} and {signal.symbol}."
                " One pair takes signals from one symbol: export each under its own strategy_id."
            )


def _scope(batch: Batch) -> dict[str, Any]:
    """The filter for what is stored where the batch has something to say; it begins with the unique key's prefix."""
    times = _times(batch)
    pairs = sorted({signal.pair for signal in batch.signals} | {opinion.pair for opinion in batch.opinions})
    return {
        "strategy_id": batch.strategy_id,
        "pair": {"$in": pairs},
        "timeframe": batch.timeframe.name,
        "ts": {"$gte": min(times), "$lte": max(times)},
    }


def _difference(db: Store, batch: Batch, closed: Sequence[Signal]) -> _Difference:
    found = db[SIGNALS].find(_scope(batch)) if _times(batch) else ()
    stored: dict[Key, Stored] = {(doc["pair"], doc["ts"]): doc for doc in found}
    difference = _Difference()
    for signal in closed:
        present = stored.pop((signal.pair, signal.ts), None)
        if present is None:
            difference.inserts.append(signal)
        elif present["symbol"] != signal.symbol:
            raise SignalConflictError(
                f"{signal.strategy_id} has a signal for {signal.pair} {signal.timeframe} at {signal.ts.isoformat()} "
                f"from {present['symbol']}, and this export has one from {signal.symbol}. One pair takes signals from "
                "one symbol: use another strategy_id."
            )
        elif _content(present) == _content(signal.to_mongo()):
            difference.unchanged += 1
        else:
            difference.changes.append((signal, present))
    opinions = {opinion.pair: opinion for opinion in batch.opinions}
    for (pair, ts), present in stored.items():
        if pair in opinions and opinions[pair].covers(ts):
            difference.retractions.append(present)
    return difference


def _content(document: Stored) -> tuple[Any, ...]:
    return tuple(document.get(name) for name in _CONTENT)


def _earlier_versions(db: Store, batch: Batch, inserts: Sequence[Signal]) -> dict[Key, int]:
    """The newest version that a key had before it was retracted or aged out: a signal that comes back goes on."""
    if not inserts:
        return {}
    revisions = db[SIGNAL_REVISIONS].find(_scope(batch), {"pair": 1, "ts": 1, "version": 1})
    versions: dict[Key, int] = {}
    for doc in revisions:
        key = (doc["pair"], doc["ts"])
        versions[key] = max(versions.get(key, 0), doc["version"])
    return versions


class _Writer:
    """Writes in chunks, renewing the lease between them; every chunk can be repeated without harm."""

    def __init__(self, db: Store, run_id: str, now: datetime, renew: Callable[[], None]) -> None:
        self._signals: Collection[Any] = db[SIGNALS]
        self._revisions: Collection[Any] = db[SIGNAL_REVISIONS]
        self._run_id, self._renew = run_id, renew
        self._now, self._asked = now, time.monotonic()

    def insert(self, signals: Sequence[Signal], versions: Mapping[Key, int]) -> None:
        for chunk in self._chunks(signals):
            added = self._added()
            operations = [
                InsertOne(_document(signal, versions.get((signal.pair, signal.ts), 0) + 1, added)) for signal in chunk
            ]
            self._write(self._signals, operations)

    def replace(self, changes: Sequence[tuple[Signal, Stored]]) -> None:
        for chunk in self._chunks(changes):
            added = self._added()
            self._keep([present for _, present in chunk], retracted=False)
            operations = [
                ReplaceOne(
                    {"_id": present["_id"], "version": present["version"]},
                    _document(signal, present["version"] + 1, added | {"created_at": present["created_at"]}),
                )
                for signal, present in chunk
            ]
            self._write(self._signals, operations)

    def retract(self, retractions: Sequence[Stored]) -> None:
        for chunk in self._chunks(retractions):
            self._keep(chunk, retracted=True)
            own = [{"_id": present["_id"], "version": present["version"]} for present in chunk]
            self._write(self._signals, [DeleteOne(one) for one in own])

    def _keep(self, contents: Sequence[Stored], *, retracted: bool) -> None:
        """Add earlier contents to the revisions, which only ever grow.

        A run that was killed before it replaced them has left its own: who reads takes the newest of a version.
        """
        fate = {"replaced_at": self._added()["updated_at"], "replaced_by": self._run_id, "retracted": retracted}
        self._write(self._revisions, [InsertOne(_without_id(one) | fate) for one in contents])

    def _added(self) -> dict[str, Any]:
        now = self._now + timedelta(seconds=time.monotonic() - self._asked)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        return {"run_id": self._run_id, "created_at": now, "updated_at": now}

    def _chunks(self, items: Sequence[Any]) -> Iterator[Sequence[Any]]:
        for start in range(0, len(items), CHUNK):
            self._renew()
            yield items[start : start + CHUNK]

    def _write(self, collection: Collection[Any], operations: Sequence[Any]) -> None:
        try:
            done = collection.bulk_write(operations, ordered=False)
            reached = done.inserted_count + done.matched_count + done.upserted_count + done.deleted_count
        except BulkWriteError as error:
            if not _only_doubles(error):
                raise
            reached = 0
        if reached < len(operations):
            raise LockedError(
                "Another writer changed some of these signals at the same moment. Nothing is lost; run it again."
            )


def _only_doubles(error: BulkWriteError) -> bool:
    failed = error.details["writeErrors"]
    return bool(failed) and all(item["code"] == _DUPLICATE_KEY for item in failed)


def _without_id(document: Stored) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "_id"}


def _document(signal: Signal, version: int, added: Mapping[str, Any]) -> dict[str, Any]:
    return {**signal.to_mongo(), "version": version, **added}


def _record(
    db: Store, batch: Batch, run_id: str, difference: _Difference, refused: int, arrival: Arrival | None
) -> ExportCounts:
    now = server_time(db)
    times = _times(batch) if batch.stretch_ms is None else [_time(open_ms) for open_ms in batch.stretch_ms]
    last = max(times, default=None)
    delay_s = None if last is None else (now - last - batch.timeframe.delta).total_seconds()
    counts = ExportCounts(
        inserted=len(difference.inserts),
        changed=len(difference.changes),
        unchanged=difference.unchanged,
        retracted=len(difference.retractions),
        refused=refused,
        delay_s=delay_s,
    )
    export = SignalExport(
        run_id=run_id,
        strategy_id=batch.strategy_id,
        timeframe=batch.timeframe.name,
        pairs=sorted({opinion.pair for opinion in batch.opinions} | {signal.pair for signal in batch.signals}),
        first_ts=min(times, default=None),
        last_ts=last,
        inserted=counts.inserted,
        changed=counts.changed,
        unchanged=counts.unchanged,
        retracted=counts.retracted,
        refused=counts.refused,
        missing_bars=arrival.missing_bars if arrival else None,
        bars_seen_at=arrival.seen_at if arrival else None,
        delay_s=counts.delay_s,
        exported_at=now,
    )
    db[SIGNAL_EXPORTS].insert_one(export.to_mongo())
    return counts
