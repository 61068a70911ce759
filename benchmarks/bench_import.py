"""Measures the writer of bars beside the obvious ways, in one run, on bars that are made for it.

    python benchmarks/bench_import.py [--bars 525600] [--repeat 3] [--json]

Each way writes the same bars three times: into a collection that has none of them, again when all are stored and equal,
and with one bar in a hundred changed. Ours and the peer's turns alternate, each on a symbol of its own, as MongoDB is
slow to insert keys that have just been deleted. The slower ways take a sample. At last comes the whole command
import-ohlcv with a CSV file, beside pandas and a bulk of upserts. A server of its own runs in a temporary folder.
Compare the ratios: the absolute figures are the machine's.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import structlog
from pydantic import SecretStr
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError
from rows import Row, rate_of, rate_row, show

from importers.bars import OHLCV, Bars
from importers.writer import write_bars
from schemas.collections import MINUTE_BARS, Store
from schemas.embedded import temporary_server
from schemas.mongo import connect
from schemas.settings import Settings
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START_MS = 1_640_995_200_000
BULK_ROWS = 10_000
DUPLICATE_KEY = 11_000
SAMPLE_ROWS = 50_000
ROW_BY_ROW_SAMPLE = 500  # slow enough that a sample tells
FIRST, AGAIN, CHANGED = "first import", "the same again", "again, 1 % changed"
INSERTS = "mongod, inserts with the unique index"
READS = "mongod, reading what is stored"
TARGETS = {FIRST: (4.0, INSERTS), AGAIN: (20.0, READS), CHANGED: (20.0, f"{READS}, and its replacements")}
Way = Callable[[Store, Bars], int]


def random_walk(count: int, symbol: Symbol) -> Bars:
    """Return bars of 1m as a seeded random walk."""
    random = np.random.default_rng(1)
    close = 40_000 * np.exp(np.cumsum(random.normal(0, 5e-4, count)))
    open_ = np.concatenate([[40_000.0], close[:-1]])
    table = [open_, np.maximum(open_, close) * 1.0002, np.minimum(open_, close) * 0.9998, close, random.random(count)]
    opens = START_MS + np.arange(count) * 60_000
    return Bars.of(symbol, Timeframe.parse("1m"), opens, np.column_stack(table))


def with_changes(bars: Bars) -> Bars:
    """Return the bars with another volume in one of a hundred."""
    volume = bars.volume.copy()
    volume[::100] += 1
    return Bars(bars.symbol, bars.timeframe, bars.open_ms, bars.open, bars.high, bars.low, bars.close, volume)


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
    return upsert_documents(db, documents_of(bars))


def upsert_documents(db: Store, documents: Sequence[dict[str, Any]]) -> int:
    """Upsert documents of bars, 10,000 a request."""
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
    write_bars(db, bars)
    return len(bars)


@dataclass
class Rates:
    """Rows a second of both sides, one a run, by job."""

    ours: dict[str, list[float]] = field(default_factory=dict)
    theirs: dict[str, list[float]] = field(default_factory=dict)

    def rows(self, peer: str, jobs: Sequence[str], *, is_judged: bool) -> list[Row]:
        """Return one row a job; only one peer has targets."""
        return [
            rate_row(
                job, peer, self.ours[job], self.theirs[job], "rows/s", TARGETS[job][0] if is_judged else None,
                TARGETS[job][1],
            )
            for job in jobs
        ]  # fmt: skip


def measure(db: Store, name: str, peer: Way, bars: int, repeat: int, jobs: Sequence[str]) -> Rates:
    """Return the rates of ours and a peer, in turn, through all jobs; both must have stored the same."""
    rates = Rates({job: [] for job in jobs}, {job: [] for job in jobs})
    for run in range(repeat):
        turns = [(rates.ours, write_with_importers, "O"), (rates.theirs, peer, "T")]
        series = {side: random_walk(bars, Symbol("BINANCE", f"{name}{run}{side}", "USDT")) for _, _, side in turns}
        for job in jobs:
            for kept, write, side in turns if run % 2 == 0 else turns[::-1]:
                given = with_changes(series[side]) if job == CHANGED else series[side]
                written: list[int] = []
                rate = rate_of(1, lambda write=write, given=given, written=written: written.append(write(db, given)))
                kept[job].append(rate * written[0])
        if peer is not update_row_by_row and stored(db, series["O"].symbol) != stored(db, series["T"].symbol):
            raise SystemExit(f"{peer.__name__} stored other bars.")
    return rates


def stored(db: Store, symbol: Symbol) -> tuple[int, list[Any]]:
    """Return how many bars are stored, and the values of some of them."""
    query = {"symbol": str(symbol)}
    some = query | {"$expr": {"$eq": [{"$mod": [{"$toLong": "$datetime"}, 5_000_000]}, 200_000]}}
    found = db[MINUTE_BARS].find(some, {"_id": 0, "symbol": 0}).sort("datetime", 1)
    return db[MINUTE_BARS].count_documents(query), [tuple(sorted(document.items())) for document in found]


def measure_command(db: Store, uri: str, bars: int, repeat: int) -> list[Row]:
    """Return what the whole command takes for a CSV file, beside pandas and a bulk of upserts."""
    jobs = ("import-ohlcv, CSV, first", "import-ohlcv, CSV, again")
    rates = Rates({job: [] for job in jobs}, {job: [] for job in jobs})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bars.csv")
        walk = random_walk(bars, Symbol("BINANCE", "F", "USDT"))
        columns = dict(zip(OHLCV, walk.ohlcv, strict=True))
        pd.DataFrame({"time": walk.open_ms, **columns}).to_csv(path, index=False)
        environment = os.environ | {"QUANTFLOW_MONGO_URI": uri, "QUANTFLOW_DB": db.name}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed command has its bytecode
        for run in range(repeat):
            for job in jobs:
                command = [sys.executable, "-c", "from importers.cli import main; main()", "--tf", "1m", "--symbol",
                           f"BINANCE:CSV{run}OUSDT", "--source", "csv", "--path", str(path)]  # fmt: skip
                rates.ours[job].append(
                    rate_of(bars, lambda c=command: subprocess.run(c, env=environment, check=True, capture_output=True))
                )
                name = f"BINANCE:CSV{run}TUSDT"
                rates.theirs[job].append(
                    rate_of(bars, lambda name=name: upsert_documents(db, read_with_pandas(path, name)))
                )
    peer = "read_csv, bulk UpdateOne upsert"
    return [
        rate_row(job, peer, rates.ours[job], rates.theirs[job], "rows/s", None, limit)
        for job, limit in zip(jobs, (INSERTS, "Python's start, reading the file, mongod"), strict=True)
    ]


def read_with_pandas(path: Path, symbol: str) -> list[dict[str, Any]]:
    """Return the documents of a file's bars."""
    frame = pd.read_csv(path)
    frame.insert(0, "datetime", pd.to_datetime(frame.pop("time"), unit="ms", utc=True))
    frame.insert(1, "symbol", symbol)
    documents: list[dict[str, Any]] = frame.to_dict("records")
    return documents


def main() -> None:
    """Write bars in each way, and print rows a second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bars", type=int, default=525_600)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # what was changed is logged
    sample, rows = min(SAMPLE_ROWS, options.bars), []
    others: list[tuple[str, str, Way]] = [
        ("I", "insert_many, doubles ignored", insert_and_ignore_doubles),
        ("R", "update_one upsert, row by row", update_row_by_row),
    ]
    with (
        temporary_server() as (_, uri),
        connect(Settings.load(mongo_uri=SecretStr(uri), signal_ttl_days=None)) as db,
    ):
        rates = measure(db, "B", update_in_bulk, options.bars, options.repeat, [FIRST, AGAIN, CHANGED])
        rows += rates.rows("bulk UpdateOne upsert", [FIRST, AGAIN, CHANGED], is_judged=True)
        for name, peer, way in others:
            rates = measure(db, name, way, sample, options.repeat, [FIRST, AGAIN])
            rows += rates.rows(peer, [FIRST, AGAIN], is_judged=False)
        rows += measure_command(db, uri, options.bars, options.repeat)
    show(rows, {"bars": options.bars, "sample": sample}, options.json)


if __name__ == "__main__":
    main()
