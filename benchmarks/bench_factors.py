"""Measures twenty factors over ten symbol-years of 1m bars beside pandas, TA-Lib and bottleneck.

    python benchmarks/bench_factors.py [--symbols 10] [--bars 525600] [--runs 5] [--json]

All sides keep what they computed. TA-Lib and bottleneck are given each symbol's arrays ready, we and pandas the one
frame. The results are checked equal on a part of the bars. Before each run as much memory as it needs is
touched and given back, so that no side pays for what the machine has to fetch. Compare the ratios.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from factor_peers import (
    MOVING_WINDOWS,
    TWENTY,
    Columns,
    Way,
    bottleneck_factors,
    by_pandas,
    check_equal,
    make_bars,
    pandas_factors,
    talib_factors,
)
from rows import Row, need, show

from research.bars import check_bars
from research.factors import compute_factors

CHECKED_BARS = 20_000


def split(bars: pd.DataFrame) -> list[Columns]:
    """Return each symbol's columns as contiguous arrays."""
    columns = {name: np.ascontiguousarray(bars[name]) for name in ("high", "low", "close", "volume")}
    return [{name: column[block.rows] for name, column in columns.items()} for block in check_bars(bars).blocks]


def check_results(bars: pd.DataFrame) -> None:
    """Hold every peer's values of one symbol beside ours."""
    part = bars.iloc[:CHECKED_BARS]
    ours = compute_factors(part, TWENTY, compiled=True)
    (columns,) = split(part)
    pandas_values = {name: values.to_numpy() for name, values in pandas_factors(part).items()}
    for theirs in (pandas_values, talib_factors(columns), bottleneck_factors(columns)):
        for name in theirs:
            check_equal(ours, theirs, name)


def interleaved(ways: dict[str, Callable[[], object]], runs: int, values: int) -> dict[str, float]:
    """Return the median seconds of each way, one run of each in turn, after one to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(runs + 1):
        for name, way in ways.items():
            np.empty(values * 5 // 4).fill(1.0)
            began = time.perf_counter()
            result = way()
            if turn:
                seconds[name].append(time.perf_counter() - began)
            del result
    return {name: statistics.median(found) for name, found in seconds.items()}


def measure(bars: pd.DataFrame, runs: int) -> list[Row]:
    """Run all and return the rows of the result."""
    parts, windows = split(bars), {name: TWENTY[name] for name in MOVING_WINDOWS}

    def loop(way: Way) -> Callable[[], object]:
        return lambda: [way(part) for part in parts]

    with ThreadPoolExecutor(2) as threads:
        ways: dict[str, Callable[[], object]] = {
            "ours": lambda: compute_factors(bars, TWENTY),
            "pandas rolling, group by symbol": lambda: by_pandas(bars),
            "TA-Lib in a loop": loop(talib_factors),
            "TA-Lib in a loop, 2 threads": lambda: list(threads.map(talib_factors, parts)),
            "ours, moving windows": lambda: compute_factors(bars, windows),
            "bottleneck in a loop": loop(bottleneck_factors),
        }
        seconds = interleaved(ways, runs, len(bars) * len(TWENTY))
    shape = f"{len(parts)} symbols × {len(bars) // len(parts):,} bars"
    twenty, nine = f"20 factors, {shape}", f"{len(windows)} moving windows, {shape}"
    limit = f"memory, {len(bars) * len(TWENTY) * 8 / 1e6:,.0f} MB of results written once, and the processors"
    targets = {"pandas rolling, group by symbol": 10.0, "TA-Lib in a loop": 1.5}
    rows = []
    for peer, took in seconds.items():
        if peer.startswith("ours"):
            continue
        alone = peer.startswith("bottleneck")
        mine = seconds["ours, moving windows" if alone else "ours"]
        ratio, job = took / mine, nine if alone else twenty
        rows.append(Row(job, peer, len(bars) / mine, len(bars) / took, "rows/s", ratio, targets.get(peer), limit, runs))
    return rows


def main() -> None:
    """Check that all agree, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--symbols", type=int, default=10)
    parser.add_argument("--bars", type=int, default=525_600, help="of each symbol; 525,600 are one year of 1m")
    parser.add_argument("--runs", type=int, default=5, help="each way runs that often, in turn; the median counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    bars = make_bars(options.symbols, options.bars)
    need("bottleneck")
    check_results(bars)
    show(measure(bars, options.runs), {"symbols": options.symbols, "bars": options.bars}, options.json)


if __name__ == "__main__":
    main()
