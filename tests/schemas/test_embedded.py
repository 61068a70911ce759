"""The embedded server is shared, stopped by the last, survives `kill -9` of anybody: real processes, real signals."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from schemas.embedded import EmbeddedServer, living_process
from schemas.errors import LockedError, StoreError
from schemas.mongo import store_errors
from schemas.settings import Settings

pytestmark = pytest.mark.mongo

HOLD = """
import sys
from pathlib import Path
from schemas.embedded import EmbeddedServer
from schemas.errors import QuantFlowError
try:
    with EmbeddedServer(Path(sys.argv[1])).lease() as uri:
        print(uri, flush=True)
        sys.stdin.read()
except QuantFlowError as error:
    print(f"{type(error).__name__}: {error}", flush=True)
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server of the test's own, which has ended when the test has."""
    own = EmbeddedServer(tmp_path / "home")
    yield own
    wait_until(lambda: not own.is_leased())
    own.stop()


class User:
    """A process that holds the lease until it is told to leave, or killed."""

    def __init__(self, home: Path, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(home)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment,
        )  # fmt: skip

    @property
    def answer(self) -> str:
        return self._pipe(self.process.stdout).readline().strip()

    def leave(self) -> None:
        self._pipe(self.process.stdin).close()
        self._end()

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def _end(self) -> None:
        self.process.wait(60)
        for pipe in (self.process.stdin, self.process.stdout):
            self._pipe(pipe).close()

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def wait_until(condition: Callable[[], object], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def servers_of(home: Path) -> list[int]:
    """The pids of all mongods that run on the folder, whoever started them."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        if str(home / "db") in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def answers(uri: str) -> bool:
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=500) as client:
        try:
            return bool(client.admin.command("hello")["isWritablePrimary"])
        except PyMongoError:
            return False


def write_one(uri: str) -> None:
    with MongoClient[dict[str, Any]](uri, w="majority") as client:
        client["kept"]["facts"].replace_one({"_id": "one"}, {"value": 1}, upsert=True)


def read_one(uri: str) -> float | None:
    with MongoClient[dict[str, Any]](uri) as client:
        found = client["kept"]["facts"].find_one({"_id": "one"})
    return None if found is None else found["value"]


def test_it_starts_with_its_first_user_and_stops_after_its_last(server: EmbeddedServer) -> None:
    """What was stored is there at the next start."""
    with server.lease() as uri:
        write_one(uri)
        pid = server.running().pid
    wait_until(lambda: has_ended(pid))
    wait_until(lambda: server.state() is None)
    with server.lease() as uri:
        assert read_one(uri) == 1
        assert server.running().pid != pid


def test_only_the_loopback_interface_is_served_and_only_the_owner_may_look(server: EmbeddedServer) -> None:
    """Neither another machine nor another user of this one can read what is stored."""
    with server.lease():
        state = server.running()
        listening = [
            connection.laddr
            for connection in psutil.Process(state.pid).net_connections("all")
            if connection.status == psutil.CONN_LISTEN or connection.family == socket.AF_UNIX
        ]
        assert [(address.ip, address.port) for address in listening] == [("127.0.0.1", state.port)]
        assert stat.S_IMODE(server.home.stat().st_mode) == 0o700


def test_six_processes_that_race_share_one_server(server: EmbeddedServer) -> None:
    """All of them get the same address of one mongod, which goes on until the last has left."""
    users = [User(server.home) for _ in range(6)]
    uris = {user.answer for user in users}
    assert len(uris) == 1
    assert len(servers_of(server.home)) == 1
    pid = server.running().pid
    for user in users[:-1]:
        user.leave()
    assert answers(uris.pop())
    users[-1].leave()
    wait_until(lambda: has_ended(pid))


def test_a_killed_user_counts_as_gone(server: EmbeddedServer) -> None:
    """The kernel drops the lease of a dead process: the others go on, and the last death stops the server."""
    first, second = User(server.home), User(server.home)
    uri = first.answer
    assert second.answer == uri
    pid = server.running().pid
    first.kill()
    assert answers(uri)
    second.kill()
    wait_until(lambda: has_ended(pid))


def test_a_user_that_is_killed_while_the_server_starts_leaves_one_server(server: EmbeddedServer) -> None:
    """The next user waits for the start that is under way, and gets that server, not a second one."""
    first = User(server.home)
    wait_until(lambda: servers_of(server.home))
    assert server.state() is None, "the start was over before the kill"
    first.kill()
    with server.lease() as uri:
        assert answers(uri)
        assert servers_of(server.home) == [server.running().pid]


def test_a_killed_mongod_is_started_again_at_the_same_address(server: EmbeddedServer) -> None:
    """Its users see a pause, and what was acknowledged is there."""
    with server.lease() as uri:
        write_one(uri)
        before = server.running()
        os.kill(before.pid, signal.SIGKILL)
        wait_until(lambda: server.state() not in (None, before) and answers(uri))
        assert read_one(uri) == 1
        assert server.running().keeper_pid == before.keeper_pid


def test_a_killed_keeper_is_replaced_by_the_next_user(server: EmbeddedServer) -> None:
    """The new keeper adopts the mongod that runs, and stops it after the last user."""
    first = User(server.home)
    uri = first.answer
    before = server.running()
    os.kill(before.keeper_pid, signal.SIGKILL)
    wait_until(lambda: before.keeper() is None)
    with server.lease() as again:
        assert again == uri
        after = server.running()
        assert after.pid == before.pid
        assert after.keeper_pid != before.keeper_pid
    first.kill()
    wait_until(lambda: has_ended(before.pid))


def test_a_killed_keeper_is_replaced_by_the_last_user(server: EmbeddedServer) -> None:
    """Who leaves finds it dead, and leaves a new one behind that stops the server."""
    with server.lease():
        before = server.running()
        os.kill(before.keeper_pid, signal.SIGKILL)
        wait_until(lambda: before.keeper() is None)
    wait_until(lambda: has_ended(before.pid))


def test_mongod_and_keeper_killed_together_are_no_loss(server: EmbeddedServer) -> None:
    """The next user starts both again on the same data."""
    with server.lease() as uri:
        write_one(uri)
        before = server.running()
        for pid in (before.keeper_pid, before.pid):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: before.keeper() is None and before.mongod() is None)
        with server.lease() as again:
            assert read_one(again) == 1


def test_it_is_kept_without_users_until_it_is_stopped(server: EmbeddedServer) -> None:
    """`keep` outlives every lease; `stop` ends it once, and says that the second time nothing ran."""
    uri = server.keep()
    with server.lease() as same:
        assert same == uri
    pid = server.running().pid
    keeper = server.running().keeper()
    assert keeper is not None
    rounds = keeper.num_ctx_switches().voluntary + 5  # it sleeps once a round, in which it could have stopped
    wait_until(lambda: keeper.num_ctx_switches().voluntary > rounds)
    assert answers(uri)
    assert server.stop() is True
    assert has_ended(pid)
    assert server.stop() is False


def test_stopping_waits_for_its_users(server: EmbeddedServer) -> None:
    """Nobody's server is taken away: the sentence says who holds it, and it goes on."""
    with server.lease() as uri:
        with pytest.raises(LockedError, match=r"used by other processes; it stops after the last of them"):
            server.stop()
        assert answers(uri)


def test_no_server_is_a_sentence(server: EmbeddedServer) -> None:
    """Asking for the state of what does not run says how to start it."""
    with pytest.raises(StoreError, match=r"does not run\. Start it with `quantflow db start`"):
        server.running()


def test_a_command_can_hold_the_lease_in_our_place(server: EmbeddedServer) -> None:
    """What is executed keeps the server until it ends."""
    code = (
        "import os, sys; from pathlib import Path; from schemas.embedded import EmbeddedServer, exec_with_lease\n"
        "server = EmbeddedServer(Path(sys.argv[1])); lease = server.open_lease()\n"
        "exec_with_lease(lease, [sys.executable, '-c', 'print(1, flush=True); input()'], dict(os.environ))\n"
    )
    command = [sys.executable, "-c", code, str(server.home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        assert server.is_leased()
        pid = server.running().pid
        process.communicate("\n")
    assert process.returncode == 0
    wait_until(lambda: has_ended(pid))


def test_another_port_is_taken_where_the_old_one_is_in_use(server: EmbeddedServer) -> None:
    """The replica set moves to it with its data."""
    with server.lease() as uri:
        write_one(uri)
        state = server.running()
    wait_until(lambda: server.state() is None)
    with socket.create_server(("127.0.0.1", 0)) as other_program:
        taken: int = other_program.getsockname()[1]
        server.write_state(replace(state, port=taken))  # as a crash of the machine leaves it
        with server.lease() as moved:
            assert server.running().port not in (taken, state.port)
            assert read_one(moved) == 1
            write_one(moved)


def test_a_torn_state_file_is_no_obstacle(server: EmbeddedServer) -> None:
    """What can not be read is as if it were not there."""
    server.home.mkdir(parents=True)
    (server.home / "mongod.json").write_text('{"pid": 1')
    assert server.state() is None
    with server.lease() as uri:
        assert answers(uri)


def test_a_folder_that_is_deleted_takes_its_server_along(server: EmbeddedServer) -> None:
    """No mongod is left behind without its folder."""
    server.keep()
    pid = server.running().pid
    server.home.rename(server.home.with_name("gone"))
    wait_until(lambda: has_ended(pid))


def test_another_process_of_the_same_number_is_not_ours() -> None:
    """A pid is used again after a restart: the time of creation tells."""
    own = psutil.Process()
    assert living_process(own.pid, own.create_time()) == own
    assert living_process(own.pid, own.create_time() - 60) is None
    assert living_process(2**22 + 1, 0.0) is None


def test_a_folder_that_can_not_be_made_is_a_sentence(tmp_path: Path) -> None:
    """It names the folder, the reason and the setting."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreError, match=r"needs a folder that it can write; .*file/home is none: .* QUANTFLOW_HOME"),
        EmbeddedServer(tmp_path / "file" / "home").lease(),
    ):
        pass


def _hide_wheels(tmp_path: Path) -> dict[str, str]:
    """An environment in which neither a wheel nor the PATH holds a mongod."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.metadata as m\n"
        "found = m.distribution\n"
        "def distribution(name):\n"
        "    if name.startswith('fiftyone'):\n"
        "        raise m.PackageNotFoundError(name)\n"
        "    return found(name)\n"
        "m.distribution = distribution\n"
    )
    return dict(os.environ) | {"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path / "bin")}


def test_a_machine_without_mongod_gets_a_sentence(tmp_path: Path) -> None:
    """It says what to install, or to set a URI."""
    user = User(tmp_path / "home", _hide_wheels(tmp_path))
    answer = user.answer
    user.leave()
    assert answer.startswith("StoreError: No mongod was found on this machine")
    assert "quantflow[embedded]" in answer
    assert "QUANTFLOW_MONGO_URI" in answer


@pytest.mark.parametrize(
    ("program", "reason"),
    [("#!/bin/sh\necho 'libssl.so.3 is missing' >&2\nexit 127\n", "libssl.so.3 is missing"), ("", "Exec format error")],
)
def test_a_mongod_that_does_not_run_gets_a_sentence(tmp_path: Path, program: str, reason: str) -> None:
    """Its own words are shown with the remedy."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mongod").write_text(program)
    (tmp_path / "bin" / "mongod").chmod(0o755)
    user = User(tmp_path / "home", _hide_wheels(tmp_path))
    answer = user.answer
    user.leave()
    assert answer.startswith("StoreError: ")
    assert reason in answer
    assert "QUANTFLOW_MONGO_URI" in answer


@contextmanager
def small_disk(folder: Path, size_mib: int, options: str = "") -> Iterator[Path]:
    """Mount a disk of that size at the folder; skip where this machine does not allow it."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m{options}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_too_small_is_a_sentence(tmp_path: Path) -> None:
    """Before anything is started the free space is looked at; the sentence says how much is needed."""
    with (
        small_disk(tmp_path / "disk", 50) as disk,
        pytest.raises(
            StoreError, match=r"needs 400 MiB of free disk space in .*, found \d+ MiB\..*What was stored is kept"
        ),
        EmbeddedServer(disk / "home").lease(),
    ):
        pass


def test_a_disk_that_may_not_be_written_is_a_sentence(tmp_path: Path) -> None:
    """A read-only disk is named as the reason."""
    with (
        small_disk(tmp_path / "disk", 1, ",ro") as disk,
        pytest.raises(StoreError, match="Read-only file system"),
        EmbeddedServer(disk / "home").lease(),
    ):
        pass


def test_a_disk_that_fills_up_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    """Writes fail with a sentence; when space is free again the next start has all that was acknowledged."""
    with small_disk(tmp_path / "disk", 900) as disk:
        server = EmbeddedServer(disk / "home")
        with pytest.raises(StoreError, match=r"MongoDB at mongodb://127\.0\.0\.1.*What was stored is kept"):
            _fill_and_write(server, disk / "filler")
        wait_until(lambda: not servers_of(server.home))
        (disk / "filler").unlink()
        with server.lease() as uri:
            assert read_one(uri) == 1
        server.stop()


def _fill_and_write(server: EmbeddedServer, filler: Path) -> None:
    with server.lease() as uri:
        write_one(uri)
        block = b"\0" * 2**20
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(block):
                pass
        with (
            store_errors(Settings.load(mongo_uri=uri)),
            MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=3000, w="majority") as client,
        ):
            random = os.urandom(2**20)
            for number in range(2_000):
                client["kept"]["ballast"].insert_one({"number": number, "random": random})
