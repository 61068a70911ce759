"""A node that sees the future is named with the time, the column and both values; no other node is blamed."""

import json
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from frames import MINUTE, NAN, factor, rows
from market import graph_text, write_walk

from quantflow_nodes.frame_cuts import NO_ROW, closed_until, first_difference, with_other_future
from quantflow_nodes.graph import parse_graph
from quantflow_nodes.lookahead import NodeVerdict, check_lookahead
from quantflow_nodes.plan import plan_graph
from quantflow_nodes.ports import Bars
from schemas.collections import BAR_GAPS, DAY_BARS, SIGNAL_EXPORTS, SIGNALS, WORKFLOW_RUNS, Store
from schemas.settings import Settings

FOLDER = Path(__file__).parent
START = datetime(2022, 1, 1, tzinfo=UTC)
MINUTES = 400
BARS = (
    "bars: {type: read_bars, params: {symbols: ['BINANCE:BTCUSDT'], timeframe: 1m, start: 2022-01-01, end: 2022-01-03}}"
)
DOWNSTREAM = """
  position: {type: threshold_position, params: {enter_above: 0, exit_below: 0}, inputs: {factor: peek.factor}}
  export: {type: export_signals, params: {strategy_id: s}, inputs: {position: position.position}}
"""


def check(settings: Settings, nodes: str, samples: int = 6) -> dict[str, NodeVerdict]:
    text = f"name: g\nnodes:\n  {BARS}\n{nodes}"
    verdicts = check_lookahead(plan_graph(parse_graph(text, "g", FOLDER)), settings, samples, seed=1)
    return {verdict.node: verdict for verdict in verdicts}


@pytest.mark.mongo
@pytest.mark.parametrize("kind", ["Shifted", "HidingItsPeek", "Normalised", "Centred", "Dropping"])
def test_the_node_that_peeks_is_named_and_those_that_it_feeds_are_not(kind: str, settings: Settings, db: Store) -> None:
    """Each of the ways in which a node sees later bars; the rest of the graph is innocent."""
    write_walk(db, MINUTES)
    verdicts = check(settings, f"  peek: {{type: 'peeking_nodes:{kind}', inputs: {{bars: bars.bars}}}}{DOWNSTREAM}")
    assert {name: verdict.verdict for name, verdict in verdicts.items()} == {
        "bars": "–",
        "peek": "sees the future",
        "position": "sees nothing later",
        "export": "sees nothing later",
    }


@pytest.mark.mongo
def test_a_node_that_can_not_run_twice_fails_with_its_reason(settings: Settings, db: Store) -> None:
    """It is told with the verdict, and the rest of the graph is looked at all the same."""
    write_walk(db, MINUTES)
    verdict = check(settings, "  peek: {type: 'peeking_nodes:Once', inputs: {bars: bars.bars}}")["peek"]
    assert (verdict.verdict, verdict.detail) == ("fails", "run once more: OSError: it is used up")


@pytest.mark.mongo
def test_what_overflows_in_an_invented_future_warns_nobody(settings: Settings, db: Store) -> None:
    """Prices that move as they never do are no fault of the node's, and nothing for a user to read."""
    write_walk(db, MINUTES)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        verdict = check(settings, "  steep: {type: 'peeking_nodes:Steep', inputs: {bars: bars.bars}}")["steep"]
    assert (verdict.verdict, verdict.cuts) == ("sees nothing later", 6)
    assert [str(warning.message) for warning in told] == []


@pytest.mark.mongo
def test_the_finding_tells_time_column_and_both_values(settings: Settings, db: Store) -> None:
    """A return of the bar to come: known in the full run, NaN at the last bar before the cut."""
    write_walk(db, MINUTES)
    finding = check(settings, "  peek: {type: 'peeking_nodes:Shifted', inputs: {bars: bars.bars}}")["peek"].finding
    assert finding is not None
    bars = {bar["datetime"]: bar["close"] for bar in db["crypto_market_1m"].find()}
    opened = finding.time - timedelta(minutes=1)
    assert (finding.output, finding.how, finding.difference.column) == ("factor", "cut", "factor")
    assert (finding.difference.opened_at, finding.difference.rows) == (opened, 1)
    assert finding.difference.value == pytest.approx(bars[finding.time] / bars[opened] - 1, abs=1e-12)
    assert finding.difference.other != finding.difference.other  # NaN


@pytest.mark.mongo
def test_a_day_on_its_own_minutes_is_found(settings: Settings, db: Store) -> None:
    """A join by the bars' opens knows a day's close from its first minute on; join_asof does not."""
    write_walk(db, 1440 + 600)
    days = [{"date": f"2022010{day}", "symbol": "BINANCE:BTCUSDT", "open": 1.0 + day, "high": 9.0, "low": 1.0,
             "close": 2.0 + day, "volume": 1.0} for day in (1, 2)]  # fmt: skip
    db[DAY_BARS].insert_many(days)
    slow = """
  days: {type: read_bars, params: {symbols: ['BINANCE:BTCUSDT'], timeframe: 1d, start: 2022-01-01, end: 2022-01-03}}
  level: {type: factor, params: {name: returns, lookback_bars: 1}, inputs: {bars: days.bars}}
  fast: {type: factor, params: {name: momentum, lookback_bars: 5}, inputs: {bars: bars.bars}}
  leaky: {type: 'peeking_nodes:LeakyJoin', inputs: {onto: fast.factor, factor: level.factor}}
  join: {type: join_asof, inputs: {onto: fast.factor, factor: level.factor}}
"""
    verdicts = check(settings, slow, samples=12)
    assert (verdicts["leaky"].verdict, verdicts["join"].verdict) == ("sees the future", "sees nothing later")


@pytest.mark.mongo
def test_one_number_from_all_bars_is_found_where_it_is_made(settings: Settings, db: Store) -> None:
    """The node that uses it for every bar is innocent; the one that hands it on is not."""
    write_walk(db, MINUTES)
    verdicts = check(
        settings,
        "  mean: {type: 'peeking_nodes:MeanOfAll', inputs: {bars: bars.bars}}\n"
        "  away: {type: 'peeking_nodes:Away', inputs: {bars: bars.bars, mean: mean.mean}}\n",
    )
    assert (verdicts["mean"].verdict, verdicts["away"].verdict) == ("sees the future", "sees nothing later")


@pytest.mark.mongo
def test_a_node_that_gives_other_values_each_time_is_told(settings: Settings, db: Store) -> None:
    """It is not said to see the future; nothing can be said of it."""
    write_walk(db, MINUTES)
    verdict = check(settings, "  peek: {type: 'peeking_nodes:Drawn', inputs: {bars: bars.bars}}")["peek"]
    assert (verdict.verdict, verdict.is_fine) == ("gives other values each time", False)


@pytest.mark.mongo
def test_our_own_nodes_see_nothing_later(settings: Settings, db: Store) -> None:
    """Recursions, long windows, ranks, maps and the backtest; an open gap and its summary are no output."""
    write_walk(db, MINUTES)
    write_walk(db, MINUTES, "BINANCE:ETHUSDT", seed=8)
    gap = {"symbol": "BINANCE:BTCUSDT", "timeframe": "1m", "state": "open", "updated_at": START}
    db[BAR_GAPS].insert_one({**gap, "start": START + timedelta(minutes=300), "end": START + timedelta(minutes=301)})
    nodes = """
  two: {type: read_bars, params: {symbols: ['BINANCE:BTCUSDT', 'BINANCE:ETHUSDT'], start: 2022-01-01, end: 2022-01-02}}
  map: {type: map_symbols, params: {mapping: {BINANCE:BTCUSDT: BINANCE:BTCUSDT.P}}, inputs: {frame: two.bars}}
  rsi: {type: factor, params: {name: rsi}, inputs: {bars: map.frame}}
  zscore: {type: factor, params: {name: zscore, lookback_bars: 60}, inputs: {bars: two.bars}}
  rank: {type: cross_sectional_rank, inputs: {factor: zscore.factor}}
  position: {type: threshold_position, params: {enter_above: 0.6, exit_below: 0.4}, inputs: {factor: rank.factor}}
  backtest: {type: backtest, inputs: {bars: two.bars, position: position.position}}
  export: {type: export_signals, params: {strategy_id: s, value: weight}, inputs: {position: position.position}}
"""
    verdicts = check(settings, nodes)
    assert {verdict.verdict for name, verdict in verdicts.items() if name not in ("bars", "two")} == {
        "sees nothing later"
    }
    assert all(verdict.cuts == 6 for verdict in verdicts.values() if verdict.verdict != "–")
    assert db[SIGNALS].count_documents({}) == db[SIGNAL_EXPORTS].count_documents({}) == 0
    assert db[WORKFLOW_RUNS].count_documents({}) == 0


@pytest.mark.mongo
def test_too_few_bars_show_nothing(settings: Settings, db: Store) -> None:
    """Of a single bar nothing can be cut; that is no proof."""
    write_walk(db, 1)
    nodes = "  map: {type: map_symbols, params: {mapping: {BINANCE:BTCUSDT: OKX:BTCUSDT}}, inputs: {frame: bars.bars}}"
    verdict = check(settings, nodes)["map"]
    assert (verdict.verdict, verdict.is_fine, verdict.detail) == ("not shown", False, "there are too few bars to cut")


@pytest.mark.mongo
def test_a_cut_that_leaves_too_few_bars_is_made_up_for(settings: Settings, db: Store) -> None:
    """The later bars can still be changed, where cutting them off leaves less than the factor needs."""
    write_walk(db, 63)
    nodes = "  zscore: {type: factor, params: {name: zscore, lookback_bars: 62}, inputs: {bars: bars.bars}}"
    verdict = check(settings, nodes)["zscore"]
    assert (verdict.verdict, verdict.cuts) == ("sees nothing later", 6)


@pytest.mark.mongo
def test_the_command_tells_and_exits_with_9(command_env: dict[str, str], tmp_path: Path, db: Store) -> None:
    """A table and a sentence; JSON; 0 where nobody looks ahead."""
    write_walk(db, 2880)
    (tmp_path / "walk.yaml").write_text(graph_text())
    peek = graph_text().replace("type: factor, params: {name: momentum, lookback_bars: 60}", "type: 'peeks:Shifted'")
    (tmp_path / "peek.yaml").write_text(peek)
    (tmp_path / "peeks.py").write_text((FOLDER / "peeking_nodes.py").read_text())
    quantflow = Path(sys.executable).with_name("quantflow")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [quantflow, "lookahead", *arguments], env=command_env, cwd=tmp_path, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip

    fine = run("walk.yaml", "--samples", "4")
    assert (fine.returncode, fine.stderr) == (0, "")
    assert "No node of walk sees the future, as far as these samples show." in fine.stdout
    caught = run("peek.yaml", "--samples", "2")
    assert caught.returncode == 9
    assert "momentum: its factor changes when the bars that closed after" in caught.stdout
    assert "column factor: " in caught.stdout
    assert "becomes nan" in caught.stdout
    told = json.loads(run("peek.yaml", "--samples", "2", "--json").stdout)
    assert [node["node"] for node in told["nodes"] if not node["fine"]] == ["momentum"]
    assert told["nodes"][1]["finding"]["column"] == "factor"


def test_a_cut_keeps_what_had_closed() -> None:
    """The bar that closes at the cut stays, the next one goes, of each symbol."""
    frame = closed_until(factor(btc=[1.0, 2.0, 3.0], eth=[4.0, 5.0]), int((START.timestamp() + 120) * 1000))
    assert frame.data["factor"].tolist() == [1.0, 2.0, 4.0, 5.0]


def test_another_future_leaves_the_past() -> None:
    """Prices stay in order, and above zero."""
    import numpy as np

    data = rows("close", MINUTE, btc=[3.0, 3.0, 3.0]).assign(open=2.0, high=4.0, low=1.0, volume=5.0)
    bars = with_other_future(Bars(data, MINUTE), int((START.timestamp() + 60) * 1000), np.random.default_rng(1)).data
    assert bars.loc[0].tolist() == data.loc[0].tolist()
    assert (bars.loc[1:, "close"] != 3.0).all()
    assert (bars["low"] <= bars["open"]).all()
    assert (bars["close"] <= bars["high"]).all()


def test_the_first_difference_is_the_earliest() -> None:
    """In time, not in the frame's order; NaN equals NaN; a row that is gone is told before any value."""
    one = factor(btc=[1.0, NAN, 3.0], eth=[1.0, 2.0, 3.0]).data
    assert first_difference(one, one.copy()) is None
    other = one.assign(factor=[1.0, NAN, 9.0, 1.0, 8.0, 3.0])
    found = first_difference(one, other)
    assert found is not None
    assert (found.symbol, found.opened_at, found.value, found.other, found.rows) == (
        "BINANCE:ETHUSDT", START + timedelta(minutes=1), 2.0, 8.0, 2,
    )  # fmt: skip
    lacking = first_difference(one, one.drop(index=4).reset_index(drop=True))
    assert lacking is not None
    assert (lacking.opened_at, lacking.other) == (START + timedelta(minutes=1), NO_ROW)
