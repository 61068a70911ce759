"""Runs a checked request from its source to the store, and sums up what it did."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from importers.bars import Batch
from importers.day_bars import day_bars
from importers.intake import ImportRun, SymbolIntake
from importers.progress import SymbolBars
from importers.request import ImportRequest
from importers.summary import RunSummary
from importers.venue import VenueAddress
from importers.venue_import import fill_gaps, import_from_venue
from schemas.collections import Store
from schemas.documents import BarGap
from schemas.errors import InputError, QuantFlowError
from schemas.mongo import server_time
from schemas.run_id import new_run_id
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe


@dataclass(slots=True)
class Outcome:
    """A run's summary, the errors of symbols and files that could not be completed, and what else is worth a line."""

    summary: RunSummary
    errors: list[QuantFlowError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def keeping_errors(self) -> Iterator[None]:
        """Keep what is wrong with one symbol or file, so that the others go on and the summary tells of them."""
        try:
            yield
        except InputError as error:
            self.errors.append(error)


class _Intakes:
    """The intakes of a run, in the order in which they were begun."""

    def __init__(self, run: ImportRun, bars: SymbolBars) -> None:
        self._run, self._bars = run, bars
        self.begun: list[SymbolIntake] = []

    def begin(self, symbol: Symbol, timeframe: Timeframe) -> SymbolIntake:
        self.begun.append(SymbolIntake(self._run, symbol, timeframe, self._bars.add(symbol)))
        return self.begun[-1]


def nothing_done() -> Outcome:
    """Return the outcome of a run that had nothing to do."""
    return Outcome(RunSummary(new_run_id(), "ccxt", 0.0), notes=["No open gaps are recorded: nothing was asked for."])


def run_import(db: Store, request: ImportRequest, dry_run: bool) -> Outcome:
    """Import what a request asks for, and return what was done; a file that can not be used is among the errors.

    Raises
    ------
    QuantFlowError
        Where nothing could be done, as where a venue does not answer or does not list a symbol.
    """
    run = ImportRun(db, new_run_id(), request.source_name, dry_run)
    started = time.monotonic()
    outcome = Outcome(RunSummary(run.run_id, run.source, 0.0))
    with SymbolBars() as bars:
        intakes = _Intakes(run, bars)
        if request.address is not None:
            span = (request.span.since_ms, request.span.until_ms)
            outcome.errors = asyncio.run(
                import_from_venue(request.address, request.names, request.timeframe, intakes.begin, *span)
            )
        else:
            every = [intakes.begin(symbol, request.timeframe) for symbol in request.symbols]
            _take_stored_or_files(db, request, every, outcome)
        outcome.summary.symbols = [intake.finish() for intake in intakes.begun]
    outcome.summary.seconds = round(time.monotonic() - started, 3)
    return outcome


def _take_stored_or_files(db: Store, request: ImportRequest, intakes: list[SymbolIntake], outcome: Outcome) -> None:
    now_ms = int(server_time(db).timestamp() * 1000)
    for intake in intakes:
        with outcome.keeping_errors():
            if request.from_minutes:
                _take_days(db, request, intake, outcome, now_ms)
            else:
                _take_files(request, intake, outcome, now_ms)


def _take_days(db: Store, request: ImportRequest, intake: SymbolIntake, outcome: Outcome, now_ms: int) -> None:
    days = day_bars(db, intake.symbol, request.span.since_ms, request.span.until_ms)
    intake.take(Batch(days.bars), now_ms)
    if days.incomplete:
        outcome.notes.append(days.note)


def _take_files(request: ImportRequest, intake: SymbolIntake, outcome: Outcome, now_ms: int) -> None:
    from importers.file_sources import FileSeries, files_batches  # pandas, which no venue needs, takes a second to load

    series = FileSeries(intake.symbol, intake.timeframe, request.span.since_ms, request.span.until_ms)
    for batches in files_batches(request.source, request.path or "", series):
        with outcome.keeping_errors():
            for batch in batches:
                intake.take(batch, now_ms)
                outcome.notes += batch.notes


def run_fill(db: Store, address: VenueAddress, gaps: list[BarGap]) -> Outcome:
    """Ask the venue for the bars of open gaps, and return what was done."""
    run = ImportRun(db, new_run_id(), "ccxt")
    started = time.monotonic()
    outcome = Outcome(RunSummary(run.run_id, run.source, 0.0))
    with SymbolBars() as bars:
        intakes = _Intakes(run, bars)
        outcome.errors = asyncio.run(fill_gaps(address, gaps, intakes.begin))
        outcome.summary.symbols = [intake.finish() for intake in intakes.begun]
    outcome.summary.seconds = round(time.monotonic() - started, 3)
    return outcome
