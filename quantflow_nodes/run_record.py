"""Keeps a run in `workflow_runs`: the graph as it was, versions, the range of data, and each node's fate."""

import platform
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.metadata import version
from threading import Lock
from typing import Any

from quantflow_nodes.node import Ports, RunContext
from quantflow_nodes.plan import Plan
from quantflow_nodes.ports import Bars
from quantflow_nodes.process_identity import has_died, own_identity, own_user
from schemas.collections import WORKFLOW_RUNS, Store
from schemas.documents import LiveProgress, NodeRun, NodeState, RunState, WorkflowRun
from schemas.mongo import server_time, signed_in_user
from schemas.secrets import without_secrets

_PACKAGES = ("quantflow", "numpy", "pandas", "numba", "ta-lib", "pymongo", "pydantic")


class RunRecord:
    """One document of `workflow_runs`: it is there before the first node starts, and `write` brings it up to date.

    Who runs a node tells what became of it, and waits for MongoDB only by `write`. A node that the document calls
    succeeded has ended; one that ended after the last `write` is not yet called so.
    """

    def __init__(self, db: Store, plan: Plan, context: RunContext) -> None:
        self._db = db
        self._key = {"run_id": context.run_id}
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._bars: int | None = None
        self.failed: set[str] = set()
        close_abandoned_runs(db)
        run = WorkflowRun(
            run_id=context.run_id,
            name=plan.graph.name,
            graph=plan.graph.as_document(),
            graph_digest=plan.graph.digest,
            versions=versions(),
            state="running",
            started_at=context.now,
            **own_identity(),
            user=own_user(),
            mongo_user=signed_in_user(db),
            nodes={name: NodeRun(type=node.type, state="waiting") for name, node in plan.nodes.items()},
        )
        db[WORKFLOW_RUNS].insert_one(run.to_mongo())
        self._told: dict[str, Any] = {}
        self._lock = Lock()
        self._writing = Lock()  # two writes at once could arrive in the other order

    def node(self, name: str, state: NodeState, seconds: float | None, error: str | None, rows: dict[str, int]) -> None:
        """Take down what became of a node; the next `write` writes it."""
        if state == "failed":
            self.failed.add(name)
        fields: dict[str, Any] = {f"nodes.{name}.state": state}
        if seconds is not None:
            fields |= {f"nodes.{name}.seconds": seconds, f"nodes.{name}.rows": rows}
        if error is not None:
            fields[f"nodes.{name}.error"] = without_secrets(error)
        with self._lock:
            self._told |= fields

    def write(self) -> None:
        """Write what was taken down so far, if anything is not yet written, and wait for the majority."""
        with self._writing:
            with self._lock:
                told, self._told = self._told, {}
            if not told:
                return
            try:
                self._db[WORKFLOW_RUNS].update_one(self._key, {"$set": told})
            except BaseException:  # also an interruption: the end writes it
                with self._lock:
                    self._told = told | self._told
                raise

    def nodes(self, states: Mapping[str, NodeState]) -> None:
        """Write the state of several nodes at once."""
        fields = {f"nodes.{name}.state": state for name, state in states.items()}
        self._db[WORKFLOW_RUNS].update_one(self._key, {"$set": fields})

    def saw(self, outputs: Ports) -> None:
        """Widen the range of data by the bars among a node's outputs."""
        for port in type(outputs).model_fields:
            bars = getattr(outputs, port)
            if isinstance(bars, Bars) and len(bars.data):
                first = bars.data["datetime"].min().to_pydatetime()
                last = bars.data["datetime"].max().to_pydatetime()
                self._first = min(first, self._first or first)
                self._last = max(last, self._last or last)
                self._bars = max(len(bars.data), self._bars or 0)

    def advanced(self, progress: LiveProgress, first: datetime, last: datetime) -> None:
        """Write how far a live session has come, and the range of bars that it has exported."""
        self._first, self._last = min(first, self._first or first), max(last, self._last or last)
        fields = {"live": progress.to_mongo(), "data_first": self._first, "data_last": self._last}
        self._db[WORKFLOW_RUNS].update_one(self._key, {"$set": fields})

    def ended(self, state: RunState, error: str | None) -> None:
        """Write how the run ended, together with what is not yet written of its nodes."""
        with self._lock:
            told, self._told = self._told, {}
        fields = told | {
            "state": state,
            "ended_at": server_time(self._db),
            "error": None if error is None else without_secrets(error),
            "data_first": self._first,
            "data_last": self._last,
            "data_bars": self._bars,
        }
        present = {key: value for key, value in fields.items() if value is not None}
        self._db[WORKFLOW_RUNS].update_one(self._key, {"$set": present})


def close_abandoned_runs(db: Store, collection: str = WORKFLOW_RUNS) -> int:
    """Mark the runs (or sweeps) of this host whose process has died as interrupted; return how many there were."""
    running = db[collection].find({"state": "running"}, {"state": 1, "host": 1, "pid": 1})
    dead = [run for run in running if has_died(run)]
    change = {"$set": {"state": "interrupted", "error": "The process ended before the run did."}}
    for run in dead:  # by all that was found: a sweep may have been begun again since, in the same document
        db[collection].update_one(run, change)
    return len(dead)


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
