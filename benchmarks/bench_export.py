"""Measures publishing signals beside the obvious way, in one run.

    python benchmarks/bench_export.py [--signals 100000] [--repeat 3] [--json]

The obvious way is a bulk of upserts on the unique key, of documents that are made beforehand; it checks nothing, keeps
no revisions, retracts nothing and counts nothing. Ours begins with the frame of a factor, as the export node does.
Both write into databases of a server of their own, in turn. Compare the ratios: the absolute figures are the machine's.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from pydantic import SecretStr
from pymongo import UpdateOne
from rows import Row, rate_of, rate_row, show

from quantflow_nodes.nodes.export_signals import ExportSignalsParams, make_batch
from quantflow_nodes.ports import Factor
from quantflow_nodes.publish import publish_signals
from schemas.collections import SIGNAL_KEY, SIGNALS, Store
from schemas.embedded import temporary_server
from schemas.mongo import connect
from schemas.settings import Settings
from schemas.timeframes import Timeframe

BULK_ROWS = 5_000
PARAMS = ExportSignalsParams(strategy_id="bench", emit="every_bar", value="score")
CONTENT = (*SIGNAL_KEY, "symbol", "score", "source")
JOBS = {  # what is added to each score, how many times as fast as the peer it should be, and what bounds it
    "new": (0.0, 3.0, "mongod, inserts with the unique index"),
    "the same again": (0.0, 3.0, "mongod, reading what is stored"),
    "all changed": (0.5, None, "mongod, a revision and a replacement each"),
}


def scores(count: int, added: float) -> Factor:
    """Return one score a minute."""
    times = pd.date_range("2022-01-01", periods=count, freq="min", tz="UTC")
    return Factor(
        pd.DataFrame({"symbol": "BINANCE:BTCUSDT", "datetime": times, "factor": np.arange(count) + added}),
        Timeframe.parse("1m"),
    )


def documents(factor: Factor) -> list[dict[str, Any]]:
    """Return the same as the documents that one would write without this package."""
    key = {"strategy_id": "bench", "symbol": "BINANCE:BTCUSDT", "pair": "BTC/USDT", "timeframe": "1m"}
    times, values = factor.data["datetime"].dt.to_pydatetime(), factor.data["factor"].tolist()
    return [{**key, "ts": time, "score": value, "source": "bench"} for time, value in zip(times, values, strict=True)]


def upsert_each(db: Store, signals: list[dict[str, Any]]) -> None:
    """A bulk of upserts on the unique key, 5,000 at a time."""
    for first in range(0, len(signals), BULK_ROWS):
        operations = [
            UpdateOne({name: document[name] for name in SIGNAL_KEY}, {"$set": document}, upsert=True)
            for document in signals[first : first + BULK_ROWS]
        ]
        db[SIGNALS].bulk_write(operations, ordered=False)


def publish(db: Store, factor: Factor) -> None:
    """Our way: the difference first, then only what differs; revisions, retraction and a record."""
    batch = make_batch(factor, factor.data["factor"], PARAMS, "bench")
    publish_signals(db, batch, "bench-run", skew_s=2.0, lease_s=60.0)


@contextmanager
def database(uri: str, name: str) -> Iterator[Store]:
    """Give an empty database with its collections."""
    with connect(Settings.load(mongo_uri=SecretStr(uri), db=name, signal_ttl_days=None)) as db:
        yield db


def stored(db: Store) -> list[dict[str, Any]]:
    """Return what both ways have to store alike."""
    return list(db[SIGNALS].find({}, {"_id": 0, **dict.fromkeys(CONTENT, 1)}).sort("ts", 1))


def measure(uri: str, count: int, repeat: int) -> list[Row]:
    """Return one row a job; each repeat takes both ways through all jobs in a new pair of databases."""
    factors = {job: scores(count, added) for job, (added, _, _) in JOBS.items()}
    made = {job: documents(factor) for job, factor in factors.items()}
    rates: dict[str, tuple[list[float], list[float]]] = {job: ([], []) for job in JOBS}
    for run in range(repeat):
        with database(uri, f"ours_{run}") as own, database(uri, f"theirs_{run}") as other:
            for job, (ours, theirs) in rates.items():
                turns: list[tuple[list[float], Callable[[], None]]] = [
                    (ours, lambda job=job: publish(own, factors[job])),
                    (theirs, lambda job=job: upsert_each(other, made[job])),
                ]
                for kept, way in turns if run % 2 == 0 else reversed(turns):
                    kept.append(rate_of(count, way))
                if stored(own) != stored(other):
                    raise SystemExit(f"The two ways stored different signals in the job {job!r}.")
            for db in (own, other):
                db.client.drop_database(db.name)
    return [
        rate_row(job, "bulk UpdateOne upsert", ours, theirs, "signals/s", JOBS[job][1], JOBS[job][2])
        for job, (ours, theirs) in rates.items()
    ]


def main() -> None:
    """Publish new, equal and changed signals in both ways, and print signals a second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--signals", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    with temporary_server() as (_, uri):
        rows = measure(uri, options.signals, options.repeat)
    show(rows, {"signals": options.signals}, options.json)


if __name__ == "__main__":
    main()
