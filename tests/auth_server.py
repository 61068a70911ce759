"""A real mongod with authentication on, a replica set of one, for tests of who may do what."""

import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from schemas.mongod_binary import find_mongod

ADMIN = "admin"
REPLICA_SET = "locked"
_STARTED_WITHIN_S = 30


@dataclass(frozen=True)
class AuthServer:
    """A server that asks everybody for a password."""

    port: int
    admin_password: str

    @property
    def admin_uri(self) -> str:
        return f"mongodb://{ADMIN}:{self.admin_password}@{self.open_uri.removeprefix('mongodb://')}&authSource=admin"

    @property
    def open_uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?replicaSet={REPLICA_SET}&directConnection=true"


@contextmanager
def auth_server(folder: Path) -> Iterator[AuthServer]:
    """Run mongod with --auth and a key file for the length of a `with` block, with one user, the admin."""
    mongod = find_mongod(folder / "lib")
    data, key = folder / "db", folder / "key"
    data.mkdir()
    key.write_text(secrets.token_hex(48))
    key.chmod(0o600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "--dbpath": data, "--port": port, "--bind_ip": "127.0.0.1", "--replSet": REPLICA_SET, "--keyFile": key,
        "--oplogSize": 64, "--wiredTigerCacheSizeGB": 0.25, "--logpath": folder / "mongod.log",
        "--setParameter": "diagnosticDataCollectionEnabled=false",
    }  # fmt: skip
    arguments = [str(part) for option in options.items() for part in option]
    process = subprocess.Popen(
        [str(mongod.path), "--auth", "--nounixsocket", *arguments], env=mongod.environment, stdout=subprocess.DEVNULL
    )
    try:
        server = AuthServer(port, f"planted-admin-{secrets.token_hex(8)}")
        _make_admin(server)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _make_admin(server: AuthServer) -> None:
    """While there is no user, who connects from this machine may make the replica set and the first one."""
    member = {"_id": 0, "host": f"127.0.0.1:{server.port}"}
    with MongoClient[Any](
        f"mongodb://127.0.0.1:{server.port}/?directConnection=true", serverSelectionTimeoutMS=30_000
    ) as client:
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
        deadline = time.monotonic() + _STARTED_WITHIN_S
        while not client.admin.command("hello")["isWritablePrimary"]:
            assert time.monotonic() < deadline, "the replica set has no primary"
            time.sleep(0.02)
        client.admin.command("createUser", ADMIN, pwd=server.admin_password, roles=["root"])


def is_refused(error: PyMongoError) -> bool:
    """Whether the server refused for want of a right, and for no other reason."""
    return isinstance(error, OperationFailure) and error.code == 13
