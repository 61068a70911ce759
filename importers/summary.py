"""What an import did, symbol by symbol: the object that `--json` prints and the table that people read."""

import sys
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from rich.console import Console, ConsoleOptions
from rich.markup import escape
from rich.table import Table

from schemas.documents import BarGap, ImportReject
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe


@dataclass(slots=True)
class SymbolCounts:
    """Counts of one symbol's rows: fetched = inserted + changed + unchanged + rejected.

    A row that says the same as an earlier row of its source counts as unchanged. `gaps` is how many stretches without
    bars, open or absent at the venue, touch the imported range; `first` and `last` are the opens of the oldest and
    newest bar that this run had, or None.
    """

    symbol: str
    timeframe: str
    fetched: int = 0
    inserted: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    gaps: int = 0
    first: str | None = None
    last: str | None = None

    @classmethod
    def of(cls, symbol: Symbol, timeframe: Timeframe) -> "SymbolCounts":
        """Return counts of nothing yet."""
        return cls(str(symbol), str(timeframe))


@dataclass(slots=True)
class RunSummary:
    """One run of an import."""

    run_id: str
    source: str
    seconds: float
    symbols: list[SymbolCounts] = field(default_factory=list)

    def as_object(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        return asdict(self)


_NO_LIMIT = 10_000  # columns
_COUNTS = ("fetched", "inserted", "changed", "unchanged", "rejected", "gaps")


_TIMES = ("first", "last")


def summary_table(summary: RunSummary, names: tuple[str, ...]) -> Table:
    """Return the named counts and times as a table, a row for each symbol."""
    table = _table("symbol", "tf")
    for name in names:
        table.add_column(name, justify="right" if name in _COUNTS else "left", no_wrap=True)
    for counts in summary.symbols:
        values = (getattr(counts, name) for name in names)
        texts = (f"{value:,}" if isinstance(value, int) else _short(value) for value in values)
        table.add_row(counts.symbol, counts.timeframe, *texts)
    return table


def print_summary(summary: RunSummary, dry_run: bool) -> None:
    """Print the summary on standard output: one table, or in a narrow window the counts and below them the times."""
    title = f"Import from {summary.source}, {summary.seconds:.1f} s, run {summary.run_id}"
    console = Console()
    console.print(f"{title} (dry run: nothing was written)" if dry_run else title, style="bold", soft_wrap=True)
    whole = summary_table(summary, _COUNTS + _TIMES)
    if console.measure(whole, options=_unbounded(console)).maximum <= console.width:
        _print(whole)
        return
    _print(summary_table(summary, _COUNTS))
    console.print()
    _print(summary_table(summary, _TIMES))


def print_gaps(gaps: list[BarGap], as_json: bool) -> None:
    """Print recorded gaps on standard output: a table, or one object `{gaps: [...]}`."""
    if as_json:
        sys.stdout.write(orjson.dumps({"gaps": [gap.model_dump() for gap in gaps]}).decode() + "\n")
        return
    if not gaps:
        Console().print("No gap is recorded in the stored bars.")
        return
    Console().print(f"Gaps in stored bars: {len(gaps):,}", style="bold")
    table = _table("symbol", "tf", "first missing", "last missing")
    table.add_column("bars", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for gap in gaps:
        bars = (gap.end - gap.start) // Timeframe.parse(gap.timeframe).delta + 1
        edges = (f"{time:%Y-%m-%d %H:%M}" for time in (gap.start, gap.end))
        table.add_row(gap.symbol, gap.timeframe, *edges, f"{bars:,}", gap.state)
    _print(table)


def print_rejects(rejects: list[ImportReject], as_json: bool) -> None:
    """Print refused rows on standard output: a table, or one object `{rejects: [...]}`."""
    if as_json:
        sys.stdout.write(orjson.dumps({"rejects": [one.model_dump() for one in rejects]}).decode() + "\n")
        return
    if not rejects:
        Console().print("No row was refused.")
        return
    table = _table("symbol", "tf", "time", "reason", "source", "run")
    table.add_column("row", overflow="fold")
    for one in rejects:
        row = ", ".join(f"{name} {value}" for name, value in one.row.items())
        table.add_row(one.symbol, one.timeframe, one.time, one.reason, one.source, one.run_id[:12], escape(row))
    _print(table)


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _unbounded(console: Console) -> ConsoleOptions:
    return console.options.update(width=_NO_LIMIT)


def _print(table: Table) -> None:
    console = Console()
    # Where the window is too narrow all the same, the lines are longer than it: a figure is never cut off.
    needed = console.measure(table, options=_unbounded(console)).maximum
    (console if console.width >= needed else Console(width=needed)).print(table)


def _short(time: str | None) -> str:
    return "-" if time is None else time[:16].replace("T", " ")
