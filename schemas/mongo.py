"""The connection to MongoDB: the server that a URI names, or the embedded one; its failures become sentences."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    WriteError,
)

from schemas.collections import Store, ensure_collections
from schemas.embedded import EmbeddedServer
from schemas.errors import QuantFlowError, SettingsError, StoreError
from schemas.settings import Settings

_AUTHENTICATION_FAILED, _UNAUTHORIZED, _OUT_OF_DISK = 18, 13, 14031


def redact_uri(text: str) -> str:
    """Return `text` with the user and password of every MongoDB URI in it replaced by ***."""
    return re.sub(r"(mongodb(?:\+srv)?://)[^/\s]*@", r"\1***@", text)


@contextmanager
def connect(settings: Settings) -> Iterator[Store]:
    """Give the database that the settings name, for the length of a `with` block, with its collections made.

    Times read are aware UTC; writes wait for the majority. Where no URI is set the embedded server is started, or
    shared with the processes that use it already, and stops after the last of them.

    Raises
    ------
    SettingsError
        Where the URI can not be read.
    StoreError
        Where no server can be reached or run, or a server fails inside the block; the message carries no password.
    """
    with serve(settings) as served, open_database(served) as db:
        yield db


@contextmanager
def serve(settings: Settings) -> Iterator[Settings]:
    """Give settings whose `mongo_uri` names a server, for the length of a `with` block.

    They are the settings themselves where a URI is set; else the embedded server is held for the block.

    Raises
    ------
    StoreError
        Where no embedded server can run.
    """
    if settings.mongo_uri is not None:
        yield settings
        return
    with EmbeddedServer(settings.home).lease() as uri:
        yield settings.model_copy(update={"mongo_uri": SecretStr(uri)})


@contextmanager
def open_database(settings: Settings) -> Iterator[Store]:
    """Give the database at `settings.mongo_uri` for the length of a `with` block; see `connect`."""
    with store_errors(settings), _client(_uri(settings), settings.mongo_timeout_s) as client:
        db: Any = client[settings.db]
        ensure_collections(db, settings.signal_ttl_days)
        yield db


def pooled_database(settings: Settings) -> Store:
    """Return the database at `settings.mongo_uri`, over connections that this process keeps: for worker processes."""
    store: Any = _pooled_client(_uri(settings), settings.mongo_timeout_s)[settings.db]
    return cast("Store", store)


def _uri(settings: Settings) -> str:
    if settings.mongo_uri is None:
        raise SettingsError("A database is opened by its URI, and QUANTFLOW_MONGO_URI is not set.")
    return settings.mongo_uri.get_secret_value()


def _client(uri: str, timeout_s: float) -> MongoClient[dict[str, Any]]:
    return MongoClient(
        uri,
        tz_aware=True,
        tzinfo=UTC,
        w="majority",
        appname="quantflow",
        serverSelectionTimeoutMS=int(timeout_s * 1000),
    )


_pooled_client = lru_cache(maxsize=4)(_client)


def server_time(db: Store) -> datetime:
    """Return the MongoDB server's clock, aware UTC, to the millisecond."""
    time: datetime = db.command("hello")["localTime"]
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@contextmanager
def store_errors(settings: Settings) -> Iterator[None]:
    """Turn the driver's errors inside a `with` block into a StoreError or SettingsError without any password."""
    try:
        yield
    except QuantFlowError:
        raise
    except PyMongoError as error:
        raise _sentence(error, redact_uri(_uri(settings))) from None


def _sentence(error: PyMongoError, uri: str) -> QuantFlowError:
    detail = redact_uri(str(error)).split(", full error")[0].split(", Timeout:")[0]
    if isinstance(error, InvalidURI | ConfigurationError):
        return SettingsError(
            f"QUANTFLOW_MONGO_URI must look like mongodb://user:password@host:27017/, found {uri}: {detail}."
        )
    code = getattr(error, "code", None)
    if code == _OUT_OF_DISK or "No space left on device" in detail:
        return StoreError(
            f"MongoDB at {uri} has no disk space left. What was stored is kept. Free some space and run it again."
        )
    if code in (_AUTHENTICATION_FAILED, _UNAUTHORIZED):
        return StoreError(f"MongoDB at {uri} refused this user: {detail}. Check user, password and roles.")
    if isinstance(error, ConnectionFailure):
        return StoreError(
            f"MongoDB at {uri} did not answer: {detail}. Start it or set QUANTFLOW_MONGO_URI; "
            "unset, the embedded server is used. What was stored is kept."
        )
    if isinstance(error, WriteError | OperationFailure):
        return StoreError(f"MongoDB at {uri} refused an operation: {detail}.")
    return StoreError(f"MongoDB at {uri} failed: {detail}.")
