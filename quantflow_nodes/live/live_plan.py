"""What of a graph a live session runs: what leads to its exports, and how many bars that needs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import pandas as pd

from quantflow_nodes.graph import Graph
from quantflow_nodes.node import port_type
from quantflow_nodes.nodes.export_signals import ExportSignals
from quantflow_nodes.nodes.read_bars import ReadBars
from quantflow_nodes.plan import Plan, PlannedNode
from quantflow_nodes.ports import SymbolFrame
from schemas.collections import bars_collection
from schemas.errors import GraphError, StoreError
from schemas.timeframes import Timeframe

Windows = Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class BarSource:
    """A read_bars node in a live session: from `start` on, without an end."""

    node: str
    symbols: tuple[str, ...]
    timeframe: Timeframe
    start: datetime

    @property
    def collection(self) -> str:
        """Where its bars are stored."""
        return bars_collection(self.timeframe)


@dataclass(frozen=True, slots=True)
class LivePlan:
    """A checked graph as a live session runs it.

    Attributes
    ----------
    plan : Plan
        The whole graph.
    sources : dict of str to BarSource
        Where bars enter, by node.
    steps : tuple of PlannedNode
        What is run at each close, sources before those they feed; without read_bars and export nodes.
    exports : tuple of PlannedNode
        The export nodes.
    lookbacks : dict of str to int or None
        What each step and export declares.
    """

    plan: Plan
    sources: dict[str, BarSource]
    steps: tuple[PlannedNode, ...]
    exports: tuple[PlannedNode, ...]
    lookbacks: dict[str, int | None]

    @property
    def idle(self) -> list[str]:
        """Nodes of the graph that lead to no export; a live session does not run them."""
        run = {*self.sources, *self.lookbacks}
        return [name for name in self.plan.nodes if name not in run]

    @property
    def strategies(self) -> list[str]:
        """The strategies that are published, sorted."""
        return sorted({node.params.strategy_id for node in self.exports})  # type: ignore[attr-defined]

    @property
    def timeframes(self) -> list[Timeframe]:
        """The timeframes of the bars, shortest first."""
        return sorted({source.timeframe for source in self.sources.values()}, key=lambda one: one.seconds)

    def rows_needed(self, windows: Windows) -> dict[str, int | None]:
        """Return how many rows of each source stand behind one row of an export; None: all.

        It is the longest sum of windows along the ways from the source to an export. Where timeframes differ, it is an
        estimate in bars of the source.
        """
        needed: dict[str, int | None] = {node.name: 0 for node in self.exports}
        seconds = self._seconds()
        for node in reversed((*self.steps, *self.exports)):
            below, window = needed.get(node.name, 0), windows[node.name]
            for source in node.sources.values():
                known = needed.get(source.node, 0)
                if known is None or below is None or window is None:
                    needed[source.node] = None
                    continue
                scale = max(seconds[node.name] / seconds[source.node], 1.0)
                needed[source.node] = max(known, int(below * scale) + window)
        return {name: needed.get(name, 0) for name in self.sources}

    def _seconds(self) -> dict[str, int]:
        """Return the length of a node's bars, as far as it can be told before it runs: that of its first input."""
        seconds = {name: source.timeframe.seconds for name, source in self.sources.items()}
        for node in (*self.steps, *self.exports):
            fed = [seconds[source.node] for source in node.sources.values()]
            seconds[node.name] = fed[0] if fed else self.timeframes[0].seconds
        return seconds


def without_ends(graph: Graph) -> Graph:
    """Return a graph whose read_bars nodes have no end: live goes on, wherever a run over history would stop."""
    nodes = {
        name: entry.model_copy(update={"params": {key: value for key, value in entry.params.items() if key != "end"}})
        if entry.type == ReadBars.type_name
        else entry
        for name, entry in graph.nodes.items()
    }
    return replace(graph, nodes=nodes)


def plan_live(plan: Plan) -> LivePlan:
    """Return how a live session runs a graph.

    Raises
    ------
    GraphError
        Where it can not be live, with every reason: nothing is exported, bars come from elsewhere than the store, a
        timeframe is not stored, or a value computed from bars is no frame.
    """
    mistakes: list[str] = []
    exports = tuple(node for node in plan.nodes.values() if isinstance(node.node, ExportSignals))
    if not exports:
        mistakes.append("it has no export_signals node, so there is nothing to publish. Add one, or use quantflow run.")
    wanted = _ancestors(plan, exports)
    sources = {name: _source(plan.nodes[name], mistakes) for name in wanted if _is_reader(plan.nodes[name])}
    steps = tuple(node for node in plan.nodes.values() if node.name in wanted and node.name not in sources)
    for node in steps:
        mistakes += _step_mistakes(plan, node)
    lookbacks = {node.name: _lookback(node, mistakes) for node in (*steps, *exports)}
    if exports and not sources:
        mistakes.append("no export_signals node of it is fed from read_bars, so no close would ever run it.")
    if mistakes:
        raise GraphError(f"The graph {plan.graph.name} can not be live:\n" + "\n".join(f"  {one}" for one in mistakes))
    return LivePlan(plan, {name: one for name, one in sources.items() if one}, steps, exports, lookbacks)


def _is_reader(node: PlannedNode) -> bool:
    return isinstance(node.node, ReadBars)


def _ancestors(plan: Plan, exports: tuple[PlannedNode, ...]) -> set[str]:
    wanted: set[str] = set()
    names = [source.node for node in exports for source in node.sources.values()]
    while names:
        name = names.pop()
        if name not in wanted:
            wanted.add(name)
            names += [source.node for source in plan.nodes[name].sources.values()]
    return wanted


def _with_ancestors(plan: Plan, node: PlannedNode) -> list[PlannedNode]:
    return [node, *(plan.nodes[name] for name in _ancestors(plan, (node,)))]


def _source(node: PlannedNode, mistakes: list[str]) -> BarSource | None:
    params = node.params
    try:
        timeframe = Timeframe.parse(params.timeframe)  # type: ignore[attr-defined]
        bars_collection(timeframe)
    except StoreError as error:
        mistakes.append(f"{node.name}: {error}")
        return None
    symbols = tuple(sorted(set(params.symbols)))  # type: ignore[attr-defined]
    return BarSource(node.name, symbols, timeframe, params.start)  # type: ignore[attr-defined]


def _step_mistakes(plan: Plan, node: PlannedNode) -> list[str]:
    outputs = node.node.outputs_model
    if isinstance(node.node, ExportSignals):
        return [f"{node.name}: what is exported can not be the input of a live node. Take the edge away."]
    if not node.sources:
        frames = [port for port in outputs.model_fields if _is_frame(port_type(outputs, port))]
        return [
            f"{node.name}: {node.type} has no input and is no read_bars, so nobody can tell when its {port} has a new "
            "row. Store its rows as bars, or compute them from bars."
            for port in frames
        ]
    mistakes = []
    for port, source in node.sources.items():
        giver = plan.nodes[source.node]
        given = port_type(giver.node.outputs_model, source.output)
        if not issubclass(given, SymbolFrame) and any(map(_is_reader, _with_ancestors(plan, giver))):
            mistakes.append(
                f"{node.name}: the input {port} takes {given.__name__} from {source.node}, which is computed from bars "
                "as a whole. Live can hand on frames only, which have a row for each bar."
            )
    return mistakes


def _is_frame(kind: type) -> bool:
    return issubclass(kind, SymbolFrame | pd.DataFrame)


def _lookback(node: PlannedNode, mistakes: list[str]) -> int | None:
    bars: object = node.node.lookback_bars(node.params)
    if bars is None or (isinstance(bars, int) and bars >= 0):
        return bars
    mistakes.append(f"{node.name}: {node.type} must look back a whole number of bars or None, found {bars!r}.")
    return None
