"""Measures the backtest beside vectorbt and the ways of notebooks, on a random walk and a 0/1 position.

    python benchmarks/bench_backtest.py [--bars 525600] [--hold 360] [--repeat 15] [--processes 3] [--json]

All ways fill at the next open and must give the same final equity. vectorbt gets its signals ready made, an index that
costs it nothing, and the faster of its engines; both sides hand out the equity, the trades and the same statistics.
Times of both sides are taken in turns. Compare the ratios: the absolute figures are the machine's.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rows import Row, need, show

from research.backtest import BacktestResult, simulate_long_flat
from research.bars import check_bars

FEE, CASH = 0.001, 10_000.0
SAMPLE_S = 0.05
"""A sample takes at least so long, with as many calls as fit: what lasts a millisecond is warm, and measurable."""
STATISTICS = (
    "total_return",
    "annualized_return",
    "annualized_volatility",
    "sharpe_ratio",
    "sortino_ratio",
    "max_drawdown",
    "calmar_ratio",
)


def make_bars(count: int, hold: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a random walk, and a position that changes after `hold` bars on average."""
    random = np.random.default_rng(7)
    close = 40_000 * np.exp(np.cumsum(random.normal(0, 5e-4, count)))
    opened = np.concatenate([[40_000.0], close[:-1]])
    times = pd.date_range("2022-01-01", periods=count, freq="1min", tz="UTC")
    bars = pd.DataFrame(
        {
            "symbol": "BINANCE:BTCUSDT",
            "datetime": times,
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": 1.0,
        }
    )
    held = np.cumsum(random.random(count) < 1 / hold) % 2
    return bars, bars[["symbol", "datetime"]].assign(position=held.astype(np.float64))


def vectorised_pandas(bars: pd.DataFrame, position: pd.DataFrame) -> float:
    """The returns of held bars compounded, the fee taken at each change: the way of most notebooks."""
    held = position["position"].shift(1, fill_value=0.0)
    held.iloc[-1] = 0.0
    step = (bars["open"].shift(-1) / bars["open"]).fillna(1.0)
    growth = pd.Series(np.where(held > 0, step, 1.0))
    change = held.diff().fillna(held.iloc[0])
    growth *= np.where(change > 0, 1 / (1 + FEE), np.where(change < 0, 1 - FEE, 1.0))
    return float(CASH * growth.cumprod().iloc[-1])


def forced(result: BacktestResult) -> float:
    """Touch what is asked for: the equity, the trades' arrays, the metrics."""
    (sleeve,) = result.sleeves
    assert len(sleeve.equity) == result.metrics.bars
    assert len(sleeve.trades.profit_ratio) == result.metrics.trades
    return result.metrics.final_equity


def signals(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vectorbt's entries and exits at the bars whose open fills them; all is sold at the last one."""
    held = np.concatenate([[False], position[:-1] > 0])
    held[-1] = False
    before = np.concatenate([[False], held[:-1]])
    return held & ~before, ~held & before


def vectorbt_portfolio(bars: pd.DataFrame, entries: np.ndarray, exits: np.ndarray, engine: str) -> Any:
    """Simulate the same with vectorbt, its prices without an index of times, which it would go through one by one."""
    import vectorbt

    return vectorbt.Portfolio.from_signals(
        pd.Series(bars["close"].to_numpy()),
        entries,
        exits,
        price=bars["open"].to_numpy(),
        fees=FEE,
        init_cash=CASH,
        freq="1min",
        engine=engine,
    )


def vectorbt_all(bars: pd.DataFrame, entries: np.ndarray, exits: np.ndarray, engine: str) -> tuple[float, Any]:
    """Simulate, and ask for the value, the trades and the statistics; return the final equity and the portfolio."""
    portfolio = vectorbt_portfolio(bars, entries, exits, engine)
    value = portfolio.value()
    trades = portfolio.trades
    assert len(trades.records)
    for name in STATISTICS:
        getattr(portfolio, name)()
    trades.win_rate()
    trades.profit_factor()
    return float(value.iloc[-1]), portfolio


def interleaved(ways: dict[str, Callable[[], float]], repeat: int) -> dict[str, float]:
    """Return the median seconds of a call of each way, sampled in turns after one call; all must give the same."""
    results = {name: way() for name, way in ways.items()}
    np.testing.assert_allclose(list(results.values()), next(iter(results.values())), rtol=1e-9)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeat):
        for name, way in ways.items():
            calls, began = 0, time.perf_counter()
            while time.perf_counter() - began < SAMPLE_S:
                way()
                calls += 1
            seconds[name].append((time.perf_counter() - began) / calls)
    return {name: statistics.median(values) for name, values in seconds.items()}


def whole_process(side: str, folder: Path) -> None:
    """What one side's process does: read files, simulate, write the equity and the trades."""
    bars, position = pd.read_feather(folder / "bars.feather"), pd.read_feather(folder / "position.feather")
    if side == "ours":
        result = simulate_long_flat(bars, position, fee=FEE, initial_cash=CASH)
        equity, trades, final = result.equity, result.trades, forced(result)
    else:
        entries, exits = signals(position["position"].to_numpy())
        final, portfolio = vectorbt_all(bars, entries, exits, side)
        equity, trades = portfolio.value().to_frame("equity"), portfolio.trades.records
    equity.to_feather(folder / f"{side}_equity.feather")
    trades.to_feather(folder / f"{side}_trades.feather")
    print(final)


def process_seconds(side: str, folder: Path) -> tuple[float, float]:
    """Return the seconds of a process from its start to its end, and the final equity that it printed."""
    began = time.perf_counter()
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, float(ended.stdout.split()[-1])


def measure_processes(bars: pd.DataFrame, position: pd.DataFrame, engine: str, repeat: int) -> tuple[float, float]:
    """Return the median seconds of our process and vectorbt's, in turns."""
    seconds: dict[str, list[float]] = {"ours": [], engine: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bars.to_feather(folder / "bars.feather")
        position.to_feather(folder / "position.feather")
        for _ in range(repeat):
            finals = []
            for side, taken in seconds.items():
                spent, final = process_seconds(side, folder)
                taken.append(spent)
                finals.append(final)
            np.testing.assert_allclose(finals, finals[0], rtol=1e-9)
    return statistics.median(seconds["ours"]), statistics.median(seconds[engine])


def measure(options: argparse.Namespace) -> list[Row]:
    """Run every way and return the rows."""
    bars, position = make_bars(options.bars, options.hold)
    checked, wanted = check_bars(bars), position["position"].to_numpy()
    entries, exits = signals(wanted)
    ways: dict[str, Callable[[], float]] = {
        "checked": lambda: forced(simulate_long_flat(checked, wanted, FEE, initial_cash=CASH, engine="compiled")),
        "frames": lambda: forced(simulate_long_flat(bars, position, FEE, initial_cash=CASH, engine="compiled")),
        "numpy": lambda: forced(simulate_long_flat(bars, position, FEE, initial_cash=CASH, engine="numpy")),
        "pandas": lambda: vectorised_pandas(bars, position),
        "rust": lambda: vectorbt_all(bars, entries, exits, "rust")[0],
        "numba": lambda: vectorbt_all(bars, entries, exits, "numba")[0],
    }
    seconds = interleaved(ways, options.repeat)
    engine = min(("rust", "numba"), key=lambda name: seconds[name])
    peer, cache = f"vectorbt ({engine})", "reading position and closes and writing the equity, 12.6 MB a year of 1m"

    def row(job: str, way: str, other: str, other_name: str, target: float | None, limit: str) -> Row:
        ours, theirs = options.bars / seconds[way], options.bars / seconds[other]
        return Row(job, other_name, ours, theirs, "bars/s", ours / theirs, target, limit, options.repeat)

    rows = [
        row("compiled, checked bars and an array", "checked", engine, peer, 50.0, cache),
        row("compiled, frames", "frames", engine, peer, None, "comparing symbols and times of two frames"),
        row("numpy, frames", "numpy", engine, peer, None, "one pass over memory for each operation"),
        row("numpy, frames", "numpy", "pandas", "pandas, final equity only", None, "the same"),
    ]
    ours_s, theirs_s = measure_processes(bars, position, engine, options.processes)
    job, limit = "whole process, files in and out", "importing pandas and pyarrow, most of our time"
    whole = Row(job, peer, ours_s * 1000, theirs_s * 1000, "ms", theirs_s / ours_s, 4.0, limit, options.processes)
    return [*rows, whole]


def main() -> None:
    """Measure, and print rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bars", type=int, default=525_600, help="525,600 are one year of 1m")
    parser.add_argument("--hold", type=int, default=360, help="bars between two changes of the position, on average")
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--processes", type=int, default=3, help="processes of each side")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--side", choices=["ours", "rust", "numba"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        whole_process(options.side, options.folder)
        return
    need("vectorbt")
    show(measure(options), {"bars": options.bars, "bars_between_changes": options.hold}, options.json)


if __name__ == "__main__":
    main()
