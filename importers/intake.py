"""The one path into the store: a symbol's batches are checked, written, and their gaps recorded, batch by batch."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np
import structlog

from importers.bar_documents import BarLayout
from importers.bars import Bars, Batch, Milliseconds
from importers.gaps import Seen, first_open_gap_ms, gaps_within, missing_stretches, record_gaps
from importers.rejects import write_rejects
from importers.stored_bars import first_open_ms, last_open_ms, next_open_ms, previous_open_ms, stored_opens_ms
from importers.summary import SymbolCounts
from importers.validation import checked
from importers.writer import write_bars
from schemas.collections import Store
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

# A killed run leaves at most one batch whose gaps were not recorded yet; the next run looks at this many bars again.
RECHECKED_BARS = 20_000
# A run that follows confirms bars over REST some minutes late at most; the next run looks at these again.
UNCONFIRMED_BARS = 60

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_log = structlog.get_logger()


class Progress(Protocol):
    """Shows how far one symbol is."""

    def expect(self, rows: int) -> None:
        """Set how many rows will come."""

    def advance(self, rows: int) -> None:
        """Count rows that were taken."""


class Silent:
    """Shows nothing."""

    def expect(self, rows: int) -> None:
        """Expect nothing."""

    def advance(self, rows: int) -> None:
        """Count nothing."""


@dataclass(frozen=True, slots=True)
class ImportRun:
    """What the batches of all symbols of a run share."""

    db: Store
    run_id: str
    source: str
    dry_run: bool = False


@dataclass(slots=True)
class SymbolIntake:
    """Takes the batches of one symbol and timeframe, and counts."""

    run: ImportRun
    symbol: Symbol
    timeframe: Timeframe
    progress: Progress = field(default_factory=Silent)
    counts: SymbolCounts = field(init=False)
    layout: BarLayout = field(init=False)
    _range_ms: tuple[int, int] | None = field(default=None, init=False)
    _planned_ms: list[Milliseconds] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.counts = SymbolCounts.of(self.symbol, self.timeframe)
        self.layout = BarLayout(self.symbol, self.timeframe)

    def take(self, batch: Batch, now_ms: int) -> Bars:
        """Check a batch, store its good bars, keep its bad rows, record its gaps; all of it has happened on return.

        Parameters
        ----------
        batch : Batch
        now_ms : int
            The clock by which a bar has closed or not: the venue's for its bars, the database's for files.

        Returns
        -------
        Bars
            The good ones, which are stored now, or were before.
        """
        result = checked(batch.bars, now_ms)
        rejected = batch.rejected + result.rejected
        written = write_bars(self.run.db, result.bars, self.run.dry_run)
        refused_ms = batch.bars.open_ms[np.isin(batch.bars.open_ms, result.bars.open_ms, invert=True)]
        if self.run.dry_run:
            self._planned_ms.append(written.present_ms)
        else:
            write_rejects(self.run.db, self.symbol, self.timeframe, self.run.source, self.run.run_id, rejected)
            record_gaps(self.run.db, self.layout, Seen(written.present_ms, batch.asked_ms, refused_ms))
        if batch.rows_ahead is not None:
            self.progress.expect(self.counts.fetched + batch.rows_ahead)
        self.counts.fetched += batch.rows
        self.counts.inserted += written.inserted
        self.counts.changed += written.changed
        self.counts.unchanged += written.unchanged + result.doubles
        self.counts.rejected += len(rejected)
        if len(result.bars):
            self._widen(int(result.bars.open_ms[0]), int(result.bars.open_ms[-1]))
        self.progress.advance(batch.rows)
        _log.info(
            "bars_written",
            symbol=str(self.symbol),
            timeframe=str(self.timeframe),
            inserted=written.inserted,
            changed=written.changed,
            unchanged=written.unchanged,
            rejected=len(rejected),
            run_id=self.run.run_id,
        )
        return result.bars

    def last_stored_ms(self) -> int | None:
        """Return the open of the newest stored bar, after which an import goes on, or None."""
        return last_open_ms(self.run.db, self.layout)

    def recheck_newest_gaps(self) -> None:
        """Record the gaps among the newest stored bars: a run that was killed may not have come to it."""
        last = self.last_stored_ms()
        if last is None or self.run.dry_run:
            return
        first = last_open_ms(self.run.db, self.layout, skip=RECHECKED_BARS)
        start = first if first is not None else 0
        opens = stored_opens_ms(self.run.db, self.layout, start, last)
        record_gaps(self.run.db, self.layout, Seen(opens, None, np.empty(0, np.int64)))

    def unsure_from_ms(self) -> int | None:
        """Return the open from which on an earlier run, had it been killed while it followed, may have left work.

        That is the first open gap among the newest bars, or the last bars, which may not have been confirmed. None
        where no bar is stored.
        """
        last = self.last_stored_ms()
        if last is None:
            return None
        first = first_open_ms(self.run.db, self.layout)
        low, unconfirmed = (
            last_open_ms(self.run.db, self.layout, skip=bars) or first or last
            for bars in (RECHECKED_BARS, UNCONFIRMED_BARS)
        )
        gap = first_open_gap_ms(self.run.db, self.layout, low)
        return unconfirmed if gap is None else min(unconfirmed, gap)

    def finish(self) -> SymbolCounts:
        """Count the gaps that touch the imported range, and return the counts."""
        if self._range_ms is not None:
            first, last = self._range_ms
            self.counts.first, self.counts.last = _iso(first), _iso(last)
            count = self._planned_gaps if self.run.dry_run else self._recorded_gaps
            self.counts.gaps = count(first, last)
        return self.counts

    def _widen(self, first_ms: int, last_ms: int) -> None:
        low, high = self._range_ms or (first_ms, last_ms)
        self._range_ms = min(low, first_ms), max(high, last_ms)

    def _recorded_gaps(self, first_ms: int, last_ms: int) -> int:
        # One bar further on each side: a gap that joins the range to a stored neighbour counts too.
        step = self.timeframe.seconds * 1000
        return gaps_within(self.run.db, self.layout, first_ms - step, last_ms + step)

    def _planned_gaps(self, first_ms: int, last_ms: int) -> int:
        previous = previous_open_ms(self.run.db, self.layout, first_ms)
        following = next_open_ms(self.run.db, self.layout, last_ms)
        low = first_ms if previous is None else previous
        high = last_ms if following is None else following
        stored = stored_opens_ms(self.run.db, self.layout, low, high)
        return missing_stretches(np.unique(np.concatenate([stored, *self._planned_ms])), self.timeframe.seconds * 1000)


def _iso(open_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=open_ms)).isoformat()
