"""Keeps the rows that were refused, each with its reason: once, however often the same file is sent."""

import hashlib
from collections.abc import Mapping

import orjson
from pymongo import UpdateOne

from importers.bars import RejectedRow
from schemas.collections import IMPORT_REJECTS, REJECT_KEY, Store
from schemas.documents import ImportReject
from schemas.mongo import server_time
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

_CHUNK_ROWS = 5_000


def write_rejects(
    db: Store, symbol: Symbol, timeframe: Timeframe, source: str, run_id: str, rows: list[RejectedRow]
) -> None:
    """Store refused rows; one that is stored already, with the same content, stays as its first run wrote it."""
    now = server_time(db) if rows else None
    for start in range(0, len(rows), _CHUNK_ROWS):
        updates = []
        for row in rows[start : start + _CHUNK_ROWS]:
            reject = ImportReject(
                symbol=str(symbol),
                timeframe=str(timeframe),
                source=source,
                time=row.time,
                reason=row.reason,
                row=row.row,
                row_digest=_digest(row.row),
                run_id=run_id,
                rejected_at=now,  # type: ignore[arg-type]
            ).to_mongo()
            key = {name: reject.pop(name) for name in REJECT_KEY}
            updates.append(UpdateOne(key, {"$setOnInsert": reject}, upsert=True))
        db[IMPORT_REJECTS].bulk_write(updates, ordered=False)


def read_rejects(db: Store, symbol: str | None, timeframe: str | None, most: int) -> list[ImportReject]:
    """Return refused rows, the newest first: of a symbol and a timeframe where they are given, at most `most`."""
    wanted = {name: value for name, value in (("symbol", symbol), ("timeframe", timeframe)) if value is not None}
    found = db[IMPORT_REJECTS].find(wanted, {"_id": 0}).sort([("rejected_at", -1), ("time", 1)]).limit(most)
    return [ImportReject.model_validate(document) for document in found]


def _digest(row: Mapping[str, str]) -> str:
    return hashlib.sha256(orjson.dumps(row, option=orjson.OPT_SORT_KEYS)).hexdigest()
