"""Measures what a graph costs beside its nodes' work: a hundred trivial nodes, beside Dask's threaded scheduler.

    python benchmarks/bench_graph.py [--nodes 100] [--runs 50] [--json]

Three shapes, the same edges on both sides, the results checked equal. "Without its record" is the scheduler alone, as
is Dask's. "With its record" is the same while the run is kept in MongoDB, up to the last node's end. "From start to
end" adds what a run costs whatever its nodes: three questions and two writes that wait for the majority. The server is
the embedded one in a temporary folder, or that of QUANTFLOW_MONGO_URI with a database of the benchmark's own.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graph_shapes import SHAPES, Edges, dask_graph, our_plan
from rows import Row, need, show

from quantflow_nodes.node import Ports, RunContext
from quantflow_nodes.run_record import RunRecord
from quantflow_nodes.runner import run_plan
from schemas.collections import Store
from schemas.documents import RunState
from schemas.mongo import open_database, serve, server_time
from schemas.run_id import new_run_id
from schemas.settings import Settings

DATABASE = "quantflow_bench_graph"
"""Dropped at the end."""


class NoRecord(RunRecord):
    """A record that keeps nothing: the scheduler alone."""

    def __init__(self) -> None:
        self.failed: set[str] = set()

    def node(self, *_: Any) -> None:
        """Forget it."""

    def saw(self, _: Ports) -> None:
        """Forget it."""

    def write(self) -> None:
        """Nothing is known."""

    def ended(self, *_: Any) -> None:
        """Forget it."""


class TimedRecord(RunRecord):
    """A record that notes when all nodes had ended."""

    def ended(self, state: RunState, error: str | None) -> None:
        """Write how the run ended."""
        self.nodes_ended = time.perf_counter()
        super().ended(state, error)


def medians(ways: dict[str, Callable[[], dict[str, float]]], runs: int) -> dict[str, float]:
    """Return the median of each figure, one run of each way in turn, after one to warm up."""
    found: dict[str, list[float]] = {}
    for turn in range(runs + 1):
        for way in ways.values():
            for name, seconds in way().items():
                found.setdefault(name, [])
                if turn:
                    found[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def measure(shape: str, edges: Edges, settings: Settings, db: Store, runs: int) -> list[Row]:
    """Run one shape all ways; return the rows of the result, in microseconds a node."""
    from dask.threaded import get

    plan, theirs, names = our_plan(edges), dask_graph(edges), list(edges)
    expected = dict(zip(names, get(theirs, names), strict=True))

    def by_dask() -> dict[str, float]:
        began = time.perf_counter()
        get(theirs, names)
        return {"dask": time.perf_counter() - began}

    def alone() -> dict[str, float]:
        context, record = context_of(settings, db), NoRecord()
        began = time.perf_counter()
        result = run_plan(plan, context, record)
        took = time.perf_counter() - began
        assert {name: output.number for name, output in result.outputs.items()} == expected
        return {"alone": took}

    def recorded() -> dict[str, float]:
        context, began = context_of(settings, db), time.perf_counter()
        record = TimedRecord(db, plan, context)
        nodes_began = time.perf_counter()
        run_plan(plan, context, record)
        return {"recorded": record.nodes_ended - nodes_began, "all": time.perf_counter() - began}

    ways = {"dask": by_dask, "alone": alone, "recorded": recorded}
    took = {name: seconds / len(edges) * 1e6 for name, seconds in medians(ways, runs).items()}

    def row(job: str, ours: float, target: float | None, limit: str) -> Row:
        whole, theirs = f"{len(edges)} nodes, {shape}, {job}", took["dask"]
        return Row(whole, "Dask threaded", ours, theirs, "µs a node", theirs / ours, target, limit, runs)

    interpreter = "Python's interpreter, which runs one thread at a time"
    return [
        row("without its record", took["alone"], 1.0, interpreter),
        row("with its record", took["recorded"], 1.0, interpreter),
        row("with its record, from start to end", took["all"], None, "mongod, two majority writes a run"),
    ]


def context_of(settings: Settings, db: Store) -> RunContext:
    """Return what a new run lends to its nodes."""
    return RunContext(settings, new_run_id(), "bench", "", server_time(db))


def main() -> None:
    """Run the shapes, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--runs", type=int, default=50, help="each way runs that often, in turn; the median counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    need("dask")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-graph-") as folder:
        settings = Settings.load(home=Path(folder), db=DATABASE)
        with serve(settings) as served, open_database(served) as db:
            try:
                for shape, make in SHAPES.items():
                    rows += measure(shape, make(options.nodes), served, db, options.runs)
            finally:
                db.client.drop_database(DATABASE)
    show(rows, {"nodes": options.nodes}, options.json)


if __name__ == "__main__":
    main()
