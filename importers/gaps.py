"""Records where bars are missing: a gap is open, absent at the venue, or filled; nobody invents bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from pymongo import ASCENDING, DeleteOne, ReplaceOne

from importers.bar_documents import BarLayout
from importers.bars import Milliseconds
from importers.stored_bars import next_open_ms, previous_open_ms, stored_opens_ms
from schemas.collections import BAR_GAPS, Store
from schemas.documents import BarGap, GapState
from schemas.mongo import server_time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATES: tuple[GapState, ...] = get_args(GapState)
_NO_GAP = -1
_OPEN, _FILLED, _ABSENT = (_STATES.index(state) for state in ("open", "filled", "absent"))

States = NDArray[np.int8]
Recorded = tuple[int, int, int]  # a stored gap: its first open, its end (not included), its state


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a stretch after bars of it were written.

    Attributes
    ----------
    present_ms : int64 array
        All opens stored from the first to the last of these, ascending.
    asked_ms : (int, int) or None
        First and last open of the stretch that the venue was asked for.
    refused_ms : int64 array
        Opens for which the venue had a bar that was refused: missing, but not absent at the venue.
    """

    present_ms: Milliseconds
    asked_ms: tuple[int, int] | None
    refused_ms: Milliseconds


def record_gaps(db: Store, layout: BarLayout, seen: Seen) -> None:
    """Bring `bar_gaps` up to date over a stretch and over the joins to the bars stored before and after it.

    A missing bar is `absent` where the venue was asked for it and had none, else `open`; what was once found absent
    stays so. Bars that came later turn their part of a gap to `filled`, so that a gap filled in part becomes several.
    """
    step = layout.timeframe.seconds * 1000
    present = _present(db, layout, seen)
    stretch = _stretch(db, layout, present, seen.asked_ms)
    if stretch is None:
        return
    stored = _overlapping(db, layout, *stretch)
    runs = _runs(present, step)
    is_whole = len(runs) == 1 and (runs[0] == (stretch[0], stretch[1] + step)).all()
    if is_whole and not stored:
        return
    recorded = [(_ms(gap["start"]), _ms(gap["end"]) + step, _STATES.index(gap["state"])) for gap in stored]
    pieces = _pieces(stretch, step, runs, recorded, seen)
    states = _states_after(pieces, stretch, runs, recorded, seen)
    _write(db, layout, stored, _documents(layout, pieces, states, server_time(db)))


def _present(db: Store, layout: BarLayout, seen: Seen) -> Milliseconds:
    """Return all opens stored in the stretch: those seen, and those around them that the venue was asked for too.

    Only those on the grid: another program's bar between two opens fills neither.
    """
    opens = seen.present_ms
    if seen.asked_ms is not None:
        first, last = seen.asked_ms
        if len(opens):
            before = stored_opens_ms(db, layout, first, int(opens[0]) - 1)
            after = stored_opens_ms(db, layout, int(opens[-1]) + 1, last)
            opens = np.concatenate([before, opens, after])
        else:
            opens = stored_opens_ms(db, layout, first, last)
    on_grid: Milliseconds = opens[opens % (layout.timeframe.seconds * 1000) == 0]
    return on_grid


def _stretch(
    db: Store, layout: BarLayout, present: Milliseconds, asked_ms: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Return the stretch in which every stored bar is known: what is present, widened to the stored neighbours."""
    if len(present):
        step = layout.timeframe.seconds * 1000
        first, last = int(present[0]), int(present[-1])
        previous, following = previous_open_ms(db, layout, first), next_open_ms(db, layout, last)
        return (
            first if previous is None else previous // step * step + step,
            last if following is None else -(-following // step) * step - step,
        )
    if asked_ms is None:
        return None
    # The venue had nothing, and nothing is stored there: a gap only where it lies between bars that are stored.
    edges = previous_open_ms(db, layout, asked_ms[0]), next_open_ms(db, layout, asked_ms[1])
    return None if None in edges else asked_ms


def _runs(opens_ms: Milliseconds, step: int) -> Milliseconds:
    """Return the runs of neighbouring opens as rows (first open, end), the end not included; shape (n, 2)."""
    if not len(opens_ms):
        return np.empty((0, 2), np.int64)
    breaks = np.flatnonzero(np.diff(opens_ms) > step) + 1
    firsts, lasts = np.append(0, breaks), np.append(breaks, len(opens_ms)) - 1
    return np.column_stack([opens_ms[firsts], opens_ms[lasts] + step])


def _pieces(
    stretch: tuple[int, int], step: int, runs: Milliseconds, recorded: Sequence[Recorded], seen: Seen
) -> Milliseconds:
    """Return the edges of the pieces of time that have one state each, ascending; the last one ends the last piece.

    A hole of centuries is one piece: nothing here grows with the length of a gap.
    """
    inner = runs.ravel()
    if seen.asked_ms is not None:
        asked = np.array([seen.asked_ms[0], seen.asked_ms[1] + step], np.int64)
        refused = seen.refused_ms[seen.refused_ms % step == 0]
        inner = np.concatenate([inner, asked, refused, refused + step])
    low, end = stretch[0], stretch[1] + step
    outer = [low, end, *(edge for start, stop, _ in recorded for edge in (start, stop))]
    return np.union1d(inner[(inner > low) & (inner < end)], np.array(outer, np.int64))


def _states_after(
    pieces: Milliseconds, stretch: tuple[int, int], runs: Milliseconds, recorded: Sequence[Recorded], seen: Seen
) -> States:
    """Return the state of each piece, `_NO_GAP` where it is none."""
    opens = pieces[:-1]
    before = np.full(len(opens), _NO_GAP, np.int8)
    for start, end, state in recorded:
        before[np.searchsorted(opens, start) : np.searchsorted(opens, end)] = state
    is_inside = (opens >= stretch[0]) & (opens <= stretch[1])
    # An open lies in a run where more runs have begun than ended.
    is_present = np.searchsorted(runs[:, 0], opens, "right") > np.searchsorted(runs[:, 1], opens, "right")
    is_absent = before == _ABSENT
    if seen.asked_ms is not None:
        is_asked = (opens >= seen.asked_ms[0]) & (opens <= seen.asked_ms[1])
        is_absent = (is_absent | is_asked) & np.isin(opens, seen.refused_ms, invert=True)
    present = np.where(before == _NO_GAP, _NO_GAP, _FILLED)
    after = np.where(is_present, present, np.where(is_absent, _ABSENT, _OPEN))
    return np.where(is_inside, after, before).astype(np.int8)


def _documents(layout: BarLayout, pieces: Milliseconds, states: States, now: datetime) -> list[dict[str, Any]]:
    """Return one gap for each run of pieces of equal state."""
    step = layout.timeframe.seconds * 1000
    firsts = np.flatnonzero(np.diff(states, prepend=np.int8(_NO_GAP - 1)))
    ends = np.append(firsts[1:], len(states))
    return [
        BarGap(
            symbol=str(layout.symbol),
            timeframe=str(layout.timeframe),
            start=_time(int(pieces[first])),
            end=_time(int(pieces[end]) - step),
            state=_STATES[states[first]],
            updated_at=now,
        ).to_mongo()
        for first, end in zip(firsts, ends, strict=True)
        if states[first] != _NO_GAP
    ]


def _write(db: Store, layout: BarLayout, stored: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """Write what differs. New gaps come before old ones go: a process killed between the two loses no gap."""
    same = {(gap["start"], gap["end"], gap["state"]) for gap in stored}
    series = _series(layout)
    changes: list[Any] = [
        ReplaceOne({**series, "start": gap["start"]}, gap, upsert=True)
        for gap in wanted
        if (gap["start"], gap["end"], gap["state"]) not in same
    ]
    starts = {gap["start"] for gap in wanted}
    changes += [DeleteOne({**series, "start": gap["start"]}) for gap in stored if gap["start"] not in starts]
    if changes:
        db[BAR_GAPS].bulk_write(changes)


def gaps_within(db: Store, layout: BarLayout, first_ms: int, last_ms: int) -> int:
    """Return how many stretches without bars, open or absent, touch the time from `first_ms` to `last_ms`."""
    return sum(gap["state"] != "filled" for gap in _overlapping(db, layout, first_ms, last_ms))


def first_open_gap_ms(db: Store, layout: BarLayout, since_ms: int) -> int | None:
    """Return the first missing open of the oldest open gap that begins at `since_ms` or later, or None."""
    query = {**_series(layout), "state": "open", "start": {"$gte": _time(since_ms)}}
    gap = db[BAR_GAPS].find_one(query, sort=[("start", ASCENDING)])
    return None if gap is None else _ms(gap["start"])


def missing_stretches(present_ms: Milliseconds, step_ms: int) -> int:
    """Return how many stretches are missing between the first and the last of ascending opens."""
    return int(np.count_nonzero(np.diff(present_ms) > step_ms))


def read_gaps(db: Store, symbol: str | None, timeframe: str | None, states: list[GapState]) -> list[BarGap]:
    """Return recorded gaps in the given states, sorted by symbol, timeframe and start."""
    query: dict[str, Any] = {"symbol": symbol, "timeframe": timeframe, "state": {"$in": states}}
    found = db[BAR_GAPS].find(
        {name: value for name, value in query.items() if value is not None},
        {"_id": 0},
        sort=[(name, ASCENDING) for name in ("symbol", "timeframe", "start")],
    )
    return [BarGap(**gap) for gap in found]


def _overlapping(db: Store, layout: BarLayout, first_ms: int, last_ms: int) -> list[dict[str, Any]]:
    reach = {"start": {"$lte": _time(last_ms)}, "end": {"$gte": _time(first_ms)}}
    return [dict(gap) for gap in db[BAR_GAPS].find({**_series(layout), **reach}, sort=[("start", ASCENDING)])]


def _series(layout: BarLayout) -> dict[str, str]:
    return {"symbol": str(layout.symbol), "timeframe": str(layout.timeframe)}


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _time(open_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=open_ms)
