"""Measures the writer of bars beside the obvious ways, in one run, on bars that are made for it.

    python benchmarks/bench_import.py [--bars 45031] [--repeat 3] [--json]

Each way writes the same bars twice: first into an empty collection, then again, when all of them are stored and equal.
Only the ways that leave each bar stored once are safe to run again. A server of its own runs in a temporary folder.
Compare the ratios: the absolute figures are the machine's.
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
from typing import Any

import numpy as np
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from importers.bars import OHLCV, Bars
from importers.writer import write_bars
from schemas.collections import MINUTE_BARS, Store
from schemas.embedded import EmbeddedServer
from schemas.mongo import connect
from schemas.settings import Settings
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START_MS = 1_640_995_200_000
BULK_ROWS = 10_000
DUPLICATE_KEY = 11_000
ROW_BY_ROW_SAMPLE = 500  # slow enough that a sample tells


def random_walk(count: int, symbol: Symbol) -> Bars:
    """Return bars of 1m as a seeded random walk."""
    random = np.random.default_rng(1)
    close = 40_000 * np.exp(np.cumsum(random.normal(0, 5e-4, count)))
    open_ = np.concatenate([[40_000.0], close[:-1]])
    table = [open_, np.maximum(open_, close) * 1.0002, np.minimum(open_, close) * 0.9998, close, random.random(count)]
    opens = START_MS + np.arange(count) * 60_000
    return Bars.of(symbol, Timeframe.parse("1m"), opens, np.column_stack(table))


def documents_of(bars: Bars) -> list[dict[str, Any]]:
    """Return the bars as the dicts that one would write without this package."""
    times = [EPOCH + timedelta(milliseconds=open_ms) for open_ms in bars.open_ms.tolist()]
    rows = zip(*(column.tolist() for column in bars.ohlcv), strict=True)
    return [
        {"datetime": moment, "symbol": str(bars.symbol)} | dict(zip(OHLCV, row, strict=True))
        for moment, row in zip(times, rows, strict=True)
    ]


def update_row_by_row(db: Store, bars: Bars) -> int:
    """Upsert a sample of the bars, one request each."""
    sample = documents_of(bars.take(slice(0, ROW_BY_ROW_SAMPLE)))
    for document in sample:
        key = {name: document[name] for name in ("symbol", "datetime")}
        db[MINUTE_BARS].update_one(key, {"$set": document}, upsert=True)
    return len(sample)


def update_in_bulk(db: Store, bars: Bars) -> int:
    """Upsert the bars, 10,000 a request."""
    documents = documents_of(bars)
    for first in range(0, len(documents), BULK_ROWS):
        updates = [
            UpdateOne({name: document[name] for name in ("symbol", "datetime")}, {"$set": document}, upsert=True)
            for document in documents[first : first + BULK_ROWS]
        ]
        db[MINUTE_BARS].bulk_write(updates, ordered=False)
    return len(documents)


def insert_and_ignore_doubles(db: Store, bars: Bars) -> int:
    """Insert the bars, 10,000 a request, and take errors for doubles; a changed bar stays as it was."""
    documents = documents_of(bars)
    for first in range(0, len(documents), BULK_ROWS):
        try:
            db[MINUTE_BARS].insert_many(documents[first : first + BULK_ROWS], ordered=False)
        except BulkWriteError as error:
            if any(found["code"] != DUPLICATE_KEY for found in error.details["writeErrors"]):
                raise
    return len(documents)


def write_with_importers(db: Store, bars: Bars) -> int:
    """Write the bars as import-ohlcv does."""
    for first in range(0, len(bars), 20_000):
        write_bars(db, bars.take(slice(first, first + 20_000)))
    return len(bars)


WAYS: dict[str, Callable[[Store, Bars], int]] = {
    "update_one upsert, row by row": update_row_by_row,
    "bulk UpdateOne upsert": update_in_bulk,
    "insert_many, doubles ignored": insert_and_ignore_doubles,
    "importers.write_bars": write_with_importers,
}


@contextmanager
def own_server(home: Path) -> Iterator[Store]:
    """Give the database of a server that has ended when the block is left, so that its folder can be deleted."""
    with connect(Settings.load(home=home, mongo_uri=None, signal_ttl_days=None)) as db:
        yield db
    EmbeddedServer(home).stop()


def measure(db: Store, write: Callable[[Store, Bars], int], series: list[Bars]) -> tuple[float, float]:
    """Return the median rows a second of writing each series when nothing of it is stored, and again."""
    first, again = [], []
    for bars in series:
        for rates in (first, again):
            began = time.perf_counter()
            rows = write(db, bars)
            rates.append(rows / (time.perf_counter() - began))
        assert db[MINUTE_BARS].count_documents({"symbol": str(bars.symbol)}) == rows
    return statistics.median(first), statistics.median(again)


def main() -> None:
    """Write bars in each way, twice, and print rows a second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bars", type=int, default=45_031)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    results: list[dict[str, str | float]] = []
    with tempfile.TemporaryDirectory() as home, own_server(Path(home)) as db:
        for number, (name, write) in enumerate(WAYS.items()):
            # Each a symbol of its own: MongoDB is slow to insert keys that have just been deleted.
            symbols = [Symbol("BINANCE", f"W{number}R{run}", "USDT") for run in range(options.repeat)]
            first, again = measure(db, write, [random_walk(options.bars, symbol) for symbol in symbols])
            results.append({"way": name, "first_rows_per_s": first, "again_rows_per_s": again})
    if options.json:
        print(json.dumps({"bars": options.bars, "results": results}))
        return
    print(f"{options.bars:,} bars of 1m, median of {options.repeat}")
    print(f"{'way':<34}{'first, rows/s':>16}{'again, rows/s':>16}")
    for result in results:
        print(f"{result['way']:<34}{result['first_rows_per_s']:>16,.0f}{result['again_rows_per_s']:>16,.0f}")


if __name__ == "__main__":
    main()
