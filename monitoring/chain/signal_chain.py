"""Follows each signal through the store: bar closed, exported, seen by a bot, ordered, filled."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monitoring.chain.document_shape import READABLE_TIMES
from schemas.collections import FILLS, POSITIONS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.errors import InputError
from schemas.timeframes import Timeframe

USABLE_BARS = 5  # a signal is void three bars after its bar's close, by default, and its order takes a moment
STAGES = ("available", "exported", "seen", "ordered", "filled")
_EXPORT_TAKES = timedelta(minutes=10)  # at most, from a signal's writing to the end of its export
_NEXT_EXPORTS = 64


EXPORT_FIELDS = (
    "run_id", "timeframe", "strategy_id", "pairs", "first_ts", "last_ts", "bars_seen_at", "exported_at", "delay_s",
    "inserted", "changed", "unchanged", "retracted", "refused", "missing_bars",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose signals, read by which bot, of bars that opened from `since` (included) to `until` (excluded)."""

    strategy_id: str
    consumer: str
    timeframe: Timeframe
    since: datetime
    until: datetime

    @property
    def orders_until(self) -> datetime:
        """The end of the time in which orders for its signals are placed: the last of them is void by then."""
        return self.until + USABLE_BARS * self.timeframe.delta

    @property
    def key(self) -> dict[str, Any]:
        """The filter by the signals' key that every collection of the chain is read with."""
        return {
            "strategy_id": self.strategy_id,
            "timeframe": self.timeframe.name,
            "ts": {"$gte": self.since, "$lt": self.until},
        }


@dataclass(frozen=True, slots=True)
class SignalChain:
    """One signal and what became of it; a stage that it never reached is None.

    Attributes
    ----------
    pair : str
    ts : datetime
        Open of the bar whose close gave the signal.
    close : datetime
        That bar's close, from which the stages are counted.
    content : str
        The action, or the number that it carries.
    exported, seen, ordered, filled : datetime or None
        First written to the store; first seen by the bot; its first order; the last fill of its orders.
    available : datetime or None
        When research had all bars of that close, as the live export that carried the signal tells; other exports do
        not.
    decision, reason : str or None
        Of the bot's receipt.
    rejected_orders : int
        Of that receipt: how many orders of an exit were refused.
    fills : tuple of documents
        Of `crypto_fills`, oldest first.
    """

    pair: str
    ts: datetime
    close: datetime
    content: str
    exported: datetime | None
    seen: datetime | None
    ordered: datetime | None
    filled: datetime | None
    decision: str | None
    reason: str | None
    fills: tuple[Mapping[str, Any], ...]
    available: datetime | None = None
    rejected_orders: int = 0

    @property
    def rejected(self) -> int:
        """How many orders for it were refused: of an entry one at most, of an exit any number."""
        return self.rejected_orders or int(self.reason == "order_rejected")

    def ms(self, stage: str) -> float | None:
        """Return how long after the bar's close a stage was reached, milliseconds."""
        duration = self.after_close(stage)
        return None if duration is None else duration / timedelta(milliseconds=1)

    def after_close(self, stage: str) -> timedelta | None:
        """Return how long after the bar's close a stage was reached, to the microsecond."""
        time: datetime | None = getattr(self, stage)
        return None if time is None else time - self.close

    def steps(self) -> dict[str, timedelta]:
        """Return how long each stage took from the one before it that is known, the first one from the close.

        Together they are the time from the close to the last stage, to the microsecond.
        """
        steps, before = {}, self.close
        for stage in STAGES:
            time: datetime | None = getattr(self, stage)
            if time is not None:
                steps[stage], before = time - before, time
        return steps


@dataclass(frozen=True, slots=True)
class Stored:
    """The documents of one scope, as they lie in the store.

    Attributes
    ----------
    signals, receipts, fills : sequence of documents
        Those of the scope's signals.
    ordered : sequence of documents
        All fills of the bot whose orders were placed while signals of the scope could act, whatever caused them: those
        of a stop or of a person too, and those of the signals next to the scope.
    closed : sequence of documents
        Positions that signals of the scope closed.
    exports : sequence of documents
        Those that can have written the scope's signals, oldest first.
    """

    signals: Sequence[Mapping[str, Any]]
    receipts: Sequence[Mapping[str, Any]]
    fills: Sequence[Mapping[str, Any]]
    ordered: Sequence[Mapping[str, Any]]
    closed: Sequence[Mapping[str, Any]] = ()
    exports: Sequence[Mapping[str, Any]] = ()


def read_stored(db: Store, scope: Scope) -> Stored:
    """Return the documents of a scope, each kind oldest first."""
    own = {"consumer": scope.consumer}
    placed = {"ordered_at": {"$gte": scope.since, "$lt": scope.orders_until}}
    closed_by = {"exit_ts" if name == "ts" else name: value for name, value in scope.key.items()}
    signals = list(db[SIGNALS].find(scope.key).sort([("pair", 1), ("ts", 1)]))
    return Stored(
        signals=signals,
        exports=_read_exports(db, scope, signals),
        receipts=list(db[SIGNAL_RECEIPTS].find(own | scope.key).sort([("pair", 1), ("ts", 1)])),
        fills=list(db[FILLS].find(own | scope.key).sort([("filled_at", 1)])),
        closed=list(db[POSITIONS].find(own | closed_by)),
        ordered=list(db[FILLS].find(own | placed).sort([("filled_at", 1)])),
    )


def _read_exports(db: Store, scope: Scope, signals: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Signals are written during their export, so that the times of writing bound the times at which exports ended."""
    written = [signal["created_at"] for signal in signals if "created_at" in signal]
    if not written:
        return []
    ended = {"$gte": min(written), "$lte": max(written) + _EXPORT_TAKES}
    found = db[SIGNAL_EXPORTS].find({"strategy_id": scope.strategy_id, "exported_at": ended}, EXPORT_FIELDS)
    return [export for export in found.sort("exported_at", 1) if export["timeframe"] == scope.timeframe.name]


def signal_chains(stored: Stored, timeframe: Timeframe) -> list[SignalChain]:
    """Return what became of each signal, by time of its bar, then pair."""
    receipts = {_key(receipt): receipt for receipt in stored.receipts}
    fills: dict[tuple[str, datetime], list[Mapping[str, Any]]] = {}
    for fill in stored.fills:
        fills.setdefault(_key(fill), []).append(fill)
    carriers = Carriers(stored.exports)
    chains = [
        _chain(signal, receipts.get(_key(signal), {}), fills.get(_key(signal), []), timeframe, carriers)
        for signal in stored.signals
    ]
    return sorted(chains, key=lambda chain: (chain.ts, chain.pair))


class Carriers:
    """Which export wrote a signal first.

    Exports of a strategy wait for each other, and a signal is written during its export: the first one that ended
    after the writing, and that speaks for the signal's pair and bar, is the one that carried it.

    Parameters
    ----------
    exports : sequence of documents
        Of one strategy and timeframe, by the time of their end.
    """

    def __init__(self, exports: Sequence[Mapping[str, Any]]) -> None:
        self._exports = exports
        self._ends = [export["exported_at"] for export in exports]

    def of(self, signal: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the export, or None where it is not among them."""
        if "created_at" not in signal:
            return None
        start = bisect_left(self._ends, signal["created_at"])
        # The one that wrote it may have been killed before it was recorded; those long after have other causes.
        candidates = self._exports[start : start + _NEXT_EXPORTS]
        return next((export for export in candidates if _speaks_for(export, signal)), None)


def first_seen(db: Store, scope: Scope) -> datetime | None:
    """Return when the bot saw a signal of the strategy for the first time; None where it never did."""
    own = {"consumer": scope.consumer, "strategy_id": scope.strategy_id, "seen_at": READABLE_TIMES}
    first = db[SIGNAL_RECEIPTS].find_one(own, {"seen_at": True}, sort=[("seen_at", 1)])
    return None if first is None else first["seen_at"]


def find_consumers(db: Store, strategy_id: str) -> list[str]:
    """Return the bots that have read signals of a strategy, sorted."""
    # Asked with the strategy, MongoDB would read all receipts: the index begins with the consumer.
    known = sorted(map(str, db[SIGNAL_RECEIPTS].distinct("consumer")))
    own = {"strategy_id": strategy_id}
    return [one for one in known if db[SIGNAL_RECEIPTS].find_one(own | {"consumer": one}, {"_id": True}) is not None]


def find_consumer(db: Store, strategy_id: str) -> str:
    """Return the only bot that has read signals of a strategy.

    Raises
    ------
    InputError
        Where there is none, or several.
    """
    found = find_consumers(db, strategy_id)
    if len(found) == 1:
        return found[0]
    if found:
        known = f"there are {', '.join(found)}. Name one with --consumer."
    elif db[SIGNALS].find_one({"strategy_id": strategy_id}, {"_id": True}) is not None:
        known = "no bot has written a receipt yet."
    else:
        known = "there are no signals of that strategy, and no bot has written a receipt yet. Is its name spelt right?"
    raise InputError(f"Which bot read the signals of {strategy_id} must be known: {known}")


def percentile(values: Iterable[float], percent: int) -> float | None:
    """Return the nearest-rank percentile: the least value that `percent` of all values do not exceed; None of none."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)] if ranked else None


def _key(document: Mapping[str, Any]) -> tuple[str, datetime]:
    return document["pair"], document["ts"]


def _speaks_for(export: Mapping[str, Any], signal: Mapping[str, Any]) -> bool:
    first, last = export.get("first_ts"), export.get("last_ts")
    return first is not None and first <= signal["ts"] <= last and signal["pair"] in export["pairs"]


def _chain(
    signal: Mapping[str, Any],
    receipt: Mapping[str, Any],
    fills: list[Mapping[str, Any]],
    timeframe: Timeframe,
    carriers: Carriers,
) -> SignalChain:
    return SignalChain(
        pair=signal["pair"],
        ts=signal["ts"],
        close=signal["ts"] + timeframe.delta,
        content=_content(signal),
        exported=signal.get("created_at"),
        seen=receipt.get("seen_at"),
        ordered=min((fill["ordered_at"] for fill in fills), default=None),
        filled=max((fill["filled_at"] for fill in fills), default=None),
        decision=receipt.get("decision"),
        reason=receipt.get("reason"),
        fills=tuple(fills),
        available=(carriers.of(signal) or {}).get("bars_seen_at"),
        rejected_orders=receipt.get("rejected_orders", 0),
    )


def _content(signal: Mapping[str, Any]) -> str:
    named = next((name for name in ("action", "weight", "score") if signal.get(name) is not None), None)
    if named is None:
        return ""
    return str(signal[named]) if named == "action" else f"{named} {signal[named]:g}"
