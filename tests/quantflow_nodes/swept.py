"""Runs sweeps over a walk for tests, and nodes that give themselves away in them."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from market import graph_text

from quantflow_nodes.graph import Graph, parse_graph
from quantflow_nodes.node import Node, Params, Ports, RunContext
from quantflow_nodes.nodes.read_bars import NoInputs
from quantflow_nodes.ports import Bars, Factor
from quantflow_nodes.sweep.grid import parse_grid
from quantflow_nodes.sweep.outcome import SplitOutcome, SweepOutcome
from quantflow_nodes.sweep.run_sweep import SweepOptions, run_sweep
from quantflow_nodes.sweep.sweep_plan import plan_sweep
from quantflow_nodes.sweep.windows import parse_walk_forward
from schemas.settings import Settings

RUNS: Counter[str] = Counter()
PEEK = {"type: factor, params: {name: momentum, lookback_bars: 60}": "type: swept:Peek"}
GRID = ["momentum.lookback_bars=20,60", "position.enter_above=0:0.002:0.001", "backtest.fee_bps=0,10"]


def walk_graph(**replaced: str) -> Graph:
    """The graph of two days of the walk, with words replaced."""
    text = graph_text()
    for old, new in replaced.items():
        text = text.replace(old, new)
    return parse_graph(text, "g.yaml", Path(__file__).parent)


def swept(
    settings: Settings,
    grid: list[str] = GRID,
    graph: Graph | None = None,
    walk_forward: str | None = None,
    anchored: bool = False,
    cluster: Any = None,
    **options: Any,
) -> SweepOutcome:
    """The outcome of a sweep of the walk, in this process unless workers or a cluster are given."""
    walk = None if walk_forward is None else parse_walk_forward(walk_forward, anchored=anchored)
    plan = plan_sweep(graph or walk_graph(), parse_grid(grid))
    chosen = SweepOptions(**{"workers": 1, "walk_forward": walk, **options})
    return run_sweep(plan, settings, chosen, cluster=cluster)


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    """Equal row by row; sums may be taken in another order."""
    pd.testing.assert_frame_equal(left, right, rtol=1e-9, atol=1e-12)


def same_splits(left: list[SplitOutcome], right: list[SplitOutcome]) -> None:
    """The same windows, choices and figures; sums may be taken in another order."""
    assert [(one.split, one.chosen) for one in left] == [(one.split, one.chosen) for one in right]
    for one, other in zip(left, right, strict=True):
        for figures, others in ((one.train, other.train), (one.test, other.test)):
            assert figures == (others and pytest.approx(others, rel=1e-9, nan_ok=True))


class PeekParams(Params):
    """How many bars are peeked ahead."""

    ahead_bars: int


class PeekInputs(Ports):
    """Bars."""

    bars: Bars


class PeekOutputs(Ports):
    """A factor."""

    factor: Factor


class Peek(Node[PeekParams, PeekInputs, PeekOutputs]):
    """The return of bars to come: a node that sees the future as far as it is given one."""

    type_name = "peek"

    def run(self, params: PeekParams, inputs: PeekInputs, context: RunContext) -> PeekOutputs:
        RUNS[context.node] += 1
        close = inputs.bars.data["close"].to_numpy(np.float64)
        factor = np.full(len(close), np.nan)
        ahead = params.ahead_bars
        factor[: len(close) - ahead] = close[ahead:] / close[: len(close) - ahead] - 1
        data = inputs.bars.data[["symbol", "datetime"]].assign(factor=factor)
        return PeekOutputs(factor=Factor(data, inputs.bars.timeframe))


class TableOutputs(Ports):
    """A plain table."""

    table: pd.DataFrame


class Table(Node[Params, NoInputs, TableOutputs]):
    """A source whose rows carry no bars' times."""

    type_name = "table"

    def run(self, params: Params, inputs: NoInputs, context: RunContext) -> TableOutputs:
        return TableOutputs(table=pd.DataFrame({"scale": [1.0]}))


class ScaledInputs(Ports):
    """Bars and a table."""

    bars: Bars
    table: pd.DataFrame


class Scaled(Node[PeekParams, ScaledInputs, PeekOutputs]):
    """A factor that uses the table."""

    type_name = "scaled"

    def run(self, params: PeekParams, inputs: ScaledInputs, context: RunContext) -> PeekOutputs:
        value = inputs.bars.data["close"].diff(params.ahead_bars) * inputs.table["scale"].iloc[0]
        data = inputs.bars.data[["symbol", "datetime"]].assign(factor=value)
        return PeekOutputs(factor=Factor(data, inputs.bars.timeframe))
