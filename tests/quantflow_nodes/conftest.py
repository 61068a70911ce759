"""What tests share that takes time to set up: a walk, for those that change no bar, and a cluster."""

import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
from market import write_walk
from pydantic import SecretStr
from pymongo import MongoClient

from schemas.collections import SWEEP_RESULTS, SWEEPS, Store
from schemas.mongo import connect
from schemas.settings import Settings

CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def walk_settings(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a database of the file's own, with two days of two symbols."""
    home = tmp_path_factory.mktemp("home")
    own = Settings.load(mongo_uri=SecretStr(mongo_uri), db=f"test_{uuid.uuid4().hex[:12]}", home=home)
    with connect(own) as database:
        write_walk(database, 2880)
        write_walk(database, 2880, "BINANCE:ETHUSDT", seed=8)
    yield own
    with MongoClient(mongo_uri) as client:
        client.drop_database(own.db)


@pytest.fixture
def walk(walk_settings: Settings) -> Iterator[Store]:
    """Its database, in which nothing has been swept yet."""
    with connect(walk_settings) as database:
        for collection in (SWEEPS, SWEEP_RESULTS):
            database[collection].delete_many({})
        yield database


@pytest.fixture(scope="session")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Dask scheduler with two worker processes."""
    script = tmp_path_factory.mktemp("cluster") / "cluster.py"
    script.write_text(CLUSTER)
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()
        process.wait(30)
