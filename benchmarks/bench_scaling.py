"""Measures how the cost of each job grows with symbols and years: 1, 4 and 16 symbols, and 1, 3 and 10 years of 1m.

    python benchmarks/bench_scaling.py [--year-bars 525600] [--symbols 1,4,16] [--years 1,3,10] [--markdown] [--json]

Each size is imported into a database of its own and gone through job by job. A figure stands beside what it would be
if the cost grew with the bars exactly: 1.0 is linear, 2.0 twice as dear. What touches MongoDB is done once, what only
computes three times, of which the median counts: its first run pays for memory that the machine has not used yet. A
server of its own runs in a temporary folder. Compare the ratios: the absolute figures are the machine's.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from bench_import import random_walk
from pydantic import SecretStr

from importers.writer import write_bars
from quantflow_nodes.nodes.export_signals import ExportSignalsParams, make_batch
from quantflow_nodes.ports import Factor
from quantflow_nodes.publish import publish_signals
from research.backtest import simulate_long_flat
from research.bars import check_bars
from research.factors import compute_factors
from research.fills import Costs
from research.readers import get_crypto_min_data
from research.sweeps.sweep import SweepBars, momentum_figures
from schemas.collections import MINUTE_BARS, SIGNALS, Store
from schemas.embedded import temporary_server
from schemas.mongo import connect
from schemas.settings import ExternalSignalSettings, Settings
from schemas.signal_feed import SignalFeed
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

START = datetime(2022, 1, 1, tzinfo=UTC)
MINUTE_MS, START_MS = 60_000, int(START.timestamp()) * 1000
FACTORS = {f"ema_{bars}": {"name": "ema", "lookback_bars": bars} for bars in (12, 26, 50, 200)} | {
    f"momentum_{bars}": {"name": "momentum", "lookback_bars": bars} for bars in (60, 240)
}
SETS = 100
PARAMS = ExportSignalsParams(strategy_id="scaling", emit="every_bar", value="score")
HOUR_BARS = 60
READS = 200
COMPUTED = 3


@dataclass(frozen=True)
class Size:
    """So many symbols with so many bars each."""

    symbols: int
    years: float
    bars: int

    @property
    def rows(self) -> int:
        """All bars together."""
        return self.symbols * self.bars

    @property
    def name(self) -> str:
        """As the table heads it."""
        return f"{self.symbols} × {self.years:g} y"


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of some work, and what it gave."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def settled(work: Callable[[], Any]) -> float:
    """Return the median seconds of some work that is done again and again."""
    return statistics.median(timed(work)[0] for _ in range(COMPUTED))


def jobs(db: Store, uncached: Store, uri: str, size: Size) -> Iterator[tuple[str, float]]:
    """Do every job at one size, and give its seconds."""
    symbols = [Symbol("BINANCE", f"S{number:02}", "USDT") for number in range(size.symbols)]
    names = [str(symbol) for symbol in symbols]
    made = [random_walk(size.bars, symbol) for symbol in symbols]
    end = START + timedelta(minutes=size.bars)
    yield "import, first", timed(lambda: [write_bars(db, bars) for bars in made])[0]
    yield "import, again", timed(lambda: [write_bars(db, bars) for bars in made])[0]
    yield "read from MongoDB", timed(lambda: get_crypto_min_data(START, end, names, db=uncached))[0]
    frame = get_crypto_min_data(START, end, names, db=db)
    yield "read through copies", settled(lambda: get_crypto_min_data(START, end, names, db=db))
    yield f"{len(FACTORS)} factors", settled(lambda: compute_factors(frame, FACTORS, compiled=True))
    position = (frame["close"].to_numpy() > frame["open"].to_numpy()).astype(np.float64)
    position = np.repeat(position[::360], 360)[: len(position)]
    checked = check_bars(frame)
    yield "backtest", settled(lambda: simulate_long_flat(checked, position, engine="compiled"))
    yield f"sweep of {SETS} sets each", settled(lambda: sweep(frame, names))
    hourly = frame.iloc[::HOUR_BARS]
    factor = Factor(hourly[["symbol", "datetime"]].assign(factor=hourly["close"]), Timeframe.parse("1m"))
    batch = make_batch(factor, factor.data["factor"], PARAMS, "scaling")
    yield "export, a signal an hour", timed(lambda: publish_signals(db, batch, "run", skew_s=2.0, lease_s=600.0))[0]
    yield "current signals, one read", current(db, uri, [symbol.pair for symbol in symbols], size)


def sweep(frame: pd.DataFrame, names: list[str]) -> None:
    """Sweep the look-back of a momentum over each symbol."""
    sets = np.linspace(60, 3_000, SETS).astype(np.int64), np.zeros(SETS), np.zeros(SETS)
    for name in names:
        momentum_figures(SweepBars.of(frame[frame["symbol"] == name]), *sets, Costs(0.001, 0.0), 10_000.0, "compiled")


def current(db: Store, uri: str, pairs: list[str], size: Size) -> float:
    """Return the median seconds of a bot's one read of its pairs' newest signals."""
    settings = ExternalSignalSettings(mongo_uri=SecretStr(uri), db=db.name, strategy_id="scaling")
    last = START_MS + (size.bars - 1) // HOUR_BARS * HOUR_BARS * MINUTE_MS
    with SignalFeed(settings, "1m", live=True) as feed:
        taken = [timed(lambda: feed.newest(pairs, last - 3 * MINUTE_MS, last))[0] for _ in range(READS)]
    return float(np.median(taken[READS // 10 :]))


def disk_bytes(db: Store, copies: Path, size: Size) -> dict[str, float]:
    """Return what one bar takes on disk: its document, its place in the indexes, its copy."""
    db.client.admin.command("fsync")
    stats = db.command("collStats", MINUTE_BARS)
    copied = sum(file.stat().st_size for file in copies.rglob("*") if file.is_file())
    taken = {"document": stats["storageSize"], "indexes": stats["totalIndexSize"], "copy": copied}
    return {name: count / size.rows for name, count in taken.items()}


def measure(sizes: list[Size]) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return the seconds of each job at each size, and the bytes of a bar on disk at the last one."""
    found: dict[str, dict[str, float]] = {}
    disk: dict[str, float] = {}
    _warm_up()
    with temporary_server() as (_, uri), TemporaryDirectory() as folder:
        for number, size in enumerate(sizes):
            settings = Settings.load(
                mongo_uri=SecretStr(uri), db=f"scaling_{number}", home=Path(folder) / f"{number}",
                signal_ttl_days=None, bars_cache_mb=32_768,
            )  # fmt: skip
            plain = settings.model_copy(update={"bars_cache_mb": 0})
            with connect(settings) as db, connect(plain) as uncached:
                for job, seconds in jobs(db, uncached, uri, size):
                    found.setdefault(job, {})[size.name] = seconds
                stored = db[MINUTE_BARS].estimated_document_count()
                if stored != size.rows or not db[SIGNALS].estimated_document_count():
                    raise SystemExit(f"{size.name}: {size.rows:,} bars were needed, found {stored:,}.")
                disk = disk_bytes(db, Path(folder) / f"{number}", size)
                db.client.drop_database(db.name)
    return found, disk


def _warm_up() -> None:
    """Load what is compiled, so that the first size does not pay for it."""
    bars = random_walk(5_000, Symbol("BINANCE", "S00", "USDT"))
    frame = pd.DataFrame({"symbol": "BINANCE:S00USDT", "datetime": pd.to_datetime(bars.open_ms, unit="ms", utc=True)})
    for name in ("open", "high", "low", "close", "volume"):
        frame[name] = getattr(bars, name)
    compute_factors(frame, FACTORS, compiled=True)
    simulate_long_flat(check_bars(frame), np.ones(len(frame)), engine="compiled")
    sweep(frame, ["BINANCE:S00USDT"])


def growth(job: str, seconds: dict[str, float], first: Size, size: Size) -> float:
    """Return how many times a job's cost is of what it were if it grew with the bars; a read, with the symbols."""
    more = size.symbols / first.symbols if job.startswith("current") else size.rows / first.rows
    return seconds[size.name] / seconds[first.name] / more


def table(found: dict[str, dict[str, float]], sizes: list[Size], separator: str) -> list[list[str]]:
    """Return the cells of the table, its head first."""
    head = ["job", *(f"{size.name}" for size in sizes)]
    rows = [
        [
            job,
            *(
                f"{_duration(seconds[size.name])}{separator}{growth(job, seconds, sizes[0], size):.2f}"
                for size in sizes
            ),
        ]
        for job, seconds in found.items()
    ]
    return [head, *rows]


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def main() -> None:
    """Measure, and print the seconds of each job with how they grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--year-bars", type=int, default=525_600)
    parser.add_argument("--symbols", default="1,4,16")
    parser.add_argument("--years", default="1,3,10")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    symbols, years = (sorted({float(one) for one in text.split(",")}) for text in (options.symbols, options.years))
    shapes = [(int(count), years[0]) for count in symbols] + [(int(symbols[0]), span) for span in years[1:]]
    sizes = [Size(count, span, round(span * options.year_bars)) for count, span in shapes]
    found, disk = measure(sizes)
    if options.json:
        print(json.dumps({"sizes": [size.name for size in sizes], "seconds": found, "disk_bytes": disk}))
        return
    told = "bytes of a bar on disk: " + ", ".join(f"{name} {count:.1f}" for name, count in disk.items())
    cells = table(found, sizes, " · ")
    if options.markdown:
        cells.insert(1, ["---"] * len(cells[0]))
        print("\n".join([*(f"| {' | '.join(row)} |" for row in cells), "", told]))
        return
    print("seconds · how many times of linear (1.00 is linear)")
    for row in cells:
        print(f"{row[0]:<28}" + "".join(f"{cell:>18}" for cell in row[1:]))
    print(told)


if __name__ == "__main__":
    main()
