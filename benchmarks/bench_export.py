"""Measures publishing signals beside the obvious way, in one run.

    python benchmarks/bench_export.py [--signals 50000] [--json]

The obvious way is a bulk of upserts on the unique key; it keeps no revisions, retracts nothing and counts nothing.
A server of its own runs in a temporary folder. Compare the ratios: the absolute figures are the machine's.
"""

import argparse
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
from pydantic import SecretStr
from pymongo import UpdateOne

from quantflow_nodes.publish import Batch, Opinion, publish_signals
from schemas.collections import SIGNAL_KEY, SIGNALS, Store
from schemas.documents import Signal
from schemas.embedded import temporary_server
from schemas.mongo import connect
from schemas.settings import Settings
from schemas.timeframes import Timeframe

START = datetime(2022, 1, 1, tzinfo=UTC)
MINUTE = Timeframe.parse("1m")


def make_signals(count: int, score: float) -> list[Signal]:
    """Return one score a minute."""
    return [
        Signal(
            strategy_id="bench",
            symbol="BINANCE:BTCUSDT",
            pair="BTC/USDT",
            timeframe="1m",
            ts=START + timedelta(minutes=minute),
            score=score + minute,
        )
        for minute in range(count)
    ]


def upsert_each(db: Store, signals: list[Signal]) -> None:
    """A bulk of upserts on the unique key, 5,000 at a time."""
    for first in range(0, len(signals), 5_000):
        operations = []
        for signal in signals[first : first + 5_000]:
            document = signal.to_mongo()
            key = {name: document[name] for name in SIGNAL_KEY}
            operations.append(UpdateOne(key, {"$set": document}, upsert=True))
        db[SIGNALS].bulk_write(operations, ordered=False)


def publish(db: Store, signals: list[Signal]) -> None:
    """Our way: the difference first, then only what differs; revisions, retraction and a record."""
    opens_ms = np.array([round(signal.ts.timestamp() * 1000) for signal in signals], np.int64)
    batch = Batch("bench", MINUTE, signals, [Opinion("BTC/USDT", opens_ms)])
    publish_signals(db, batch, "bench-run", skew_s=2.0, lease_s=60.0)


def main() -> None:
    """Publish new, equal and changed signals in each way, and print signals a second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--signals", type=int, default=50_000)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    rounds = {"new": make_signals(options.signals, 0.0), "the same again": make_signals(options.signals, 0.0),
              "all changed": make_signals(options.signals, 0.5)}  # fmt: skip
    ways: dict[str, Callable[[Store, list[Signal]], None]] = {"bulk upsert": upsert_each, "publish_signals": publish}
    results = []
    with temporary_server() as (_, uri):
        for name, way in ways.items():
            settings = Settings.load(mongo_uri=SecretStr(uri), db=name.replace(" ", "_"), signal_ttl_days=None)
            with connect(settings) as db:
                for what, signals in rounds.items():
                    began = time.perf_counter()
                    way(db, signals)
                    seconds = time.perf_counter() - began
                    results.append({"way": name, "what": what, "seconds": seconds, "per_s": len(signals) / seconds})
                if db[SIGNALS].count_documents({}) != options.signals:
                    raise SystemExit(f"{name} stored another number of signals than {options.signals}.")
    if options.json:
        print(json.dumps({"signals": options.signals, "results": results}))
        return
    print(f"{options.signals:,} signals")
    print(f"{'way':<20}{'what':<18}{'seconds':>10}{'signals/s':>14}")
    for row in results:
        print(f"{row['way']:<20}{row['what']:<18}{row['seconds']:>10.2f}{row['per_s']:>14,.0f}")


if __name__ == "__main__":
    main()
