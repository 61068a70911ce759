"""A bot's own file: what it has to tell MongoDB and has not told yet, and which signals it has used.

A SQLite file in write-ahead mode, synced at each change: when a method returns, its effect outlives `kill -9` and a
power cut. Several processes may share it.
"""

import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import bson
from bson.codec_options import CodecOptions

from schemas.errors import StoreError

logger = logging.getLogger(__name__)

Act = Literal["entry", "exit"]
ClaimState = Literal["asked", "claimed", "placed", "wanted", "settled"]
_LOCK_PATIENCE_S = 0.2
_LAYOUT = 1
_TABLES = f"""
CREATE TABLE IF NOT EXISTS waiting (seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS claims (
    strategy_id TEXT NOT NULL, timeframe TEXT NOT NULL, pair TEXT NOT NULL, ts INTEGER NOT NULL, act TEXT NOT NULL,
    version INTEGER NOT NULL, run_id TEXT NOT NULL, state TEXT NOT NULL, candle INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (strategy_id, timeframe, pair, ts, act)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, ms INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {_LAYOUT};
"""
_CLAIM_FIELDS = "strategy_id, timeframe, pair, ts, act, version, run_id, state, candle, at"
_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something to be written: what kind of writing it is, and the document."""

    seq: int
    kind: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """The use of a signal for an entry or an exit, and how far it came; times are ms.

    An entry is 'asked' while MongoDB is asked whether it may be made, 'claimed' from before its order leaves, 'placed'
    when Freqtrade has a trade of it. An exit is 'wanted' until its position is closed. 'settled' is the end of both.
    """

    strategy_id: str
    timeframe: str
    pair: str
    ts: int
    act: Act
    version: int
    run_id: str
    state: ClaimState
    candle: int
    at: int


class Outbox:
    """The file at `path`; a damaged one is put aside, and a new one begun.

    Raises
    ------
    StoreError
        Here and in each method, where the file can not be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with self._sentences():
            try:
                self._database = self._open()
            except sqlite3.OperationalError:  # no folder, no permission, no space: the file itself may be whole
                raise
            except sqlite3.DatabaseError as error:
                self._put_aside(error)
                self._database = self._open()

    def put(self, kind: str, document: Mapping[str, Any]) -> None:
        """Keep a document until it is written."""
        body = bson.encode(document)
        with self._changes() as database:
            database.execute("INSERT INTO waiting (kind, body) VALUES (?, ?)", (kind, body))

    def waiting(self, after: int = 0, limit: int = 100) -> list[Waiting]:
        """Return what is not written yet, oldest first, from after a sequence number on."""
        query = "SELECT seq, kind, body FROM waiting WHERE seq > ? ORDER BY seq LIMIT ?"
        with self._changes() as database:
            rows = database.execute(query, (after, limit)).fetchall()
        return [Waiting(seq, kind, bson.decode(body, codec_options=_CODEC)) for seq, kind, body in rows]

    def written(self, seq: int) -> None:
        """Forget what has been written."""
        with self._changes() as database:
            database.execute("DELETE FROM waiting WHERE seq = ?", (seq,))

    def count(self) -> int:
        """Return how much is not written yet."""
        with self._changes() as database:
            return int(database.execute("SELECT count(*) FROM waiting").fetchone()[0])

    def claim(self, claim: Claim, replacing: ClaimState | None = None) -> Claim | None:
        """Keep a claim, and return None; or return the one that stands there already, which is left as it is.

        One in the state `replacing` gives way.
        """
        key = (claim.strategy_id, claim.timeframe, claim.pair, claim.ts, claim.act)
        query = f"SELECT {_CLAIM_FIELDS} FROM claims WHERE (strategy_id, timeframe, pair, ts, act) = (?, ?, ?, ?, ?)"  # noqa: S608 - our own names
        values = (*key, claim.version, claim.run_id, claim.state, claim.candle, claim.at)
        with self._changes() as database:
            row = database.execute(query, key).fetchone()
            if row is not None and row[7] != replacing:
                return Claim(*row)
            database.execute("REPLACE INTO claims VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        return None

    def advance(self, claim: Claim, state: ClaimState) -> bool:
        """Say how far a claim came, and return whether it is still this run's."""
        key = (state, claim.strategy_id, claim.timeframe, claim.pair, claim.ts, claim.act, claim.run_id)
        change = (
            "UPDATE claims SET state = ? WHERE (strategy_id, timeframe, pair, ts, act, run_id) = (?, ?, ?, ?, ?, ?)"
        )
        with self._changes() as database:
            return database.execute(change, key).rowcount == 1

    def claims(self, strategy_id: str, timeframe: str) -> list[Claim]:
        """Return every claim on signals of a strategy, oldest signal first."""
        query = f"SELECT {_CLAIM_FIELDS} FROM claims WHERE strategy_id = ? AND timeframe = ? ORDER BY ts"  # noqa: S608 - our own names
        with self._changes() as database:
            return [Claim(*row) for row in database.execute(query, (strategy_id, timeframe))]

    def forget_claims(self, before_ms: int) -> None:
        """Forget settled claims on signals of bars that opened before a time: these are too old to act anyway."""
        with self._changes() as database:
            database.execute("DELETE FROM claims WHERE state = 'settled' AND ts < ?", (before_ms,))

    def mark(self, name: str) -> int | None:
        """Return the time, ms, that was kept under a name."""
        with self._changes() as database:
            row = database.execute("SELECT ms FROM marks WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def set_mark(self, name: str, ms: int) -> None:
        """Keep a time under a name."""
        with self._changes() as database:
            database.execute("REPLACE INTO marks VALUES (?, ?)", (name, ms))

    def close(self) -> None:
        """Close the file; what waits in it waits on."""
        with self._lock:
            self._database.close()

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=_LOCK_PATIENCE_S, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            layout = database.execute("PRAGMA user_version").fetchone()[0]
            if layout not in (0, _LAYOUT):
                raise StoreError(f"{self.path} has the layout {layout} of another version; this one reads {_LAYOUT}.")
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            if layout == 0:
                database.executescript(_TABLES)
        except BaseException:
            database.close()
            raise
        return database

    def _put_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        for ending in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + ending)
            if part.exists():
                part.rename(aside.with_name(aside.name + ending))
        logger.error(
            f"{self.path} is damaged ({error}) and was put aside as {aside.name}. What waited there for MongoDB is not "
            "written; fills and positions are told again from Freqtrade's trades."
        )

    @contextmanager
    def _changes(self) -> Iterator[sqlite3.Connection]:
        """One transaction; it is on the disk when the block ends."""
        with self._lock, self._sentences():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a commit that failed for want of space has ended it already
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"The bot's own file {self.path} can not be used: {error}. It needs a folder that can be written, with "
                "space left; no signal enters without it."
            ) from None
