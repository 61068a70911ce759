"""Measures the reader of bars beside the obvious ways, in one run, on bars that are made for it.

    python benchmarks/bench_read.py [--bars 525600] [--symbols 1] [--repeat 3] [--json]

A server of its own runs in a temporary folder. Compare the ratios: the absolute figures are the machine's.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bson
import numpy as np
import pandas as pd

from research.readers import get_crypto_min_data
from schemas.collections import MINUTE_BARS, Store
from schemas.embedded import EmbeddedServer
from schemas.mongo import connect
from schemas.settings import Settings

START = datetime(2022, 1, 1, tzinfo=UTC)
FIELDS = ["open", "high", "low", "close", "volume"]
PROJECTION = {"_id": 0, "symbol": 1, "datetime": 1, **dict.fromkeys(FIELDS, 1)}


def write_bars(db: Store, symbol: str, count: int) -> None:
    """Store a random walk, one document a minute."""
    random = np.random.default_rng(sum(symbol.encode()))
    close = 40_000 * np.exp(np.cumsum(random.normal(0, 5e-4, count)))
    open_ = np.concatenate([[40_000.0], close[:-1]])
    values = [open_, np.maximum(open_, close) * 1.0002, np.minimum(open_, close) * 0.9998, close, random.random(count)]
    rows = zip(*(column.tolist() for column in values), strict=True)
    documents = [
        {"datetime": START + timedelta(minutes=minute), "symbol": symbol} | dict(zip(FIELDS, row, strict=True))
        for minute, row in enumerate(rows)
    ]
    for first in range(0, count, 50_000):
        db[MINUTE_BARS].insert_many(documents[first : first + 50_000], ordered=False)


def ways(db: Store, symbols: list[str], count: int) -> dict[str, Callable[[], pd.DataFrame]]:
    """Return the ways to read; each gives the same bars."""
    end = START + timedelta(minutes=count)
    query = {"symbol": {"$in": symbols}, "datetime": {"$gte": START, "$lt": end}}
    bars, order = db[MINUTE_BARS], [("symbol", 1), ("datetime", 1)]

    def raw_batches() -> pd.DataFrame:
        batches = bars.find_raw_batches(query, PROJECTION, sort=order)
        return pd.DataFrame([document for batch in batches for document in bson.decode_all(batch)])

    return {
        "DataFrame(list(find()))": lambda: pd.DataFrame(list(bars.find(query, sort=order))),
        "the same, projected": lambda: pd.DataFrame(list(bars.find(query, PROJECTION, sort=order))),
        "find_raw_batches, decoded": raw_batches,
        "get_crypto_min_data": lambda: get_crypto_min_data(START, end, symbols, db=db),
        "get_crypto_min_data, close only": lambda: get_crypto_min_data(START, end, symbols, ["close"], db=db),
    }


@contextmanager
def own_server(home: Path) -> Iterator[Store]:
    """Give the database of a server that has ended when the block is left, so that its folder can be deleted."""
    with connect(Settings.load(home=home, mongo_uri=None, signal_ttl_days=None)) as db:
        yield db
    EmbeddedServer(home).stop()


def measure(read: Callable[[], pd.DataFrame], repeat: int) -> tuple[float, pd.DataFrame]:
    """Return the median of the seconds that some reads took, and what the last one gave."""
    seconds = []
    for _ in range(repeat):
        began = time.perf_counter()
        frame = read()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds), frame


def main() -> None:
    """Write bars, read them in each way, check that all gave the same, and print rows a second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bars", type=int, default=525_600, help="bars of each symbol; 525,600 are one year of 1m")
    parser.add_argument("--symbols", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    symbols = [f"BINANCE:B{number:03}USDT" for number in range(options.symbols)]
    results: list[dict[str, str | float]] = []
    naive_s = 0.0
    with (
        tempfile.TemporaryDirectory() as home,
        own_server(Path(home)) as db,
    ):
        for symbol in symbols:
            write_bars(db, symbol, options.bars)
        closes = None
        for name, read in ways(db, symbols, options.bars).items():
            seconds, frame = measure(read, options.repeat)
            closes = frame["close"].to_numpy() if closes is None else closes
            np.testing.assert_array_equal(frame["close"].to_numpy(), closes)
            naive_s = naive_s or seconds
            results.append(
                {"way": name, "seconds": seconds, "rows_per_s": len(frame) / seconds, "to_naive": naive_s / seconds}
            )
    if options.json:
        print(json.dumps({"bars": options.bars, "symbols": options.symbols, "results": results}))
        return
    print(f"{options.bars:,} bars of 1m, {options.symbols} symbol(s), median of {options.repeat}")
    print(f"{'way':<34}{'seconds':>10}{'rows/s':>14}{'to naive':>10}")
    for result in results:
        figures = f"{result['seconds']:>10.3f}{result['rows_per_s']:>14,.0f}{result['to_naive']:>10.1f}"
        print(f"{result['way']:<34}{figures}")


if __name__ == "__main__":
    main()
