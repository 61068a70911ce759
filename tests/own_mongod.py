"""A mongod of the test's own, which can be killed and comes back at its port, with its data."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from schemas.mongod_binary import find_mongod

_PATIENCE_MS = 30_000


@dataclass
class OwnMongod:
    """A server in a folder; `members` is the name of its replica set of one, or None for a standalone server.

    It starts with `options`, beside those that say where it lies.
    """

    folder: Path
    port: int
    members: str | None
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Its address."""
        return f"mongodb://127.0.0.1:{self.port}/" + (f"?replicaSet={self.members}" if self.members else "")

    def start(self) -> None:
        """Start it, and wait until it takes writes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        mongod = find_mongod(self.folder)
        arguments = ["--dbpath", str(self.folder), "--port", str(self.port), "--bind_ip", "127.0.0.1"]
        arguments += ["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", "--syncdelay", "1"]
        arguments += ["--replSet", self.members, "--oplogSize", "16"] if self.members else []
        arguments += self.options
        self.process = subprocess.Popen(
            [str(mongod.path), *arguments],
            env=mongod.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if self.members:
            self._initiate(self.members)
        with MongoClient[Any](self.uri, serverSelectionTimeoutMS=_PATIENCE_MS, w="majority") as client:
            client["own_mongod"]["up"].insert_one({})

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def _initiate(self, members: str) -> None:
        direct = f"mongodb://127.0.0.1:{self.port}/?directConnection=true"
        member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
        with MongoClient[Any](direct, serverSelectionTimeoutMS=_PATIENCE_MS) as client:
            try:
                client.admin.command("replSetInitiate", {"_id": members, "members": [member]})
            except OperationFailure as error:
                if error.code != 23:  # it is one already, from before it was killed
                    raise


@contextmanager
def own_mongod(folder: Path, members: str | None = None, options: tuple[str, ...] = ()) -> Iterator[OwnMongod]:
    """Give a running server for the length of a `with` block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    server = OwnMongod(folder, port, members, options)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
