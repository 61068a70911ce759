"""What every benchmark that has a peer gives: rows of ours beside theirs, and how they are shown."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec

from rich.console import Console
from rich.table import Table

COLUMNS = ("job", "ours", "peer", "theirs", "ratio", "promised", "limit")


@dataclass(frozen=True, slots=True)
class Row:
    """One job beside one peer: medians of each, and how many times better ours is.

    Attributes
    ----------
    unit : str
        Of both figures; the ratio says which of more and less is better.
    target : float or None
        The ratio that is promised.
    limit : str
        What bounds the job.
    runs : int
        How many runs of each side the medians are of.
    """

    job: str
    peer: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    target: float | None
    limit: str
    runs: int

    @property
    def is_short(self) -> bool:
        """Whether less than promised was reached."""
        return self.target is not None and self.ratio < self.target

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as it is shown, one text for each of `COLUMNS`."""
        ours, theirs = (f"{_figure(value)} {self.unit}" for value in (self.ours, self.theirs))
        promised = "–" if self.target is None else f"≥ {self.target:g}"
        ratio = f"{self.ratio:,.3g}{' !' if self.is_short else ''}"
        return self.job, ours, self.peer, theirs, ratio, promised, self.limit


def rate_row(
    job: str, peer: str, ours: Sequence[float], theirs: Sequence[float], unit: str, target: float | None, limit: str
) -> Row:
    """Return the row of two series of rates, of which more is better."""
    own, other = statistics.median(ours), statistics.median(theirs)
    return Row(job, peer, own, other, unit, own / other, target, limit, min(len(ours), len(theirs)))


def rate_of(rows: int, work: Callable[[], object]) -> float:
    """Return how many rows a second some work takes in."""
    began = time.perf_counter()
    work()
    return rows / (time.perf_counter() - began)


def need(*peers: str) -> None:
    """End with a sentence where a peer is not installed."""
    missing = [peer for peer in peers if find_spec(peer) is None]
    if missing:
        sys.exit(f"{', '.join(missing)}, beside which this is measured, must be installed. Run it by `make bench`.")


def show(rows: Sequence[Row], about: Mapping[str, object], as_json: bool) -> None:
    """Print the rows: one JSON object, or a table that says what was measured."""
    if as_json:
        print(json.dumps({**about, "rows": [asdict(row) for row in rows]}))
        return
    print(", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in about.items()))
    print_table(rows)


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows as a terminal holds them."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in ("ours", "theirs", "ratio", "promised") else "left")
    for row in rows:
        table.add_row(*row.cells)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    if any(row.is_short for row in rows):
        print("! below what is promised in this run.")


def markdown(rows: Sequence[Row]) -> str:
    """Return the table as a page holds it."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    return "\n".join(lines + [f"| {' | '.join(row.cells)} |" for row in rows])


def _figure(value: float) -> str:
    """Return a number as a person reads it: three digits, and thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
