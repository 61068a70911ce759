"""A database is reached by its URI alone; what fails is a sentence, and no sentence holds a password."""

import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
)

from schemas.errors import InputError, QuantFlowError, SettingsError, StoreError
from schemas.mongo import connect, open_client, pooled_database, serve, server_time, store_errors
from schemas.mongod_binary import find_mongod
from schemas.secrets import redact_uri
from schemas.settings import Settings


def settings_of(uri: str, timeout_s: float = 0.2) -> Settings:
    return Settings.load(mongo_uri=uri, mongo_timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mongodb://user:pass@host:27017/db", "mongodb://***@host:27017/db"),
        ("mongodb+srv://user:pass@host/", "mongodb+srv://***@host/"),
        ("mongodb://user@host/", "mongodb://***@host/"),
        ("mongodb://host:27017/?replicaSet=rs", "mongodb://host:27017/?replicaSet=rs"),
        ("mongodb://user:p@ss@host/", "mongodb://***@host/"),
        ("mongodb://user:pa/ss@host/", "mongodb://***@host/"),
        ("mongodb://user:pa ss@host/", "mongodb://***@host/"),
        ("mongodb://user:p%40ss@a:1,b:2/", "mongodb://***@a:1,b:2/"),
        ("at mongodb://u:p@a/ and mongodb://v:q@b/.", "at mongodb://***@a/ and mongodb://***@b/."),
        ("mongodb://h/?tls=true&tlsCertificateKeyFilePassword=p&w=1", "mongodb://h/?tls=true&tlsCertificateKeyFilePassword=***&w=1"),
        ("mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:t", "mongodb://h/?authMechanismProperties=***"),
        ("give mongodb://user:password@host:27017/?authSource=a", "give mongodb://user:password@host:27017/?authSource=a"),
        ("give mongodb://user:password@db:27017/", "give mongodb://***@db:27017/"),
        ("nothing to hide at user@example.org", "nothing to hide at user@example.org"),
    ],
)  # fmt: skip
def test_secrets_are_taken_out_of_a_text(text: str, shown: str) -> None:
    """User and password, wherever the URI stands and however badly it is written; hosts stay."""
    assert redact_uri(text) == shown


@given(
    st.text(st.characters(exclude_categories=["Z", "C"]), min_size=8, max_size=20).filter(lambda text: "*" not in text)
)
def test_no_password_is_left_of_any(password: str) -> None:
    """Escaped or not, alone or within a sentence."""
    assert password not in redact_uri(f"mongodb://user:{password}@host:27017/")
    assert password not in redact_uri(f"MongoDB at mongodb://user:{password}@host:27017/ did not answer")


@pytest.mark.parametrize(
    "uri",
    [
        "hunter2",
        "user:hunter2@host",
        "http://user:hunter2@host/",
        "MONGODB://user:hunter2@host/",
        "mongodb://",
        "mongodb://user:hunter2/",
        "mongodb://user:hunter2@",
        "mongodb://user:hunt:er2@host/",
        "mongodb://user:hunt/er2@host/",
        "mongodb://user:12/hunter2@host",
        "mongodb://user:12?w=hunter2@host",
        "mongodb://user:p@12/hunter2@host",
        "mongodb://user:hunter2%zz@host/",
        "mongodb://user:p@ss:hunter2@host/",
        "mongodb://host:0/",
        "mongodb://host:99999/",
        "mongodb://host:port/",
        "mongodb://[::1/",
        "mongodb://a:1,mongodb://user:hunter2@b",
        "mongodb://user:hunter2@host/bad name",
        "mongodb://user:hunter2@host/?tls=perhaps",
        "mongodb://user:hunter2@host/?authMechanism=NONE",
        "mongodb://user:hunter2@host/?serverSelectionTimeoutMS=soon",
        "mongodb://user:hunter2@host/?noSuchOption=1",
        "mongodb://host/?tls=true&tlsCertificateKeyFile=/none&tlsCertificateKeyFilePassword=hunter2",
    ],
)
def test_a_uri_that_can_not_be_used_is_a_sentence_without_it(uri: str) -> None:
    """Also where the driver would only warn and go on without an option, such as TLS."""
    with (
        pytest.raises(
            SettingsError, match=r"^QUANTFLOW_MONGO_URI must look like mongodb://user:password@host:27017/; "
        ) as refused,
        connect(settings_of(uri)),
    ):
        pass
    assert "hunter2" not in str(refused.value)
    assert "er2@" not in str(refused.value)


@pytest.mark.parametrize("sign_in", ["admin", "admin:"])
def test_an_address_without_its_password_is_told_so(sign_in: str) -> None:
    """What lacks is named, and so is what to write; another mistake beside it keeps its own sentence."""
    with pytest.raises(SettingsError, match="it names a user and no password; write : and the password"):
        open_client(f"mongodb://{sign_in}@host/", "QUANTFLOW_MONGO_URI")
    with pytest.raises(SettingsError, match="not usable: Unknown option: nosuchoption"):
        open_client(
            f"mongodb://{sign_in}@host/?authMechanism=MONGODB-X509&tls=true&noSuchOption=1", "QUANTFLOW_MONGO_URI"
        )


def test_a_part_of_a_password_is_never_taken_for_a_host() -> None:
    """Where a / was not escaped the driver would ask `user:12` and say so; an option may hold an @ all the same."""
    for uri in ("mongodb://user:12/secret@host", "mongodb://user:12?w=1@host"):
        with (
            pytest.raises(SettingsError, match=r"too early; write / as %2F, \? as %3F\.$") as refused,
            connect(settings_of(uri)),
        ):
            pass
        assert "12" not in str(refused.value)
    with open_client("mongodb://me:p%40ss@host/?appName=@account@", "QUANTFLOW_MONGO_URI") as client:
        assert client.options.pool_options.appname == "@account@"


def test_a_server_that_is_away_is_a_sentence() -> None:
    """Within the time that is set, with what to do; the message names the server and not the user."""
    with (
        pytest.raises(
            StoreError,
            match=r"^MongoDB at mongodb://\*\*\*@127\.0\.0\.1:9/ did not answer: .*Connection refused\. Start it or "
            r"set QUANTFLOW_MONGO_URI; unset, the embedded server is used\. What was stored is kept\.$",
        ),
        connect(settings_of("mongodb://user:hunter2@127.0.0.1:9/")),
    ):
        pass


def test_a_server_that_never_answers_is_a_sentence() -> None:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"mongodb://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(StoreError, match="did not answer"), connect(settings_of(uri)):
            pass


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (OperationFailure("disk", 14031), StoreError, "has no disk space left. What was stored is kept. Free some"),
        (OperationFailure("write: No space left on device"), StoreError, "has no disk space left"),
        (OperationFailure("not allowed to find", 13), StoreError, "refused this user: not allowed to find. Check user"),
        (OperationFailure("no such thing", 26), StoreError, "refused an operation: no such thing."),
        (ExecutionTimeout("operation exceeded time limit", 50), StoreError, "did not answer: operation exceeded time"),
        (BulkWriteError({"writeErrors": [{"op": "hunter2"}]}), StoreError, "refused an operation: batch op errors"),
        (ConfigurationError("Server reports wire version 5"), StoreError, "failed: Server reports wire version 5."),
        (AutoReconnect("connection closed"), StoreError, "did not answer: connection closed. Start it"),
        (AutoReconnect("mongodb://u:hunter2@h/ closed"), StoreError, "did not answer: mongodb://***@h/ closed"),
        (PyMongoError("odd"), StoreError, "failed: odd."),
    ],
)
def test_a_driver_error_becomes_a_sentence(error: PyMongoError, kind: type[QuantFlowError], sentence: str) -> None:
    """Each kind with its own remedy; the documents that failed and all passwords are left out."""
    with pytest.raises(kind) as refused, store_errors(settings_of("mongodb://u:hunter2@h/")):
        raise error
    assert str(refused.value).startswith("MongoDB at mongodb://***@h/ ")
    assert sentence in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def failure(code: int, errmsg: str) -> dict[str, Any]:
    return {"index": 0, "code": code, "errmsg": errmsg, "op": {"password": "hunter2"}}


DOUBLE, FULL = failure(11000, "E11000 duplicate key"), failure(14031, "available disk space below 500 MB")
INVALID, UNAUTHORIZED = failure(121, "Document failed validation"), failure(13, "not authorized on quantflow")


@pytest.mark.parametrize(
    ("writes", "concerns", "sentence"),
    [
        ([FULL], [], "has no disk space left. What was stored is kept. Free some space"),
        ([DOUBLE, INVALID, FULL], [], "has no disk space left"),
        ([DOUBLE], [FULL], "has no disk space left"),
        ([failure(8, "write failed: No space left on device")], [], "has no disk space left"),
        ([DOUBLE, INVALID, UNAUTHORIZED], [], "refused an operation: Document failed validation."),
        ([UNAUTHORIZED], [], "refused this user: not authorized on quantflow. Check user"),
        ([DOUBLE, DOUBLE], [], "refused an operation: E11000 duplicate key."),
        ([DOUBLE], [failure(91, "Replication is being shut down")], "refused an operation: Replication is being shut"),
    ],
)
def test_a_bulk_of_writes_tells_the_failure_that_matters(
    writes: list[dict[str, Any]], concerns: list[dict[str, Any]], sentence: str
) -> None:
    """A full disk before all, doubles last; the writes that failed are not shown."""
    with pytest.raises(StoreError) as refused, store_errors(settings_of("mongodb://u:hunter2@h/")):
        raise BulkWriteError({"writeErrors": writes, "writeConcernErrors": concerns})
    assert str(refused.value).startswith("MongoDB at mongodb://***@h/ " + sentence)
    assert "hunter2" not in str(refused.value)


@pytest.mark.mongo
def test_a_bulk_that_a_server_refuses_says_why(settings: Settings) -> None:
    """The server's own words about the document, beside a double that does not matter."""
    with connect(settings) as db:
        db.create_collection("strict", validator={"price": {"$gt": 0}})
        db["strict"].insert_one({"_id": 1, "price": 1})
    with pytest.raises(StoreError, match="refused an operation: Document failed validation"), connect(settings) as db:
        db["strict"].insert_many([{"_id": 1, "price": 1}, {"_id": 2, "price": -1}], ordered=False)


@pytest.mark.parametrize("error", [InputError("ours"), ZeroDivisionError("a bug")])
def test_other_errors_pass_unchanged(error: Exception) -> None:
    """Our sentences are sentences already; what nobody foresaw keeps its traceback."""
    with pytest.raises(type(error)) as passed, store_errors(settings_of("mongodb://h/")):
        raise error
    assert passed.value is error


@pytest.mark.mongo
def test_times_are_read_in_utc_and_writes_are_kept(settings: Settings) -> None:
    """The connection decides that, so that no reader or writer has to."""
    east = datetime.fromisoformat("2022-01-01T08:00:00+08:00")
    with connect(settings) as db:
        db["facts"].insert_one({"_id": 1, "time": east})
        found = db["facts"].find_one({"_id": 1})
        assert found is not None
        assert found["time"].isoformat() == "2022-01-01T00:00:00+00:00"
        assert db.write_concern.document == {"w": "majority"}
        assert abs(server_time(db) - datetime.now(UTC)) < timedelta(minutes=1)
        assert server_time(db).utcoffset() == timedelta(0)


@pytest.mark.mongo
def test_an_error_inside_the_block_is_a_sentence(settings: Settings) -> None:
    """What a server refuses later is told as what it refuses at once."""
    with pytest.raises(StoreError, match="refused an operation: no such command"), connect(settings) as db:
        db.command("noSuchCommand")


@pytest.mark.mongo
def test_worker_processes_share_one_client(settings: Settings) -> None:
    """A pooled database opens its connections once for a URI."""
    own = settings.model_copy(update={"mongo_timeout_s": 9.5})  # a pool of this test alone, which it closes
    first, second = pooled_database(own), pooled_database(own)
    assert first.client is second.client
    assert first.name == settings.db
    first.client.close()


@pytest.mark.mongo
def test_without_a_uri_the_embedded_server_is_served(tmp_path: Path) -> None:
    """The settings that come out name it, and it has ended when the block is left."""
    own = Settings.load(home=tmp_path / "home", mongo_uri=None)
    with serve(own) as served:
        assert served.mongo_uri is not None
        assert served.mongo_uri.get_secret_value().startswith("mongodb://127.0.0.1:")
        with connect(served) as db:
            assert db.name == own.db
    with serve(served) as same:
        assert same is served


def test_a_pooled_database_needs_a_uri() -> None:
    """The embedded server is held by who starts the workers, not by them."""
    with pytest.raises(SettingsError, match="QUANTFLOW_MONGO_URI is not set"):
        pooled_database(Settings.load(mongo_uri=None))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a standalone server that asks for a password; user `reader` may read, `root` may all."""
    home = tmp_path_factory.mktemp("guarded")
    mongod = find_mongod(home / "lib")
    (home / "db").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            str(mongod.path), "--dbpath", str(home / "db"), "--logpath", str(home / "log"), "--bind_ip", "127.0.0.1",
            "--port", str(port), "--auth", "--nounixsocket",
        ],
        env=mongod.environment, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with MongoClient[dict[str, Any]]("127.0.0.1", port, serverSelectionTimeoutMS=60_000) as client:
            client.admin.command("createUser", "root", pwd="hunter2", roles=["root"])
        with MongoClient[dict[str, Any]]("127.0.0.1", port, username="root", password="hunter2") as client:
            client.admin.command("createUser", "reader", pwd="hunter2", roles=["readAnyDatabase"])
        yield port
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.mongo
def test_a_standalone_server_works_by_its_uri_alone(guarded: int) -> None:
    """No replica set is needed for what is written with majority."""
    with connect(settings_of(f"mongodb://root:hunter2@127.0.0.1:{guarded}/", 10)) as db:
        db["facts"].insert_one({"_id": 1})
        assert db["facts"].count_documents({}) == 1


@pytest.mark.mongo
@pytest.mark.parametrize("user", ["root:wrong_hunter2", "nobody:hunter2"])
def test_a_wrong_password_is_a_sentence_without_it(guarded: int, user: str) -> None:
    """It says whom the server refused at which address, and what to check."""
    with (
        pytest.raises(StoreError, match=r"refused this user: Authentication failed\. Check user, password") as refused,
        connect(settings_of(f"mongodb://{user}@127.0.0.1:{guarded}/", 10)),
    ):
        pass
    assert "hunter2" not in str(refused.value)


@pytest.mark.mongo
def test_an_address_without_a_user_is_told_so_where_one_is_asked_for(guarded: int) -> None:
    """It is no matter of rights or of missing collections: the sentence says what to give."""
    told = (
        r"asks for a user, and the address names none: QUANTFLOW_MONGO_URI must be an address such as mongodb://user:p"
    )
    with pytest.raises(StoreError, match=told), connect(settings_of(f"mongodb://127.0.0.1:{guarded}/", 10)):
        pass


@pytest.mark.mongo
def test_a_user_who_may_not_write_is_a_sentence(guarded: int) -> None:
    """Reading works with a role that reads, once the collections are there; writing is refused with the reason."""
    with connect(settings_of(f"mongodb://root:hunter2@127.0.0.1:{guarded}/", 10)) as db:
        db["facts"].delete_many({})
    reader = settings_of(f"mongodb://reader:hunter2@127.0.0.1:{guarded}/", 10)
    with connect(reader) as db:
        assert db["facts"].count_documents({}) == 0
    with pytest.raises(StoreError, match="refused this user: not authorized"), connect(reader) as db:
        db["facts"].insert_one({"_id": 1})
