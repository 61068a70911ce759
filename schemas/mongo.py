"""The connection to MongoDB: the server that a URI names, or the embedded one; its failures become sentences."""

import atexit
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, cast

from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.errors import BulkWriteError, ConnectionFailure, OperationFailure, PyMongoError

from schemas.clock import process_clock
from schemas.collections import NOBODY_SIGNED_IN, UNAUTHORIZED, Store, ensure_collections, without_command
from schemas.embedded import EmbeddedServer
from schemas.errors import QuantFlowError, SettingsError, StoreError, StoreUnreachableError
from schemas.secrets import SAMPLE_ADDRESS, redact_uri, without_secrets
from schemas.settings import Settings

UriVariable = Literal["QUANTFLOW_MONGO_URI", "EXT_SIG_MONGO_URI"]

_WITHOUT_A_SERVER: Mapping[UriVariable, str] = {
    "QUANTFLOW_MONGO_URI": "unset, the embedded server is used",
    "EXT_SIG_MONGO_URI": "with the embedded server run Freqtrade as `quantflow exec -- freqtrade ...`",
}
_SETTINGS_OF: dict[int, Settings] = {}  # by the identity of an open client
_USER_ALONE = "it names a user and no password; write : and the password after the user"
_SIGN_IN = f"must be an address such as {SAMPLE_ADDRESS}?authSource=admin."
_AUTHENTICATION_FAILED, _OUT_OF_DISK, _DUPLICATE_KEY = 18, 14031, 11000


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
        ensure_collections(db)
        _SETTINGS_OF[id(client)] = settings
        try:
            yield db
        finally:
            del _SETTINGS_OF[id(client)]


def settings_of(db: Store) -> Settings | None:
    """Return the settings by which a database was opened here; None where it was opened by other means."""
    return _SETTINGS_OF.get(id(db.client))


def pooled_database(settings: Settings) -> Store:
    """Return the database at `settings.mongo_uri`, over connections that this process keeps: for worker processes."""
    client = _pooled_client(_uri(settings), settings.mongo_timeout_s)
    _SETTINGS_OF[id(client)] = settings
    store: Any = client[settings.db]
    return cast("Store", store)


def _uri(settings: Settings) -> str:
    if settings.mongo_uri is None:
        raise SettingsError("A database is opened by its URI, and QUANTFLOW_MONGO_URI is not set.")
    return settings.mongo_uri.get_secret_value()


def _client(uri: str, timeout_s: float) -> MongoClient[dict[str, Any]]:
    return open_client(uri, "QUANTFLOW_MONGO_URI", appname="quantflow", serverSelectionTimeoutMS=int(timeout_s * 1000))


def open_client(uri: str, variable: UriVariable, **options: Any) -> MongoClient[dict[str, Any]]:
    """Return a client whose times are aware UTC and whose writes wait for the majority; no server is asked yet.

    Parameters
    ----------
    uri : str
        The server's address.
    variable : str
        The setting that gave the address, for the message.
    **options
        Further ones of MongoClient, such as its timeouts; they win over those in the URI.

    Raises
    ------
    SettingsError
        Where the URI can not be used in full: the driver would only warn and drop an option, such as a misspelt TLS.
    """
    if not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise _unusable_uri("it has another beginning", variable)
    if _has_unescaped_password(uri):
        raise _unusable_uri("a sign of the password ends the address too early; write / as %2F, ? as %3F", variable)
    with warnings.catch_warnings(record=True) as dropped:
        warnings.simplefilter("always", UserWarning)
        try:
            client: MongoClient[dict[str, Any]] = MongoClient(uri, tz_aware=True, tzinfo=UTC, w="majority", **options)
        except (PyMongoError, ValueError, OSError) as error:  # all of these come from reading a URI
            lacks_password = "password" in str(error) and _names_user_alone(uri)
            raise _unusable_uri(_USER_ALONE if lacks_password else str(error), variable) from None
    for warning in dropped:
        if issubclass(warning.category, UserWarning):
            client.close()
            raise _unusable_uri(str(warning.message), variable)
    return client


def _has_unescaped_password(uri: str) -> bool:
    """Tell whether a / or ? of a password ended the address too early, which the driver would take for a host."""
    after_scheme = uri.partition("://")[2]
    address = re.split(r"[/?]", after_scheme, maxsplit=1)[0]
    rest = after_scheme.removeprefix(address)
    database = rest.partition("?")[0]
    return "@" in database or ("@" in rest and "@" not in address)  # with a user, an option may hold an @


def _names_user_alone(uri: str) -> bool:
    """Tell whether an address names a user, and no password or an empty one."""
    sign_in, has_user, _ = uri.partition("://")[2].rpartition("@")
    return bool(has_user) and not sign_in.partition(":")[2]


def _unusable_uri(detail: str, variable: UriVariable) -> SettingsError:
    """Return the error without the URI: where it can not be read, nobody can tell which part is the password."""
    safe = re.sub(r'"[^"]*@[^"]*"|\S*@', "***", detail).rstrip(".")
    return SettingsError(f"{variable} must look like {SAMPLE_ADDRESS}; the one given is not usable: {safe}.")


@lru_cache(maxsize=4)
def _pooled_client(uri: str, timeout_s: float) -> MongoClient[dict[str, Any]]:
    client = _client(uri, timeout_s)
    atexit.register(client.close)
    return client


def server_time(db: Store) -> datetime:
    """Return the MongoDB server's clock, aware UTC, to the millisecond; in a replay, what the replay shows then."""
    time: datetime = db.command("hello")["localTime"]
    return process_clock().at(time if time.tzinfo else time.replace(tzinfo=UTC))


def signed_in_user(db: Store) -> str | None:
    """Return as whom we write, such as research@quantflow; None where the server asks nobody."""
    users = db.command("connectionStatus")["authInfo"]["authenticatedUsers"]
    return f"{users[0]['user']}@{users[0]['db']}" if users else None


@contextmanager
def store_errors(settings: Settings) -> Iterator[None]:
    """Turn the driver's errors inside a `with` block into a StoreError or SettingsError without any password."""
    try:
        yield
    except QuantFlowError:
        raise
    except PyMongoError as error:
        raise sentence(error, _uri(settings), "QUANTFLOW_MONGO_URI") from None


def sentence(error: PyMongoError, uri: str, variable: UriVariable) -> StoreError:
    """Return what an error of the driver means for the user, and what to do; no password is in it.

    Parameters
    ----------
    error : PyMongoError
        What an operation raised.
    uri : str
        The server's address, as it was given.
    variable : str
        The setting that gave the address.
    """
    code, text = _cause(error)
    where = f"MongoDB at {redact_uri(uri)}"
    detail = re.split(r", full error|, Timeout:| \(configured timeouts", without_secrets(text))[0].rstrip(".")
    if code == _OUT_OF_DISK or "No space left on device" in detail:
        return StoreError(f"{where} has no disk space left. What was stored is kept. Free some space and run it again.")
    if code == _AUTHENTICATION_FAILED:
        return StoreError(
            f"{where} refused this user: {detail}. Check user, password and authSource, the database that "
            f"keeps the user: {variable} {_SIGN_IN}"
        )
    if code == UNAUTHORIZED and NOBODY_SIGNED_IN in detail:
        return StoreError(f"{where} asks for a user, and the address names none: {variable} {_SIGN_IN}")
    if code == UNAUTHORIZED:
        return StoreError(f"{where} refused this user: {without_command(detail)}. Check user, password and roles.")
    if isinstance(error, ConnectionFailure) or error.timeout:
        return StoreUnreachableError(
            f"{where} did not answer: {detail}.",
            f"Start it or set {variable}; {_WITHOUT_A_SERVER[variable]}. What was stored is kept.",
        )
    if isinstance(error, OperationFailure):
        return StoreError(f"{where} refused an operation: {detail}.")
    return StoreError(f"{where} failed: {detail}.")


def _cause(error: PyMongoError) -> tuple[int | None, str]:
    """Return the server's code and words; of many writes at once, those of the failure that matters most.

    A full disk explains all others, and a duplicate key is what a writer that repeats itself has to expect.
    """
    if isinstance(error, BulkWriteError):
        details = error.details or {}
        failures = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
        if failures:
            cause = min(failures, key=_rank)  # the first one of the least rank
            return cause.get("code"), str(cause.get("errmsg") or error)
    return getattr(error, "code", None), str(error)


def _rank(failure: Mapping[str, Any]) -> int:
    return {_OUT_OF_DISK: 0, _DUPLICATE_KEY: 2}.get(failure.get("code", 0), 1)
