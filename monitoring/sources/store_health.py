"""Asks MongoDB whether it is there, how soon it answers, what it is, and what time it is."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import pymongo
from pymongo.errors import PyMongoError

from monitoring.facts import StoreHealth
from schemas.clock import process_clock
from schemas.collections import Store
from schemas.mongo import sentence

_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What MongoDB said; `at` is its clock, in a replay the market's time, and this machine's where it did not answer.

    `has_streams` is whether it is of a kind that has change streams: a replica set, or a router of several.
    """

    health: StoreHealth
    at: datetime
    has_streams: bool = False


def read_store_health(db: Store, uri: str) -> StoreAnswer:
    """Return how MongoDB is, within two seconds; never an error: that it does not answer is an answer.

    Parameters
    ----------
    db : Database
    uri : str
        Its address, for what is said about it; no password gets into that.
    """
    started = time.perf_counter()
    try:
        with pymongo.timeout(_PATIENCE_S):  # over all that the driver tries
            hello = db.command("hello")
    except PyMongoError as error:
        away = StoreHealth(ping_ms=None, error=str(sentence(error, uri, "QUANTFLOW_MONGO_URI")))
        return StoreAnswer(away, process_clock().now())
    ping_ms = (time.perf_counter() - started) * 1000
    local: datetime = hello["localTime"]
    at = process_clock().at(local if local.tzinfo else local.replace(tzinfo=UTC))
    is_set = "setName" in hello
    return StoreAnswer(StoreHealth(ping_ms, is_replica_set=is_set), at, is_set or hello.get("msg") == "isdbgrid")
