"""Holds the newest bars' documents of one strategy in memory: whatever was stored last under each `_id`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from monitoring.chain.signal_chain import Stored
from schemas.collections import FILLS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.timeframes import Timeframe

Document = Mapping[str, Any]
CHAIN_COLLECTIONS = (SIGNALS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, FILLS)
_BATCH = 10_000  # a window in one answer: by default the first one holds 101 documents
# What a document must have to be placed: other programs write here too. The first one decides how old it is.
_TIMES = {
    SIGNALS: ("ts",),
    SIGNAL_EXPORTS: ("exported_at",),
    SIGNAL_RECEIPTS: ("ts",),
    FILLS: ("ts", "ordered_at", "filled_at"),
}


@dataclass(frozen=True, slots=True)
class ChainKey:
    """Whose signals are followed, and by which bots they are read."""

    strategy_id: str
    timeframe: Timeframe
    consumers: frozenset[str] = frozenset()

    def filter(self, collection: str, since: datetime) -> dict[str, Any]:
        """Return the filter of what a collection holds since a time; it uses the beginning of an index."""
        own: dict[str, Any] = {"strategy_id": self.strategy_id, "timeframe": self.timeframe.name}
        own[_TIMES[collection][0]] = {"$gte": since}
        if collection in (SIGNAL_RECEIPTS, FILLS):
            own["consumer"] = {"$in": sorted(self.consumers)}
        return own


@dataclass(slots=True)
class ChainWindow:
    """Signals, exports, receipts and fills of one key, of bars that opened from `start` on."""

    key: ChainKey
    start: datetime
    _kept: dict[str, dict[Any, Document]] = field(default_factory=lambda: {name: {} for name in CHAIN_COLLECTIONS})

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def read(self, db: Store) -> None:
        """Let it hold exactly what is stored now."""
        for name in CHAIN_COLLECTIONS:
            found = db[name].find(self.key.filter(name, self.start), batch_size=_BATCH)
            self._kept[name] = {one["_id"]: one for one in found if self._belongs(name, one)}

    def put(self, collection: str, document: Document) -> None:
        """Take a document in, in place of an earlier one of its `_id`."""
        if self._belongs(collection, document):
            self._kept[collection][document["_id"]] = document
        else:
            self._kept[collection].pop(document["_id"], None)

    def remove(self, collection: str, identity: Any) -> None:
        """Drop a document, if it is here."""
        self._kept[collection].pop(identity, None)

    def move(self, start: datetime) -> None:
        """Begin at a later bar: what is older is dropped."""
        if start <= self.start:
            return
        self.start = start
        for name, kept in self._kept.items():
            time = _TIMES[name][0]
            self._kept[name] = {identity: one for identity, one in kept.items() if one[time] >= start}

    def stored(self, consumer: str | None) -> Stored:
        """Return what is here of the strategy and of one of its bots."""
        fills = self._sorted(FILLS, "filled_at", consumer)
        return Stored(
            signals=sorted(self._kept[SIGNALS].values(), key=lambda one: (one["pair"], one["ts"])),
            receipts=self._sorted(SIGNAL_RECEIPTS, "ts", consumer),
            fills=fills,
            ordered=fills,
            exports=sorted(self._kept[SIGNAL_EXPORTS].values(), key=lambda one: one["exported_at"]),
        )

    def _sorted(self, collection: str, time: str, consumer: str | None) -> list[Document]:
        own = [one for one in self._kept[collection].values() if one["consumer"] == consumer]
        return sorted(own, key=lambda one: one[time])

    def _belongs(self, collection: str, document: Document) -> bool:
        times = [document.get(name) for name in _TIMES[collection]]
        if not all(isinstance(one, datetime) for one in times) or document[_TIMES[collection][0]] < self.start:
            return False
        if (document.get("strategy_id"), document.get("timeframe")) != (self.key.strategy_id, self.key.timeframe.name):
            return False
        return collection in (SIGNALS, SIGNAL_EXPORTS) or document.get("consumer") in self.key.consumers


def windows_of(keys: Iterable[ChainKey], at: datetime, bars: int) -> dict[ChainKey, ChainWindow]:
    """Return an empty window for each key, of the newest bars at a time."""
    return {key: ChainWindow(key, window_start(key.timeframe, at, bars)) for key in keys}


def window_start(timeframe: Timeframe, at: datetime, bars: int) -> datetime:
    """Return the open of the first of the newest bars that have closed or are under way at a time."""
    return timeframe.floor(at) - bars * timeframe.delta
