"""Reads one strategy's signals from MongoDB: the history of a pair in one query, the newest of all pairs in another."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import nan
from typing import Any

import numpy as np
from bson.codec_options import DatetimeConversion
from bson.datetime_ms import DatetimeMS
from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from schemas.collections import REVISION_KEY, SIGNAL_EXPORTS, SIGNAL_KEY, SIGNAL_REVISIONS
from schemas.errors import StoreError
from schemas.mongo import open_client, sentence
from schemas.secrets import redact_uri
from schemas.settings import ExternalSignalSettings
from schemas.signal_actions import Signals
from schemas.signal_rule import NEVER

_ACTIONS = {"enter_long", "exit_long", "enter_short", "exit_short"}
_FIELDS = ("ts", "action", "score", "weight", "valid_until", "version")
_HISTORY_FIELDS = ("created_at", "updated_at", "replaced_at")
_HISTORY_TIMEOUTS = {"serverSelectionTimeoutMS": 5_000, "connectTimeoutMS": 5_000, "socketTimeoutMS": 60_000}
_BATCH = 100_000  # unset, the server's first reply ends at 101 documents, and a loop would wait for a second one
_BAD_VALUE = 2  # MongoDB's code for a hint that names no index

_Row = tuple[int, int, int, int, str, float, float]

logger = logging.getLogger(__name__)


class SignalFeed:
    """The signals of one strategy and timeframe, as a program that trades them reads them.

    Parameters
    ----------
    settings : ExternalSignalSettings
        Address, database, collection, whose signals.
    timeframe : str
        Length of the bars that the signals belong to, such as '1m'.
    live : bool
        Whether reads must give up soon (`mongo_timeout_ms`), since a trading loop waits for them.

    Raises
    ------
    SettingsError
        Where the address can not be used.
    """

    def __init__(self, settings: ExternalSignalSettings, timeframe: str, *, live: bool) -> None:
        self._settings = settings
        self._timeframe = timeframe
        self._as_known = settings.as_known and not live
        self._has_warned = False
        self._uri = settings.mongo_uri.get_secret_value()
        limits = {"timeoutMS": settings.mongo_timeout_ms} if live else _HISTORY_TIMEOUTS
        self._client = open_client(
            self._uri,
            "EXT_SIG_MONGO_URI",
            appname="ExternalSignalStrategy",
            # Times stay integers: the rule wants milliseconds, and a far valid_until is no datetime at all.
            datetime_conversion=DatetimeConversion.DATETIME_MS,
            **limits,
        )

    def close(self) -> None:
        """Close the connection; the feed can not be used afterwards."""
        self._client.close()

    def __enter__(self) -> "SignalFeed":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def history(self, pair: str, first_ms: int | None = None, last_ms: int | None = None) -> Signals:
        """Return the signals of a pair with first_ms ≤ ts ≤ last_ms, as they are now; None means no bound.

        With `as_known` set, return every version of each signal instead, retracted ones too, each from the time at
        which it was written until the time at which it was replaced. A revision that is not older than the signal
        itself is none: its writer was killed before it replaced anything.

        Raises
        ------
        StoreError
            Where MongoDB does not answer, refuses, or has no index to read by.
        """
        query: dict[str, Any] = self._query(pair, _bounds(first_ms, last_ms))
        with self._sentences():
            found = list(self._find(self._settings.collection, query))
            # Read after the signals: what is replaced between the two reads is as it was at the first.
            revisions = list(self._find(SIGNAL_REVISIONS, query)) if self._as_known else None
        return self._signals(found, revisions)

    def newest(self, pairs: Sequence[str], first_ms: int, last_ms: int) -> dict[str, Signals]:
        """Return the signals of some pairs with first_ms ≤ ts ≤ last_ms, by pair, in one query.

        Raises
        ------
        StoreError
            As `history`.
        """
        query = self._query({"$in": list(pairs)}, _bounds(first_ms, last_ms))
        by_pair: dict[str, list[Mapping[str, Any]]] = {}
        with self._sentences():
            for document in self._find(self._settings.collection, query, "pair"):
                by_pair.setdefault(document["pair"], []).append(document)
        return {pair: self._signals(documents) for pair, documents in by_pair.items()}

    def strategies(self) -> list[str]:
        """Return the strategy_id of every strategy that has signals, sorted."""
        with self._sentences():
            return sorted(map(str, self.database[self._settings.collection].distinct("strategy_id")))

    def last(self, pairs: Sequence[str], last_ms: int) -> dict[str, Signals]:
        """Return the newest signal of each of some pairs with ts ≤ last_ms, of whatever age.

        Raises
        ------
        StoreError
            As `history`.
        """
        found: dict[str, Signals] = {}
        with self._sentences():
            for pair in pairs:
                query = self._query(pair, _bounds(None, last_ms))
                fields = {"_id": False} | dict.fromkeys(_FIELDS, True)
                newest = self.database[self._settings.collection].find_one(query, fields, sort=[("ts", DESCENDING)])
                found[pair] = self._signals([] if newest is None else [newest])
        return found

    def newest_export(self) -> int | None:
        """Return the newest bar that research has exported an opinion on, though it may be that nothing changed.

        Returns
        -------
        int or None
            The bar's open, ms; None where `signal_exports` knows of none.
        """
        mine = {"strategy_id": self._settings.strategy_id, "timeframe": self._timeframe}
        with self._sentences():
            found = self.database[SIGNAL_EXPORTS].find_one(mine, {"last_ts": True}, sort=[("last_ts", DESCENDING)])
        last = None if found is None else found.get("last_ts")
        return int(last) if isinstance(last, DatetimeMS) else None

    @property
    def database(self) -> Database[dict[str, Any]]:
        """The database, over this feed's connection; its times are read as DatetimeMS."""
        return self._client[self._settings.db]

    def sentence(self, error: PyMongoError) -> StoreError:
        """Return what an error of the driver means, without any password."""
        return sentence(error, self._uri, "EXT_SIG_MONGO_URI")

    def _query(self, pair: str | dict[str, Any], ts: dict[str, DatetimeMS]) -> dict[str, Any]:
        query = {"strategy_id": self._settings.strategy_id, "pair": pair, "timeframe": self._timeframe}
        return query | ({"ts": ts} if ts else {})

    def _find(self, collection: str, query: Mapping[str, Any], *more: str) -> Iterable[Mapping[str, Any]]:
        history = _HISTORY_FIELDS if self._as_known else ()
        fields = {"_id": False} | dict.fromkeys((*_FIELDS, *history, *more), True)
        # The hint makes a database without the index an error at once, not a slow scan in every loop.
        hint = [(name, ASCENDING) for name in (REVISION_KEY if collection == SIGNAL_REVISIONS else SIGNAL_KEY)]
        cursor: Iterable[Mapping[str, Any]] = self.database[collection].find(
            query, fields, hint=hint, batch_size=_BATCH
        )
        return cursor

    def _signals(
        self, documents: Sequence[Mapping[str, Any]], revisions: Sequence[Mapping[str, Any]] | None = None
    ) -> Signals:
        signals, refused = signals_of(documents, revisions)
        count = len(documents) + len(revisions or ())
        if refused and not self._has_warned:
            self._has_warned = True  # a live loop would say it every second
            logger.warning(
                f"{len(refused)} of {count} signals of {self._settings.strategy_id} can not be read and are "
                f"left out; the first is {refused[0]!r}. Export them with `quantflow run`, which checks them."
            )
        return signals

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except PyMongoError as error:
            raise self._error(error) from None

    def _error(self, error: PyMongoError) -> StoreError:
        if isinstance(error, OperationFailure) and error.code == _BAD_VALUE and "hint" in str(error):
            return StoreError(
                f"{self._settings.db}.{self._settings.collection} at {redact_uri(self._uri)} lacks the index on "
                f"{', '.join(SIGNAL_KEY)}, by which signals are read. Make it with `quantflow db init`."
            )
        return self.sentence(error)


def signals_of(
    documents: Iterable[Mapping[str, Any]], revisions: Iterable[Mapping[str, Any]] | None = None
) -> tuple[Signals, list[Mapping[str, Any]]]:
    """Return documents of signals as arrays, sorted by ts, then by the time of writing; and those that are none.

    A document is none where its `ts` is no time, its action is unknown, or a number is no number. Where there are
    `revisions`, each version of a signal stays, with the times between which it was known; a revision whose version
    is not below the signal's tells of a replacement that never happened and is left out, and of several of one version
    the newest counts: the others' writers were killed. Without revisions, the times of writing are 0.
    """
    as_known = revisions is not None
    rows, refused = _rows(documents, as_known=as_known)
    if revisions is not None:
        stored = {row[0]: row[2] for row in rows}
        earlier, unreadable = _rows(revisions, as_known=True)
        ended = [row for row in earlier if row[0] not in stored or row[2] < stored[row[0]]]
        rows += {(row[0], row[2]): row for row in sorted(ended, key=_valid_until)}.values()
        refused += unreadable
    rows.sort(key=lambda row: row[:3])
    if not as_known:
        rows = list({row[0]: row for row in rows}.values())
    ts, known_from, version, valid_until, action, score, weight = zip(*rows, strict=True) if rows else ((),) * 7
    signals = Signals(
        ts=np.array(ts, np.int64),
        valid_until=np.array(valid_until, np.int64),
        known_from=np.array(known_from, np.int64),
        action=np.array(action, np.str_),
        score=np.array(score, np.float64),
        weight=np.array(weight, np.float64),
        version=np.array(version, np.int64),
    )
    return signals, refused


def _rows(documents: Iterable[Mapping[str, Any]], *, as_known: bool) -> tuple[list[_Row], list[Mapping[str, Any]]]:
    rows, refused = [], []
    for document in documents:
        row = _row(document, as_known=as_known)
        if row is None:
            refused.append(document)
        else:
            rows.append(row)
    return rows, refused


def _row(document: Mapping[str, Any], *, as_known: bool) -> _Row | None:
    """Return (ts, known_from, version, valid_until, action, score, weight), or None where it is no signal."""
    try:
        valid_until = _ms(document, "valid_until", NEVER)
        known_from = 0
        if as_known:
            known_from = _ms(document, "updated_at", _ms(document, "created_at", 0))
            valid_until = min(valid_until, _ms(document, "replaced_at", NEVER))
        action = document.get("action") or ""
        row = (
            _ms(document, "ts"),
            known_from,
            int(document.get("version") or 1),
            valid_until,
            action,
            _number(document, "score"),
            _number(document, "weight"),
        )
    except (TypeError, ValueError):
        return None
    return row if action in _ACTIONS or (action == "" and ("score" in document or "weight" in document)) else None


def _valid_until(row: _Row) -> int:
    return row[3]


def _ms(document: Mapping[str, Any], name: str, absent: int | None = None) -> int:
    time = document.get(name)
    if time is None and absent is not None:
        return absent
    if not isinstance(time, DatetimeMS):
        raise TypeError(f"{name} must be a time")
    return int(time)


def _number(document: Mapping[str, Any], name: str) -> float:
    value = document.get(name)
    return nan if value is None else float(value)


def _bounds(first_ms: int | None, last_ms: int | None) -> dict[str, DatetimeMS]:
    bounds = {"$gte": first_ms, "$lte": last_ms}
    return {operator: DatetimeMS(ms) for operator, ms in bounds.items() if ms is not None}


NO_SIGNALS = signals_of(())[0]
