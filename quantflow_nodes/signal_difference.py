"""How the signals of an export differ from those that are stored: what is missing, changed, or no longer said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import bson
import numpy as np
import numpy.typing as npt

from quantflow_nodes.signal_columns import NO_TIME, Floats, Ints, Label, SignalColumns, joined, milliseconds
from schemas.collections import SIGNAL_REVISIONS, SIGNALS, Store
from schemas.errors import SignalConflictError
from schemas.raw_find import read_replies
from schemas.raw_reply import DATETIME
from schemas.raw_shape import ShapedRows, shaped_rows

_HOLES = ("_id", "ts", "score", "weight", "valid_until", "version", "run_id", "created_at", "updated_at")
_UNEQUAL = NO_TIME + 1  # a valid_until that is no time equals none


@dataclass(slots=True)
class _Columns:
    """Columns that grow by one stored group after the other."""

    label: list[Ints] = field(default_factory=list)
    pair: list[Ints] = field(default_factory=list)
    ts_ms: list[Ints] = field(default_factory=list)
    has: list[Ints] = field(default_factory=list)
    score: list[Floats] = field(default_factory=list)
    weight: list[Floats] = field(default_factory=list)
    valid_until_ms: list[Ints] = field(default_factory=list)


class StoredSignals:
    """The stored signals of a scope, read into columns; the bytes of each are kept.

    Parameters
    ----------
    db : Database
    scope : mapping or None
        The filter, which names the pairs and the stretch of time; None: nothing.
    labels : sequence of Label
        Those of the signals that are compared; a stored label that is none of them comes as -1.
    pairs : mapping of str to int
        A number for each pair of the scope.
    """

    def __init__(
        self, db: Store, scope: Mapping[str, Any] | None, labels: Sequence[Label], pairs: Mapping[str, int]
    ) -> None:
        self._codes: dict[Label | None, int] = {label: code for code, label in enumerate(labels)}
        self._pairs = pairs
        self._options = db[SIGNALS].codec_options
        self.groups: list[ShapedRows] = []
        self.symbols: list[Any] = []
        columns = _Columns()
        for reply in () if scope is None else read_replies(db, SIGNALS, scope):
            for group in shaped_rows(reply, _HOLES):
                self._add(group, columns)
        sizes = [len(group.rows) for group in self.groups]
        self.group: Ints = np.repeat(np.arange(len(sizes)), sizes)
        self._starts: Ints = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.label, self.pair = joined(columns.label), joined(columns.pair)
        self.ts_ms, self.has = joined(columns.ts_ms), joined(columns.has)
        self.valid_until_ms = joined(columns.valid_until_ms)
        self.score = np.concatenate([np.empty(0), *columns.score])
        self.weight = np.concatenate([np.empty(0), *columns.weight])

    def __len__(self) -> int:
        return len(self.ts_ms)

    def _add(self, group: ShapedRows, columns: _Columns) -> None:
        document = bson.decode(group.document, self._options)
        count = len(group.rows)
        has = 0
        for bit, name, column in ((1, "score", columns.score), (2, "weight", columns.weight)):
            has += bit * (document.get(name) is not None)
            column.append(_numbers(group, name, document))
        ts = group.column("ts")
        columns.ts_ms.append(np.full(count, milliseconds(document["ts"])) if ts is None else ts)
        columns.valid_until_ms.append(_ends(group, document))
        columns.has.append(np.full(count, has))
        columns.label.append(np.full(count, self._codes.get(_label(document), -1)))
        columns.pair.append(np.full(count, self._pairs[document["pair"]]))
        self.symbols.append(document.get("symbol"))
        self.groups.append(group)

    def documents(self, rows: npt.NDArray[np.intp]) -> list[dict[str, Any]]:
        """Return some of the signals as the documents that they are, in the order asked for."""
        places = zip(self.group[rows].tolist(), (rows - self._starts[self.group[rows]]).tolist(), strict=True)
        return [bson.decode(self.groups[group].rows[row].tobytes(), self._options) for group, row in places]


@dataclass(frozen=True, slots=True)
class Difference:
    """What an export has to do.

    Attributes
    ----------
    signals : SignalColumns
        Those of closed bars.
    inserts, changes : int array
        Which of the signals are missing, and which are stored with another content.
    versions : int64 array
        The version of each insert.
    stored : StoredSignals
    replaced, retracted : int array
        Which of the stored signals the changes replace, in their order, and which research no longer gives.
    """

    signals: SignalColumns
    inserts: npt.NDArray[np.intp]
    versions: Ints
    changes: npt.NDArray[np.intp]
    stored: StoredSignals
    replaced: npt.NDArray[np.intp]
    retracted: npt.NDArray[np.intp]

    @property
    def unchanged(self) -> int:
        """How many signals are stored as they are."""
        return len(self.signals) - len(self.inserts) - len(self.changes)


def signal_difference(
    db: Store, scope: Mapping[str, Any] | None, signals: SignalColumns, opinions: Mapping[str, Ints]
) -> Difference:
    """Return how some signals differ from the stored ones.

    Parameters
    ----------
    db : Database
    scope : mapping or None
        The filter for what is stored; None where there is nothing to compare with.
    signals : SignalColumns
        Each key once, one symbol a pair.
    opinions : mapping of str to int64 array
        For each pair, the opens of the bars that the export speaks for, ms, ascending: what is stored for one of them
        and is not among the signals is retracted.

    Raises
    ------
    SignalConflictError
        Where a key is stored for another symbol.
    """
    names = {label.pair for label in signals.labels} | opinions.keys()
    pairs = {pair: code for code, pair in enumerate(sorted(names))}
    stored = StoredSignals(db, scope, signals.labels, pairs)
    keys = _Keys(signals.ts_ms, stored.ts_ms)
    pair = np.array([pairs[label.pair] for label in signals.labels], np.int64)[signals.label]
    own = keys.of(pair, signals.ts_ms)
    theirs = keys.of(stored.pair, stored.ts_ms)
    order = np.argsort(theirs, kind="stable")
    place = np.searchsorted(theirs[order], own)
    is_stored = place < len(order)
    is_stored[is_stored] = theirs[order[place[is_stored]]] == own[is_stored]
    met, found = np.flatnonzero(is_stored), order[place[is_stored]]
    _check_symbols(signals, met, stored, found)
    differs = ~_are_equal(signals, met, stored, found)
    is_unmet = np.ones(len(stored), np.bool_)
    is_unmet[found] = False
    for name, bars_ms in opinions.items():
        rows = np.flatnonzero(is_unmet & (stored.pair == pairs[name]))
        is_unmet[rows] = np.isin(stored.ts_ms[rows], bars_ms)
    is_unmet &= np.isin(stored.pair, [pairs[name] for name in opinions])
    inserts = np.flatnonzero(~is_stored)
    versions = np.ones(len(inserts), np.int64)
    if len(inserts) and scope is not None:
        versions += _earlier_versions(db, scope, pairs, pair[inserts], signals.ts_ms[inserts])
    return Difference(signals, inserts, versions, met[differs], stored, found[differs], np.flatnonzero(is_unmet))


class _Keys:
    """Makes one number of a pair and a time: another for each pair and each of the times that it was told of."""

    def __init__(self, *times_ms: Ints) -> None:
        every = np.concatenate(times_ms)
        self._first = int(every.min()) if len(every) else 0
        self._span = int(every.max()) - self._first + 1 if len(every) else 1

    def of(self, pair: Ints, ts_ms: Ints) -> Ints:
        return pair * self._span + (ts_ms - self._first)


def _earlier_versions(
    db: Store, scope: Mapping[str, Any], pairs: Mapping[str, int], insert_pair: Ints, insert_ms: Ints
) -> Ints:
    """Return the newest version that each key had before it was retracted or aged out, or 0.

    A signal that comes back goes on counting from there. Not all revisions of the scope are of keys that are asked for.
    """
    revisions = list(db[SIGNAL_REVISIONS].find(scope, {"pair": 1, "ts": 1, "version": 1}))
    pair = np.array([pairs[document["pair"]] for document in revisions], np.int64)
    ts_ms = np.array([milliseconds(document["ts"]) for document in revisions], np.int64)
    version = np.array([version_of(document) for document in revisions], np.int64)
    keys = _Keys(insert_ms, ts_ms)
    inserts, own = keys.of(insert_pair, insert_ms), keys.of(pair, ts_ms)
    newest = np.zeros(len(inserts), np.int64)
    order = np.argsort(inserts)
    place = np.minimum(np.searchsorted(inserts[order], own), len(inserts) - 1)
    hit = inserts[order[place]] == own
    np.maximum.at(newest, order[place[hit]], version[hit])
    return newest


def _check_symbols(
    signals: SignalColumns, met: npt.NDArray[np.intp], stored: StoredSignals, found: npt.NDArray[np.intp]
) -> None:
    symbols = np.array([label.symbol for label in signals.labels], np.object_)[signals.label[met]]
    theirs = np.array(stored.symbols, np.object_)[stored.group[found]]
    other = np.flatnonzero(symbols != theirs)
    if len(other):
        signal = signals[int(met[other[0]])]
        raise SignalConflictError(
            f"{signal.strategy_id} has a signal for {signal.pair} {signal.timeframe} at {signal.ts.isoformat()} "
            f"from {theirs[other[0]]}, and this export has one from {signal.symbol}. One pair takes signals from "
            "one symbol: use another strategy_id."
        )


def _are_equal(
    signals: SignalColumns, met: npt.NDArray[np.intp], stored: StoredSignals, found: npt.NDArray[np.intp]
) -> npt.NDArray[np.bool_]:
    """Tell which signals have the content of their stored ones."""
    equal: npt.NDArray[np.bool_] = signals.label[met] == stored.label[found]
    equal &= signals.valid_until_ms[met] == stored.valid_until_ms[found]
    for bit, own, theirs in (
        (1, signals.score[met], stored.score[found]),
        (2, signals.weight[met], stored.weight[found]),
    ):
        is_there = (stored.has[found] & bit) > 0
        equal &= np.where(is_there, own == theirs, np.isnan(own))
    return equal


def version_of(document: Mapping[str, Any]) -> int:
    """Return which content of its key a document is; one that another program stored may not say, and is the first."""
    return int(document.get("version") or 1)


def _label(document: Mapping[str, Any]) -> Label | None:
    """Return a stored signal's words, or None where another program put something else there."""
    words = [document.get(name) for name in Label._fields]
    return Label(*words) if all(word is None or isinstance(word, str) for word in words) else None  # type: ignore[arg-type]


def _numbers(group: ShapedRows, name: str, document: Mapping[str, Any]) -> Floats:
    """Return a field as numbers; NaN, which equals nothing, where it is none."""
    column, value = group.column(name), document.get(name)
    if not isinstance(value, int | float):
        return np.full(len(group.rows), np.nan)
    return np.full(len(group.rows), float(value)) if column is None else column.astype(np.float64)


def _ends(group: ShapedRows, document: Mapping[str, Any]) -> Ints:
    column = group.column("valid_until")
    if column is not None and group.shape.holes["valid_until"].bson_type == DATETIME:
        return column.astype(np.int64)
    value = document.get("valid_until")
    end_ms = NO_TIME if value is None else milliseconds(value) if isinstance(value, datetime) else _UNEQUAL
    return np.full(len(group.rows), end_ms)
