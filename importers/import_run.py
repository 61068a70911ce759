"""Runs a checked request from its source to the store, and sums up what it did."""

import asyncio
import time
from dataclasses import dataclass, field

from importers.bars import Batch
from importers.day_bars import day_bars
from importers.file_sources import FileSeries, file_batches
from importers.intake import ImportRun, SymbolIntake
from importers.progress import SymbolBars
from importers.request import ImportRequest
from importers.summary import RunSummary
from importers.venue import VenueAddress
from importers.venue_import import fill_gaps, import_from_venue
from schemas.collections import Store
from schemas.documents import BarGap
from schemas.errors import QuantFlowError
from schemas.mongo import server_time
from schemas.run_id import new_run_id
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe


@dataclass(slots=True)
class Outcome:
    """A run's summary, the errors of symbols that could not be completed, and what else is worth a line."""

    summary: RunSummary
    errors: list[QuantFlowError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def nothing_done() -> Outcome:
    """Return the outcome of a run that had nothing to do."""
    return Outcome(RunSummary(new_run_id(), "ccxt", 0.0), notes=["No open gaps are recorded: nothing was asked for."])


def run_import(db: Store, request: ImportRequest, dry_run: bool) -> Outcome:
    """Import what a request asks for, and return what was done.

    Raises
    ------
    QuantFlowError
        Where nothing could be done, such as a file that is not there or a venue that does not answer.
    """
    run = ImportRun(db, new_run_id(), request.source_name, dry_run)
    started = time.monotonic()
    outcome = Outcome(RunSummary(run.run_id, run.source, 0.0))
    with SymbolBars() as bars:
        intakes = [SymbolIntake(run, symbol, request.timeframe, bars.add(symbol)) for symbol in request.symbols]
        if request.address is not None:
            span = request.span
            outcome.errors = asyncio.run(import_from_venue(request.address, intakes, span.since_ms, span.until_ms))
        else:
            _take_stored_or_files(db, request, intakes, outcome)
        outcome.summary.symbols = [intake.finish() for intake in intakes]
    outcome.summary.seconds = round(time.monotonic() - started, 3)
    return outcome


def _take_stored_or_files(db: Store, request: ImportRequest, intakes: list[SymbolIntake], outcome: Outcome) -> None:
    now_ms = int(server_time(db).timestamp() * 1000)
    for intake in intakes:
        series = FileSeries(intake.symbol, intake.timeframe, request.span.since_ms, request.span.until_ms)
        if request.from_minutes:
            days = day_bars(db, intake.symbol, request.span.since_ms, request.span.until_ms)
            intake.take(Batch(days.bars), now_ms)
            if days.incomplete:
                outcome.notes.append(days.note)
            continue
        for batch in file_batches(request.source, request.path or "", series):
            intake.take(batch, now_ms)
            outcome.notes += batch.notes


def run_fill(db: Store, address: VenueAddress, gaps: list[BarGap]) -> Outcome:
    """Ask the venue for the bars of open gaps, and return what was done."""
    run = ImportRun(db, new_run_id(), "ccxt")
    started = time.monotonic()
    outcome = Outcome(RunSummary(run.run_id, run.source, 0.0))
    series: dict[tuple[str, str], list[BarGap]] = {}
    for gap in gaps:
        series.setdefault((gap.symbol, gap.timeframe), []).append(gap)
    with SymbolBars() as bars:
        work = []
        for (name, timeframe), found in series.items():
            symbol = Symbol.parse(name)
            work.append((SymbolIntake(run, symbol, Timeframe.parse(timeframe), bars.add(symbol)), found))
        outcome.errors = asyncio.run(fill_gaps(address, work)) if work else []
        outcome.summary.symbols = [intake.finish() for intake, _ in work]
    outcome.summary.seconds = round(time.monotonic() - started, 3)
    return outcome
