"""Processes that write bars on and on, for tests of who sees them when; light to import."""

import time
from datetime import datetime, timedelta
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from pymongo import MongoClient
from pymongo.write_concern import WriteConcern


def write_on(
    uri: str,
    name: str,
    key: dict[str, Any],
    begun: "Synchronized[int]",
    done: "Synchronized[int]",
    end: "Synchronized[int]",
) -> None:
    """Write ever higher closes by every kind of write, and tell before and after each; none waits for a majority."""
    with MongoClient[Any](uri, tz_aware=True) as client:
        bars = client[name].get_collection("crypto_market_1m", write_concern=WriteConcern(w=1))
        while not end.value:
            number = begun.value = begun.value + 1
            bar = key | dict.fromkeys(("open", "high", "low", "volume"), 1.0) | {"close": float(number)}
            if number % 3 == 0:
                bars.update_one(key, {"$set": {"close": float(number)}})
            elif number % 3 == 1:
                bars.replace_one(key, bar)
            else:
                bars.delete_one(key)
                bars.insert_one(bar)
            done.value = number
            time.sleep(number % 4 / 20)


def fill_on(
    uri: str,
    name: str,
    symbol: str,
    start: datetime,
    begun: "Synchronized[int]",
    done: "Synchronized[int]",
    end: "Synchronized[int]",
) -> None:
    """Insert ever new bars into the three months after a start, and tell before and after each; w: 1 again."""
    with MongoClient[Any](uri, tz_aware=True) as client:
        bars = client[name].get_collection("crypto_market_1m", write_concern=WriteConcern(w=1))
        while not end.value and done.value < 3_400:
            number = begun.value = begun.value + 1
            bar = dict.fromkeys(("open", "high", "low", "close", "volume"), float(number))
            bars.insert_one(bar | {"symbol": symbol, "datetime": start + timedelta(minutes=37 * number, seconds=30)})
            done.value = number
            time.sleep(0.005)
