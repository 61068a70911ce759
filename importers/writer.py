"""Stores checked bars: inserts what is missing, replaces what changed, leaves what is equal."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from importers.bar_documents import BarLayout, Rows, documents
from importers.bars import OHLCV, Bars, Milliseconds
from importers.stored_bars import difference
from schemas.collections import Store
from schemas.errors import StoreError

# All rows of an insert may be refused as doubles when two writers meet; the errors of more rows than these could
# exceed the 16 MB that a reply may have.
INSERT_ROWS = 20_000
_MOST_ROUNDS = 5
_DUPLICATE_KEY = 11_000

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
        present = np.union1d(bars.open_ms, found.others_ms)
        if dry_run:
            counts = int(found.missing.sum()), int(found.changed.sum())
            return Written(*counts, len(bars) - sum(counts), present)
        new, met_others = _insert(db, layout, rows[found.missing])
        changed += _replace(db, layout, bars.take(found.changed))
        inserted += new
        if not met_others:
            return Written(inserted, changed, len(bars) - inserted - changed, present)
    raise StoreError(
        f"Bars of {bars.symbol} {bars.timeframe} could not be stored: another import writes the same bars. "
        "What was stored is kept. Run it again when the other has ended."
    )


def _insert(db: Store, layout: BarLayout, rows: Rows) -> tuple[int, bool]:
    """Insert rows; return how many, and whether another writer had stored some of them in the meantime."""
    inserted, met_others = 0, False
    for start in range(0, len(rows), INSERT_ROWS):
        part: Any = documents(rows[start : start + INSERT_ROWS])
        try:
            db[layout.collection].insert_many(part, ordered=False)
            inserted += len(part)
        except BulkWriteError as error:
            if not _is_of_doubles_only(error):
                raise
            inserted += error.details["nInserted"]
            met_others = True
    return inserted, met_others


def _is_of_doubles_only(error: BulkWriteError) -> bool:
    details: dict[str, Any] = dict(error.details)
    return not details["writeConcernErrors"] and all(
        found["code"] == _DUPLICATE_KEY for found in details["writeErrors"]
    )


def _replace(db: Store, layout: BarLayout, bars: Bars) -> int:
    if not len(bars):
        return 0
    symbol = str(layout.symbol)
    replacements: list[ReplaceOne[Any]] = []
    for row, open_ms in enumerate(bars.open_ms):
        key = {"symbol": symbol, layout.key_field: layout.key(int(open_ms))}
        values = {name: float(column[row]) for name, column in zip(OHLCV, bars.ohlcv, strict=True)}
        document: dict[str, Any] = {layout.key_field: key[layout.key_field], "symbol": symbol, **values}
        replacements.append(ReplaceOne(key, document))
    result = db[layout.collection].bulk_write(replacements, ordered=False)
    _log.warning(
        "bars_changed",
        symbol=symbol,
        timeframe=str(layout.timeframe),
        count=len(bars),
        first=str(layout.key(int(bars.open_ms[0]))),
        last=str(layout.key(int(bars.open_ms[-1]))),
    )
    return result.modified_count
