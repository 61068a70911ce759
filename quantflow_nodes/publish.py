"""Writes signals into `crypto_signals`: what is sent twice is stored once, and no earlier content is lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from quantflow_nodes.export_lease import export_lease
from quantflow_nodes.signal_columns import SignalColumns
from quantflow_nodes.signal_difference import Difference, signal_difference
from quantflow_nodes.signal_writer import SignalWriter
from schemas.collections import SIGNAL_EXPORTS, Store
from schemas.documents import Signal, SignalExport
from schemas.errors import SignalConflictError, SignalError
from schemas.mongo import server_time
from schemas.timeframes import Timeframe

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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

    def columns(self) -> SignalColumns:
        """Return the signals as columns.

        Raises
        ------
        SignalError
            Where one belongs to another strategy or timeframe.
        """
        given = self.signals if isinstance(self.signals, SignalColumns) else None
        for one in self.signals if given is None else [given]:
            if (one.strategy_id, str(one.timeframe)) != (self.strategy_id, self.timeframe.name):
                raise SignalError(
                    f"Signals of {self.strategy_id} {self.timeframe} were needed, found one of {one.strategy_id} "
                    f"{one.timeframe}. Export each strategy and timeframe by itself."
                )
        return SignalColumns.of(self.strategy_id, self.timeframe, self.signals) if given is None else given


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
        signals = batch.columns()
        _check(signals)
        closed = signals.take(_have_closed(signals, now, skew_s))
        opinions = {opinion.pair: opinion.bars_ms for opinion in batch.opinions}
        ends_ms = _ends_ms(batch, signals)
        difference = signal_difference(db, _scope(batch, signals, ends_ms) if ends_ms else None, closed, opinions)
        writer = SignalWriter(db, run_id, now, renew)
        writer.insert(difference)
        writer.replace(difference)
        writer.retract(difference)
        return _record(db, batch, signals, run_id, difference, ends_ms, arrival)


def _time(time_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=time_ms)


def _ends_ms(batch: Batch, signals: SignalColumns) -> tuple[int, int] | None:
    """Return the opens of the first and the last bar that the batch says something about."""
    times = [signals.ts_ms, *(opinion.bars_ms for opinion in batch.opinions)]
    ends = [(int(one.min()), int(one.max())) for one in times if one.size]
    return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None


def _have_closed(signals: SignalColumns, now: datetime, skew_s: float) -> npt.NDArray[np.bool_]:
    closed_us = (now + timedelta(seconds=skew_s) - signals.timeframe.delta - _EPOCH) // timedelta(microseconds=1)
    return signals.ts_us <= closed_us


def _check(signals: SignalColumns) -> None:
    symbols: dict[str, str] = {}
    for label in signals.used_labels:
        if symbols.setdefault(label.pair, label.symbol) != label.symbol:
            raise SignalConflictError(
                f"{signals.strategy_id} would publish {label.pair} from both {symbols[label.pair]} and {label.symbol}."
                " One pair takes signals from one symbol: export each under its own strategy_id."
            )
    pairs = list(symbols)
    pair = np.array([pairs.index(label.pair) if label.pair in symbols else -1 for label in signals.labels], np.int64)
    order = np.lexsort((signals.ts_us, pair[signals.label]))
    pair, ts_us = pair[signals.label][order], signals.ts_us[order]
    is_double = (pair[1:] == pair[:-1]) & (ts_us[1:] == ts_us[:-1])
    if is_double.any():
        signal = signals[int(order[1:][is_double].min())]
        raise SignalError(
            f"The signal of {signal.strategy_id} for {signal.pair} at {signal.ts.isoformat()} stands twice in one "
            "export. Each bar gives at most one."
        )


def _pairs(batch: Batch, signals: SignalColumns) -> list[str]:
    return sorted({label.pair for label in signals.used_labels} | {opinion.pair for opinion in batch.opinions})


def _scope(batch: Batch, signals: SignalColumns, ends_ms: tuple[int, int]) -> dict[str, Any]:
    """The filter for what is stored where the batch has something to say; it begins with the unique key's prefix."""
    return {
        "strategy_id": batch.strategy_id,
        "pair": {"$in": _pairs(batch, signals)},
        "timeframe": batch.timeframe.name,
        "ts": {"$gte": _time(ends_ms[0]), "$lte": _time(ends_ms[1])},
    }


def _record(
    db: Store,
    batch: Batch,
    signals: SignalColumns,
    run_id: str,
    difference: Difference,
    ends_ms: tuple[int, int] | None,
    arrival: Arrival | None,
) -> ExportCounts:
    now = server_time(db)
    stretch_ms = batch.stretch_ms or ends_ms
    first, last = (None, None) if stretch_ms is None else map(_time, stretch_ms)
    delay_s = None if last is None else (now - last - batch.timeframe.delta).total_seconds()
    counts = ExportCounts(
        inserted=len(difference.inserts),
        changed=len(difference.changes),
        unchanged=difference.unchanged,
        retracted=len(difference.retracted),
        refused=len(signals) - len(difference.signals),
        delay_s=delay_s,
    )
    export = SignalExport(
        run_id=run_id,
        strategy_id=batch.strategy_id,
        timeframe=batch.timeframe.name,
        pairs=_pairs(batch, signals),
        first_ts=first,
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
