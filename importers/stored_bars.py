"""What is stored already: the newest bar, a bar's neighbours, and how given bars differ from the stored ones."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import numpy as np
from bson.objectid import ObjectId
from numpy.typing import NDArray
from pymongo import ASCENDING, DESCENDING

from importers.bar_documents import BarLayout, decoded
from importers.bars import OHLCV, Bars, Milliseconds
from schemas.collections import Store
from schemas.raw_find import documents_of, read_replies
from schemas.raw_reply import RawReply
from schemas.raw_shape import Rows, equal_bytes
from schemas.raw_write import ID_PLACE, WITH_ID

PART_BARS = 50_000
_READERS = 4


@dataclass(frozen=True, slots=True)
class Difference:
    """How given bars differ from the stored ones, as masks over the given, and what else is stored in their range.

    Attributes
    ----------
    missing, changed : bool array, shape (n,)
    ids : uint8 array, shape (n, 12)
        The ObjectId of each changed bar's document; zeros where its `_id` is of another kind.
    others_ms : int64 array
        The opens of further bars from the first to the last of the given.
    """

    missing: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    ids: Rows
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
    A stored document whose bytes equal the row is that bar, unchanged. Those that differ are compared by value, and
    decoded where they have another shape (integers, another order of fields). A long stretch is read in parts, several
    at once: the server copies one while another is compared here.
    """
    starts = range(0, len(bars), PART_BARS)
    ends = [*(int(bars.open_ms[start]) - 1 for start in starts[1:]), int(bars.open_ms[-1])]

    def part(start: int, end_ms: int) -> Difference:
        own = slice(start, start + PART_BARS)
        return _part_difference(db, layout, bars.take(own), rows[own], end_ms)

    if len(starts) == 1:
        return part(0, ends[0])
    with ThreadPoolExecutor(_READERS) as readers:
        # Each in the context of the caller, which may limit the time.
        tasks = [readers.submit(copy_context().run, part, start, end) for start, end in zip(starts, ends, strict=True)]
        parts = [task.result() for task in tasks]
    return Difference(
        np.concatenate([part.missing for part in parts]),
        np.concatenate([part.changed for part in parts]),
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.others_ms for part in parts]),
    )


def _part_difference(db: Store, layout: BarLayout, bars: Bars, rows: Rows, end_ms: int) -> Difference:
    found = _Found(layout, bars, rows)
    query = layout.range_filter(int(bars.open_ms[0]), end_ms)
    for reply in read_replies(db, layout.collection, query, {"symbol": ASCENDING, layout.key_field: ASCENDING}):
        views = _rows_of(reply, layout.stored_shape.width)
        if views is None:
            for document in documents_of(reply):
                found.add_document(document)
            continue
        for view in views:
            found.add_rows(view)
    others = np.unique(np.array(found.others_ms, np.int64))
    return Difference(~found.stored, found.changed, found.ids, others)


def _rows_of(reply: RawReply, width: int) -> list[Rows] | None:
    """Return the documents as views of shape (n, width), or None where they are not all of that length."""
    runs = reply.runs()
    if runs is None or any((run.view(reply.data, 0, "<i4") != width).any() for run in runs):
        return None
    return [np.ndarray((run.count, width), np.uint8, reply.data, run.offset, (run.stride, 1)) for run in runs]


class _Found:
    """Collects what of the given bars was met in the store."""

    def __init__(self, layout: BarLayout, bars: Bars, rows: Rows) -> None:
        self._layout, self._bars, self._rows = layout, bars, rows
        self._shape = layout.stored_shape
        self._head: Rows = np.frombuffer(self._shape.template[:ID_PLACE], np.uint8).reshape(1, -1)
        self.stored = np.zeros(len(bars), np.bool_)
        self.changed = np.zeros(len(bars), np.bool_)
        self.ids: Rows = np.zeros((len(bars), 12), np.uint8)
        self.others_ms: list[int] = []

    def add_rows(self, view: Rows) -> None:
        """Take documents that have the length of a stored bar."""
        opens_ms = self._layout.opens_ms(view)
        position = np.minimum(np.searchsorted(self._bars.open_ms, opens_ms), len(self._bars) - 1)
        equal = equal_bytes(view[:, WITH_ID + 4 :], self._given(position)[:, 4:])
        equal &= equal_bytes(view[:, :ID_PLACE], self._head)
        self.stored[position[equal]] = True
        left = np.flatnonzero(~equal)
        fitting = self._shape.fits(view[left]) & (opens_ms[left] >= 0)
        for row in left[~fitting]:
            self.add_document(decoded(view[row]))
        self._add_differing(view[left[fitting]], opens_ms[left[fitting]], position[left[fitting]])

    def _given(self, position: NDArray[np.intp]) -> Rows:
        """Return the given rows at some positions, uncopied where these follow each other."""
        first, last = int(position[0]), int(position[-1])
        if last - first + 1 == len(position) and bool((np.diff(position) == 1).all()):
            return self._rows[first : last + 1]
        return self._rows[position]

    def _add_differing(self, view: Rows, opens_ms: Milliseconds, position: NDArray[np.intp]) -> None:
        """Take stored bars of our shape whose bytes are not those of the given bar at their place."""
        is_given = self._bars.open_ms[position] == opens_ms
        self.others_ms += opens_ms[~is_given].tolist()
        view, position = view[is_given], position[is_given]
        same = np.ones(len(view), np.bool_)
        for name, column in zip(OHLCV, self._bars.ohlcv, strict=True):
            same &= self._shape.column(view, name) == column[position]  # 0.0 and -0.0 differ in bytes only
        self.stored[position] = True
        self.changed[position] = ~same
        self.ids[position] = self._shape.column(view, "_id").view(np.uint8).reshape(-1, 12)

    def add_document(self, document: dict[str, Any]) -> None:
        """Take a document of any shape."""
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
            isinstance(value, int | float) and not isinstance(value, bool) and value == column[position]
            for value, column in zip(values, self._bars.ohlcv, strict=True)
        )
        self.changed[position] = not same
        if isinstance(document["_id"], ObjectId):
            self.ids[position] = np.frombuffer(document["_id"].binary, np.uint8)


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
