"""A walk that the tests of one file share: those that read its bars and change none."""

import uuid
from collections.abc import Iterator

import pytest
from market import write_walk
from pydantic import SecretStr
from pymongo import MongoClient

from schemas.collections import SWEEP_RESULTS, SWEEPS, Store
from schemas.mongo import connect
from schemas.settings import Settings


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
