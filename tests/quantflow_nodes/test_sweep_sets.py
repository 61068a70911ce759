"""A sweep gives for each set what a run gives, once, whichever way it is computed, and publishes nothing."""

import sys
import threading

import numpy as np
import pandas as pd
import pytest
from market import graph_text, write_walk
from swept import GRID, PEEK, RUNS, same, same_splits, swept, walk_graph

from quantflow_nodes.graph import parse_graph
from quantflow_nodes.node import RunContext
from quantflow_nodes.plan import plan_graph
from quantflow_nodes.ports import Bars
from quantflow_nodes.sweep.evaluation import Evaluator, SweepSpec
from quantflow_nodes.sweep.fast_path import state_at, threshold_shape
from quantflow_nodes.sweep.outcome import param_column
from quantflow_nodes.workflow import run_graph
from research.engines import chosen as engine
from research.factors import compute
from research.metrics import YEAR_SECONDS
from research.overfitting import expected_maximum_sharpe, probabilistic_sharpe
from schemas.collections import SIGNAL_EXPORTS, SIGNALS, SWEEP_RESULTS, SWEEPS, WORKFLOW_RUNS, Store
from schemas.errors import InputError, QuantFlowError
from schemas.settings import Settings

pytestmark = pytest.mark.mongo
TWO_SYMBOLS = {"BINANCE:BTCUSDT": "BINANCE:BTCUSDT, BINANCE:ETHUSDT"}


def test_each_set_has_the_figures_of_its_run(walk: Store, walk_settings: Settings) -> None:
    """`quantflow run` with the set's parameters, metric by metric."""
    table = swept(walk_settings, ["momentum.lookback_bars=20,60", "position.enter_above=0,0.002"]).table
    for _, row in table.iterrows():
        changes = [f"momentum.lookback_bars={int(row.iloc[0])}", f"position.enter_above={row.iloc[1]}"]
        graph = parse_graph(graph_text(), "g.yaml", walk_graph().folder, changes)
        nodes = {name: entry for name, entry in graph.nodes.items() if name != "export"}
        plan = plan_graph(type(graph)(graph.name, nodes))
        summary = run_graph(plan, walk_settings).as_dict()["nodes"]["backtest"]["summary"]
        for name in ("total_return", "sharpe", "sortino", "max_drawdown", "calmar", "trades", "fees_paid", "win_rate"):
            assert row[name] == pytest.approx(summary[name], rel=1e-9), name


def test_the_fast_path_gives_what_the_plain_path_gives(walk: Store, walk_settings: Settings) -> None:
    """Set by set, over all bars and in every window, stitched tests included."""
    fast = swept(walk_settings, walk_forward="12h:6h")
    plain = swept(walk_settings, walk_forward="12h:6h", plain=True, fresh=True)
    same(fast.table, plain.table)
    assert len(fast.splits) == 6
    same_splits(fast.splits, plain.splits)


def test_a_window_keeps_what_was_decided_before_it(walk: Store, walk_settings: Settings) -> None:
    """Thresholds that are crossed rarely: many windows begin in the middle of a position, on both paths alike."""
    grid = ["position.enter_above=0.004,0.008", "momentum.lookback_bars=200,400"]
    graph = walk_graph(**{"exit_below: 0": "exit_below: -0.004"})
    fast = swept(walk_settings, grid, graph, walk_forward="8h:4h")
    plain = swept(walk_settings, grid, graph, walk_forward="8h:4h", plain=True, fresh=True)
    assert len(fast.splits) == 10
    held = [one.test["exposure"] for one in fast.splits if one.test is not None and one.test["trades"] == 1]
    assert max(held) > 0.9
    same_splits(fast.splits, plain.splits)


def test_the_state_at_a_row_is_that_of_the_last_crossing() -> None:
    """By hand: 0.5 is above 0.4 and not above 0.6; a factor that is not known changes nothing."""
    factor = np.array([0.0, 0.5, np.nan, 0.3, np.nan])
    enter, leave = np.array([0.4, 0.6, 0.4, 2.0]), np.array([0.1, 0.1, 0.4, -1.0])
    assert state_at(factor, 4, enter, leave).tolist() == pytest.approx([1.0, 0.0, 0.0, np.nan], nan_ok=True)
    far = np.concatenate([[1.0], np.full(1_000, 0.3)])
    assert state_at(far, 1_000, enter[:1], leave[:1]).tolist() == [1.0]


def test_a_graph_of_another_shape_takes_the_plain_path(walk: Store, walk_settings: Settings) -> None:
    """Two symbols: the portfolio's figures are those of the run."""
    graph = walk_graph(**TWO_SYMBOLS)
    outcome = swept(walk_settings, ["momentum.lookback_bars=20,60"], graph)
    nodes = {name: entry for name, entry in graph.nodes.items() if name != "export"}
    run = run_graph(plan_graph(type(graph)(graph.name, nodes)), walk_settings).as_dict()["nodes"]["backtest"]["summary"]
    assert outcome.table["sharpe"].iloc[1] == pytest.approx(run["sharpe"], rel=1e-9)
    assert outcome.table["trades"].iloc[1] == run["trades"]


@pytest.mark.parametrize("plain", [False, True])
def test_nodes_run_once_for_each_choice_of_what_reaches_them(
    walk: Store, walk_settings: Settings, *, plain: bool
) -> None:
    """Twelve sets over two parameters of the factor: it runs twice."""
    RUNS.clear()
    swept(walk_settings, ["momentum.ahead_bars=1,5", *GRID[1:]], walk_graph(**PEEK), plain=plain)
    assert RUNS == {"momentum": 2}


def test_a_sweep_publishes_nothing(settings: Settings, db: Store) -> None:
    """No signal, no export, no run: its documents are its own."""
    write_walk(db, 1440)
    swept(settings, walk_forward="12h:6h")
    assert [db[name].count_documents({}) for name in (SIGNALS, SIGNAL_EXPORTS, WORKFLOW_RUNS)] == [0, 0, 0]


def test_results_are_stored_once(walk: Store, walk_settings: Settings) -> None:
    """A sweep again computes nothing and changes no document but its own; --fresh computes all."""
    first = swept(walk_settings)
    before = list(walk[SWEEP_RESULTS].find().sort("set_id"))
    again = swept(walk_settings)
    assert (first.computed, again.computed, again.reused) == (12, 0, 12)
    assert list(walk[SWEEP_RESULTS].find().sort("set_id")) == before
    same(first.table, again.table)
    assert swept(walk_settings, fresh=True).computed == 12
    (sweep,) = walk[SWEEPS].find()
    assert (sweep["sweep_id"], sweep["state"], sweep["sets"]) == (first.sweep_id, "succeeded", 12)
    stored = before[0]
    assert (stored["split"], stored["sweep_id"]) == ("all", first.sweep_id)
    assert set(stored["params"]) == {"momentum", "position", "backtest"}


def test_a_wider_grid_goes_on_from_a_narrower_one(settings: Settings, db: Store) -> None:
    """Only the sets that are new are computed; other costs or bars are another sweep."""
    write_walk(db, 1440)
    assert swept(settings, ["momentum.lookback_bars=20,60"]).computed == 2
    wider = swept(settings, ["momentum.lookback_bars=10,20,60"])
    assert (wider.computed, wider.reused) == (1, 2)
    graph = walk_graph(**{"type: backtest,": "type: backtest, params: {fee_bps: 5},"})
    assert swept(settings, ["momentum.lookback_bars=20,60"], graph).computed == 2
    db["crypto_market_1m"].update_one({}, {"$set": {"volume": 5.0}})
    assert swept(settings, ["momentum.lookback_bars=20,60"]).computed == 2


def test_fresh_replaces_what_it_computes(walk: Store, walk_settings: Settings) -> None:
    """Other sets and windows of the same sweep stay as they are."""
    swept(walk_settings, ["momentum.lookback_bars=10,20"], walk_forward="24h:12h")
    walk[SWEEP_RESULTS].update_many({}, {"$set": {"figures.sharpe": 99.0}})
    stored = walk[SWEEP_RESULTS].count_documents({})
    swept(walk_settings, ["momentum.lookback_bars=20"], fresh=True)
    assert walk[SWEEP_RESULTS].count_documents({}) == stored
    assert walk[SWEEP_RESULTS].count_documents({"figures.sharpe": 99.0}) == stored - 1
    assert walk[SWEEP_RESULTS].count_documents({"split": "all", "figures.sharpe": 99.0}) == 1


def test_after_a_kill_while_results_are_deleted_none_is_reused(walk: Store, walk_settings: Settings) -> None:
    """Nobody can tell any more which of them were to go; other sweeps keep theirs."""
    sets = ["momentum.lookback_bars=20,60"]
    swept(walk_settings, sets, walk_graph(**{"type: backtest,": "type: backtest, params: {fee_bps: 5},"}))
    killed = swept(walk_settings, sets).sweep_id
    walk[SWEEPS].update_one({"sweep_id": killed}, {"$set": {"clearing": True}})  # as it is while they are deleted
    again = swept(walk_settings, sets)
    assert (again.computed, again.reused) == (2, 0)
    assert walk[SWEEP_RESULTS].count_documents({}) == 4
    assert swept(walk_settings, sets).reused == 2
    swept(walk_settings, sets, fresh=True)
    assert walk[SWEEPS].count_documents({"clearing": {"$exists": True}}) == 0


def test_a_sweep_that_fails_keeps_what_it_has(walk: Store, walk_settings: Settings) -> None:
    """The set is named, the sweep is marked, and goes on from there."""
    graph = walk_graph(**PEEK)
    with pytest.raises(QuantFlowError, match=r"With momentum.ahead_bars=-5: momentum failed with "):
        swept(walk_settings, ["momentum.ahead_bars=1,2,-5"], graph)
    (sweep,) = walk[SWEEPS].find()
    assert sweep["state"] == "failed"
    assert "momentum.ahead_bars=-5" in sweep["error"]
    assert walk[SWEEP_RESULTS].count_documents({}) == 2


def test_sets_with_too_few_bars_have_no_figures(walk: Store, walk_settings: Settings) -> None:
    """Not zero: nothing. All of them so is an error."""
    outcome = swept(walk_settings, ["momentum.lookback_bars=60,5000"])
    assert outcome.too_few == 1
    assert outcome.table["sharpe"].isna().tolist() == [False, True]
    assert len(outcome.best(10)) == 1
    assert swept(walk_settings, ["momentum.lookback_bars=60,5000"]).computed == 0
    with pytest.raises(InputError, match=r"No set had enough bars.*needs 5001 bars.*found 2880"):
        swept(walk_settings, ["momentum.lookback_bars=5000"])


def test_inputs_may_stand_in_any_order(walk: Store, walk_settings: Settings) -> None:
    """The position before the bars: still a set with too few bars is empty, and the bars are those that are traded."""
    order = {"bars: bars.bars, position: position.position": "position: position.position, bars: bars.bars"}
    outcome = swept(walk_settings, ["momentum.lookback_bars=5000,60"], walk_graph(**order))
    assert outcome.table["sharpe"].isna().tolist() == [True, False]
    assert isinstance(outcome.data.frame, Bars)


def test_deflated_ratios_stand_beside_the_plain_ones(walk: Store, walk_settings: Settings) -> None:
    """Formula by formula from the table: per bar, all sets counted."""
    outcome = swept(walk_settings)
    table, bars_a_year = outcome.table, YEAR_SECONDS / 60
    per_bar = table["sharpe"].to_numpy() / np.sqrt(bars_a_year)
    bar = expected_maximum_sharpe(12, per_bar.var(ddof=1))
    best = outcome.best(1).iloc[0]
    assert best["sharpe"] == table["sharpe"].max()
    assert best["deflated_sharpe"] == pytest.approx(
        probabilistic_sharpe(best["sharpe"] / np.sqrt(bars_a_year), bar, 2879, best["skewness"], best["kurtosis"])
    )


def test_the_metric_ranks(walk: Store, walk_settings: Settings) -> None:
    """Less drawdown is better; an unknown metric is a sentence."""
    outcome = swept(walk_settings, metric="max_drawdown")
    assert outcome.best(12)["max_drawdown"].is_monotonic_increasing
    with pytest.raises(InputError, match="--metric takes one of sharpe, sortino"):
        swept(walk_settings, metric="luck")


def test_processes_give_what_threads_give(walk: Store, walk_settings: Settings) -> None:
    """A process of its own reads its own bars; how many there are changes nothing but the time."""
    here = swept(walk_settings, ["momentum.lookback_bars=20"], plain=True)
    there = swept(walk_settings, ["momentum.lookback_bars=20"], plain=True, workers=2, fresh=True)
    same(here.table, there.table)


def test_bars_that_change_under_a_sweep_are_noticed(walk: Store, walk_settings: Settings) -> None:
    """A process that reads other bars than those that the sweep began with refuses them."""
    graph = walk_graph()
    nodes = {name: entry for name, entry in graph.nodes.items() if name != "export"}
    axes = (("momentum", "lookback_bars"),)
    now = walk.command("hello")["localTime"]
    context = RunContext(walk_settings, "run", "walk", "", now)
    key = repr(("bars",))
    spec = SweepSpec("key", type(graph)("walk", nodes), axes, "backtest", context, {key: "another"})
    with pytest.raises(QuantFlowError, match="has changed while the sweep ran"):
        Evaluator(spec).figures(((60,),), None)


def test_one_engine_serves_all_sets(walk: Store, walk_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this process simulated before: to the last digit the same."""
    before = swept(walk_settings)
    monkeypatch.setattr(engine._SIMULATED, "bars", engine.BARS_BEFORE_COMPILED)
    pd.testing.assert_frame_equal(swept(walk_settings, fresh=True).table, before.table, check_exact=True)
    limit = engine.BARS_BEFORE_COMPILED
    assert [engine.engine_for(bars) for bars in (limit, limit + 1)] == ["numpy", "compiled"]


def test_a_worker_is_one_thread(walk: Store, walk_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its factors nor its backtests begin threads of their own, compiled for large work as they are."""
    monkeypatch.setattr(engine, "BARS_BEFORE_COMPILED", 0)
    monkeypatch.setattr(compute, "COMPILED_FROM_VALUES", 0)
    begun: set[str] = set()

    def note(*_: object) -> None:
        sys.setprofile(None)  # once a thread
        begun.add(threading.current_thread().name.rpartition("_")[0])

    threading.setprofile(note)
    try:
        outcome = swept(walk_settings, ["momentum.lookback_bars=20,60", "position.enter_above=0,0.001"], workers=2)
    finally:
        threading.setprofile(None)
    assert outcome.table["trades"].min() > 0
    assert "numba" in sys.modules
    assert "sweep" in begun
    assert "research" not in begun


def test_only_the_known_shape_is_fast() -> None:
    """A factor and two thresholds; a backtest without a position is of another."""
    shape = threshold_shape(plan_graph(walk_graph()), "backtest")
    assert shape is not None
    assert (shape.position, shape.factor.node) == ("position", "momentum")
    hold = walk_graph(**{", position: position.position": ""})
    assert threshold_shape(plan_graph(hold), "backtest") is None


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ([10, 20], [10, 20]),
        ([1, 0.5], [1.0, 0.5]),
        (["rsi", "sma"], ["rsi", "sma"]),
        ([[1, 2], "all"], ["[1,2]", "all"]),
        ([10, "all"], ["10", "all"]),
    ],
)
def test_a_parameter_is_a_column_of_one_type(values: list[object], column: list[object]) -> None:
    """So that any grid can be written as Parquet."""
    assert param_column(values).tolist() == column
