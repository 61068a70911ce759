"""Checks every parameter set of a sweep before anything runs, and cuts the graph down to what its backtest needs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from quantflow_nodes.graph import Graph
from quantflow_nodes.node import port_type
from quantflow_nodes.nodes.export_signals import ExportSignals
from quantflow_nodes.plan import Plan, find_classes, param_mistake, plan_graph
from quantflow_nodes.registry import NodeClass
from quantflow_nodes.sweep.grid import Axis, Grid, Positions, counted
from research.backtest import BacktestResult
from schemas.errors import GraphError

_MOST_TOLD = 12


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """A checked sweep.

    Attributes
    ----------
    graph : Graph
        The backtest and what leads to it, with the parameters of the first set; nodes that publish are not among them.
    grid : Grid
        The axes, and the sets that can run.
    target : str
        The node whose backtest judges a set.
    left_out : tuple of str
        What is said of the sets that break a rule of a node, each sentence with how many; they are not in the grid.
    left_out_sets : int
        How many those are.
    """

    graph: Graph
    grid: Grid
    target: str
    left_out: tuple[str, ...] = ()
    left_out_sets: int = 0


@dataclass(slots=True)
class _Checked:
    """What the check of all sets found: mistakes of single values, broken rules, and the sets that break none."""

    wrong: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    sets: list[Positions] = field(default_factory=list)

    def mistakes(self, *, skip_invalid: bool) -> list[str]:
        """Return why no sweep can be made of it; broken rules are no reason where they only leave sets out."""
        told = _counted(self.wrong)
        if not skip_invalid:
            advice = " --skip-invalid leaves them out." if self.sets and not self.wrong else ""
            told += [line + advice for line in _counted(self.broken)]
        return told if told or self.sets else ["no set is left:", *_counted(self.broken)]


def plan_sweep(graph: Graph, grid: Grid, target: str | None = None, *, skip_invalid: bool = False) -> SweepPlan:
    """Return the plan of a sweep.

    Parameters
    ----------
    graph : Graph
        As `quantflow run` takes it.
    grid : Grid
        What is swept.
    target : str, optional
        The node whose backtest judges a set; needed where the graph has several.
    skip_invalid : bool
        Leave out sets whose parameters break a rule between them, such as an exit above the entry.

    Raises
    ------
    GraphError
        With every mistake of the graph and of every set, each sentence once, with how many sets it is about.
    """
    mistakes: list[str] = []
    classes = find_classes(graph, mistakes)
    mistakes += [line for axis in grid.axes for line in _axis_mistakes(axis, graph)]
    if mistakes:
        raise _refused(graph, mistakes)
    checked = _check_sets(graph, grid, classes)
    plan = _plan_of_one(_with_params(graph, grid, (checked.sets or grid.sets)[0]), checked, mistakes)
    judge = None if plan is None else _judge(plan, target, mistakes)
    mistakes += checked.mistakes(skip_invalid=skip_invalid)
    if mistakes:
        mistakes += [line for axis in grid.axes for line in _hints(axis, [*checked.wrong, *checked.broken])]
    if plan is None or judge is None or mistakes:
        raise _refused(graph, mistakes)
    kept = _leading_to(plan, judge)
    mistakes += _misuses(plan, grid, judge, kept)
    if mistakes:
        raise _refused(graph, mistakes)
    return SweepPlan(
        graph=replace(plan.graph, nodes={name: node for name, node in plan.graph.nodes.items() if name in kept}),
        grid=replace(grid, sets=tuple(checked.sets)),
        target=judge,
        left_out=tuple(_counted(checked.broken)),
        left_out_sets=len(grid.sets) - len(checked.sets),
    )


def _with_params(graph: Graph, grid: Grid, positions: Positions) -> Graph:
    """Return the graph with the parameters of one set."""
    changes: dict[str, dict[str, Any]] = {}
    for axis, value in zip(grid.axes, grid.values(positions), strict=True):
        changes.setdefault(axis.node, {})[axis.param] = value
    nodes = {
        name: entry.model_copy(update={"params": {**entry.params, **changes[name]}}) if name in changes else entry
        for name, entry in graph.nodes.items()
    }
    return replace(graph, nodes=nodes)


def _axis_mistakes(axis: Axis, graph: Graph) -> Iterator[str]:
    if axis.node not in graph.nodes:
        yield f"--grid {axis.name}: there is no node {axis.node}. The graph has {', '.join(graph.nodes)}."


def _hints(axis: Axis, refused: Sequence[str]) -> Iterator[str]:
    """Say as what the text of refused values was read."""
    own = [line for line in refused if line.startswith(f"{axis.node}: ")]
    whole = [line for line in own if "whole number" in line]
    if any(isinstance(value, str) and ":" in value and repr(value) in line for value in axis.values for line in own):
        yield f"--grid {axis.name}: a range is start:stop:step, three numbers such as 30:240:30. This was read as text."
    if any(isinstance(value, float) and f"found {value!r}." in line for value in axis.values for line in whole):
        yield (
            f"--grid {axis.name}: a whole number is written without a point, and a range of them too: 30:240:30. "
            "These were read as numbers with decimals."
        )


def _check_sets(graph: Graph, grid: Grid, classes: Mapping[str, NodeClass]) -> _Checked:
    """Check each node's parameters once for each distinct choice of its own swept ones: wiring knows no parameters."""
    places = {
        name: [number for number, axis in enumerate(grid.axes) if axis.node == name]
        for name in dict.fromkeys(axis.node for axis in grid.axes)
    }
    known: dict[tuple[str, Positions], tuple[list[str], bool]] = {}
    checked = _Checked()
    for positions in grid.sets:
        fine = True
        for name, own in places.items():
            key = (name, tuple(positions[number] for number in own))
            if key not in known:
                swept = {grid.axes[number].param: grid.axes[number].values[positions[number]] for number in own}
                known[key] = _set_mistakes(name, graph, classes[name], swept)
            lines, rule = known[key]
            (checked.broken if rule else checked.wrong).update(lines)
            fine = fine and not lines
        if fine:
            checked.sets.append(positions)
    return checked


def _set_mistakes(name: str, graph: Graph, found: NodeClass, swept: dict[str, Any]) -> tuple[list[str], bool]:
    """Return what is wrong with a node's parameters, and whether it is a rule that concerns them together."""
    entry = graph.nodes[name].model_copy(update={"params": {**graph.nodes[name].params, **swept}})
    try:
        found.params_model.model_validate(entry.params)
    except ValidationError as error:
        known = list(found.params_model.model_fields)
        lines = [f"{name}: {param_mistake(entry, known, dict(part))}" for part in error.errors()]
        return lines, all(part["loc"] == () for part in error.errors())
    return [], False


def _plan_of_one(graph: Graph, checked: _Checked, mistakes: list[str]) -> Plan | None:
    """Return the plan of one set; what is wrong with it and not with its swept parameters adds to `mistakes`."""
    try:
        return plan_graph(graph)
    except GraphError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        # what a set shares with the others is told with how many they are
        mistakes += [line for line in lines if line not in {**checked.wrong, **checked.broken}]
    return None


def _judge(plan: Plan, wanted: str | None, mistakes: list[str]) -> str | None:
    found = [name for name, node in plan.nodes.items() if _gives_backtest(type(node.node))]
    if wanted is not None and wanted not in found:
        mistakes.append(f"{wanted} is no node with a backtest; there are {', '.join(found) or 'none'}.")
    elif not found:
        mistakes.append("it has no backtest node, by which a set could be judged. Add one.")
    elif wanted is None and len(found) > 1:
        mistakes.append(f"it has several backtests: {', '.join(found)}. Name the one that judges with --backtest.")
    return wanted if wanted is not None else found[0] if found else None


def _gives_backtest(node: NodeClass) -> bool:
    """Tell whether a node's outputs hold a backtest, by which a set can be judged."""
    return any(
        issubclass(port_type(node.outputs_model, port), BacktestResult) for port in node.outputs_model.model_fields
    )


def _leading_to(plan: Plan, target: str) -> set[str]:
    kept, names = {target}, [target]
    while names:
        for source in plan.nodes[names.pop()].sources.values():
            if source.node not in kept:
                kept.add(source.node)
                names.append(source.node)
    return kept


def _misuses(plan: Plan, grid: Grid, target: str, kept: set[str]) -> Iterator[str]:
    for name in kept:
        if isinstance(plan.nodes[name].node, ExportSignals):
            yield f"{target} is fed by what {name} exports, and a sweep publishes nothing. Take that edge away."
    for axis in grid.axes:
        if axis.node not in kept:
            yield f"--grid {axis.name}: {axis.node} does not lead to {target}, so its parameters change no figure."


def _counted(lines: Counter[str]) -> list[str]:
    told = [f"{line} ({counted(count, 'set')})" for line, count in lines.items()]
    more = len(told) - _MOST_TOLD
    return told if more <= 0 else [*told[:_MOST_TOLD], f"and {more:,} more of that kind."]


def _refused(graph: Graph, mistakes: Sequence[str]) -> GraphError:
    return GraphError(f"The graph {graph.name} can not be swept:\n" + "\n".join(f"  {line}" for line in mistakes))
