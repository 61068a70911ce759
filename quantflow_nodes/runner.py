"""Runs a plan: each node as soon as its sources are done, independent nodes side by side, every step kept."""

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Event, Lock
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
WRITTEN_EVERY_S = 0.05
"""How often the record is written while nodes run, in seconds."""
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
        Called with node, state and seconds at each change, by one thread at a time.

    Raises
    ------
    NodeFailedError
        For the first node that failed: nodes that run already end first, nodes that wait for it are skipped.
    """
    workers = len(plan.nodes) if executor is not None else context.settings.workers or os.cpu_count() or 1
    with ThreadPoolExecutor(workers, thread_name_prefix="node") as threads:
        run = _Run(plan, context, record, observe, executor)
        try:
            run.drain(threads, workers)
        except BaseException:
            run.stop()
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
    """The moving parts of one run: threads take what is ready, run it, and go on with what that made ready.

    So a chain stays in one thread, and no thread waits for another to be told what comes next. Everything below the
    lock is changed by one thread at a time.
    """

    def __init__(
        self, plan: Plan, context: RunContext, record: RunRecord, observe: Observer, executor: Executor | None
    ) -> None:
        self._plan, self._context, self._record, self._observe = plan, context, record, observe
        self._executor = executor
        waits = plan.predecessors()
        self._waits = {name: len(sources) for name, sources in waits.items()}
        self._followers: dict[str, list[str]] = {name: [] for name in waits}
        for name, sources in waits.items():
            for source in sources:
                self._followers[source].append(name)
        self._lock = Lock()
        self._ready = deque(name for name, count in self._waits.items() if count == 0)
        self._working, self._workers = 0, 0
        self._stopped = False
        self._crash: BaseException | None = None
        self._all_rest = Event()
        self.outputs: dict[str, Ports] = {}
        self.seconds: dict[str, float] = {}
        self.failure: NodeFailedError | None = None

    def drain(self, threads: Executor, workers: int) -> None:
        """Run nodes until nothing is left, or nothing may start any more."""
        self._workers = workers
        with self._lock:
            self._send_workers(threads)
        while not self._all_rest.wait(WRITTEN_EVERY_S):
            self._record.write()
        if self._crash is not None:
            raise self._crash
        for name in self._plan.nodes:
            if self.failure is not None and name not in self.seconds and name not in self._record.failed:
                self._note(name, "skipped", None)

    def stop(self) -> None:
        """Let no further node start, and tell nothing more of those that run."""
        with self._lock:
            self._stopped = True

    def _send_workers(self, threads: Executor) -> None:
        for _ in range(min(len(self._ready), self._workers - self._working)):
            self._working += 1
            threads.submit(self._work, threads)

    def _work(self, threads: Executor) -> None:
        """Run ready nodes, one after the other, until there are none."""
        try:
            while (name := self._next(threads)) is not None:
                if self._plan.nodes[name].node.publishes:
                    self._record.write()  # a kill must not leave what it published beside a record that it never began
                outcome = self._outcome(name)
                with self._lock:
                    if not self._stopped:
                        self._take_in(name, outcome)
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits for the run
            with self._lock:
                self._crash, self._stopped = error, True
        finally:
            with self._lock:
                self._working -= 1
                if self._working == 0:
                    self._all_rest.set()

    def _next(self, threads: Executor) -> str | None:
        with self._lock:
            if self._stopped or self.failure is not None or not self._ready:
                return None
            name = self._ready.popleft()
            self._note(name, "running", None)
            self._send_workers(threads)
            return name

    def _outcome(self, name: str) -> tuple[Ports, float] | Exception:
        planned = self._plan.nodes[name]
        inputs = {port: getattr(self.outputs[source.node], source.output) for port, source in planned.sources.items()}
        arguments = planned, inputs, replace(self._context, node=name)
        try:
            if self._executor is None:
                return run_node(*arguments)
            return self._executor.submit(run_node, *arguments).result()
        except Exception as error:  # noqa: BLE001 - becomes the run's failure
            return error

    def _take_in(self, name: str, outcome: tuple[Ports, float] | Exception) -> None:
        if isinstance(outcome, Exception):
            failure = NodeFailedError(name, outcome)
            failure.__cause__ = outcome
            self.failure = self.failure or failure
            log.info("node_failed", node=name, run_id=self._context.run_id, exc_info=outcome)
            self._note(name, "failed", None, error=str(failure))
            return
        outputs, self.seconds[name] = outcome
        self.outputs[name] = outputs
        for follower in self._followers[name]:
            self._waits[follower] -= 1
            if self._waits[follower] == 0:
                self._ready.append(follower)
        self._record.saw(outputs)
        self._note(name, "succeeded", self.seconds[name], rows=frame_rows(outputs))

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
