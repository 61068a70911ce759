"""Asks MongoDB whether it is there, how soon it answers, what it is, and what time it is."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pymongo
from bson.codec_options import DatetimeConversion
from pymongo.errors import ConnectionFailure, PyMongoError, ServerSelectionTimeoutError

from monitoring.facts import StoreHealth
from monitoring.sources.query_count import QueryCount
from schemas.clock import process_clock
from schemas.collections import Store
from schemas.mongo import open_client, sentence
from schemas.secrets import redact_uri
from schemas.settings import Settings

_VARIABLE: Final = "QUANTFLOW_MONGO_URI"
_LEAVES_TIME_FOR_A_REASON = 1.1  # to choose a server takes longer than to connect: else the driver can not say why not
_WITH_A_CONNECTION = 1.2  # times an answer: enough to connect once more
# From this version on the driver connects thrice to a server that hangs, each time as long as the first.
_NO_FURTHER_TRIES = {"max_adaptive_retries": 0} if pymongo.version_tuple >= (4, 17) else {}
_UNKNOWN = "Unknown"
_KNOCK_S, _GOODBYE_S = 0.3, 0.5


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What MongoDB said; `at` is its clock, in a replay the market's time, and this machine's where it did not answer.

    `has_streams` is whether it is of a kind that has change streams: a replica set, or a router of several.
    """

    health: StoreHealth
    at: datetime
    has_streams: bool = False


@dataclass(frozen=True, slots=True)
class WatchedStore:
    """MongoDB as the monitor asks it; `uri` is for what is said about it, `count` counts what it is asked."""

    db: Store
    uri: str
    count: QueryCount = field(default_factory=QueryCount)


@contextmanager
def open_store(settings: Settings) -> Iterator[WatchedStore]:
    """Give the database at `settings.mongo_uri` for the length of a `with` block; it need not be there.

    Each answer is waited for `settings.monitor_mongo_timeout_s`, not all that it takes together: a connection is two
    or three of them, and a server that is slow is not away.

    Raises
    ------
    SettingsError
        Where the URI can not be read.
    """
    uri = settings.mongo_uri.get_secret_value() if settings.mongo_uri else ""
    patience_ms = int(settings.monitor_mongo_timeout_s * 1000)
    count = QueryCount()
    client = open_client(
        uri,
        _VARIABLE,
        appname="signal-monitor",
        serverSelectionTimeoutMS=int(patience_ms * _LEAVES_TIME_FOR_A_REASON),
        connectTimeoutMS=patience_ms,
        socketTimeoutMS=patience_ms,
        datetime_conversion=DatetimeConversion.DATETIME_AUTO,  # another program's far time must not end a look
        event_listeners=[count],
        **_NO_FURTHER_TRIES,
    )
    db: Any = client[settings.db]
    try:
        yield WatchedStore(db, uri, count)
    finally:
        with pymongo.timeout(_GOODBYE_S):  # it tells the server, which may hang by now
            client.close()


def read_store_health(db: Store, uri: str, *, has_answered: bool = False) -> StoreAnswer:
    """Return how MongoDB is, as soon as the client gives up; never an error: that it does not answer is an answer.

    Parameters
    ----------
    db : Database
    uri : str
        Its address, for what is said about it; no password gets into that.
    has_answered : bool
        Whether it has answered this client before: there is a connection, and all that the driver tries together has
        little more time than one answer.
    """
    started = time.perf_counter()
    patience_s = db.client.options.pool_options.socket_timeout
    whole_s = patience_s * _WITH_A_CONNECTION if has_answered and patience_s else None
    try:
        with pymongo.timeout(whole_s):
            hello = db.command("hello")
    except PyMongoError as error:
        return StoreAnswer(StoreHealth(ping_ms=None, error=silence(error, db, uri)), process_clock().now())
    ping_ms = (time.perf_counter() - started) * 1000
    local: datetime = hello["localTime"]
    at = process_clock().at(local if local.tzinfo else local.replace(tzinfo=UTC))
    is_set = "setName" in hello
    return StoreAnswer(StoreHealth(ping_ms, is_replica_set=is_set), at, is_set or hello.get("msg") == "isdbgrid")


def silence(error: PyMongoError, db: Store, uri: str) -> str:
    """Return why MongoDB gave no answer that could be used, as a sentence without a password.

    A server that is frozen is told from one that can not be reached: the driver has one word for both, so it is tried
    whether connections are taken.
    """
    patience_s = db.client.options.pool_options.socket_timeout
    is_late = isinstance(error, ConnectionFailure) and error.timeout and patience_s is not None
    if is_late and not _is_known(error, db) and _takes_connections(db):
        return (
            f"MongoDB at {redact_uri(uri)} accepts connections and gives no answer within {patience_s:g} s. It hangs, "
            "or has too much to do: look at its process, its disk and its log. What was stored is kept."
        )
    return str(sentence(error, uri, _VARIABLE))


def _is_known(error: PyMongoError, db: Store) -> bool:
    """Tell whether a server has answered, and it is another one that lacks, such as a primary."""
    found = db.client.topology_description.server_descriptions().values()
    return isinstance(error, ServerSelectionTimeoutError) and any(one.server_type_name != _UNKNOWN for one in found)


def _takes_connections(db: Store) -> bool:
    for host, port in db.client.topology_description.server_descriptions():
        try:
            socket.create_connection((host, port), _KNOCK_S).close()
        except OSError:
            continue
        return True
    return False
