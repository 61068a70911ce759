"""What is stored already: the newest bar, a bar's neighbours, and how given bars differ from the stored ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymongo import ASCENDING, DESCENDING

from importers.bar_documents import BarLayout, Rows, decoded
from importers.bars import OHLCV, Bars, Milliseconds
from importers.raw_replies import documents_of, read_replies, rows_of
from schemas.collections import Store


@dataclass(frozen=True, slots=True)
class Difference:
    """How given bars differ from the stored ones, as masks over the given, and what else is stored in their range."""

    missing: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    others_ms: Milliseconds


def difference(db: Store, layout: BarLayout, bars: Bars, rows: Rows) -> Difference:
    """Return which of the given bars are missing from the store and which are stored with other values.

    Parameters
    ----------
    db : Database
    layout : BarLayout
        The layout of the bars' symbol and timeframe.
    bars : Bars
        At least one; ascending, each time once.
    rows : uint8 array, shape (len(bars), layout.width)
        The same bars as `layout.rows` gives them.

    Notes
    -----
    A stored document whose bytes equal the row is that bar, unchanged. Only those that differ are decoded, so that
    documents of another shape (integers, another order of fields) are compared by value.
    """
    found = _Found(layout, bars, rows)
    query = layout.range_filter(int(bars.open_ms[0]), int(bars.open_ms[-1]))
    for reply in read_replies(db, layout.collection, query, {"symbol": ASCENDING, layout.key_field: ASCENDING}):
        views = rows_of(reply, layout.width)
        if views is None:
            for document in documents_of(reply):
                found.add_document(document)
            continue
        for view in views:
            found.add_rows(view)
    others = np.unique(np.array(found.others_ms, np.int64))
    return Difference(~found.stored, found.changed, others)


class _Found:
    """Collects what of the given bars was met in the store."""

    def __init__(self, layout: BarLayout, bars: Bars, rows: Rows) -> None:
        self._layout, self._bars, self._rows = layout, bars, rows
        keys = _key_words(rows, layout)
        # Daily keys are text, whose bytes read as a number are not ascending: any order serves to find them again.
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self.stored = np.zeros(len(bars), np.bool_)
        self.changed = np.zeros(len(bars), np.bool_)
        self.others_ms: list[int] = []

    def add_rows(self, view: Rows) -> None:
        keys = _key_words(view, self._layout)
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        position = self._order[place]
        equal = (view == self._rows[position]).all(axis=1)
        self.stored[position[equal]] = True
        for row in np.flatnonzero(~equal):
            self.add_document(decoded(view[row]))

    def add_document(self, document: dict[str, Any]) -> None:
        open_ms = self._layout.open_ms(document.get(self._layout.key_field))
        if open_ms is None:
            return
        position = int(np.searchsorted(self._bars.open_ms, open_ms))
        if position == len(self._bars) or self._bars.open_ms[position] != open_ms:
            self.others_ms.append(open_ms)
            return
        self.stored[position] = True
        values = [document.get(name) for name in OHLCV]
        same = all(
            isinstance(value, int | float) and value == column[position]
            for value, column in zip(values, self._bars.ohlcv, strict=True)
        )
        self.changed[position] = not same


def _key_words(rows: Rows, layout: BarLayout) -> Milliseconds:
    hole = rows[:, layout.key_hole : layout.key_hole + 8]
    words: Milliseconds = np.ascontiguousarray(hole).view("<i8").reshape(-1)
    return words


def first_open_ms(db: Store, layout: BarLayout) -> int | None:
    """Return the open of the oldest stored bar, or None where none is stored."""
    return _edge(db, layout, {}, ASCENDING)


def last_open_ms(db: Store, layout: BarLayout, skip: int = 0) -> int | None:
    """Return the open of the newest stored bar, or of the one `skip` bars before it, or None where there is none."""
    return _edge(db, layout, {}, DESCENDING, skip)


def previous_open_ms(db: Store, layout: BarLayout, open_ms: int) -> int | None:
    """Return the open of the last stored bar before `open_ms`, or None."""
    return _edge(db, layout, {layout.key_field: {"$lt": layout.key(open_ms)}}, DESCENDING)


def next_open_ms(db: Store, layout: BarLayout, open_ms: int) -> int | None:
    """Return the open of the first stored bar after `open_ms`, or None."""
    return _edge(db, layout, {layout.key_field: {"$gt": layout.key(open_ms)}}, ASCENDING)


def stored_opens_ms(db: Store, layout: BarLayout, first_ms: int, last_ms: int) -> Milliseconds:
    """Return the opens of the stored bars from `first_ms` to `last_ms`, both included, ascending."""
    found = db[layout.collection].find(
        layout.range_filter(first_ms, last_ms),
        {"_id": 0, layout.key_field: 1},
        sort=[("symbol", ASCENDING), (layout.key_field, ASCENDING)],
    )
    opens = (layout.open_ms(document.get(layout.key_field)) for document in found)
    return np.array([open_ms for open_ms in opens if open_ms is not None], np.int64)


def _edge(db: Store, layout: BarLayout, query: dict[str, Any], direction: int, skip: int = 0) -> int | None:
    document = db[layout.collection].find_one(
        {"symbol": str(layout.symbol), **query},
        {"_id": 0, layout.key_field: 1},
        sort=[("symbol", direction), (layout.key_field, direction)],
        skip=skip,
    )
    return None if document is None else layout.open_ms(document[layout.key_field])
