"""Holds the newest bars' documents of one strategy in memory: whatever was stored last under each `_id`."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from monitoring.chain.document_shape import OddDocuments, fault_of
from monitoring.chain.signal_chain import Stored
from schemas.collections import FILLS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.timeframes import Timeframe

Document = Mapping[str, Any]
CHAIN_COLLECTIONS = (SIGNALS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, FILLS)
_BATCH = 10_000  # a window in one answer: by default the first one holds 101 documents
# What decides how old a document is; fills that no signal caused have none, and belong to no window.
_TIMES = {SIGNALS: "ts", SIGNAL_EXPORTS: "exported_at", SIGNAL_RECEIPTS: "ts", FILLS: "ts"}


@dataclass(frozen=True, slots=True)
class ChainKey:
    """Whose signals are followed, and by which bots they are read."""

    strategy_id: str
    timeframe: Timeframe
    consumers: frozenset[str] = frozenset()

    def filter(self, collection: str, since: datetime) -> dict[str, Any]:
        """Return the filter of what a collection holds since a time; it uses the beginning of an index."""
        own: dict[str, Any] = {"strategy_id": self.strategy_id, "timeframe": self.timeframe.name}
        own[_TIMES[collection]] = {"$gte": since}
        if collection in (SIGNAL_RECEIPTS, FILLS):
            own["consumer"] = {"$in": sorted(self.consumers)}
        return own


@dataclass(slots=True)
class ChainWindow:
    """Signals, exports, receipts and fills of one key, of bars that opened from `start` on; `odd` keeps the others."""

    key: ChainKey
    start: datetime
    odd: OddDocuments = field(default_factory=OddDocuments)
    _kept: dict[str, dict[Any, Document]] = field(default_factory=lambda: {name: {} for name in CHAIN_COLLECTIONS})

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def read(self, db: Store) -> None:
        """Let it hold exactly what is stored now."""
        for name in CHAIN_COLLECTIONS:
            found = db[name].find(self.key.filter(name, self.start), batch_size=_BATCH)
            self._kept[name] = {_identity(one["_id"]): one for one in found if self._belongs(name, one)}

    def put(self, collection: str, document: Document) -> None:
        """Take a document in, in place of an earlier one of its `_id`."""
        if self._belongs(collection, document):
            self._kept[collection][_identity(document["_id"])] = document
        else:
            self.remove(collection, document["_id"])

    def remove(self, collection: str, identity: Any) -> None:
        """Drop a document, if it is here."""
        self._kept[collection].pop(_identity(identity), None)

    def move(self, start: datetime) -> None:
        """Begin at a later bar: what is older is dropped."""
        if start <= self.start:
            return
        self.start = start
        for name, kept in self._kept.items():
            time = _TIMES[name]
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
        if (document.get("strategy_id"), document.get("timeframe")) != (self.key.strategy_id, self.key.timeframe.name):
            return False
        if collection in (SIGNAL_RECEIPTS, FILLS) and str(document.get("consumer")) not in self.key.consumers:
            return False
        if (fault := fault_of(collection, document)) is not None:
            self.odd.refuse(collection, document["_id"], fault)
            return False
        time = document.get(_TIMES[collection])
        return time is not None and time >= self.start


def windows_of(keys: Iterable[ChainKey], at: datetime, bars: int, odd: OddDocuments) -> dict[ChainKey, ChainWindow]:
    """Return an empty window for each key, of the newest bars at a time."""
    return {key: ChainWindow(key, window_start(key.timeframe, at, bars), odd) for key in keys}


def _identity(identity: Any) -> Hashable:
    """A program may have named its document by a document, which no mapping takes."""
    return identity if isinstance(identity, Hashable) else repr(identity)


def window_start(timeframe: Timeframe, at: datetime, bars: int) -> datetime:
    """Return the open of the first of the newest bars that have closed or are under way at a time."""
    return timeframe.floor(at) - bars * timeframe.delta
