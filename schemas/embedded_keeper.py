"""The keeper: a small process of its own that runs the embedded mongod and stops it after its last user.

Run as `python -m schemas.embedded_keeper HOME FD`, where FD holds the start lock, which it closes when it has started
or failed; it answers one line on standard output, `ready` or a sentence that says why no server can run, and goes on
unseen. It restarts a mongod that was killed, on the same port, so that its users only see a pause.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from schemas.embedded import REPLICA_SET, EmbeddedServer, ServerState, locked, try_lock
from schemas.errors import StoreError
from schemas.mongod_binary import Mongod, find_mongod

_POLL_S = 0.2
_READY_TIMEOUT_S = 60.0
_LEAST_FREE_BYTES = {"new": 400 * 2**20, "existing": 64 * 2**20}  # a new server lays out 300 MiB of files
_MOST_RESTARTS = 5
_RESTART_MEMORY_S = 600.0
_NOT_YET_INITIALIZED = 94


class Keeper:
    """Runs one mongod for one folder until nobody holds the folder's lease."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self._mongod: Mongod | None = None
        self._process: psutil.Process | None = None
        self._restarts: list[float] = []
        self._ending = False

    def start(self) -> None:
        """Adopt the mongod that runs already, or start one, and write the state.

        Raises
        ------
        StoreError
            Where none can run.
        """
        state = self._server.state()
        process = state.mongod() if state else None
        if state is not None and process is not None:
            self._write_state(process, state.port, state.version)
        else:
            self._launch(preferred_port=state.port if state else 0)

    def run(self) -> None:
        """Watch until the last user has gone, then stop the server; a mongod that died is started again."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "_ending", True))
        try:
            self._watch()
        except OSError:  # the folder was deleted under us
            self._end_mongod()

    def _watch(self) -> None:
        while not self._ending and not self._stop_if_unused():
            state = self._server.state()
            if state is None:  # the folder was deleted under us, or another keeper has stopped the server
                self._end_mongod()
                return
            if state.keeper_pid != os.getpid():
                return  # another keeper has taken over
            if state.mongod() is None and not self._revive(state):
                return
            time.sleep(_POLL_S)
        if self._ending:
            with locked(self._server.start_path):
                self._shut_down()

    def _revive(self, state: ServerState) -> bool:
        self._restarts = [at for at in self._restarts if at > time.monotonic() - _RESTART_MEMORY_S] + [time.monotonic()]
        with locked(self._server.start_path):
            now = self._server.state()  # while we waited a user may have found mongod dead and started a new keeper
            if now is None or now.keeper_pid != os.getpid():
                return False
            if len(self._restarts) <= _MOST_RESTARTS:
                with contextlib.suppress(StoreError):
                    self._launch(preferred_port=state.port)
                    return True
            self._server.write_state(None)
        return False

    def _stop_if_unused(self) -> bool:
        """Stop where nobody holds the lease, asked again under the start lock so that nobody is cut off."""
        if self._server.keep_path.exists() or self._server.is_leased():
            return False
        with locked(self._server.start_path), self._server.lease_path.open("a+") as lease:
            if not try_lock(lease, fcntl.LOCK_EX) or self._server.keep_path.exists():
                return False
            self._shut_down()
        return True

    def _shut_down(self) -> None:
        self._end_mongod()
        self._server.write_state(None)

    def _end_mongod(self) -> None:
        if self._process is None or not self._process.is_running():
            return
        self._process.terminate()  # mongod ends cleanly on SIGTERM
        try:
            self._process.wait(30)
        except psutil.TimeoutExpired:
            self._process.kill()

    def _launch(self, preferred_port: int) -> None:
        free = shutil.disk_usage(self._server.home).free
        needed = _LEAST_FREE_BYTES["existing" if (self._server.data / "WiredTiger").exists() else "new"]
        if free < needed:
            raise StoreError(
                f"The embedded MongoDB needs {needed // 2**20} MiB of free disk space in "
                f"{self._server.home}, found {free // 2**20} MiB. Free some space, or set QUANTFLOW_HOME to a folder "
                "on another disk. What was stored is kept."
            )
        if self._mongod is None:
            self._mongod = find_mongod(self._server.home / "lib")
        for port in (_free_port(preferred_port), _free_port(0)):
            process = self._spawn(self._mongod, port)
            if _wait_until_primary(process, port):
                self._write_state(psutil.Process(process.pid), port, self._mongod.version)
                return
        raise StoreError(
            f"The embedded MongoDB did not start: {self._last_words()} The whole log is {self._server.log}. "
            "What was stored is kept."
        )

    def _spawn(self, mongod: Mongod, port: int) -> subprocess.Popen[bytes]:
        options = {
            "--dbpath": self._server.data, "--logpath": self._server.log, "--bind_ip": "127.0.0.1", "--port": port,
            "--replSet": REPLICA_SET, "--oplogSize": 256, "--wiredTigerCacheSizeGB": 1,
            "--setParameter": "diagnosticDataCollectionEnabled=false",
        }  # fmt: skip
        arguments = [str(part) for option in options.items() for part in option]
        return subprocess.Popen(
            [str(mongod.path), *arguments, "--logappend", "--nounixsocket"],
            env=mongod.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _write_state(self, process: psutil.Process, port: int, version: str) -> None:
        self._process, own = process, psutil.Process()
        self._server.write_state(
            ServerState(process.pid, process.create_time(), port, version, own.pid, own.create_time())
        )

    def _last_words(self) -> str:
        try:
            lines = self._server.log.read_text(errors="replace").splitlines()[-200:]
        except OSError:
            return "it wrote no log."
        grave = [line for line in lines if '"s":"F"' in line or '"s":"E"' in line]
        return (grave or lines or ["it wrote nothing"])[-1][-400:]


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StoreError("No port is free on the loopback interface.")


def _wait_until_primary(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the server takes writes, making or moving its replica set of one; False where it ended instead."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        f"mongodb://127.0.0.1:{port}/?directConnection=true", serverSelectionTimeoutMS=300
    )
    deadline = time.monotonic() + _READY_TIMEOUT_S
    with client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.admin.command("hello").get("isWritablePrimary"):
                    return True
                _join_replica_set(client, f"127.0.0.1:{port}")
            except PyMongoError:
                time.sleep(0.02)
    process.kill()
    process.wait()
    return False


def _join_replica_set(client: MongoClient[dict[str, Any]], member: str) -> None:
    try:
        config = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [{"_id": 0, "host": member}]})
        return
    if config["members"][0]["host"] != member:  # the port changed since the last start
        config["members"][0]["host"] = member
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)


def main() -> None:
    """Start, answer, watch."""
    home, start_lock = Path(sys.argv[1]), int(sys.argv[2])
    keeper = Keeper(EmbeddedServer(home))
    try:
        keeper.start()
        answer = "ready"
    except StoreError as error:
        answer = " ".join(str(error).split())
    except OSError as error:
        answer = f"The embedded MongoDB could not be started in {home}: {error}. What was stored is kept."
    os.close(start_lock)
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"{answer}\n".encode())
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if answer == "ready":
        keeper.run()


if __name__ == "__main__":
    main()
