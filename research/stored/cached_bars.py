"""Reads bars through copies on the local disk, as far as these are proven to be what MongoDB holds now."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import structlog
from bson.timestamp import Timestamp
from pymongo.errors import PyMongoError

from research.stored.bars_copy import (
    BarsCopies,
    DamagedCopyError,
    Moment,
    MonthCopy,
    Record,
    SymbolCopy,
    month_bounds,
    month_of,
)
from research.stored.freshness import NoProofError, changes, collection_id, is_past_of, present
from research.stored.raw_columns import Column
from research.stored.stored_bars import BAR_BYTES, BAR_FIELDS, OPENS, StoredBars, first_and_last, read_stretch
from schemas.collections import Store
from schemas.errors import StoreError

_TAIL_BARS = 1_440  # so many bars after a copy are read beside it, before the copy is made anew

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch [start, end) of one symbol's bars that lies in one month.

    Attributes
    ----------
    copy : MonthCopy or None
        The copy that holds it.
    makes_copy : bool
        Whether the whole month up to `end_ms` is to be read and copied.
    """

    symbol: str
    month: str
    start_ms: int
    end_ms: int
    copy: MonthCopy | None = None
    makes_copy: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of a piece: in `columns`, or else rows `first` to `last` of its copy."""

    piece: _Piece
    first: int
    last: int
    columns: Mapping[str, Column] | None = None
    made: MonthCopy | None = None

    @property
    def rows(self) -> int:
        return self.last - self.first


@dataclass(frozen=True, slots=True)
class _Proven:
    """What is proven of the copies: the months of each symbol that are right, as of when, and where they lie."""

    places: Mapping[str, SymbolCopy]
    records: Mapping[str, Record]
    months: Mapping[str, dict[str, MonthCopy]]
    token: Mapping[str, Any]
    moment: Moment
    after: Timestamp


def read_through_copies(
    db: Store,
    copies: BarsCopies,
    stored: StoredBars,
    symbols: Sequence[str],
    stretch: tuple[int, int],
    fields: Sequence[str],
    pool: ThreadPoolExecutor,
) -> tuple[dict[str, Column], dict[str, int]] | None:
    """Return the bars of some symbols, and copy what was not copied yet.

    Parameters
    ----------
    db, copies, stored
        The database, the folder of copies, and how the bars are stored.
    symbols : sequence of str
    stretch : tuple of int
        Start, included, and end, excluded, of the opens, in ms.
    fields : sequence of str
    pool : ThreadPoolExecutor
        Threads to read in.

    Returns
    -------
    tuple, or None
        The columns, `datetime` in ms and the fields as float64, symbol after symbol in ascending order of time; and
        each symbol's number of bars. None: there is no proof, a copy is damaged, the copies would take more than their
        limit, or a month holds what is no bar: the bars have to be read plainly.
    """
    try:
        proven = _proven(db, copies, stored, symbols)
        cut = pool.map(lambda symbol: _pieces(db, stored, proven, symbol, *stretch), symbols)
        pieces = list(chain.from_iterable(cut))
        if sum(piece.end_ms - piece.start_ms for piece in pieces) // stored.step_ms * BAR_BYTES > copies.limit_bytes:
            copies.make_room()  # the limit may have been lowered
            _say_once("QUANTFLOW_BARS_CACHE_MB allows less than one read takes")
            return None
        parts = list(pool.map(lambda piece: _part(db, stored, proven, piece), pieces))
        columns = _columns(proven, parts, fields, pool)
        _keep(db, copies, stored, proven, parts)
    except DamagedCopyError as error:
        _forget(proven, error)
    except PyMongoError as error:
        # Its sentence holds times and sessions, so it is another one each time.
        answer = getattr(error, "details", None) or {}
        _say_once(f"MongoDB failed with {answer.get('codeName', type(error).__name__)}")
    except (NoProofError, StoreError) as error:
        _say_once(str(error))  # what is the user's to cure the plain way meets too, and says what to do
    else:
        counts = dict.fromkeys(symbols, 0)
        for part in parts:
            counts[part.piece.symbol] += part.rows
        return columns, counts
    return None


def _forget(proven: _Proven, error: DamagedCopyError) -> None:
    """Let nobody use copies that are damaged; but where another process has replaced them, they only went away."""
    unchanged = {
        symbol: place for symbol, place in proven.places.items() if place.record() == proven.records.get(symbol)
    }
    if any(place.folder == error.folder for place in unchanged.values()):
        log.warning("bars_copy_damaged", detail=str(error))
        for place in unchanged.values():
            place.forget()


@lru_cache(maxsize=64)
def _say_once(reason: str) -> None:
    log.info("bars_copy_not_used", reason=reason)


def _proven(db: Store, copies: BarsCopies, stored: StoredBars, symbols: Sequence[str]) -> _Proven:
    """Find out which copies are right as of now."""
    now = present(db)
    identity = collection_id(db, stored.collection)
    places = {symbol: copies.symbol_copy(identity, symbol) for symbol in symbols}
    records = {symbol: record for symbol, place in places.items() if (record := place.record())}
    is_known = {moment: is_past_of(db, moment, now.moment) for moment in {record.moment for record in records.values()}}
    months: dict[str, dict[str, MonthCopy]] = {symbol: {} for symbol in symbols}
    tokens: dict[str, Mapping[str, Any]] = {}
    by_token: dict[str, list[str]] = {}
    for symbol, record in records.items():
        if is_known[record.moment] and record.months:
            tokens[repr(record.token)] = record.token
            by_token.setdefault(repr(record.token), []).append(symbol)
    # What the first look gives lies before what later looks give, so it holds for all.
    token, after = None, now.newest
    for key, group in by_token.items():
        watched = {symbol: max(copy.until_ms for copy in records[symbol].months.values()) for symbol in group}
        told = changes(db, stored, tokens[key], after, watched)
        token, after = token or told.token, told.after
        if not told.is_all:
            months |= {symbol: dict(records[symbol].months) for symbol in group}
        for symbol, open_ms in told.inserted:
            copy = months[symbol].get(month_of(open_ms))
            if copy and open_ms < copy.until_ms:
                del months[symbol][month_of(open_ms)]
    if token is None:
        told = changes(db, stored, None, after, {})
        token, after = told.token, told.after
    return _Proven(places, records, months, token, now.moment, after)


def _pieces(db: Store, stored: StoredBars, proven: _Proven, symbol: str, start_ms: int, end_ms: int) -> list[_Piece]:
    """Cut a stretch of a symbol by months, and say of each whether its copy serves."""
    known, place = proven.months[symbol], proven.places[symbol]
    serves = {
        month: copy
        for month, copy in known.items()
        if month_bounds(month)[0] < end_ms and month_bounds(month)[1] > start_ms and place.has_month(month, copy)
    }
    if any(month not in serves or serves[month].until_ms < end for month, _, end in _by_month(start_ms, end_ms)):
        ends = first_and_last(db, stored, symbol, start_ms, end_ms)
        if ends is None:
            return []
        start_ms, end_ms = ends[0], min(end_ms, ends[1] + stored.step_ms)
    pieces = []
    for month, start, end in _by_month(start_ms, end_ms):
        piece = _Piece(symbol, month, start, end, serves.get(month))
        if piece.copy is None or end - piece.copy.until_ms > _TAIL_BARS * stored.step_ms:
            pieces.append(replace(piece, copy=None, makes_copy=True))
        elif end <= piece.copy.until_ms:
            pieces.append(piece)
        else:
            until = piece.copy.until_ms
            pieces += [replace(piece, end_ms=max(start, until)), replace(piece, start_ms=max(start, until), copy=None)]
    return pieces


def _by_month(start_ms: int, end_ms: int) -> Iterator[tuple[str, int, int]]:
    """Yield the months of a stretch, each with the part of the stretch that lies in it."""
    while start_ms < end_ms:
        month = month_of(start_ms)
        month_end = month_bounds(month)[1]
        yield month, start_ms, min(end_ms, month_end)
        start_ms = month_end


def _part(db: Store, stored: StoredBars, proven: _Proven, piece: _Piece) -> _Part:
    """Read what a piece needs from MongoDB, and find its rows."""
    place = proven.places[piece.symbol]
    if piece.copy:
        if piece.start_ms == month_bounds(piece.month)[0] and piece.end_ms >= piece.copy.until_ms:
            return _Part(piece, 0, piece.copy.rows)
        opens = np.empty(piece.copy.rows, np.int64)
        place.read_month(piece.month, piece.copy, {OPENS: opens})
        return _Part(piece, *_rows(opens, piece))
    if not piece.makes_copy:
        columns = read_stretch(db, stored, piece.symbol, piece.start_ms, piece.end_ms, BAR_FIELDS)
        return _Part(piece, 0, columns[OPENS].size, columns)
    begin = month_bounds(piece.month)[0]
    columns = read_stretch(db, stored, piece.symbol, begin, piece.end_ms, BAR_FIELDS, committed_after=proven.after)
    try:
        made = place.write_month(piece.month, piece.end_ms, columns)
    except OSError as error:
        _warn_once(f"{place.folder} can not be written: {error.strerror}")
        made = None
    return _Part(piece, *_rows(columns[OPENS], piece), columns, made)


@lru_cache(maxsize=64)
def _warn_once(reason: str) -> None:
    log.warning("bars_copy_not_written", reason=reason)


def _rows(opens: Column, piece: _Piece) -> tuple[int, int]:
    first, last = np.searchsorted(opens, [piece.start_ms, piece.end_ms])
    return int(first), int(last)


def _columns(
    proven: _Proven, parts: Sequence[_Part], fields: Sequence[str], pool: ThreadPoolExecutor
) -> dict[str, Column]:
    """Return the parts' rows one after the other; those of whole copies go from the file to their place."""
    total = sum(part.rows for part in parts)
    # One block, as the kernel gives a large one in large pages, which takes a tenth of the time.
    block = np.empty((1 + len(fields), total))
    columns: dict[str, Column] = {OPENS: block[0].view(np.int64), **dict(zip(fields, block[1:], strict=True))}

    def lay(part: _Part, row: int) -> None:
        targets = {name: column[row : row + part.rows] for name, column in columns.items()}
        piece, found = part.piece, part.columns
        if piece.copy and part.rows == piece.copy.rows:
            proven.places[piece.symbol].read_month(piece.month, piece.copy, targets)
            return
        if piece.copy:
            found = {name: np.empty(piece.copy.rows, column.dtype) for name, column in columns.items()}
            proven.places[piece.symbol].read_month(piece.month, piece.copy, found)
        for name, target in targets.items():
            target[:] = found[name][part.first : part.last]  # type: ignore[index]

    starts = np.cumsum([0, *(part.rows for part in parts)]).tolist()
    list(pool.map(lay, parts, starts[:-1]))
    return columns


def _keep(db: Store, copies: BarsCopies, stored: StoredBars, proven: _Proven, parts: Sequence[_Part]) -> None:
    """Note as of when the copies are right, with those that were made now."""
    made = [part for part in parts if part.made]
    for part in made:
        proven.months[part.piece.symbol][part.piece.month] = part.made  # type: ignore[assignment]
    # What was copied may hold writes that came after the token; the history has to hold them too.
    moment = present(db).moment if made else proven.moment
    try:
        for symbol, months in proven.months.items():
            record = Record(proven.token, moment, f"{db.name}.{stored.collection}", months)
            if record == proven.records.get(symbol):
                proven.places[symbol].note_use()
            elif months:
                proven.places[symbol].write_record(record)
        if made:
            copies.make_room()
    except OSError as error:
        _warn_once(f"{copies.folder} can not be written: {error.strerror}")
