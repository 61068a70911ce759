"""Reads a stretch of one symbol's bars from MongoDB into columns: the one place in research that knows how they lie.

Each find asks for one reply and says where to go on itself, so no cursor is left open at a server, any member of a
replica set or any router of a cluster may answer the next one, and one that failed can be asked again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import stamina
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from numpy.typing import NDArray
from pymongo import ReadPreference
from pymongo.errors import AutoReconnect, OperationFailure, ServerSelectionTimeoutError

from research.stored.raw_columns import DATETIME_MS, DOUBLE, TEXT_OF_8, Cell, Column, reply_columns, reply_documents
from schemas.collections import DAY_BARS, MINUTE_BARS, Store
from schemas.errors import StoreError

OPENS = "datetime"
BAR_FIELDS = ("open", "high", "low", "close", "volume")
BAR_BYTES = 8 * (1 + len(BAR_FIELDS))  # of its open and its fields, as columns
DAY_MS = 86_400_000
_RAW = CodecOptions(document_class=RawBSONDocument)
_REPLY_ROWS = 1_000_000  # more than fit in the 16 MB at which the server cuts a reply
_COMMITTED_WITHIN_MS = 5_000  # a month of bars takes a tenth of a second, its majority's commit less
_LAST_DAY = int(np.datetime64("9999-12-31").astype(np.int64))


@dataclass(frozen=True, slots=True)
class StoredBars:
    """How the bars of one timeframe are stored.

    Attributes
    ----------
    collection, time_field : str
        Where they lie, and the field that holds a bar's open.
    cell : Cell
        The form of that field.
    step_ms : int
        Length of a bar, ms.
    bound : callable
        Turns a time in ms into the least value of the time field that is not before it.
    opens : callable
        Turns a column of the time field into ms; raises ValueError with what it found where that is no time.
    """

    collection: str
    time_field: str
    cell: Cell
    step_ms: int
    bound: Callable[[int], object]
    opens: Callable[[Column], NDArray[np.int64]]


def _day_text(time_ms: int) -> str:
    day = min(-(-time_ms // DAY_MS), _LAST_DAY)
    return str(np.datetime64(day, "D")).replace("-", "")


def _day_opens(dates: Column) -> NDArray[np.int64]:
    """Return the ms at which days such as b'20220101' open."""
    digits = np.ascontiguousarray(dates).view(np.uint8).reshape(-1, 8).astype(np.int64) - ord("0")
    year, month, day = digits[:, :4] @ [1000, 100, 10, 1], digits[:, 4:6] @ [10, 1], digits[:, 6:] @ [10, 1]
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    real = (digits >= 0).all(axis=1) & (digits <= 9).all(axis=1) & (month >= 1) & (month <= 12)
    wrong = np.flatnonzero(~(real & (day >= 1) & (days.astype("datetime64[M]") == months)))
    if wrong.size:
        raise ValueError(repr(dates[wrong[0]].decode(errors="replace")))
    return days.astype(np.int64) * DAY_MS


MINUTES = StoredBars(MINUTE_BARS, "datetime", DATETIME_MS, 60_000, DatetimeMS, lambda column: column.astype(np.int64))
DAYS = StoredBars(DAY_BARS, "date", TEXT_OF_8, DAY_MS, _day_text, _day_opens)


def read_stretch(
    db: Store,
    stored: StoredBars,
    symbol: str,
    start_ms: int,
    end_ms: int,
    fields: Sequence[str],
    *,
    committed_after: Timestamp | None = None,
) -> dict[str, Column]:
    """Return a symbol's bars whose open lies in [start_ms, end_ms), as columns in ascending order of time.

    With `committed_after`, an operation of the primary's oplog, they are read from the primary as the majority has
    committed them, no earlier than that operation; else as the database's own read preference and concern say.
    A majority that does not commit ends that in pymongo's `ExecutionTimeout`.

    Returns
    -------
    dict of str to array
        `datetime`, the opens in ms as int64, and each of the fields as float64, NaN where a document lacks it.

    Raises
    ------
    StoreError
        Where a stored value is no number or no time, a bar is stored twice, or the collection's index is missing.
    """
    parts = []
    while start_ms < end_ms:
        command = find_command(stored, symbol, start_ms, end_ms, fields)
        if committed_after is not None:
            command["readConcern"] = {"level": "majority", "afterClusterTime": committed_after}
            command["maxTimeMS"] = _COMMITTED_WITHIN_MS
        columns = _columns(_reply(db, command), stored, symbol, fields)
        if not columns[OPENS].size:
            break
        parts.append(columns)
        start_ms = int(columns[OPENS][-1]) + 1
    return joined(parts, fields)


def joined(parts: list[dict[str, Column]], fields: Sequence[str]) -> dict[str, Column]:
    """Return the parts one after the other, and empty them column by column, so that nothing is held twice for long."""
    types = {OPENS: "<i8", **dict.fromkeys(fields, "<f8")}
    return {
        name: np.concatenate([np.empty(0, dtype), *(part.pop(name) for part in parts)]) for name, dtype in types.items()
    }


def first_and_last(db: Store, stored: StoredBars, symbol: str, start_ms: int, end_ms: int) -> tuple[int, int] | None:
    """Return the first and the last open in [start_ms, end_ms) in ms, or None where the symbol has no bar there."""
    ends = []
    for order in (1, -1):
        command = find_command(stored, symbol, start_ms, end_ms, (), order)
        opens = _columns(_reply(db, command | {"batchSize": 1}), stored, symbol, ())[OPENS]
        if not opens.size:
            return None
        ends.append(int(opens[0]))
    return ends[0], ends[1]


def find_command(
    stored: StoredBars, symbol: str, start_ms: int, end_ms: int, fields: Sequence[str], order: int = 1
) -> dict[str, Any]:
    """Return the command that reads bars along the unique index: a scan of exactly the bars asked for, no sort."""
    return {
        "find": stored.collection,
        "filter": {
            "symbol": symbol,
            stored.time_field: {"$gte": stored.bound(start_ms), "$lt": stored.bound(end_ms)},
        },
        "projection": {"_id": 0, stored.time_field: 1, **dict.fromkeys(fields, 1)},
        "sort": {"symbol": order, stored.time_field: order},
        "hint": {"symbol": 1, stored.time_field: 1},
        "batchSize": _REPLY_ROWS,
        "singleBatch": True,
    }


def _is_worth_asking_again(error: Exception) -> bool:
    return isinstance(error, AutoReconnect) and not isinstance(error, ServerSelectionTimeoutError)


@stamina.retry(on=_is_worth_asking_again, attempts=3, wait_initial=0.1)
def _reply(db: Store, command: dict[str, Any]) -> bytes:
    preference = ReadPreference.PRIMARY if "readConcern" in command else db.read_preference
    if db.read_concern.document:  # a command as such leaves out what the driver adds to its own finds
        command = {**command, "readConcern": command.get("readConcern", db.read_concern.document)}
    try:
        answer: Any = db.command(command, codec_options=_RAW, read_preference=preference)
    except OperationFailure as error:
        if "hint" not in str(error):
            raise
        index = ", ".join(command["hint"])
        raise StoreError(
            f"{command['find']} of the database {db.name} has no index on {index}, along which bars are read. "
            "Make it with `quantflow db init`."
        ) from None
    return bytes(answer.raw)


def _columns(reply: bytes, stored: StoredBars, symbol: str, fields: Sequence[str]) -> dict[str, Column]:
    columns = reply_columns(reply, {stored.time_field: stored.cell, **dict.fromkeys(fields, DOUBLE)})
    if columns is None:
        columns = _decoded(reply_documents(reply), stored, symbol, fields)
    try:
        opens = stored.opens(columns.pop(stored.time_field))
    except ValueError as error:
        raise StoreError(
            f"A bar of {symbol} in {stored.collection} has {stored.time_field} {error}, which is no day such as "
            "20220131. Correct or delete it, and read again."
        ) from None
    if (opens[1:] == opens[:-1]).any():
        double = opens[:-1][opens[1:] == opens[:-1]][0]
        raise StoreError(
            f"{stored.collection} holds the bar of {symbol} at {_iso(int(double))} twice, so its index on symbol, "
            f"{stored.time_field} is not unique. Delete one of them and run `quantflow db init`."
        )
    return {OPENS: opens, **columns}


def _decoded(
    documents: list[dict[str, Any]], stored: StoredBars, symbol: str, fields: Sequence[str]
) -> dict[str, Column]:
    """Return the columns of documents of any shape; a field that is not there, or is null, is NaN."""
    columns: dict[str, Column] = {
        field: np.array([_number(document, field, stored, symbol) for document in documents], np.float64)
        for field in fields
    }
    times = [document[stored.time_field] for document in documents]
    if stored.cell is DATETIME_MS:
        odd = next((place for place, time in enumerate(times) if not isinstance(time, DatetimeMS)), None)
        if odd is not None:  # a list of times, which a query matches by each of them
            raise _wrong(documents[odd], stored.time_field, "one time", stored, symbol)
        columns[stored.time_field] = np.array([int(time) for time in times], np.int64)
    else:
        # Whatever is not 8 bytes becomes 8 bytes that are no day, so that one check finds all.
        texts = [str(time).encode() for time in times]
        columns[stored.time_field] = np.array([text if len(text) == 8 else text[:7].ljust(8, b"?") for text in texts])
    return columns


def _number(document: Mapping[str, Any], field: str, stored: StoredBars, symbol: str) -> float:
    value = document.get(field)
    if value is None:
        return float("nan")
    if isinstance(value, Decimal128) and not (decimal := value.to_decimal()).is_snan():  # one that no float can be
        return float(decimal)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise _wrong(document, field, "a number", stored, symbol)


def _wrong(document: Mapping[str, Any], field: str, needed: str, stored: StoredBars, symbol: str) -> StoreError:
    time, value = document[stored.time_field], document[field]
    return StoreError(
        f"The bar of {symbol} at {_iso(int(time)) if isinstance(time, DatetimeMS) else time} in {stored.collection} "
        f"has {field} = {value!r:.60}; {needed} was needed. Delete it and import it again."
    )


def _iso(time_ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)).isoformat()
