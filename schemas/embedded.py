"""The embedded MongoDB as its users see it: a lease on one server that all processes of a folder share.

Each user holds a shared lock on `lease.lock`; the kernel drops the lock of a process that dies, however it dies. A
keeper process (schemas.embedded_keeper) runs mongod and stops it when nobody holds the lock any more.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from schemas.errors import LockedError, StoreError

REPLICA_SET = "quantflow"
_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class ServerState:
    """Which mongod serves a folder and which keeper watches it; creation times tell a reused pid from ours."""

    pid: int
    created: float
    port: int
    version: str
    keeper_pid: int
    keeper_created: float

    @property
    def uri(self) -> str:
        """The server's address on the loopback interface."""
        return f"mongodb://127.0.0.1:{self.port}/?replicaSet={REPLICA_SET}&directConnection=true"

    def mongod(self) -> psutil.Process | None:
        """Return the running mongod, or None where it has ended."""
        return living_process(self.pid, self.created)

    def keeper(self) -> psutil.Process | None:
        """Return the running keeper, or None where it has ended."""
        return living_process(self.keeper_pid, self.keeper_created)


def living_process(pid: int, created: float) -> psutil.Process | None:
    """Return the process of that pid if it is the one created at that time and still runs."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - created) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if same else None


class EmbeddedServer:
    """The server of one folder: `lease` it to use it, `stop` it, or look at its `state`."""

    def __init__(self, home: Path) -> None:
        self.home = Path(home).expanduser().absolute()
        self.data = self.home / "db"
        self.log = self.home / "mongod.log"
        self.lease_path = self.home / "lease.lock"
        self.start_path = self.home / "start.lock"
        self.keep_path = self.home / "keep"
        self._state_path = self.home / "mongod.json"

    @contextmanager
    def lease(self) -> Iterator[str]:
        """Hold the server for the length of a `with` block and give its URI; start it where it does not run.

        Raises
        ------
        StoreError
            Where no server can run here: no mongod, no disk space, a folder that can not be written.
        """
        with self.open_lease():
            try:
                yield self.running().uri
            finally:
                self._replace_dead_keeper()

    def open_lease(self) -> IO[str]:
        """Return an open file that holds the server until it is closed, here or in a program that inherits it."""
        self._make_home()
        lease = self._open(self.lease_path)
        try:
            with self._open(self.start_path) as start_lock:
                fcntl.flock(start_lock, fcntl.LOCK_EX)
                fcntl.flock(lease, fcntl.LOCK_SH)
                state = self.state()
                if state is None or state.mongod() is None or state.keeper() is None:
                    self._start_keeper(start_lock)
        except BaseException:
            lease.close()
            raise
        return lease

    def state(self) -> ServerState | None:
        """Return what the keeper wrote last, or None where no server was started since the last stop."""
        try:
            return ServerState(**json.loads(self._state_path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def running(self) -> ServerState:
        """Return the state of the server that runs.

        Raises
        ------
        StoreError
            Where none runs.
        """
        state = self.state()
        if state is None or state.mongod() is None:
            raise StoreError(f"The embedded MongoDB in {self.home} does not run. Start it with `quantflow db start`.")
        return state

    def write_state(self, state: ServerState | None) -> None:
        """Store the state, whole or not at all; None removes it."""
        if state is None:
            self._state_path.unlink(missing_ok=True)
            return
        fresh = self._state_path.with_suffix(".tmp")
        fresh.write_text(json.dumps(asdict(state)))
        fresh.replace(self._state_path)

    def keep(self) -> str:
        """Start the server and let it run until `stop`, used or not; return its URI."""
        with self.open_lease():
            self.keep_path.touch()
            return self.running().uri

    def stop(self) -> bool:
        """Stop the server and wait for its end; return whether one ran.

        Raises
        ------
        LockedError
            Where other processes use it: it goes on until the last of them ends.
        StoreError
            Where it does not end in time.
        """
        self.keep_path.unlink(missing_ok=True)
        state = self.state()
        if state is None or state.mongod() is None:
            return False
        if state.keeper() is None:  # the keeper was killed: a new one adopts the server and stops it
            self.open_lease().close()
            state = self.state() or state
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while state.mongod() or state.keeper():
            if self.is_leased():
                raise LockedError(
                    f"The embedded MongoDB in {self.home} is used by other processes; it stops after the last of them."
                )
            if time.monotonic() > deadline:
                raise StoreError(
                    f"The embedded MongoDB (pid {state.pid}) did not stop within {_STOP_TIMEOUT_S:.0f} s; "
                    f"see {self.log}."
                )
            time.sleep(0.05)
        return True

    def is_leased(self) -> bool:
        """Tell whether any process holds the server now."""
        if not self.lease_path.exists():
            return False
        with self.lease_path.open("a+") as file:
            if try_lock(file, fcntl.LOCK_EX):
                return False
            # A user's lock is shared. An exclusive one is the keeper's, while it stops, or another's who asks as we do.
            return try_lock(file, fcntl.LOCK_SH) and not try_lock(file, fcntl.LOCK_EX)

    def _make_home(self) -> None:
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.home.chmod(0o700)
        except OSError as error:
            raise self._unusable_home(error) from None

    def _open(self, path: Path) -> IO[str]:
        try:
            return path.open("a+")
        except OSError as error:
            raise self._unusable_home(error) from None

    def _unusable_home(self, error: OSError) -> StoreError:
        return StoreError(
            f"The embedded MongoDB needs a folder that it can write; {self.home} is none: {error.strerror}. "
            "Set QUANTFLOW_HOME to another."
        )

    def _replace_dead_keeper(self) -> None:
        """Where the keeper was killed, start another before we leave, or nobody would stop the server after us."""
        state = self.state()
        if state is None or state.mongod() is None or state.keeper() is not None:
            return
        with contextlib.suppress(StoreError):
            self.open_lease().close()

    def _start_keeper(self, start_lock: IO[str]) -> None:
        """Start a keeper and wait for its answer; it inherits the start lock, which thus outlives us if we die."""
        keeper = subprocess.Popen(
            [sys.executable, "-m", "schemas.embedded_keeper", str(self.home), str(start_lock.fileno())],
            pass_fds=[start_lock.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self.home,
            text=True,
        )
        with keeper.stdout as answers:  # type: ignore[union-attr]
            ready, _, _ = select.select([answers], [], [], _START_TIMEOUT_S)
            answer = answers.readline() if ready else ""
        if answer.startswith("ready") or not ready:
            keeper.returncode = 0  # it goes on without us: nobody waits for it
        else:
            keeper.wait()
        if answer.startswith("ready"):
            return
        raise StoreError(answer.strip() or self._silence(ended=bool(ready)))

    def _silence(self, *, ended: bool) -> str:
        what = "was ended" if ended else f"did not answer within {_START_TIMEOUT_S:.0f} s"
        return (
            f"The embedded MongoDB did not start: the process that runs it {what}. Its log is {self.log}. "
            "What was stored is kept."
        )


def try_lock(file: IO[str], kind: int) -> bool:
    """Lock an open file, or change its lock, if that needs no waiting; tell whether it did."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the exclusive lock of a file for the length of a `with` block; the kernel drops it if we die."""
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def temporary_server() -> Iterator[tuple[EmbeddedServer, str]]:
    """Run a server of our own in a temporary folder for the length of a `with` block, and leave nothing of it."""
    server = EmbeddedServer(Path(tempfile.mkdtemp(prefix="quantflow-")))
    try:
        with server.lease() as uri:
            yield server, uri
    finally:
        try:
            server.stop()
        finally:
            shutil.rmtree(server.home, ignore_errors=True)


def exec_with_lease(lease: IO[str], command: list[str], environment: dict[str, str]) -> None:
    """Become `command`, which from then on holds the lease; returns only by an error.

    Raises
    ------
    OSError
        Where the command can not be run.
    """
    os.set_inheritable(lease.fileno(), True)
    os.execvpe(command[0], command, environment)  # noqa: S606 - the user's own command, run in our place
