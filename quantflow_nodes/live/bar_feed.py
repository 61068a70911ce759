"""Tells which bars were stored or changed: from change streams, or by asking again and again where there are none."""

import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from bson.errors import BSONError
from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError

from quantflow_nodes.live.bar_history import BarHistory, milliseconds, open_of
from quantflow_nodes.live.live_plan import BarSource
from research.stored.stored_bars import BAR_FIELDS
from schemas.collections import Store
from schemas.errors import StoreError
from schemas.mongo import sentence, store_errors
from schemas.settings import Settings

Position = dict[str, Any]
_AWAIT_MS = 1_000
_POLL_S = 0.05
_WIDE_POLL_S = 5.0
_WIDE_POLL_BARS = 256
_LAST_WAIT_S = 2.0
_NEVER = -1
_END_OF_TIME = milliseconds(datetime(9999, 1, 1, tzinfo=UTC))
# The stream's past is gone from the oplog, its token is of another kind, or the collection was dropped.
_CAN_NOT_RESUME = {136, 222, 260, 280, 286}


@dataclass(frozen=True, slots=True)
class BarChange:
    """A bar that was stored or replaced; `values` are open to volume, or None where they were not told."""

    collection: str
    symbol: str
    open_ms: int
    values: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class FeedAway:
    """The store does not tell of changes any more; the sentence says why."""

    sentence: str


@dataclass(frozen=True, slots=True)
class FeedBack:
    """The store tells of changes again; where `complete` is false, some of those in between were not told."""

    complete: bool


Told = BarChange | FeedAway | FeedBack


class BarFeed(Protocol):
    """What a session waits on."""

    def wait(self, timeout_s: float) -> list[Told]:
        """Return what was told since the last call; wait for the first of it, at most so long."""

    def wake(self) -> None:
        """Let a call that waits return at once; may be called from a signal handler."""

    def position(self) -> Position | None:
        """Return from where a later session can be told what came after the last call; None where it can not."""


@contextmanager
def open_feed(
    db: Store, settings: Settings, sources: Sequence[BarSource], position: Position | None
) -> Iterator[BarFeed]:
    """Give a feed of the sources' bars, for the length of a `with` block; it tells of all that is stored from now on.

    Parameters
    ----------
    db : Database
    settings : Settings
        Those of the connection, for what is said about it.
    sources : sequence of BarSource
    position : dict or None
        Of an earlier session: what came since is told first.
    """
    hello = db.command("hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        yield PollingFeed(db, settings, sources)
        return
    feed = StreamFeed(db, settings, sources, position or {})
    try:
        yield feed
    finally:
        feed.close()


@dataclass(slots=True)
class _Stream:
    """One collection's change stream, and how far it has been read."""

    collection: Collection[Any]
    symbols: list[str]
    token: Mapping[str, Any] | None

    def open(self) -> Any:
        wanted = {
            "operationType": {"$in": ["insert", "replace", "update"]},
            "fullDocument.symbol": {"$in": self.symbols},
        }
        return self.collection.watch(
            [{"$match": wanted}],
            full_document="updateLookup",
            resume_after=self.token,
            max_await_time_ms=_AWAIT_MS,
        )


class StreamFeed:
    """Change streams, each read by a thread of its own; a lost one is opened again where it stood."""

    def __init__(self, db: Store, settings: Settings, sources: Sequence[BarSource], position: Position) -> None:
        self._settings = settings
        self._queue: SimpleQueue[tuple[str, Mapping[str, Any] | None, Told | None]] = SimpleQueue()
        self._ended = threading.Event()
        self._position: Position = dict(position)
        for name, symbols in _symbols(sources).items():
            stream = _Stream(db[name], symbols, position.get(name))
            opened = self._first(stream)
            if opened.resume_token is not None:
                self._position[name] = dict(opened.resume_token)
            threading.Thread(target=self._read, args=(stream, opened), name=f"feed-{name}", daemon=True).start()

    def close(self) -> None:
        """Let the threads end; they do at their next look at the store."""
        self._ended.set()

    def wait(self, timeout_s: float) -> list[Told]:
        """Return what was told since the last call; wait for the first of it, at most so long."""
        told: list[Told] = []
        try:
            self._take(told, self._queue.get(block=timeout_s > 0, timeout=max(timeout_s, 0.0)))
            while True:
                self._take(told, self._queue.get_nowait())
        except Empty:
            return told

    def wake(self) -> None:
        """Let a call that waits return at once."""
        self._queue.put(("", None, None))

    def position(self) -> Position | None:
        """Return where the streams stood at what was told last."""
        return dict(self._position)

    def _take(self, told: list[Told], item: tuple[str, Mapping[str, Any] | None, Told | None]) -> None:
        name, token, message = item
        if token is not None:
            self._position[name] = dict(token)
        if message is not None:
            told.append(message)

    def _first(self, stream: _Stream) -> Any:
        with store_errors(self._settings):
            try:
                return stream.open()
            except OperationFailure:
                if stream.token is None:
                    raise
                stream.token = None
                self._queue.put((stream.collection.name, None, FeedBack(complete=False)))
                return stream.open()

    def _read(self, stream: _Stream, opened: Any) -> None:
        """Read a stream until the feed is closed; open it again after each failure, waiting longer each time."""
        wait_s, away = 0.1, False
        while not self._ended.is_set():
            try:
                with stream.open() if opened is None else opened as changes:
                    if away:
                        self._queue.put((stream.collection.name, None, FeedBack(complete=True)))
                    wait_s, away = 0.1, False
                    self._read_open(stream, changes)
            except (PyMongoError, BSONError) as error:
                if isinstance(error, OperationFailure) and error.code in _CAN_NOT_RESUME and stream.token is not None:
                    stream.token = None
                    self._queue.put((stream.collection.name, None, FeedBack(complete=False)))
                elif not away and not self._ended.is_set():
                    self._queue.put((stream.collection.name, None, FeedAway(self._sentence(error))))
                    away = True
            opened = None
            self._ended.wait(wait_s)
            wait_s = min(2 * wait_s, _LAST_WAIT_S)

    def _read_open(self, stream: _Stream, changes: Any) -> None:
        while changes.alive and not self._ended.is_set():
            change = changes.try_next()
            stream.token = changes.resume_token
            try:
                told = None if change is None else _bar_change(stream.collection.name, change["fullDocument"])
            except (KeyError, TypeError, ValueError):
                told = None  # no bar: who reads that stretch says what is wrong with it
            self._queue.put((stream.collection.name, stream.token, told))

    def _sentence(self, error: PyMongoError | BSONError) -> str:
        if isinstance(error, BSONError):
            return f"A stored bar can not be read, and none is until it is mended: {error}."
        uri = self._settings.mongo_uri
        return str(sentence(error, uri.get_secret_value() if uri else "", "QUANTFLOW_MONGO_URI"))


class PollingFeed:
    """Asks for new bars every 50 ms: for a server that has no change streams. A bar that changes is not told."""

    def __init__(self, db: Store, settings: Settings, sources: Sequence[BarSource]) -> None:
        self._db, self._settings, self._sources = db, settings, sources
        self._history = BarHistory(db, settings.mongo_timeout_s)
        self._known: dict[str, set[tuple[str, int]]] = {}
        self._newest: dict[str, int] = {}
        for source in sources:
            newest = self._history.newest_close(source, _END_OF_TIME)
            self._newest[source.node] = _NEVER if newest is None else newest
        self._wide_at, self._woken, self._away = -math.inf, threading.Event(), False
        self._ask()  # what is stored already is no news

    def wait(self, timeout_s: float) -> list[Told]:
        """Return what was told since the last call; wait for the first of it, at most so long."""
        deadline = time.monotonic() + timeout_s
        while True:
            told = self._ask()
            left = deadline - time.monotonic()
            if told or left <= 0 or self._woken.wait(min(_POLL_S, left)):
                self._woken.clear()
                return told

    def wake(self) -> None:
        """Let a call that waits return at once."""
        self._woken.set()

    def position(self) -> None:
        """Nothing: without change streams nobody remembers what came."""

    def _ask(self) -> list[Told]:
        told: list[Told] = []
        try:
            with store_errors(self._settings):
                told = [change for source in self._sources for change in self._new(source)]
        except StoreError as error:
            if not self._away:
                self._away = True
                return [FeedAway(str(error))]
            return []
        if self._away:
            self._away = False
            told.append(FeedBack(complete=True))
        if self._is_wide():
            self._wide_at = time.monotonic()
        return told

    def _is_wide(self) -> bool:
        return time.monotonic() - self._wide_at >= _WIDE_POLL_S

    def _new(self, source: BarSource) -> Iterator[BarChange]:
        """Yield the bars that were not there when we asked last: of the last two closes, now and then of some more."""
        length = source.timeframe.seconds * 1000
        newest = self._newest[source.node]
        reach = _WIDE_POLL_BARS if self._is_wide() else 2
        found = self._history.closes(source, max(newest - reach * length, _NEVER), _END_OF_TIME)
        known = self._known.get(source.node)
        for symbol, close in sorted(found - (known or set()), key=lambda bar: bar[1]):
            if known is not None:
                yield BarChange(source.collection, symbol, close - length, None)
        newest = max((close for _, close in found), default=newest)
        oldest = newest - 2 * _WIDE_POLL_BARS * length
        self._known[source.node] = {bar for bar in (known or set()) | found if bar[1] >= oldest}
        self._newest[source.node] = newest


def _symbols(sources: Iterable[BarSource]) -> dict[str, list[str]]:
    """Return the symbols that are wanted of each collection."""
    wanted: dict[str, set[str]] = {}
    for source in sources:
        wanted.setdefault(source.collection, set()).update(source.symbols)
    return {name: sorted(symbols) for name, symbols in wanted.items()}


def _bar_change(collection: str, bar: Mapping[str, Any]) -> BarChange:
    values = tuple(bar.get(name) for name in BAR_FIELDS)
    told = tuple(math.nan if value is None else value for value in values)
    plain = all(isinstance(value, float) for value in told)
    return BarChange(collection, bar["symbol"], open_of(collection, bar), told if plain else None)
