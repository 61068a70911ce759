"""The whole chain with the real Freqtrade: bars, graph, signals, `freqtrade backtesting`, and the same trades."""

import csv
import gzip
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from market import graph_text, write_walk

from quantflow_nodes.graph import load_graph
from quantflow_nodes.nodes.backtest import BacktestOutputs
from quantflow_nodes.plan import plan_graph
from quantflow_nodes.workflow import run_graph
from schemas.collections import SIGNALS, Store
from schemas.settings import Settings

pytestmark = [pytest.mark.mongo, pytest.mark.freqtrade, pytest.mark.venue]
BIN = Path(sys.executable).parent
EXAMPLE = Path(__file__).parents[2] / "examples" / "btc_momentum_1m.yaml"


def command(environment: dict[str, str], folder: Path, *arguments: str) -> Any:
    ended = subprocess.run(
        [BIN / arguments[0], *arguments[1:], "--json"],
        capture_output=True, text=True, cwd=folder, env=environment, timeout=240, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


def reference_trades(rows: list[tuple[datetime, float, float]], lookback: int, fee: float) -> list[tuple[Any, ...]]:
    """Momentum over `lookback` bars, decided at the close, filled at the next open; by a plain loop.

    `rows` are (open time, open, close). The last bar takes no new decision: what is held is sold at its open.
    """
    trades, held, opened, rate = [], False, None, 0.0
    wants: bool | None = None
    for index, (time, open_, close) in enumerate(rows):
        last = index == len(rows) - 1
        if wants and not held and not last:
            held, opened, rate = True, time, open_
        elif held and (wants is False or last):
            held = False
            trades.append((opened, time, rate, open_, open_ * (1 - fee) / (rate * (1 + fee)) - 1))
        if index >= lookback:
            momentum = close / rows[index - lookback][2] - 1
            wants = True if momentum > 0 else False if momentum < 0 else wants
    return trades


def test_the_real_file_gives_the_same_trades_three_times(
    real_bars: Path, settings: Settings, command_env: dict[str, str], tmp_path: Path
) -> None:
    """45,031 rows once, 0 again; our backtest, a plain loop and Freqtrade agree on every trade of the example."""
    load = ("import-ohlcv", "--tf", "1m", "--symbol", "BINANCE:BTCUSDT", "--source", "csv", "--path", str(real_bars))
    assert command(command_env, tmp_path, *load)["symbols"][0]["inserted"] == 45_031
    again = command(command_env, tmp_path, *load)["symbols"][0]
    assert (again["inserted"], again["changed"]) == (0, 0)

    outputs = run_graph(plan_graph(load_graph(EXAMPLE)), settings).result.outputs["backtest"]
    assert isinstance(outputs, BacktestOutputs)
    with gzip.open(real_bars, "rt") as file:
        rows = [
            (datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC), float(row["open"]), float(row["close"]))
            for row in csv.DictReader(file)
        ]
    january = [row for row in rows if row[0].year == 2022 and row[0].month == 1]
    expected = reference_trades(january, lookback=240, fee=0.001)
    ours = outputs.result.trades
    assert len(ours) == len(expected) > 500
    for trade, (opened, closed, bought, sold, ratio) in zip(ours.to_dict("records"), expected, strict=True):
        assert (trade["open_time"], trade["close_time"]) == (opened, closed)
        assert (trade["open_rate"], trade["close_rate"]) == (bought, sold)
        assert trade["profit_ratio"] == pytest.approx(ratio, abs=1e-12)

    parity = command(command_env, tmp_path, "quantflow", "parity", str(EXAMPLE))
    assert parity["ours"] == parity["freqtrade"] == parity["equal"] == len(expected)
    assert parity["differences"] == []
    assert parity["max_profit_ratio_diff"] < 1e-12


def test_several_symbols_agree_trade_by_trade(command_env: dict[str, str], tmp_path: Path, db: Store) -> None:
    """Two pairs with trades of their own at the same time."""
    write_walk(db, 3 * 1440)
    write_walk(db, 3 * 1440, "BINANCE:ETHUSDT", seed=8)
    (tmp_path / "two.yaml").write_text(graph_text(days=3, symbols="'BINANCE:BTCUSDT', 'BINANCE:ETHUSDT'"))
    parity = command(command_env, tmp_path, "quantflow", "parity", "two.yaml")
    assert parity["ours"] == parity["freqtrade"] == parity["equal"] > 100
    assert parity["differences"] == []


def test_daily_bars_agree_too(command_env: dict[str, str], tmp_path: Path, db: Store) -> None:
    """Bars of 1d, made from 1m, traded by Freqtrade on candles of 1d."""
    write_walk(db, 40 * 1440)
    command(command_env, tmp_path, "import-ohlcv", "--tf", "1d", "--symbol", "BINANCE:BTCUSDT", "--resample-from", "1m")
    daily = graph_text(days=40, lookback=2).replace("timeframe: 1m", "timeframe: 1d")
    (tmp_path / "daily.yaml").write_text(daily)
    parity = command(command_env, tmp_path, "quantflow", "parity", "daily.yaml")
    assert parity["ours"] == parity["freqtrade"] == parity["equal"] > 3


def test_a_signal_that_only_freqtrade_sees_is_a_difference(
    command_env: dict[str, str], tmp_path: Path, db: Store
) -> None:
    """Parity is no formality: a signal forged behind the graph's back makes the command fail and is named."""
    write_walk(db, 1440)
    (tmp_path / "g.yaml").write_text(graph_text(days=1))
    command(command_env, tmp_path, "quantflow", "run", "g.yaml", "--no-report")
    first = db[SIGNALS].find_one({"action": "enter_long"}, sort=[("ts", 1)])
    assert first is not None
    forged = datetime(2022, 1, 1, 0, 10, tzinfo=UTC)  # in the warm-up, about which the graph has no opinion
    base = {key: value for key, value in first.items() if key != "_id"}
    db[SIGNALS].insert_one({**base, "ts": forged})
    db[SIGNALS].insert_one({**base, "ts": forged + timedelta(minutes=5), "action": "exit_long"})
    ended = subprocess.run(
        [BIN / "quantflow", "parity", "g.yaml", "--json"],
        capture_output=True, text=True, cwd=tmp_path, env=command_env, timeout=240, check=False,
    )  # fmt: skip
    assert ended.returncode == 7
    shown = json.loads(ended.stdout)
    assert shown["freqtrade"] == shown["ours"] + 1 == shown["equal"] + 1
    assert shown["differences"] == [
        {
            "symbol": "BINANCE:BTCUSDT",
            "open_time": "2022-01-01T00:11:00+00:00",
            "what": "our backtest did not make this trade",
        }
    ]
