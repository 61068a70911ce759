"""Measures the reader of bars beside pymongoarrow and the obvious way, in one run, on bars that are made for it.

    python benchmarks/bench_read.py [--bars 525600] [--symbols 10] [--repeat 9] [--json]

A server of its own runs in a temporary folder. Compare the ratios: the absolute figures are the machine's.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rows import Row, need, show

from research.readers import get_crypto_min_data
from schemas.collections import MINUTE_BARS, Store
from schemas.embedded import EmbeddedServer
from schemas.mongo import connect
from schemas.settings import Settings

START = datetime(2022, 1, 1, tzinfo=UTC)
FIELDS = ["open", "high", "low", "close", "volume"]
PROJECTION = {"_id": 0, "symbol": 1, "datetime": 1, **dict.fromkeys(FIELDS, 1)}
MONGOD, MEMORY = "mongod, about 0.9 µs of its time a document", "memory: pages, copy and CRC-32; proof 1 to 2 ms"
# A new process: its start, imports and connections, for which a day is read before, are not measured; copies are
# opened anew.
ANEW = """
import sys, time
from datetime import datetime
from research.readers import get_crypto_min_data
from schemas.mongo import connect
from schemas.settings import Settings
start, end, *symbols = sys.argv[1:]
with connect(Settings.load()) as db:
    get_crypto_min_data(start, start[:8] + "02", symbols, db=db)
    began = time.perf_counter()
    rows = len(get_crypto_min_data(start, end, symbols, db=db))
    print(time.perf_counter() - began, rows)
"""


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


def pymongoarrow_read() -> Callable[..., pd.DataFrame]:
    """Return pymongoarrow's find_pandas_all with the fields of our frame."""
    need("pymongoarrow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        from pymongoarrow.api import Schema, find_pandas_all
    schema = Schema({"symbol": str, "datetime": datetime, **dict.fromkeys(FIELDS, float)})

    def read(bars: Any, query: Mapping[str, Any], order: list[tuple[str, int]]) -> pd.DataFrame:
        return find_pandas_all(bars, query, schema=schema, sort=order)

    return read


def ways(db: Store, plain_db: Store, home: Path, symbols: list[str], count: int) -> dict[str, Callable[[], float]]:
    """Return the ways to read some symbols; each checks what it has read and gives the seconds that it took."""
    end = START + timedelta(minutes=count)
    query = {"symbol": {"$in": symbols}, "datetime": {"$gte": START, "$lt": end}}
    bars, order, read_by_arrow = db[MINUTE_BARS], [("symbol", 1), ("datetime", 1)], pymongoarrow_read()
    first: list[pd.DataFrame] = []

    def timed(read: Callable[[], pd.DataFrame]) -> float:
        began = time.perf_counter()
        frame = read()
        seconds = time.perf_counter() - began
        first[:] = first or [frame]
        for field in FIELDS:
            np.testing.assert_array_equal(frame[field].to_numpy(), first[0][field].to_numpy())
        assert len(frame) == count * len(symbols)
        return seconds

    def read_first() -> float:
        shutil.rmtree(home / "bars", ignore_errors=True)
        return timed(lambda: get_crypto_min_data(START, end, symbols, db=db))

    def read_anew() -> float:
        uri = f"mongodb://{db.client.address[0]}:{db.client.address[1]}/?directConnection=true"  # type: ignore[index]
        environment = os.environ | {"QUANTFLOW_HOME": str(home), "QUANTFLOW_MONGO_URI": uri, "QUANTFLOW_DB": db.name}
        command = [sys.executable, "-c", ANEW, START.isoformat(), end.isoformat(), *symbols]
        seconds, rows = subprocess.run(command, env=environment, capture_output=True, check=True).stdout.split()
        assert int(rows) == count * len(symbols)
        return float(seconds)

    return {
        "naive": lambda: timed(lambda: pd.DataFrame(list(bars.find(query, PROJECTION, sort=order)))),
        "pymongoarrow": lambda: timed(lambda: read_by_arrow(bars, query, order)),
        "no copies": lambda: timed(lambda: get_crypto_min_data(START, end, symbols, db=plain_db)),
        "first read": read_first,
        "second read": lambda: timed(lambda: get_crypto_min_data(START, end, symbols, db=db)),
        "second read, another process": read_anew,
    }


@contextmanager
def own_server(home: Path) -> Iterator[tuple[Store, Store]]:
    """Give the database of a server of our own, with copies and without; its folder can be deleted afterwards."""
    settings = Settings.load(home=home, mongo_uri=None, signal_ttl_days=None)
    with connect(settings) as db, connect(settings.model_copy(update={"bars_cache_mb": 0})) as plain_db:
        yield db, plain_db
    EmbeddedServer(home).stop()


def measure(each: dict[str, Callable[[], float]], repeat: int) -> dict[str, float]:
    """Return the median seconds of each way; they take turns, so that all meet the same noise."""
    seconds: dict[str, list[float]] = {name: [] for name in each}
    for _ in range(repeat):
        for name, read in each.items():
            seconds[name].append(read())
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def compared(what: str, seconds: dict[str, float], rows: int, repeat: int) -> list[Row]:
    """Return each of our ways beside each peer, in rows a second."""
    targets = {"first read": 4.5, "no copies": 4.5, "second read": 100.0, "second read, another process": 100.0}
    return [
        Row(
            f"{job}, {what}",
            peer,
            rows / seconds[job],
            rows / seconds[peer],
            "rows/s",
            seconds[peer] / seconds[job],
            target if peer == "pymongoarrow" else None,
            MEMORY if "second" in job else MONGOD,
            repeat,
        )
        for job, target in targets.items()
        for peer in ("pymongoarrow", "naive")
        if peer in seconds
    ]


def main() -> None:
    """Write bars, read them in each way, check that all gave the same, and print rows a second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bars", type=int, default=525_600, help="bars of each symbol; 525,600 are one year of 1m")
    parser.add_argument("--symbols", type=int, default=10, help="how many are read at once, besides one alone")
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    symbols = [f"BINANCE:B{number:03}USDT" for number in range(options.symbols)]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, own_server(Path(folder)) as (db, plain_db):
        for symbol in symbols:
            write_bars(db, symbol, options.bars)
        one = ways(db, plain_db, Path(folder), symbols[:1], options.bars)
        rows += compared("1 symbol", measure(one, options.repeat), options.bars, options.repeat)
        if len(symbols) > 1:
            # The obvious way would take gigabytes for many symbols.
            many = ways(db, plain_db, Path(folder), symbols, options.bars)
            del many["naive"]
            repeat = min(options.repeat, 3)
            rows += compared(f"{len(symbols)} symbols", measure(many, repeat), options.bars * len(symbols), repeat)
    show(rows, {"bars": options.bars, "symbols": options.symbols}, options.json)


if __name__ == "__main__":
    main()
