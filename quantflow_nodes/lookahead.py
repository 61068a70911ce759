"""Shows for each node of a graph that no output changes when the future does; names the node that sees it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd

from quantflow_nodes.frame_cuts import Difference, closed_until, first_difference, with_other_future
from quantflow_nodes.node import RunContext, TooFewBarsError
from quantflow_nodes.nodes.export_signals import ExportSignals, ExportSignalsParams, make_batch, wanted_values
from quantflow_nodes.plan import Plan, PlannedNode
from quantflow_nodes.ports import SymbolFrame
from quantflow_nodes.runner import NodeFailedError, run_node
from schemas.mongo import open_database, serve, server_time
from schemas.run_id import new_run_id
from schemas.settings import Settings

SEES_THE_FUTURE = 9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
How = Literal["cut", "changed", "repeated"]
Verdict = Literal["sees nothing later", "sees the future", "gives other values each time", "fails", "not shown", "–"]
Observer = Callable[[str, str, float | None], None]
Frames = dict[str, SymbolFrame]


@dataclass(frozen=True, slots=True)
class Finding:
    """How a node gave itself away.

    Attributes
    ----------
    output : str
        The output that changed.
    how : str
        "cut": rows that closed after `time` were taken away; "changed": their numbers were replaced; "repeated":
        nothing was done, the node was only run again.
    time : datetime
        Rows that closed until then should have stayed as they were.
    difference : Difference
        The first row that did not.
    """

    output: str
    how: How
    time: datetime
    difference: Difference


@dataclass(frozen=True, slots=True)
class NodeVerdict:
    """What was found about one node: `detail` says why, where that is not plain."""

    node: str
    type: str
    verdict: Verdict
    cuts: int = 0
    rows: int = 0
    finding: Finding | None = None
    detail: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether the node was shown to see nothing later, or gives nothing that could."""
        return self.verdict in ("sees nothing later", "–")


def check_lookahead(
    plan: Plan,
    settings: Settings,
    samples: int,
    seed: int,
    observe: Observer = lambda _node, _state, _seconds: None,
) -> list[NodeVerdict]:
    """Return a verdict for each node of a graph.

    Every node is run once over all bars. Then, at sampled times, it is run again by itself: on what its sources gave,
    with all rows that close after the time cut off, and with other numbers in them. No row that closed until then may
    change, come or go. As each node is fed what its sources gave in the full run, only the one that looks ahead is
    named, and not those that it feeds. Nothing is published.

    Parameters
    ----------
    plan : Plan
    settings : Settings
        Where the bars lie.
    samples : int
        Times for each node, spread evenly over its bars.
    seed : int
        Of the choice of times and of the other future.

    Raises
    ------
    QuantFlowError
        Where the store can not be used, or a node fails over all bars.
    """
    with serve(settings) as served, open_database(served) as db:
        context = RunContext(served, new_run_id(), plan.graph.name, "", server_time(db))
        return list(_verdicts(plan, context, samples, seed, observe))


def _verdicts(plan: Plan, context: RunContext, samples: int, seed: int, observe: Observer) -> Iterator[NodeVerdict]:
    outputs: dict[str, dict[str, Any]] = {}
    used = {(source.node, source.output) for node in plan.nodes.values() for source in node.sources.values()}
    for number, node in enumerate(plan.nodes.values()):
        if any(source.node not in outputs for source in node.sources.values()):
            yield NodeVerdict(node.name, node.type, "–", detail="is fed by what is exported, and nothing is")
            continue
        observe(node.name, "running", None)
        inputs = {port: outputs[source.node][source.output] for port, source in node.sources.items()}
        handed_on = {output for giver, output in used if giver == node.name}
        probe = _Probe(node, inputs, handed_on, replace(context, node=node.name))
        if not isinstance(node.node, ExportSignals):
            outputs[node.name] = probe.full
        yield probe.verdict(samples, np.random.default_rng([seed, number]))
        observe(node.name, "succeeded", None)


class _Probe:
    """One node with the inputs of the full run."""

    def __init__(self, node: PlannedNode, inputs: dict[str, Any], handed_on: set[str], context: RunContext) -> None:
        self._node, self._handed_on, self._context = node, handed_on, context
        self._frames: Frames = {port: value for port, value in inputs.items() if isinstance(value, SymbolFrame)}
        self._plain = {port: value for port, value in inputs.items() if port not in self._frames}
        try:
            self.full = self._run(self._frames)
        except Exception as error:
            raise NodeFailedError(node.name, error) from error

    def verdict(self, samples: int, random: np.random.Generator) -> NodeVerdict:
        """Try the node at sampled times until it is found out."""
        told = NodeVerdict(self._node.name, self._node.type, "–")
        wanted = {port: value for port, value in self.full.items() if self._is_wanted(port, value)}
        if not self._frames:
            return replace(told, detail="no frame flows in")
        if not wanted:
            return replace(told, detail="gives no row for each bar")
        try:
            again = self._finding(wanted, self._frames, None, "repeated")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told with the verdict
            return replace(told, verdict="fails", detail=f"run once more: {type(error).__name__}: {error}")
        if isinstance(again, Finding):
            return replace(told, verdict="gives other values each time", finding=again)
        return self._tried(told, wanted, self._times(samples, random), random)

    def _tried(
        self, told: NodeVerdict, wanted: Mapping[str, Any], times: list[int], random: np.random.Generator
    ) -> NodeVerdict:
        cuts, rows, too_few = 0, 0, ""
        for time in times:
            tried = False
            for how in ("cut", "changed"):
                frames = {
                    port: closed_until(frame, time) if how == "cut" else with_other_future(frame, time, random)
                    for port, frame in self._frames.items()
                }
                try:
                    # Sums of invented numbers may overflow: that is no fault of the node's, and nobody's to read.
                    with np.errstate(over="ignore", invalid="ignore"):
                        found = self._finding(wanted, frames, time, how)
                except TooFewBarsError as error:
                    too_few = str(error)
                    continue
                except Exception as error:  # noqa: BLE001 - whatever it is, it is told with the verdict
                    detail = f"with the future {how} at {_time(time):%Y-%m-%d %H:%M}: {type(error).__name__}: {error}"
                    return replace(told, verdict="fails", cuts=cuts, rows=rows, detail=detail)
                if isinstance(found, Finding):
                    return replace(told, verdict="sees the future", cuts=cuts + 1, rows=rows, finding=found)
                rows, tried = rows + found, True
            cuts += tried
        if cuts == 0:
            return replace(told, verdict="not shown", detail=too_few or "there are too few bars to cut")
        return replace(told, verdict="sees nothing later", cuts=cuts, rows=rows)

    def _finding(self, wanted: Mapping[str, Any], frames: Frames, time: int | None, how: How) -> Finding | int:
        """Run the node on other frames; return what gives it away, or how many rows stayed as they were."""
        given, compared = self._run(frames), 0
        for port, full in wanted.items():
            if not isinstance(full, SymbolFrame):
                if not _is_same(full, given.get(port)):
                    at = self._last_close() if time is None else time
                    return Finding(port, how, _time(at), Difference("", _time(at), "", full, given.get(port), 1))
                continue
            until = int(full.closes_ms.max(initial=0)) if time is None else time
            before, after = closed_until(full, until).data, closed_until(given[port], until).data
            difference = first_difference(before, after)
            if difference is not None:
                return Finding(port, how, _time(until), difference)
            compared += len(before)
        return compared

    def _is_wanted(self, port: str, value: object) -> bool:
        """Rows that must not change; and a plain value that other nodes use, for it serves bars of all times."""
        return isinstance(value, SymbolFrame) or port in self._handed_on

    def _last_close(self) -> int:
        return max(int(frame.closes_ms.max(initial=0)) for frame in self._frames.values())

    def _times(self, samples: int, random: np.random.Generator) -> list[int]:
        """Return closes at which to cut, one from each of as many stretches of equal length; never the last one."""
        closes = np.unique(np.concatenate([frame.closes_ms for frame in self._frames.values()]))[:-1]
        stretches = [part for part in np.array_split(closes, min(samples, max(closes.size, 1))) if part.size]
        return [int(random.choice(part)) for part in stretches]

    def _run(self, frames: Mapping[str, SymbolFrame]) -> dict[str, Any]:
        node, inputs = self._node, {**self._plain, **frames}
        if isinstance(node.node, ExportSignals):
            return {"signals": _decisions(node, inputs, self._context)}
        outputs, _ = run_node(node, inputs, self._context)
        return {port: getattr(outputs, port) for port in type(outputs).model_fields}


def _is_same(value: Any, other: Any) -> bool:
    if isinstance(value, pd.DataFrame | pd.Series):
        return bool(value.equals(other))
    if isinstance(value, np.ndarray):
        return bool(np.array_equal(value, other))
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(_is_same(value[key], other[key]) for key in value)
    if isinstance(value, list | tuple) and isinstance(other, list | tuple):
        return len(value) == len(other) and all(map(_is_same, value, other))
    if isinstance(value, float) and isinstance(other, float) and np.isnan(value):
        return bool(np.isnan(other))
    return bool(value == other)


def _decisions(node: PlannedNode, inputs: Mapping[str, Any], context: RunContext) -> SymbolFrame:
    """Return the signals that an export node would publish, as a frame; nothing is published."""
    params = node.params
    if not isinstance(params, ExportSignalsParams):
        raise TypeError(f"An export_signals node was needed, found {node.type}.")
    frame, values = wanted_values(params, node.node.inputs_model(**inputs))  # type: ignore[arg-type]
    batch = make_batch(frame, values, params, f"graph {context.graph}")
    columns = ["symbol", "datetime", "action", "weight", "score", "valid_until"]
    rows = [[one.symbol, one.ts, one.action, one.weight, one.score, one.valid_until] for one in batch.signals]
    data = pd.DataFrame(rows, columns=columns).astype({"symbol": "str", "datetime": frame.data["datetime"].dtype})
    return SymbolFrame(data.sort_values(["symbol", "datetime"], ignore_index=True), frame.timeframe)


def _time(time_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=time_ms)
