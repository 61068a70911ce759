"""Runs a plan: each node as soon as its sources are done, independent nodes side by side, every step kept."""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

import pandas as pd
import structlog
from pymongo.errors import PyMongoError

from quantflow_nodes.node import Ports, RunContext
from quantflow_nodes.plan import Plan, PlannedNode
from quantflow_nodes.ports import SymbolFrame
from quantflow_nodes.run_record import RunRecord
from schemas.errors import QuantFlowError
from schemas.mongo import store_errors

log = structlog.get_logger()
Observer = Callable[[str, str, float | None], None]


class NodeFailedError(QuantFlowError):
    """A node of the graph failed; the message names it, `cause` is what it raised."""

    def __init__(self, node: str, cause: Exception) -> None:
        known = isinstance(cause, QuantFlowError)
        trace = "QUANTFLOW_LOG_LEVEL=INFO shows where"
        unforeseen = f"{node} failed with {type(cause).__name__}: {cause} ({trace})"
        super().__init__(f"{node}: {cause}" if known else unforeseen)
        self.cause = cause
        if isinstance(cause, QuantFlowError):
            self.exit_code = cause.exit_code


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run gave: each node's outputs and its seconds; `context` names the run."""

    context: RunContext
    plan: Plan
    outputs: dict[str, Ports]
    seconds: dict[str, float]


def run_plan(
    plan: Plan,
    context: RunContext,
    record: RunRecord,
    executor: Executor | None = None,
    observe: Observer = lambda _node, _state, _seconds: None,
) -> RunResult:
    """Run every node of a plan and return their outputs.

    Parameters
    ----------
    plan : Plan
        A checked graph.
    context : RunContext
        What nodes are lent.
    record : RunRecord
        Keeps the run in `workflow_runs`.
    executor : concurrent.futures.Executor, optional
        Where nodes run; by default threads of this process, as many as `settings.workers` says.
    observe : callable, optional
        Called with node, state and seconds at each change.

    Raises
    ------
    NodeFailedError
        For the first node that failed: nodes that run already end first, nodes that wait for it are skipped.
    """
    workers = context.settings.workers or os.cpu_count() or 1
    threads = ThreadPoolExecutor(workers, thread_name_prefix="node") if executor is None else nullcontext(executor)
    with threads as pool:
        run = _Run(plan, context, record, observe)
        try:
            run.drain(pool)
        except BaseException:
            with suppress(PyMongoError):  # MongoDB may be what interrupted us
                record.ended("interrupted", None)
            raise
    if run.failure is not None:
        record.ended("failed", str(run.failure))
        log.info("run_failed", graph=plan.graph.name, run_id=context.run_id)
        raise run.failure
    record.ended("succeeded", None)
    return RunResult(context, plan, run.outputs, run.seconds)


class _Run:
    """The moving parts of one run."""

    def __init__(self, plan: Plan, context: RunContext, record: RunRecord, observe: Observer) -> None:
        self._plan, self._context, self._record, self._observe = plan, context, record, observe
        self._sorter = TopologicalSorter(plan.predecessors())
        self.outputs: dict[str, Ports] = {}
        self.seconds: dict[str, float] = {}
        self.failure: NodeFailedError | None = None

    def drain(self, pool: Executor) -> None:
        """Submit what is ready and take in what is done until nothing is left, or nothing may start any more."""
        self._sorter.prepare()
        running: dict[Future[tuple[Ports, float]], str] = {}
        while True:
            if self.failure is None:
                for name in self._sorter.get_ready():
                    running[self._submit(pool, name)] = name
            if not running:
                break
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                self._take_in(running.pop(done), done)
        for name in self._plan.nodes:
            if self.failure is not None and name not in self.seconds and name not in self._record.failed:
                self._note(name, "skipped", None)

    def _submit(self, pool: Executor, name: str) -> Future[tuple[Ports, float]]:
        planned = self._plan.nodes[name]
        self._note(name, "running", None)
        inputs = {port: getattr(self.outputs[source.node], source.output) for port, source in planned.sources.items()}
        return pool.submit(run_node, planned, inputs, replace(self._context, node=name))

    def _take_in(self, name: str, done: Future[tuple[Ports, float]]) -> None:
        try:
            outputs, seconds = done.result()
        except Exception as error:
            failure = NodeFailedError(name, error)
            failure.__cause__ = error
            self.failure = self.failure or failure
            log.info("node_failed", node=name, run_id=self._context.run_id, exc_info=error)
            self._note(name, "failed", None, error=str(failure))
            return
        self.outputs[name], self.seconds[name] = outputs, seconds
        self._sorter.done(name)
        self._record.saw(outputs)
        self._note(name, "succeeded", seconds, rows=frame_rows(outputs))

    def _note(self, name: str, state: Any, seconds: float | None, error: str | None = None, rows: Any = None) -> None:
        self._record.node(name, state, seconds, error, rows or {})
        self._observe(name, state, seconds)


def run_node(planned: PlannedNode, inputs: Mapping[str, Any], context: RunContext) -> tuple[Ports, float]:
    """Run one node; return its outputs and how long it took, in seconds. The store's errors become ours."""
    started = time.perf_counter()
    with store_errors(context.settings):
        outputs = planned.node.run(planned.params, planned.node.inputs_model(**inputs), context)
    return outputs, time.perf_counter() - started


def frame_rows(outputs: Ports) -> dict[str, int]:
    """Return the number of rows of each output that is a frame."""
    rows = {}
    for port in type(outputs).model_fields:
        value = getattr(outputs, port)
        frame = value.data if isinstance(value, SymbolFrame) else value
        if isinstance(frame, pd.DataFrame):
            rows[port] = len(frame)
    return rows
