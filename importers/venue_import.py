"""Bars from a venue into the store, page by page, several symbols at once; and the refilling of recorded gaps."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass

import numpy as np
from pymongo.errors import PyMongoError

from importers.bars import Bars, Batch
from importers.intake import SymbolIntake
from importers.venue import Market, Venue, VenueAddress, open_venue
from schemas.documents import BarGap
from schemas.errors import InputError, QuantFlowError, VenueError
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

_AT_ONCE = 8

Begin = Callable[[Symbol, Timeframe], SymbolIntake]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bars that open from `start_ms` on and before `end_ms`."""

    start_ms: int
    end_ms: int


async def import_from_venue(
    address: VenueAddress,
    names: Sequence[str],
    timeframe: Timeframe,
    begin: Begin,
    since_ms: int | None,
    until_ms: int | None,
) -> list[QuantFlowError]:
    """Fetch and store the closed bars of several symbols, each from its last stored bar on unless a start is given.

    Every page is stored before the one after the next is asked for. A symbol that fails does not stop the others.

    Parameters
    ----------
    address : VenueAddress
    names : sequence of str
        Symbols, which the venue's own list splits into base and quote.
    timeframe : Timeframe
    begin : callable
        Gives the intake of a symbol; called for each in turn, when all of them are known to be listed.
    since_ms, until_ms : int or None
        The first open, and the end (not included). Without a start: after the last stored bar, or from the venue's
        first bar. Without an end: the last bar that has closed by the venue's clock when the import begins.

    Returns
    -------
    list of QuantFlowError
        The errors of symbols that could not be completed.

    Raises
    ------
    SymbolError, VenueError, InputError
        Where a symbol is not listed or the venue can not be reached: then nothing was stored.
    """
    async with open_venue(address, names) as venue:
        work = [(market, begin(market.symbol, timeframe)) for market in [venue.market(name) for name in names]]
        return await import_closed(venue, work, since_ms, until_ms)


async def import_closed(
    venue: Venue,
    work: Sequence[tuple[Market, SymbolIntake]],
    since_ms: int | None,
    until_ms: int | None,
    resumes: bool = False,
) -> list[QuantFlowError]:
    """Fetch and store the closed bars of several markets of a venue that is open; see `import_from_venue`.

    With `resumes` the bars that a run which followed, and was killed, may have left in doubt are asked for again.
    """
    now_ms = await venue.clock_ms()

    async def one(market: Market, intake: SymbolIntake) -> None:
        start_ms = await asyncio.to_thread(_start_ms, venue, intake, since_ms, resumes)
        stretch = Stretch(start_ms, closed_end_ms(intake.timeframe, now_ms, until_ms))
        await _store(venue, market, intake, stretch, now_ms)

    return await _together([one(market, intake) for market, intake in work])


async def fill_gaps(address: VenueAddress, gaps: Sequence[BarGap], begin: Begin) -> list[QuantFlowError]:
    """Ask the venue for the bars of recorded gaps; what it has is stored, what it has not is recorded as absent."""
    series: dict[tuple[str, str], list[BarGap]] = {}
    for gap in gaps:
        series.setdefault((gap.symbol, gap.timeframe), []).append(gap)
    async with open_venue(address, [name for name, _ in series]) as venue:
        work = [(venue.market(name), Timeframe.parse(timeframe), found) for (name, timeframe), found in series.items()]
        now_ms = await venue.clock_ms()

        async def one(intake: SymbolIntake, market: Market, stretches: list[BarGap]) -> None:
            step = intake.timeframe.seconds * 1000
            for gap in stretches:
                first, last = (int(time.timestamp()) * 1000 for time in (gap.start, gap.end))
                end_ms = closed_end_ms(intake.timeframe, now_ms, last + step)
                await _store(venue, market, intake, Stretch(first, end_ms), now_ms)

        return await _together(
            [one(begin(market.symbol, timeframe), market, found) for market, timeframe, found in work]
        )


async def _together(work: Sequence[Coroutine[None, None, None]]) -> list[QuantFlowError]:
    """Run the work of several symbols at once; what the venue refuses of one symbol is returned, the rest is done.

    Any other error, such as one of the store, ends all of them.
    """
    places = asyncio.Semaphore(_AT_ONCE)
    failed: list[QuantFlowError] = []

    async def one(task: Coroutine[None, None, None]) -> None:
        async with places:
            try:
                await task
            except (VenueError, InputError) as error:
                failed.append(error)

    try:
        async with asyncio.TaskGroup() as group:
            for task in work:
                group.create_task(one(task))
    except ExceptionGroup as group:  # not `except*`: what that raises comes out as a group again
        if group.split((QuantFlowError, PyMongoError))[1] is not None:
            raise  # a fault of ours among them is not hidden behind the others
        raise group.exceptions[0] from None
    return failed


def _start_ms(venue: Venue, intake: SymbolIntake, since_ms: int | None, resumes: bool) -> int:
    step = intake.timeframe.seconds * 1000
    if since_ms is not None:
        return -(-since_ms // step) * step
    intake.recheck_newest_gaps()
    last = intake.last_stored_ms()
    if last is not None:
        unsure = intake.unsure_from_ms() if resumes else None
        return last + step if unsure is None else unsure
    if venue.pages_from_any_start:
        return 0
    raise InputError(
        f"No bars of {intake.symbol} {intake.timeframe} are stored, and this venue has to be told where to begin. "
        "Give --since, such as --since 2022-01-01."
    )


def closed_end_ms(timeframe: Timeframe, now_ms: int, until_ms: int | None) -> int:
    """Return the end of the bars to ask for: by the venue's clock the bar that contains now is still forming."""
    step = timeframe.seconds * 1000
    closed = now_ms // step * step
    return closed if until_ms is None else min(closed, -(-until_ms // step) * step)


async def _store(venue: Venue, market: Market, intake: SymbolIntake, stretch: Stretch, now_ms: int) -> None:
    """Store a stretch page by page; a page is written while the next is fetched."""
    writing: asyncio.Task[Bars] | None = None
    try:
        async for batch in pages(venue, market, intake, stretch):
            if writing is not None:
                await writing
            writing = asyncio.create_task(asyncio.to_thread(intake.take, batch, now_ms))
    finally:
        # What was fetched is kept, also where a later page failed or the user has interrupted.
        if writing is not None:
            await writing


async def pages(venue: Venue, market: Market, intake: SymbolIntake, stretch: Stretch) -> AsyncIterator[Batch]:
    """Give a stretch's pages, each beginning at the bar after the last one of the page before."""
    step = intake.timeframe.seconds * 1000
    limit = venue.page_rows(market)
    start = stretch.start_ms
    while start < stretch.end_ms:
        count = min(limit, (stretch.end_ms - start) // step)
        rows = await venue.fetch_rows(market, str(intake.timeframe), start, count)
        table = np.array([row[:6] for row in rows], np.float64).reshape(-1, 6)  # a value that is None becomes NaN
        table = table[np.argsort(table[:, 0], kind="stable")]
        opens = table[:, 0].astype(np.int64)
        inside = (opens >= start) & (opens < stretch.end_ms)
        if (opens >= stretch.end_ms).any():
            following = stretch.end_ms
        elif inside.any():
            following = int(opens[inside][-1]) // step * step + step
        else:  # an empty page is the end at venues that are known; others are asked window by window
            following = stretch.end_ms if venue.pages_from_any_start else start + limit * step
        bars = Bars.of(intake.symbol, intake.timeframe, opens[inside], table[inside, 1:])
        ahead = (stretch.end_ms - int(bars.open_ms[0])) // step if len(bars) else None
        # Only of a venue that is known to give the first bars from a start on can one say that it lacks the others.
        asked = (start, min(following, stretch.end_ms) - step) if venue.pages_from_any_start else None
        yield Batch(bars, asked_ms=asked, rows_ahead=ahead)
        start = following
