"""A server that asks for passwords, with the roles made on it by the real command, for all tests of a process."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from auth_server import auth_server
from guarded import Guarded, Run, run_program


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    with auth_server(folder) as server:
        made = Guarded(server, folder / "secrets")
        done = run_program(
            "quantflow", "db", "roles", "--secrets", str(made.secrets), "--json",
            env=made.environment("admin"), cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert {one["user_change"] for one in json.loads(done.stdout)["users"]} == {"made"}
        yield made


@pytest.fixture
def run_as(guarded: Guarded, tmp_path: Path) -> Run:
    """Run a program as one of the users, in a folder of the test's own."""

    def run(role: str, name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_program(name, *arguments, env=guarded.environment(role, **environment), cwd=tmp_path)

    return run
