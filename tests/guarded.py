"""The guarded database as each of its users meets it: by connection, and by the environment of a program."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auth_server import AuthServer, auth_server
from pymongo import MongoClient

from schemas.collections import Store

DATABASE = "guarded"
Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Guarded:
    """The server, and where each user's address lies."""

    server: AuthServer
    secrets: Path

    def uri(self, role: str) -> str:
        """The address that the command wrote for a user; of the admin that of the tests."""
        if role == "admin":
            return self.server.admin_uri
        (file,) = (self.secrets / role).iterdir()
        return file.read_text().strip()

    @contextmanager
    def as_user(self, role: str) -> Iterator[Store]:
        """The database as a user sees it."""
        with MongoClient[Any](self.uri(role), tz_aware=True, w="majority") as client:
            yield client[DATABASE]

    def environment(self, role: str, **more: str) -> dict[str, str]:
        """The environment of a side of the chain: its folder of secrets, and nothing of the others."""
        given = {"QUANTFLOW_DB": DATABASE, "EXT_SIG_DB": DATABASE, "NO_COLOR": "1", "COLUMNS": "100"}
        own = (
            {"QUANTFLOW_MONGO_URI": self.uri(role)}
            if role == "admin"
            else {"QUANTFLOW_SECRETS_DIR": str(self.secrets / role)}
        )
        return bare_environment() | given | own | more


def bare_environment() -> dict[str, str]:
    """The environment without a setting of ours."""
    return {name: text for name, text in os.environ.items() if not name.startswith(("QUANTFLOW_", "EXT_SIG_"))}


def run_program(name: str, *arguments: str, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run one of our programs to its end."""
    return subprocess.run(
        [Path(sys.executable).with_name(name), *arguments],
        env=dict(env), cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@contextmanager
def guarded_database(folder: Path) -> Iterator[Guarded]:
    """A server of its own for the length of a `with` block, with the roles made on it by the real command."""
    with auth_server(folder) as server:
        made = Guarded(server, folder / "secrets")
        arguments = ["db", "roles", "--secrets", str(made.secrets), "--json"]
        done = run_program("quantflow", *arguments, env=made.environment("admin"), cwd=folder)
        assert done.returncode == 0, done.stderr
        assert {one["user_change"] for one in json.loads(done.stdout)["users"]} == {"made"}
        yield made
