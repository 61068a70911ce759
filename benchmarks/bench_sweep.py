"""Measures a sweep of momentum look-backs and thresholds beside vectorbt, signals and statistics of each set included.

    python benchmarks/bench_sweep.py [--bars 525600] [--lookbacks 50] [--thresholds 20] [--repeat 5] [--json]

Each set is in the market while the momentum of its look-back is above its threshold, until it is below the negative of
that. vectorbt is given some of the sets, spread over all, its signals made by numpy, and is measured with 25 columns a
call and with one; both sides must give the same final equity. Memory is the peak of a process that does nothing else.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from bench_backtest import CASH, FEE, STATISTICS, make_bars
from rows import Row, need, show

from research.fills import Costs
from research.sweeps.sweep import SweepBars, momentum_figures

Sets = tuple[np.ndarray, np.ndarray]


def parameter_sets(longest: tuple[int, int], highest: float, counts: tuple[int, int]) -> Sets:
    """Return look-backs and thresholds, each with each."""
    lookbacks = np.linspace(*longest, counts[0]).astype(np.int64)
    grid = np.meshgrid(lookbacks, np.linspace(0.0, highest, counts[1]), indexing="ij")
    return grid[0].ravel(), grid[1].ravel()


def ours(bars: SweepBars, sets: Sets) -> np.ndarray:
    """All figures of all sets; returns the final equities."""
    lookbacks, thresholds = sets
    figures = momentum_figures(bars, lookbacks, thresholds, -thresholds, Costs(FEE, 0.0), CASH, "compiled")
    return figures.final_equity


def vectorbt_sets(bars: pd.DataFrame, sets: Sets, columns: int) -> np.ndarray:
    """The same with vectorbt, `columns` sets a call: signals, value, trades and statistics."""
    import vectorbt

    closes, opens, finals = bars["close"].to_numpy(), bars["open"].to_numpy()[:, None], []
    lookbacks, thresholds = sets
    for first in range(0, len(lookbacks), columns):
        chosen = slice(first, first + columns)
        entries = np.zeros((len(closes), len(lookbacks[chosen])), dtype=np.bool_)
        exits = entries.copy()
        for column, (lookback, threshold) in enumerate(zip(lookbacks[chosen], thresholds[chosen], strict=True)):
            factor = closes[lookback:] / closes[:-lookback] - 1.0
            entries[lookback + 1 :, column] = factor[:-1] > threshold
            exits[lookback + 1 :, column] = factor[:-1] < -threshold
        entries[-1], exits[-1] = False, True
        portfolio = vectorbt.Portfolio.from_signals(
            closes[:, None], entries, exits, price=opens, fees=FEE, init_cash=CASH, freq="1min", engine="rust"
        )
        for name in STATISTICS:
            getattr(portfolio, name)()
        trades = portfolio.trades
        trades.win_rate()
        trades.profit_factor()
        finals.append(np.atleast_1d(portfolio.final_value()))
    return np.concatenate(finals)


def seconds_of(way: Callable[[], np.ndarray]) -> float:
    """Return the seconds of one call."""
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def peak_mb(options: argparse.Namespace, side: str) -> float:
    """Return the peak resident memory of a process that runs one side's sweep."""
    sizes = [f"--{name}={getattr(options, name)}" for name in ("bars", "lookbacks", "thresholds")]
    command = [sys.executable, __file__, "--side", side, f"--peer-sets={options.peer_sets}", *sizes]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def some_of(sets: Sets, count: int) -> Sets:
    """Return sets spread over all."""
    chosen = np.linspace(0, len(sets[0]) - 1, min(count, len(sets[0]))).astype(np.int64)
    return sets[0][chosen], sets[1][chosen]


def measure(options: argparse.Namespace) -> list[Row]:
    """Run every way in turns and return the rows."""
    frame, _ = make_bars(options.bars, 360)
    bars, rows = SweepBars.of(frame), []
    jobs = {"slow": ((60, 3000), 0.02), "fast": ((5, 200), 0.002)}
    memory = {"ours": peak_mb(options, "ours"), **{str(n): peak_mb(options, str(n)) for n in (1, 25)}}
    for name, (lookbacks, highest) in jobs.items():
        sets = parameter_sets(lookbacks, highest, (options.lookbacks, options.thresholds))
        few = some_of(sets, options.peer_sets)
        ways: dict[str, Callable[[], np.ndarray]] = {
            "ours": lambda sets=sets: ours(bars, sets),  # type: ignore[misc]
            "1": lambda few=few: vectorbt_sets(frame, few, 1),  # type: ignore[misc]
            "25": lambda few=few: vectorbt_sets(frame, few, 25),  # type: ignore[misc]
        }
        np.testing.assert_allclose(ways["1"](), ours(bars, few), rtol=1e-9, atol=1e-3)  # vectorbt trades no dust
        figures = momentum_figures(bars, sets[0], sets[1], -sets[1], Costs(FEE, 0.0), CASH, "compiled")
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.repeat):
            for way, run in ways.items():
                taken[way].append(seconds_of(run))
        mine = len(sets[0]) * options.bars / statistics.median(taken["ours"])
        for columns in ("1", "25"):
            theirs = len(few[0]) * options.bars / statistics.median(taken[columns])
            job = f"{len(sets[0])} {name} sets, {figures.trades.mean():,.0f} trades each, {memory['ours']:,.0f} MB"
            peer = f"vectorbt (rust), {columns} column{'s' * (columns != '1')} a call, {memory[columns]:,.0f} MB"
            target = 100.0 if name == "slow" and columns == "1" else None
            limit = "the factor of each look-back, then one row of block sums for each trade from memory"
            rows.append(Row(job, peer, mine, theirs, "bars/s", mine / theirs, target, limit, options.repeat))
    return rows


def run_side(options: argparse.Namespace) -> None:
    """Run one side's sweep alone and print the process's peak memory."""
    frame, _ = make_bars(options.bars, 360)
    sets = parameter_sets((60, 3000), 0.02, (options.lookbacks, options.thresholds))
    if options.side == "ours":
        ours(SweepBars.of(frame), sets)
    else:
        vectorbt_sets(frame, some_of(sets, options.peer_sets), int(options.side))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure, and print rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bars", type=int, default=525_600, help="525,600 are one year of 1m")
    parser.add_argument("--lookbacks", type=int, default=50)
    parser.add_argument("--thresholds", type=int, default=20)
    parser.add_argument("--peer-sets", type=int, default=25, help="how many of the sets vectorbt is given")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--side", choices=["ours", "1", "25"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run_side(options)
        return
    need("vectorbt")
    show(measure(options), {"bars": options.bars}, options.json)


if __name__ == "__main__":
    main()
