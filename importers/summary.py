"""What an import did, symbol by symbol: the object that `--json` prints and the table that people read."""

import sys
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from schemas.documents import BarGap
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


_LEAST_WIDTH = 130
_COUNTS = ("fetched", "inserted", "changed", "unchanged", "rejected", "gaps")


def summary_table(summary: RunSummary, dry_run: bool) -> Table:
    """Return the summary as a table, a row for each symbol."""
    title = f"Import from {summary.source}, {summary.seconds:.1f} s, run {summary.run_id}"
    table = Table(
        title=f"{title} (dry run: nothing was written)" if dry_run else title, title_justify="left", box=box.SIMPLE_HEAD
    )
    table.add_column("symbol", no_wrap=True)
    table.add_column("tf")
    for name in _COUNTS:
        table.add_column(name, justify="right")
    table.add_column("first", no_wrap=True)
    table.add_column("last", no_wrap=True)
    for counts in summary.symbols:
        numbers = (f"{getattr(counts, name):,}" for name in _COUNTS)
        table.add_row(counts.symbol, counts.timeframe, *numbers, _short(counts.first), _short(counts.last))
    return table


def print_summary(summary: RunSummary, dry_run: bool) -> None:
    """Print the summary as a table on standard output."""
    _print(summary_table(summary, dry_run))


def print_gaps(gaps: list[BarGap], as_json: bool) -> None:
    """Print recorded gaps on standard output: a table, or one object `{gaps: [...]}`."""
    if as_json:
        sys.stdout.write(orjson.dumps({"gaps": [gap.model_dump() for gap in gaps]}).decode() + "\n")
        return
    table = Table(title=f"Gaps in stored bars: {len(gaps):,}", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("symbol", "tf", "first missing", "last missing"):
        table.add_column(name, no_wrap=True)
    table.add_column("bars", justify="right")
    table.add_column("state")
    for gap in gaps:
        bars = (gap.end - gap.start) // Timeframe.parse(gap.timeframe).delta + 1
        edges = (f"{time:%Y-%m-%d %H:%M}" for time in (gap.start, gap.end))
        table.add_row(gap.symbol, gap.timeframe, *edges, f"{bars:,}", gap.state)
    _print(table)


def _print(table: Table) -> None:
    console = Console()
    # In a narrow window, as in a file or a pipe, the lines are longer than the window: a figure is never cut off.
    (console if console.width >= _LEAST_WIDTH else Console(width=_LEAST_WIDTH)).print(table)


def _short(time: str | None) -> str:
    return "-" if time is None else time[:16].replace("T", " ")
