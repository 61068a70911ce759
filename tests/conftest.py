"""What tests of several folders share: a real MongoDB and the real bars, where they are found."""

import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr
from pymongo import MongoClient

from schemas.collections import Store
from schemas.embedded import EmbeddedServer
from schemas.mongo import connect
from schemas.settings import Settings

ROOT = Path(__file__).parents[1]
REAL_BARS = ROOT.parent / "shared" / "data" / "btc_perp_1m_20211231_20220201.csv.gz"


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """What a command that runs inside of a test makes of logging ends with the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers = [one for one in root.handlers if one in handlers]
    root.setLevel(level)


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server: QUANTFLOW_TEST_MONGO_URI, or one embedded server for all test processes."""
    given = os.environ.get("QUANTFLOW_TEST_MONGO_URI")
    if given:
        yield given
        return
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    with EmbeddedServer(shared / "mongo").lease() as uri:
        yield uri


@pytest.fixture
def settings(mongo_uri: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a database of the test's own, dropped afterwards."""
    own = Settings.load(mongo_uri=SecretStr(mongo_uri), db=f"test_{uuid.uuid4().hex[:12]}", home=tmp_path / "home")
    yield own
    with MongoClient(mongo_uri) as client:
        client.drop_database(own.db)


@pytest.fixture
def db(settings: Settings) -> Iterator[Store]:
    """A real, empty database with all collections made."""
    with connect(settings) as database:
        yield database


@pytest.fixture
def command_env(settings: Settings) -> dict[str, str]:
    """The environment in which a command uses the test's own database."""
    assert settings.mongo_uri is not None
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("QUANTFLOW_", "EXT_SIG_"))}
    return inherited | {
        "QUANTFLOW_MONGO_URI": settings.mongo_uri.get_secret_value(),
        "QUANTFLOW_DB": settings.db,
        "QUANTFLOW_HOME": str(settings.home),
        "NO_COLOR": "1",
        "COLUMNS": "160",
    }


@pytest.fixture(scope="session")
def real_bars() -> Path:
    """The file of real 1m bars; tests that need it are skipped where it is not found."""
    if not REAL_BARS.is_file():
        pytest.skip(f"the real bars are not at {REAL_BARS}")
    return REAL_BARS
