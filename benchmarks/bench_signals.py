"""Measures a bot's one read a loop, the current signals of 50 pairs, beside a query for each pair.

    python benchmarks/bench_signals.py [--documents 10000000] [--rounds 300] [--json]

A server of its own is filled with signals of ten strategies, one for each pair and bar. Each round reads the last
closed bars of other times, in both ways, in turn, over one connection each; both must find the same newest signals.
Compare the ratios: the absolute figures are the machine's, and other work on it widens the 99th percentile of both.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from pydantic import SecretStr
from pymongo import DESCENDING, WriteConcern
from rows import Row, show

from quantflow_nodes.signal_columns import NO_TIME, Label, SignalColumns
from schemas.collections import SIGNALS, Store
from schemas.embedded import temporary_server
from schemas.mongo import connect
from schemas.raw_write import insert_rows, packed
from schemas.settings import ExternalSignalSettings, Settings
from schemas.signal_feed import SignalFeed
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

DB = "signals"
STRATEGIES = 10
PAIRS = 50
MINUTE = Timeframe.parse("1m")
MINUTE_MS = 60_000
START_MS = 1_640_995_200_000
WINDOW_BARS = 3  # as the default max_delay: how long a signal may be used
WARM_UP = 30
CHUNK = 20_000
MILLISECONDS: CodecOptions[dict[str, object]] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)


def symbols() -> list[Symbol]:
    """Return the instruments."""
    return [Symbol("BINANCE", f"C{number}", "USDT") for number in range(PAIRS)]


def bars_of(documents: int) -> int:
    """Return how many bars each strategy and pair has."""
    return max(documents // (STRATEGIES * PAIRS), WINDOW_BARS + 1)


def fill(db: Store, documents: int) -> int:
    """Store the signals, and return how many."""
    bars = bars_of(documents)
    now = datetime.now(UTC).replace(microsecond=0)
    added = {"run_id": "bench", "created_at": now, "updated_at": now}
    quick = db.client.get_database(db.name, write_concern=WriteConcern(1))
    for strategy in range(STRATEGIES):
        for symbol in symbols():
            signals = SignalColumns(
                f"s{strategy}",
                MINUTE,
                (Label(str(symbol), symbol.pair, source="bench"),),
                np.zeros(bars, np.int64),
                ts_us=(START_MS + np.arange(bars) * MINUTE_MS) * 1000,
                score=np.random.default_rng(strategy).random(bars),
                weight=np.full(bars, np.nan),
                valid_until_us=np.full(bars, NO_TIME),
            )
            laid = signals.documents(np.ones(bars, np.int64), added)
            for groups in packed((group.rows for group in laid), CHUNK):
                insert_rows(quick, SIGNALS, groups)
    return STRATEGIES * PAIRS * bars


def query_each(db: Store, pairs: Sequence[str], first_ms: int, last_ms: int) -> dict[str, float]:
    """Return the newest score of each pair, with a query for each."""
    found = {}
    collection = db.get_collection(SIGNALS, codec_options=MILLISECONDS)
    for pair in pairs:
        query = {
            "strategy_id": "s3",
            "pair": pair,
            "timeframe": "1m",
            "ts": {"$gte": DatetimeMS(first_ms), "$lte": DatetimeMS(last_ms)},
        }
        document = collection.find_one(query, sort=[("ts", DESCENDING)])
        if document is not None:
            found[pair] = document["score"]
    return found


def read_at_once(feed: SignalFeed, pairs: Sequence[str], first_ms: int, last_ms: int) -> dict[str, float]:
    """Return the same from the bot's read, which gives all signals of the window."""
    return {pair: float(signals.score[-1]) for pair, signals in feed.newest(pairs, first_ms, last_ms).items()}


def measure(db: Store, feed: SignalFeed, bars: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds that each round took in our way and the other."""
    pairs = [symbol.pair for symbol in symbols()]
    random = np.random.default_rng(1)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds + WARM_UP):
        last_ms = START_MS + int(random.integers(WINDOW_BARS, bars)) * MINUTE_MS
        first_ms = last_ms - WINDOW_BARS * MINUTE_MS
        ways: list[tuple[list[float], Callable[[], dict[str, float]]]] = [
            (ours, lambda first=first_ms, last=last_ms: read_at_once(feed, pairs, first, last)),
            (theirs, lambda first=first_ms, last=last_ms: query_each(db, pairs, first, last)),
        ]
        answers = []
        for kept, way in ways if number % 2 == 0 else ways[::-1]:
            began = time.perf_counter()
            answers.append(way())
            kept.append((time.perf_counter() - began) * 1000)
        if answers[0] != answers[1] or len(answers[0]) != PAIRS:
            raise SystemExit("The two ways found different signals.")
    return ours[WARM_UP:], theirs[WARM_UP:]


def rows_of(ours: Sequence[float], theirs: Sequence[float], documents: int) -> list[Row]:
    """Return the middle and the 99th percentile of both."""
    limit = "one round trip, the server's scan of 200 keys, and their decoding"
    rows = []
    for name, percent, target in (("p50", 50, None), ("p99", 99, 4.0)):
        own, other = (float(np.percentile(times, percent)) for times in (ours, theirs))
        job = f"{PAIRS} pairs of {documents:,}, {name}"
        rows.append(Row(job, f"{PAIRS} find_one", own, other, "ms", other / own, target, limit, len(ours)))
    return rows


def main() -> None:
    """Fill a server, read it in both ways, and print milliseconds a round."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args()
    with temporary_server() as (_, uri):
        secret = SecretStr(uri)
        settings = ExternalSignalSettings(mongo_uri=secret, db=DB, strategy_id="s3")
        with (
            connect(Settings.load(mongo_uri=secret, db=DB, signal_ttl_days=None)) as db,
            SignalFeed(settings, "1m", live=True) as feed,
        ):
            began = time.perf_counter()
            documents = fill(db, options.documents)
            filled_s = time.perf_counter() - began
            ours, theirs = measure(db, feed, bars_of(options.documents), options.rounds)
    about = {"documents": documents, "filled_s": round(filled_s, 1), "mean_ms": round(statistics.fmean(ours), 3)}
    show(rows_of(ours, theirs, documents), about, options.json)


if __name__ == "__main__":
    main()
