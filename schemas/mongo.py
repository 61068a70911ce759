"""The connection to MongoDB: the server that a URI names, or the embedded one; its failures become sentences."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

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
    if settings.mongo_uri is not None:
        with open_database(settings.mongo_uri.get_secret_value(), settings) as db:
            yield db
        return
    with EmbeddedServer(settings.home).lease() as uri, open_database(uri, settings) as db:
        yield db


@contextmanager
def open_database(uri: str, settings: Settings, **options: Any) -> Iterator[Store]:
    """Give the database at `uri` for the length of a `with` block; see `connect`."""
    with store_errors(uri):
        client: MongoClient[dict[str, Any]] = MongoClient(
            uri,
            tz_aware=True,
            tzinfo=UTC,
            w="majority",
            appname="quantflow",
            **{"serverSelectionTimeoutMS": int(settings.mongo_timeout_s * 1000), **options},
        )
        with client:
            db: Any = client[settings.db]
            ensure_collections(db, settings.signal_ttl_days)
            yield db


def server_time(db: Store) -> datetime:
    """Return the MongoDB server's clock, aware UTC, to the millisecond."""
    time: datetime = db.command("hello")["localTime"]
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn the driver's errors inside a `with` block into a StoreError or SettingsError without any password."""
    try:
        yield
    except QuantFlowError:
        raise
    except PyMongoError as error:
        raise _sentence(error, redact_uri(uri)) from None


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
