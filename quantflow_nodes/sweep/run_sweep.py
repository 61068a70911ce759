"""One sweep from end to end: bars, tasks, results as they come, and what they say together."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import structlog

from quantflow_nodes.node import RunContext, TooFewBarsError
from quantflow_nodes.sweep.evaluation import Evaluator, SweepSpec, Task, adopt, evaluate
from quantflow_nodes.sweep.figures import Figures, check_metric
from quantflow_nodes.sweep.outcome import SplitOutcome, SweepOutcome, results_table
from quantflow_nodes.sweep.results_store import ResultsStore, sweep_id_of
from quantflow_nodes.sweep.sweep_data import SweepData, read_data
from quantflow_nodes.sweep.sweep_plan import SweepPlan
from quantflow_nodes.sweep.walk_forward import Traced, choose, stitch, trace
from quantflow_nodes.sweep.windows import ALL, Split, WalkForward, Window, bars_in, check_backtests
from quantflow_nodes.sweep.workers import local_pool, results_of
from research.engines.chosen import engine_for
from schemas.errors import InputError
from schemas.mongo import open_database, serve, server_time
from schemas.run_id import new_run_id
from schemas.settings import Settings

log = structlog.get_logger()
Observer = Callable[[int, int], None]
_SETS_A_TASK, _PLAIN_SETS_A_TASK = 256, 8
_THREADS_A_NODE = 1  # sets run side by side already, on as many threads or processes as the sweep was given
_CLUSTER_WORKERS = 16  # how many a cluster is expected to have, when work is cut into tasks


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """How a sweep is run; none of it changes a figure. A metric that is none of `METRICS` is an InputError.

    Attributes
    ----------
    metric : str
        By which sets are ranked, and chosen in a walk-forward.
    walk_forward : WalkForward or None
    workers : int
        Threads or processes of this machine; 0: `QUANTFLOW_WORKERS`, or as many as there are cores.
    fresh : bool
        Compute all again: what is stored of the sets is deleted first, so that the sweep can go on without --fresh.
    plain : bool
        Run every node for each set, also where the graph allows the fast path.
    """

    metric: str = "sharpe"
    walk_forward: WalkForward | None = None
    workers: int = 0
    fresh: bool = False
    plain: bool = False

    def __post_init__(self) -> None:
        """Refuse a metric by which sets can not be ranked."""
        check_metric(self.metric)


def run_sweep(
    plan: SweepPlan,
    settings: Settings,
    options: SweepOptions,
    observe: Observer = lambda _done, _total: None,
    cluster: Executor | None = None,
) -> SweepOutcome:
    """Evaluate every set of a sweep and return what they gave; what is stored already is not computed again.

    Parameters
    ----------
    plan : SweepPlan
        From `quantflow_nodes.sweep.sweep_plan.plan_sweep`.
    settings : Settings
        Where the bars lie and the results go.
    options : SweepOptions
    observe : callable, optional
        Called with how many evaluations are done and how many there are.
    cluster : concurrent.futures.Executor, optional
        Where tasks run, in place of this machine; its processes read the bars from the store themselves.

    Raises
    ------
    QuantFlowError
        Where the store can not be used or a node fails.
    """
    with serve(settings) as served, open_database(served) as db:
        context = RunContext(served, new_run_id(), plan.graph.name, "", server_time(db), _THREADS_A_NODE)
        axes = tuple((axis.node, axis.param) for axis in plan.grid.axes)
        evaluator = Evaluator(SweepSpec("", plan.graph, axes, plan.target, context, {}, options.plain))
        data = read_data(evaluator, plan.grid)
        splits = _splits(options.walk_forward, data)
        check_backtests(len(plan.grid.sets), options.walk_forward, splits)
        engine = _engine(evaluator, len(plan.grid.sets), data, splits)
        sweep_id = sweep_id_of(plan, data.digest, engine)
        key = f"{sweep_id}/{context.run_id}"
        adopt(evaluator, replace(evaluator.spec, key=key, digests=data.digests, engine=engine))
        store = ResultsStore(db, plan, sweep_id, replaces=options.fresh)
        walk_forward = None if options.walk_forward is None else str(options.walk_forward)
        with _advised(options), store.recorded(options.metric, walk_forward, data.facts()):
            log.info("sweep_started", graph=plan.graph.name, sweep_id=sweep_id, sets=len(plan.grid.sets))
            outcome = _Sweep(plan, options, evaluator, data, store, observe).run(splits, cluster)
        log.info("sweep_succeeded", graph=plan.graph.name, sweep_id=sweep_id, computed=outcome.computed)
        return outcome


class _Sweep:
    """The moving parts of one sweep."""

    def __init__(
        self,
        plan: SweepPlan,
        options: SweepOptions,
        evaluator: Evaluator,
        data: SweepData,
        store: ResultsStore,
        observe: Observer,
    ) -> None:
        self._plan, self._options, self._evaluator = plan, options, evaluator
        self._data, self._store, self._observe = data, store, observe
        self._values = [plan.grid.values(positions) for positions in plan.grid.sets]
        self._ids = [store.set_id(values) for values in self._values]
        self._bar_s = float(data.frame.timeframe.seconds)
        self._known: dict[tuple[str, str], Figures] = {}
        self._computed = 0

    def run(self, splits: list[Split], cluster: Executor | None) -> SweepOutcome:
        """Evaluate what is missing, in all windows, and return what all of it says."""
        windows = _windows(splits)
        if self._options.fresh:
            self._store.forget(list(dict.fromkeys(map(_name, [*windows, *(one.test for one in splits)]))), self._ids)
        else:
            self._known = self._store.done([_name(window) for window in windows])
        wanted = {(_name(window), own) for window in windows for own in self._ids}
        reused = len(wanted & self._known.keys())
        settings, is_fast = self._evaluator.spec.context.settings, self._evaluator.is_fast
        workers = self._options.workers or settings.workers or os.cpu_count() or 1
        tasks = self._tasks(windows, len(wanted) - reused, _CLUSTER_WORKERS if cluster else workers)
        total = len(wanted) + len(splits)
        with nullcontext(cluster) if cluster else local_pool(workers, settings, threads=is_fast) as pool:
            self._compute(pool, tasks, reused, total)
            outcomes, traced = self._walk(pool, splits, total)
        table, deflation = results_table(self._plan.grid, self._figures(None), self._bar_s)
        if table["returns"].isna().all():
            why = self._evaluator.why_too_few(self._values[0])
            raise TooFewBarsError(f"No set had enough bars to be judged. {why}")
        return SweepOutcome(
            plan=self._plan,
            sweep_id=self._store.sweep_id,
            metric=self._options.metric,
            table=table,
            deflation=deflation,
            splits=outcomes,
            stitched=stitch(traced, self._bar_s),
            reused=reused,
            computed=self._computed,
            data=self._data,
            bar_s=self._bar_s,
        )

    def _tasks(self, windows: Sequence[Window | None], count: int, workers: int) -> list[Task]:
        """Return what is not known, cut so that every worker has some of it; sets that share nodes side by side."""
        most = _SETS_A_TASK if self._evaluator.is_fast else _PLAIN_SETS_A_TASK
        share = max(1, min(most, ceil(count / (4 * workers))))
        order = self._evaluator.significant_axes()
        places = self._plan.grid.sets
        sorted_sets = sorted(range(len(places)), key=lambda at: [places[at][axis] for axis in order])
        tasks = []
        for window in windows:
            missing = [at for at in sorted_sets if (_name(window), self._ids[at]) not in self._known]
            for begin in range(0, len(missing), share):
                sets = tuple(self._values[at] for at in missing[begin : begin + share])
                tasks.append(Task(self._evaluator.spec, window, sets))
        return tasks

    def _compute(self, pool: Executor, tasks: Sequence[Task], done: int, total: int) -> None:
        self._observe(done, total)
        for task, figures in results_of(pool, evaluate, tasks):
            split = _name(task.window)
            found = list(zip(task.sets, figures, strict=True))
            self._store.write(split, found)
            self._known |= {(split, self._store.set_id(values)): one for values, one in found}
            self._computed += len(found)
            self._observe(done + self._computed, total)

    def _walk(self, pool: Executor, splits: Sequence[Split], total: int) -> tuple[list[SplitOutcome], list[Traced]]:
        """Trade the set that each split chose in its test window."""
        grid, metric = self._plan.grid, self._options.metric
        outcomes = [choose(grid, split, self._figures(split.train), metric, self._bar_s) for split in splits]
        tasks = [
            Task(self._evaluator.spec, outcome.split.test, (grid.values(outcome.chosen),))
            for outcome in outcomes
            if outcome.chosen is not None
        ]
        traced: dict[Window | None, Traced] = {}
        for done, (task, one) in enumerate(results_of(pool, trace, tasks), total - len(tasks) + 1):
            if one is not None:
                traced[task.window] = one
                self._store.write(_name(task.window), [(task.sets[0], one.figures)])
            self._observe(done, total)
        tested = [
            replace(outcome, test=traced[outcome.split.test].figures) if outcome.split.test in traced else outcome
            for outcome in outcomes
        ]
        return tested, [traced[split.test] for split in splits if split.test in traced]

    def _figures(self, window: Window | None) -> list[Figures]:
        return [self._known[_name(window), own] for own in self._ids]


@contextmanager
def _advised(options: SweepOptions) -> Iterator[None]:
    """Say with whatever ends a sweep that began afresh how the next one goes on from it."""
    try:
        yield
    except BaseException as error:
        if options.fresh:
            error.add_note("Leave --fresh out to go on from what it has computed.")
        raise


def _splits(walk_forward: WalkForward | None, data: SweepData) -> list[Split]:
    if walk_forward is None:
        return []
    if data.varies:
        raise InputError(
            "A walk-forward needs the same bars for all sets, but the grid changes which are read. Take "
            f"{', '.join(data.varies)} out of it."
        )
    return walk_forward.splits(np.unique(data.frame.times_ms), data.frame.timeframe.seconds * 1000)


def _windows(splits: Sequence[Split]) -> list[Window | None]:
    """Return the windows in which every set is evaluated; None is all bars."""
    return [None, *dict.fromkeys(split.train for split in splits)]


def _engine(evaluator: Evaluator, sets: int, data: SweepData, splits: Sequence[Split]) -> str:
    """Return the engine of all sets: sums differ in the last digits between two, and then the best of equals would."""
    if evaluator.shape is None:
        return "auto"  # each backtest is a node's own
    opens_ms = np.unique(data.frame.times_ms)
    bars = sum(data.bars if window is None else bars_in(opens_ms, window) for window in _windows(splits))
    return engine_for(sets * bars)


def _name(window: Window | None) -> str:
    return ALL if window is None else str(window)
