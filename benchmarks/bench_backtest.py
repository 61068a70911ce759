"""Measures the backtest beside the obvious ways, in one run, on a random walk and a 0/1 position.

    python benchmarks/bench_backtest.py [--bars 525600] [--hold 360] [--repeat 7] [--json]

Every way gives the same final equity, which is checked. Compare the ratios: the absolute figures are the machine's.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from research.backtest import simulate_long_flat

FEE, CASH = 0.001, 10_000.0


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


def plain_loop(bars: pd.DataFrame, position: pd.DataFrame) -> float:
    """Row by row in Python: equity at each close, and the last trade closed at the last open."""
    opens, closes, wanted = bars["open"].tolist(), bars["close"].tolist(), position["position"].tolist()
    cash, amount, equity, last = CASH, 0.0, [], len(opens) - 1
    for row, (rate, close) in enumerate(zip(opens, closes, strict=True)):
        want = wanted[row - 1] if 0 < row < last else 0.0
        if want and not amount:
            amount, cash = cash / (rate * (1 + FEE)), 0.0
        elif not want and amount:
            cash, amount = amount * rate * (1 - FEE), 0.0
        equity.append(cash + amount * close)
    return equity[-1]


def vectorised_pandas(bars: pd.DataFrame, position: pd.DataFrame) -> float:
    """The returns of held bars compounded, the fee taken at each change: the way of most notebooks."""
    held = position["position"].shift(1, fill_value=0.0)
    held.iloc[-1] = 0.0
    step = (bars["open"].shift(-1) / bars["open"]).fillna(1.0)
    growth = pd.Series(np.where(held > 0, step, 1.0))
    change = held.diff().fillna(held.iloc[0])
    growth *= np.where(change > 0, 1 / (1 + FEE), np.where(change < 0, 1 - FEE, 1.0))
    return float(CASH * growth.cumprod().iloc[-1])


def ours(bars: pd.DataFrame, position: pd.DataFrame) -> float:
    """Equity, trades and metrics."""
    return simulate_long_flat(bars, position, fee=FEE, initial_cash=CASH).metrics.final_equity


def measure(run: Callable[[], float], repeat: int) -> tuple[float, float]:
    """Return the median of the seconds, after one run to warm up, and the result."""
    result, seconds = run(), []
    for _ in range(repeat):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), result


def main() -> None:
    """Run each way, check that all agree, print bars a second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bars", type=int, default=525_600, help="525,600 are one year of 1m")
    parser.add_argument("--hold", type=int, default=360, help="bars between two changes of the position, on average")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    bars, position = make_bars(options.bars, options.hold)
    ways = {
        "plain Python loop, equity only": plain_loop,
        "pandas, final equity only": vectorised_pandas,
        "simulate_long_flat, all": ours,
    }
    results, first_s, first = [], 0.0, 0.0
    for name, way in ways.items():
        seconds, equity = measure(lambda way=way: way(bars, position), options.repeat)  # type: ignore[misc]
        first_s, first = first_s or seconds, first or equity
        np.testing.assert_allclose(equity, first, rtol=1e-9)
        ratio = first_s / seconds
        results.append({"way": name, "seconds": seconds, "bars_per_s": options.bars / seconds, "to_first": ratio})
    if options.json:
        print(json.dumps({"bars": options.bars, "results": results}))
        return
    print(f"{options.bars:,} bars of 1m, a change each {options.hold} bars, median of {options.repeat}")
    print(f"{'way':<34}{'seconds':>10}{'bars/s':>14}{'to first':>10}")
    for row in results:
        print(f"{row['way']:<34}{row['seconds']:>10.4f}{row['bars_per_s']:>14,.0f}{row['to_first']:>10.1f}")


if __name__ == "__main__":
    main()
