"""Two tables of trades are compared trade by trade; what differs is named."""

from pathlib import Path

import pandas as pd
import pytest

from quantflow_nodes.freqtrade_backtest import trades_of
from quantflow_nodes.graph import parse_graph
from quantflow_nodes.parity import compare, count_missing, graph_parity
from quantflow_nodes.plan import plan_graph
from quantflow_nodes.ports import Bars
from research.backtest import simulate_long_flat
from schemas.errors import GraphError
from schemas.settings import Settings
from schemas.timeframes import Timeframe

BTC = "BINANCE:BTCUSDT"
FLAT = pd.DataFrame({"symbol": BTC, "datetime": pd.date_range("2022-01-01", periods=2, freq="1min", tz="UTC")}).assign(
    open=1.0, high=1.0, low=1.0, close=1.0, volume=1.0
)


def trades(*rows: tuple[str, str, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "symbol": BTC,
                "open_time": pd.Timestamp(f"2022-01-01 {opened}", tz="UTC"),
                "close_time": pd.Timestamp(f"2022-01-01 {closed}", tz="UTC"),
                "open_rate": bought,
                "close_rate": sold,
                "profit_ratio": ratio,
            }
            for opened, closed, bought, sold, ratio in rows
        ]
    )


TWO = trades(("00:01", "00:05", 100.0, 110.0, 0.1), ("00:07", "00:09", 110.0, 99.0, -0.1))


def test_equal_tables_agree() -> None:
    """Two trades on each side, the same."""
    result = compare(TWO, TWO.copy())
    assert result.agrees
    assert result.as_dict() == {
        "ours": 2, "freqtrade": 2, "equal": 2, "max_profit_ratio_diff": 0.0, "differences": [],
        "missing_bars": 0,
    }  # fmt: skip


def test_profit_ratios_may_differ_by_rounding() -> None:
    """1e-13 is rounding, 1e-11 is not; the largest is told."""
    almost = TWO.assign(profit_ratio=TWO["profit_ratio"] + [1e-13, 0])
    assert compare(TWO, almost).agrees
    assert compare(TWO, almost).max_profit_ratio_diff == pytest.approx(1e-13, rel=1e-3)
    assert not compare(TWO, TWO.assign(profit_ratio=TWO["profit_ratio"] + [1e-11, 0])).agrees


@pytest.mark.parametrize("column", ["open_rate", "close_rate"])
def test_rates_must_be_equal(column: str) -> None:
    """The last digit counts."""
    result = compare(TWO, TWO.assign(**{column: TWO[column] + [0, 1e-9]}))
    assert (result.equal, len(result.differences)) == (1, 1)
    assert result.differences[0].what.startswith(f"{column} ")
    assert not result.agrees


def test_close_times_must_be_equal() -> None:
    """A minute later is another trade."""
    later = TWO.assign(close_time=TWO["close_time"] + pd.Timedelta("1min"))
    assert compare(TWO, later).equal == 0
    assert "close_time 2022-01-01 00:05:00+00:00 against 2022-01-01 00:06:00+00:00" in (
        compare(TWO, later).differences[0].what
    )


def test_a_trade_of_one_side_only_is_named() -> None:
    """Whichever side it is."""
    missing = compare(TWO, TWO.iloc[:1])
    assert [difference.what for difference in missing.differences] == ["Freqtrade did not make this trade"]
    assert (missing.ours, missing.freqtrade, missing.equal) == (2, 1, 1)
    extra = compare(TWO.iloc[1:], TWO)
    assert [difference.what for difference in extra.differences] == ["our backtest did not make this trade"]
    assert not missing.agrees
    assert not extra.agrees


def test_no_trades_on_both_sides_agree() -> None:
    """Nothing was decided, nothing was traded."""
    nothing = trades_of([], {})
    result = compare(simulate_long_flat(FLAT, pd.Series([0.0, 0.0])).trades, nothing)
    assert result.agrees
    assert result.max_profit_ratio_diff == 0.0


def test_missing_bars_are_counted() -> None:
    """Minutes 0, 1, 4 of one symbol and 7, 8 of another lack two."""
    minutes = [pd.Timestamp("2022-01-01", tz="UTC") + pd.Timedelta(minutes=minute) for minute in (0, 1, 4, 7, 8)]
    prices = dict.fromkeys(["open", "high", "low", "close", "volume"], 1.0)
    data = pd.DataFrame({"symbol": [BTC] * 3 + ["BINANCE:ETHUSDT"] * 2, "datetime": minutes, **prices})
    assert count_missing(Bars(data, Timeframe.parse("1m"))) == 2


GRAPH = """
name: g
nodes:
  bars: {type: read_bars, params: {symbols: ['BINANCE:BTCUSDT'], start: 2022-01-01, end: 2022-01-02}}
  f: {type: factor, params: {name: momentum, lookback_bars: 2}, inputs: {bars: bars.bars}}
  p: {type: threshold_position, params: {enter_above: 0, exit_below: 0}, inputs: {factor: f.factor}}
  b: {type: backtest, params: {slippage_bps: SLIPPAGE}, inputs: {bars: bars.bars, position: p.position}}
"""
EXPORT = "  e: {type: export_signals, params: {strategy_id: s}, inputs: {position: p.position}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GRAPH.replace("SLIPPAGE", "0"), "exactly one export_signals node, found none in g"),
        (GRAPH.replace("SLIPPAGE", "5") + EXPORT, "Compare with --set b.slippage_bps=0"),
        (
            GRAPH.replace("SLIPPAGE", "0") + EXPORT.replace("id: s", "id: s, value: weight"),
            "Compare with --set e.value=action --set e.emit=changes",
        ),
        (GRAPH.replace("SLIPPAGE", "0") + EXPORT + EXPORT.replace("  e:", "  e2:"), "found e, e2 in g"),
    ],
)
def test_a_graph_that_can_not_be_compared_says_why(text: str, said: str, tmp_path: Path) -> None:
    """Before anything runs."""
    plan = plan_graph(parse_graph(text, "g.yaml", tmp_path))
    with pytest.raises(GraphError) as error:
        graph_parity(plan, Settings.load(home=tmp_path), tmp_path, lambda *_: None)
    assert said in str(error.value)
