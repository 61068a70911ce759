"""MongoDB of compose.yaml starts and is made ready by the same scripts, here with the mongod that tests use."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from schemas.mongod_binary import find_mongod

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Deployment:
    """A copy of deploy/ whose secrets were prepared, and the port of its MongoDB."""

    folder: Path
    port: int

    def uri(self, user: str) -> str:
        variable = "ext_sig_mongo_uri" if user == "executor" else "quantflow_mongo_uri"
        return (self.folder / "secrets" / user / variable).read_text().strip()

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("QUANTFLOW_", "EXT_SIG_"))}
        own = {"PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"}
        return subprocess.run(
            command,
            env=kept | own | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def make_ready(self) -> subprocess.CompletedProcess[str]:
        arguments = ["--member", f"localhost:{self.port}", "--secrets", str(self.folder / "secrets")]
        script = str(self.folder / "mongo" / "make_ready.py")
        return self.run(sys.executable, script, *arguments, QUANTFLOW_SECRETS_DIR=f"{self.folder}/secrets/admin")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """What a user has after ./prepare.sh, with another port for MongoDB."""
    folder = tmp_path_factory.mktemp("deployed") / "deploy"
    shutil.copytree(DEPLOY, folder, ignore=shutil.ignore_patterns("secrets", ".env"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    example = (folder / ".env.example").read_text()
    (folder / ".env").write_text(example.replace("MONGO_PORT=27017", f"MONGO_PORT={port}"))
    prepared = Deployment(folder, port)
    ended = prepared.run("./prepare.sh")
    assert (ended.returncode, ended.stderr) == (0, "")
    return prepared


@pytest.fixture(scope="module")
def running(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """MongoDB, started by start_mongod.sh with the arguments of compose.yaml, but on loopback only."""
    folder = tmp_path_factory.mktemp("mongo")
    mongod = find_mongod(folder / "lib")
    (folder / "bin").mkdir()
    (folder / "bin" / "mongod").symlink_to(mongod.path)
    (folder / "db").mkdir()
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["mongo"]
    arguments = [one.replace("${MONGO_PORT:-27017}", str(deployment.port)) for one in service["command"]]
    assert "--bind_ip_all" in arguments
    arguments[arguments.index("--bind_ip_all")] = "--bind_ip=127.0.0.1"
    here = [f"--dbpath={folder / 'db'}", f"--logpath={folder / 'log'}", "--wiredTigerCacheSizeGB=0.25"]
    environment = mongod.environment | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    environment["KEY_FILE"] = str(folder / "replica.key")
    script = str(DEPLOY / "mongo" / "start_mongod.sh")
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(
            ["/bin/bash", script, *arguments, *here, "--nounixsocket"], env=environment, stdout=out
        )
        try:
            first = deployment.make_ready()
            assert first.returncode == 0, first.stdout + first.stderr
            assert (folder / "replica.key").stat().st_mode & 0o777 == 0o400
            yield deployment
        finally:
            process.terminate()
            process.wait(60)


def test_prepare_makes_secrets_that_only_the_owner_reads(deployment: Deployment) -> None:
    """Two passwords, each of 32 signs that need no escaping in an address, in files and folders closed to others."""
    admin, grafana = deployment.folder / "secrets/admin/quantflow_mongo_uri", "secrets/grafana/admin_password"
    assert re.fullmatch(
        rf"mongodb://admin:[\w-]{{32}}@127\.0\.0\.1:{deployment.port}/\?authSource=admin&directConnection=true\n",
        admin.read_text(),
    )
    assert re.fullmatch(r"[\w-]{32}", (deployment.folder / grafana).read_text())
    for path in (admin, deployment.folder / grafana, admin.parent, deployment.folder / "secrets/monitor"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_prepare_keeps_what_is_there(deployment: Deployment) -> None:
    """Run again it changes nothing: a database knows the password that was made first."""
    before = {path: path.read_text() for path in deployment.folder.glob("secrets/*/*")}
    assert deployment.run("./prepare.sh").returncode == 0
    assert {path: path.read_text() for path in before} == before


def test_prepare_names_who_runs_it(deployment: Deployment, tmp_path: Path) -> None:
    """Containers run as the owner of the secrets, so .env says who that is."""
    for name in ("prepare.sh", ".env.example"):
        shutil.copy(DEPLOY / name, tmp_path / name)
    assert deployment.run(str(tmp_path / "prepare.sh")).returncode == 0
    lines = (tmp_path / ".env").read_text().splitlines()
    assert {f"QUANTFLOW_UID={os.getuid()}", f"QUANTFLOW_GID={os.getgid()}"} <= set(lines)


@pytest.mark.mongo
def test_every_side_gets_a_user_of_its_own(running: Deployment) -> None:
    """Four addresses that work, and none without a password; the server is the primary of its replica set."""
    for user in ("importer", "research", "executor", "monitor"):
        with MongoClient[Any](running.uri(user), serverSelectionTimeoutMS=5_000) as client:
            status = client.quantflow.command("connectionStatus")["authInfo"]
            assert [one["user"] for one in status["authenticatedUsers"]] == [user]
            assert client.admin.command("hello")["setName"] == "quantflow"
    stranger = MongoClient[Any]("127.0.0.1", running.port, directConnection=True)
    with stranger, pytest.raises(OperationFailure, match="requires authentication"):
        stranger.quantflow.list_collection_names()


@pytest.mark.mongo
def test_the_monitor_is_told_the_name_that_containers_know(running: Deployment) -> None:
    """Its address names the member; those of programs on this machine name the loopback."""
    assert f"@localhost:{running.port}/" in running.uri("monitor")
    assert f"@127.0.0.1:{running.port}/" in running.uri("research")
    assert (running.folder / "secrets/monitor/quantflow_mongo_uri").stat().st_mode & 0o777 == 0o600


@pytest.mark.mongo
def test_making_ready_again_changes_nothing(running: Deployment) -> None:
    """The job runs at each start."""
    before = {user: running.uri(user) for user in ("importer", "research", "executor", "monitor")}
    again = running.make_ready()
    assert again.returncode == 0, again.stdout + again.stderr
    assert {user: running.uri(user) for user in before} == before


@pytest.mark.mongo
def test_a_password_that_the_server_does_not_know_is_a_sentence(running: Deployment) -> None:
    """Such as after the secrets were lost and made anew, while the data was kept."""
    admin = running.folder / "secrets" / "admin" / "quantflow_mongo_uri"
    kept = admin.read_text()
    try:
        admin.write_text(re.sub(r"admin:[^@]+@", "admin:another@", kept))
        ended = running.make_ready()
    finally:
        admin.write_text(kept)
    assert ended.returncode == 1
    assert "does not know the admin with the password" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "another" not in ended.stderr + ended.stdout


@pytest.mark.mongo
def test_the_monitor_of_compose_runs(running: Deployment) -> None:
    """Its command, here for one look, with the secrets and the watch file that it is given."""
    service = yaml.safe_load((running.folder / "compose.yaml").read_text())["services"]["monitor"]
    here = {"/etc/quantflow/watch.yaml": "watch.yaml", "0.0.0.0": "127.0.0.1", "9464": "0"}  # noqa: S104
    command = [here.get(one, one) for one in service["command"]]
    secrets = {"QUANTFLOW_SECRETS_DIR": str(running.folder / "secrets" / "monitor"), "QUANTFLOW_LOG_JSON": "true"}
    ended = running.run("signal-monitor", *command, "--looks", "1", "--json", **secrets)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert '"mongodb_ms"' in ended.stdout or '"look"' in ended.stdout
