"""Evaluates parameter sets in one process: nodes run once for each choice of the parameters that reach them."""

from collections import OrderedDict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd

from quantflow_nodes.graph import Graph
from quantflow_nodes.node import Params, Ports, RunContext, TooFewBarsError
from quantflow_nodes.plan import PlannedNode, plan_graph
from quantflow_nodes.ports import Position, SymbolFrame
from quantflow_nodes.runner import NodeFailedError, run_node
from quantflow_nodes.sweep.fast_path import ThresholdShape, figures_by_thresholds, fits_shape, threshold_shape
from quantflow_nodes.sweep.figures import Figures, figures_of
from quantflow_nodes.sweep.grid import Values, value_key
from quantflow_nodes.sweep.memo import Memo
from quantflow_nodes.sweep.outputs_digest import outputs_digest
from quantflow_nodes.sweep.windows import Window, rows_from, rows_until
from research.backtest import BacktestResult
from research.sweeps.sweep import SweepBars
from schemas.errors import InputError, QuantFlowError

MOST_BYTES = 512 * 1024 * 1024
_MOST_SWEEPS = 2


class SetFailedError(QuantFlowError):
    """A node failed with the parameters of a set; can be sent from another process."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[type["SetFailedError"], tuple[str, int]]:
        return SetFailedError, (str(self), self.exit_code)


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """What a process must know to evaluate sets; bars are not in it: it reads them from the store itself.

    Attributes
    ----------
    key : str
        Names the sweep and its data; what a process has computed is kept under it.
    graph : Graph
        The backtest and what leads to it.
    axes : tuple of (node, param)
        What a set's values are values of.
    target : str
        The node whose backtest judges.
    context : RunContext
        What nodes are lent; its time is the same in all processes.
    digests : mapping of str to str
        The digest of what each choice of a source's parameters must give; what has none may give anything.
    plain : bool
        Run every node for each set, also where the shape of the graph allows a faster way to the same figures.
    engine : str
        Of the fast path, as for `threshold_figures`: one for all sets, whichever process evaluates them.
    """

    key: str
    graph: Graph
    axes: tuple[tuple[str, str], ...]
    target: str
    context: RunContext
    digests: Mapping[str, str]
    plain: bool = False
    engine: str = "auto"


@dataclass(frozen=True, slots=True)
class Task:
    """Some sets to evaluate in one window; None is all bars. Small: no bars travel with it."""

    spec: SweepSpec
    window: Window | None
    sets: tuple[Values, ...]


def evaluate(task: Task) -> list[Figures]:
    """Return the figures of a task's sets, in order, in whichever process this is.

    Raises
    ------
    SetFailedError
        Where a node fails.
    """
    return evaluator_of(task.spec).figures(task.sets, task.window)


class Evaluator:
    """One sweep in this process, with what its sets share."""

    def __init__(self, spec: SweepSpec) -> None:
        self.spec = spec
        self.plan = plan_graph(spec.graph)
        self.memo = Memo(MOST_BYTES)
        self._target = self.plan.nodes[spec.target]
        self._reached = self._axes_that_reach()
        self.shape = threshold_shape(self.plan, spec.target)

    @property
    def is_fast(self) -> bool:
        """Whether sets are computed together, as the shape of the graph allows."""
        return self.shape is not None and not self.spec.plain

    def figures(self, sets: Sequence[Values], window: Window | None) -> list[Figures]:
        """Return the figures of each set in a window; empty where it has too few bars there."""
        if self.shape is None or not self.is_fast:
            return [self._plain_figures(values, window) for values in sets]
        groups: dict[Hashable, list[int]] = {}
        for number, values in enumerate(sets):
            names = (self.shape.factor.node, self.shape.bars.node)
            key = (*(self.key_of(name, values) for name in names), self.params(self.spec.target, values))
            groups.setdefault(key, []).append(number)
        found: list[Figures] = [{}] * len(sets)
        for numbers in groups.values():
            own = [sets[number] for number in numbers]
            figures = self._fast_figures(self.shape, own, window) or [self._plain_figures(one, window) for one in own]
            for number, one in zip(numbers, figures, strict=True):
                found[number] = one
        return found

    def _fast_figures(
        self, shape: ThresholdShape, sets: Sequence[Values], window: Window | None
    ) -> list[Figures] | None:
        """Return the figures of sets that differ in their thresholds only; None where the plain path must tell."""
        first, context = sets[0], self.spec.context
        try:
            bars = getattr(self.outputs(shape.bars.node, first, window), shape.bars.output)
            factor = getattr(self.outputs(shape.factor.node, first, window), shape.factor.output)
            if not fits_shape(bars, factor):
                return None
            start = 0 if window is None else int(np.searchsorted(bars.times_ms, window.start_ms))
            key = ("sweep bars", *self.key_of(shape.bars.node, first), window)
            prepared = self.memo.get(key, lambda: SweepBars.of(bars.data.iloc[start:]))
        except QuantFlowError:
            return None
        values = factor.data["factor"].to_numpy(np.float64)
        thresholds: list[Any] = [self.params(shape.position, one) for one in sets]
        paid: Any = self.params(self.spec.target, first)
        return figures_by_thresholds(prepared, values, start, thresholds, paid, self.spec.engine, context.threads)

    def _plain_figures(self, values: Values, window: Window | None) -> Figures:
        """Return the figures of one set, of which every node is run."""
        result = self.backtest(values, window)
        return {} if result is None else figures_of(result)

    def backtest(self, values: Values, window: Window | None) -> BacktestResult | None:
        """Return the backtest of one set, None with too few bars; only the last node is confined to the window."""
        try:
            outputs = self._run(self._target, values, window, {}, confined=True)
        except SetFailedError as error:
            if isinstance(error.__cause__, TooFewBarsError):
                return None
            raise
        results = (getattr(outputs, port) for port in type(outputs).model_fields)
        return next(result for result in results if isinstance(result, BacktestResult))

    def why_too_few(self, values: Values) -> str:
        """Return the sentence of the node that had too few bars under one set: how many there are and are needed."""
        try:
            self._run(self._target, values, None, {}, confined=True)
        except SetFailedError as error:
            return str(error)
        return ""

    def significant_axes(self) -> list[int]:
        """Return the axes in the order of their nodes: sets that are equal in the first ones share the most nodes."""
        places = list(self.plan.nodes)
        return sorted(range(len(self.spec.axes)), key=lambda number: places.index(self.spec.axes[number][0]))

    def key_of(self, name: str, values: Values) -> tuple[Hashable, ...]:
        """Return what tells a node's outputs under one set from those under another."""
        return (name, *(value_key(values[number]) for number in self._reached[name]))

    def choices(self, name: str, sets: Sequence[Values]) -> Collection[Values]:
        """Return one set for each choice of the parameters that reach a node."""
        return {self.key_of(name, values): values for values in sets}.values()

    def params(self, name: str, values: Values) -> Params:
        """Return a node's parameters under a set."""
        own = {param: values[number] for number, (node, param) in enumerate(self.spec.axes) if node == name}
        node = self.plan.nodes[name]
        given = self.spec.graph.nodes[name].params
        return node.node.params_model.model_validate({**given, **own}) if own else node.params

    def outputs(self, name: str, values: Values, window: Window | None, local: dict[str, Ports] | None = None) -> Ports:
        """Return a node's outputs under a set, from bars that have closed by the window's end.

        What no axis tells apart from other sets is computed once and kept; `local` keeps the rest for one set.
        """
        local = {} if local is None else local
        node = self.plan.nodes[name]
        if len(self._reached[name]) == len(self.spec.axes) and node.sources:
            if name not in local:
                local[name] = self._run(node, values, window, local)
            return local[name]
        key = (*self.key_of(name, values), None if window is None else window.end_ms)
        return self.memo.get(key, lambda: self._run(node, values, window, local))

    def _run(
        self, node: PlannedNode, values: Values, window: Window | None, local: dict[str, Ports], confined: bool = False
    ) -> Ports:
        if not node.sources and window is not None:
            return _cut(node.name, self.outputs(node.name, values, None), window)
        inputs = {
            port: getattr(self.outputs(source.node, values, window, local), source.output)
            for port, source in node.sources.items()
        }
        if confined and window is not None:
            inputs = {port: _confined(value, window) for port, value in inputs.items()}
        planned = replace(node, params=self.params(node.name, values))
        try:
            outputs, _ = run_node(planned, inputs, replace(self.spec.context, node=node.name))
        except Exception as error:
            failure = NodeFailedError(node.name, error)
            chosen = ", ".join(f"{a}.{b}={value}" for (a, b), value in zip(self.spec.axes, values, strict=True))
            raise SetFailedError(f"With {chosen}: {failure}", failure.exit_code) from error
        self._check_digest(node, values, outputs)
        return outputs

    def _check_digest(self, node: PlannedNode, values: Values, outputs: Ports) -> None:
        wanted = self.spec.digests.get(repr(self.key_of(node.name, values)))
        if wanted is not None and outputs_digest(outputs) != wanted:
            raise SetFailedError(
                f"What {node.name} reads has changed while the sweep ran. Run it again over what is there now.",
                InputError.exit_code,
            )

    def _axes_that_reach(self) -> dict[str, tuple[int, ...]]:
        reached: dict[str, set[int]] = {}
        for name, node in self.plan.nodes.items():
            own = {number for number, (owner, _) in enumerate(self.spec.axes) if owner == name}
            reached[name] = own.union(*(reached[source.node] for source in node.sources.values()))
        return {name: tuple(sorted(numbers)) for name, numbers in reached.items()}


def _cut(name: str, outputs: Ports, window: Window) -> Ports:
    """Return outputs without the rows that close after the window: they are not known in it."""
    cut = {}
    for port in type(outputs).model_fields:
        value = getattr(outputs, port)
        if isinstance(value, pd.DataFrame | pd.Series):
            raise SetFailedError(
                f"{name} gives its {port} as a plain table, of which nobody can tell what is known when. Give it as a "
                "SymbolFrame, or leave --walk-forward out.",
                InputError.exit_code,
            )
        cut[port] = rows_until(value, window.end_ms) if isinstance(value, SymbolFrame) else value
        if isinstance(value, SymbolFrame) and len(value.data) and not len(cut[port].data):
            none = TooFewBarsError(f"{name} has no {port} that has closed by {window.end:%Y-%m-%d %H:%M} UTC.")
            raise SetFailedError(str(none), none.exit_code) from none
    return outputs.model_copy(update=cut)


def _confined(value: Any, window: Window) -> Any:
    """Return the rows of the window; a position that was decided before it and kept is decided at its first row too."""
    if isinstance(value, Position):
        kept = value.data.groupby("symbol", sort=False, observed=True)["position"].ffill()
        value = value.with_rows(value.data.assign(position=kept))
    return rows_from(value, window.start_ms) if isinstance(value, SymbolFrame) else value


_evaluators: OrderedDict[str, Evaluator] = OrderedDict()
_evaluators_lock = Lock()


def adopt(evaluator: Evaluator, spec: SweepSpec) -> None:
    """Let the tasks of a sweep that run in this process use an evaluator, and what it has computed."""
    evaluator.spec = spec
    with _evaluators_lock:
        _evaluators[spec.key] = evaluator


def evaluator_of(spec: SweepSpec) -> Evaluator:
    """Return this process's evaluator of a sweep; those of the last two sweeps are kept."""
    with _evaluators_lock:
        if spec.key not in _evaluators:
            _evaluators[spec.key] = Evaluator(spec)
        _evaluators.move_to_end(spec.key)
        while len(_evaluators) > _MOST_SWEEPS:
            _evaluators.popitem(last=False)
        return _evaluators[spec.key]
