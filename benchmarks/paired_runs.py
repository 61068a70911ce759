"""What the benchmarks of writing share: runs of ours and of a peer in turn, and how their rows are shown."""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One job beside one peer: medians of each, and how many times better ours is."""

    job: str
    peer: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    target: float | None
    limit: str
    runs: int


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


def show(rows: Sequence[Row], about: Mapping[str, object], as_json: bool) -> None:
    """Print the rows: one JSON object, or a table that says what was measured."""
    if as_json:
        print(json.dumps({**about, "rows": [asdict(row) for row in rows]}))
        return
    print(", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in about.items()))
    print(f"{'job':<34}{'peer':<32}{'ours':>12}{'theirs':>12} {'unit':<12}{'ratio':>7}{'target':>8}  limit")
    for row in rows:
        target = "" if row.target is None else f"{row.target:g}"
        print(
            f"{row.job:<34}{row.peer:<32}{row.ours:>12,.4g}{row.theirs:>12,.4g} {row.unit:<12}{row.ratio:>7.1f}"
            f"{target:>8}  {row.limit}"
            if row.ours < 1000
            else f"{row.job:<34}{row.peer:<32}{row.ours:>12,.0f}{row.theirs:>12,.0f} {row.unit:<12}{row.ratio:>7.1f}"
            f"{target:>8}  {row.limit}"
        )
