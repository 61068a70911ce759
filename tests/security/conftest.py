"""One guarded database for all tests of a process, and programs run as each of its users."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from guarded import Guarded, Run, guarded_database, run_program


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded_database(tmp_path_factory.mktemp("guarded")) as made:
        yield made


@pytest.fixture
def run_as(guarded: Guarded, tmp_path: Path) -> Run:
    """Run a program as one of the users, in a folder of the test's own."""

    def run(role: str, name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_program(name, *arguments, env=guarded.environment(role, **environment), cwd=tmp_path)

    return run
