"""Stores checked bars: inserts what is missing, replaces what changed, leaves what is equal."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from pymongo.errors import BulkWriteError

from importers.bar_documents import BarLayout, decoded
from importers.bars import Bars, Milliseconds
from importers.stored_bars import Difference, difference
from schemas.collections import Store
from schemas.errors import StoreError
from schemas.raw_shape import Rows
from schemas.raw_write import DUPLICATE_KEY, insert_rows, replace_rows

# All rows of a command may be refused, as doubles when two writers meet; the errors of more rows than these could
# exceed the 16 MB that a reply may have.
INSERT_ROWS = 20_000
_MOST_ROUNDS = 5

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Written:
    """What became of given bars, and all opens that are stored now from the first to the last of them."""

    inserted: int
    changed: int
    unchanged: int
    present_ms: Milliseconds


def write_bars(db: Store, bars: Bars, dry_run: bool = False) -> Written:
    """Store bars, each once, and return the counts.

    Parameters
    ----------
    db : Database
    bars : Bars
        Checked: ascending, each time once.
    dry_run : bool
        Count what would be done, and write nothing.

    Raises
    ------
    StoreError
        Where other writers keep storing the same bars with other values.
    PyMongoError
        Where the server fails; bars that it has acknowledged stay stored.
    """
    if not len(bars):
        return Written(0, 0, 0, np.empty(0, np.int64))
    layout = BarLayout(bars.symbol, bars.timeframe)
    rows = layout.rows(bars)
    inserted = changed = 0
    for _ in range(_MOST_ROUNDS):
        found = difference(db, layout, bars, rows)
        present = np.sort(np.concatenate([bars.open_ms, found.others_ms]), kind="stable")
        if dry_run:
            counts = int(found.missing.sum()), int(found.changed.sum())
            return Written(*counts, len(bars) - sum(counts), present)
        new, met_others = _insert(db, layout, rows[found.missing])
        replaced, lost_some = _replace(db, layout, bars, rows, found)
        inserted, changed = inserted + new, changed + replaced
        if not (met_others or lost_some):
            return Written(inserted, changed, len(bars) - inserted - changed, present)
    raise StoreError(
        f"Bars of {bars.symbol} {bars.timeframe} could not be stored: another import writes the same bars. "
        "What was stored is kept. Run it again when the other has ended."
    )


def _insert(db: Store, layout: BarLayout, rows: Rows) -> tuple[int, bool]:
    """Insert rows; return how many, and whether another writer had stored some of them in the meantime."""
    inserted, met_others = 0, False
    for start in range(0, len(rows), INSERT_ROWS):
        try:
            inserted += insert_rows(db, layout.collection, [rows[start : start + INSERT_ROWS]])
        except BulkWriteError as error:
            if not _is_of_doubles_only(error):
                raise
            inserted += error.details["nInserted"]
            met_others = True
    return inserted, met_others


def _is_of_doubles_only(error: BulkWriteError) -> bool:
    details: dict[str, Any] = dict(error.details)
    return not details["writeConcernErrors"] and all(found["code"] == DUPLICATE_KEY for found in details["writeErrors"])


def _replace(db: Store, layout: BarLayout, bars: Bars, rows: Rows, found: Difference) -> tuple[int, bool]:
    """Replace the changed bars; return how many, and whether some had been deleted in the meantime."""
    changed = np.flatnonzero(found.changed)
    if not len(changed):
        return 0, False
    by_id = changed[found.ids[changed].any(axis=1)]
    reached = 0
    for start in range(0, len(by_id), INSERT_ROWS):
        part = by_id[start : start + INSERT_ROWS]
        reached += replace_rows(db, layout.collection, found.ids[part], rows[part])
    for row in np.setdiff1d(changed, by_id):  # whose `_id` another program made, and is no ObjectId
        key = {"symbol": str(layout.symbol), layout.key_field: layout.key(int(bars.open_ms[row]))}
        reached += db[layout.collection].replace_one(key, decoded(rows[row])).matched_count
    _log.warning(
        "bars_changed",
        symbol=str(layout.symbol),
        timeframe=str(layout.timeframe),
        count=len(changed),
        first=str(layout.key(int(bars.open_ms[changed[0]]))),
        last=str(layout.key(int(bars.open_ms[changed[-1]]))),
    )
    return reached, reached < len(changed)
