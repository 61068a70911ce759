"""What a run tells is written beside it, soon and together, and nothing of it is lost."""

import time

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from quantflow_nodes.later_update import LaterUpdate
from schemas.collections import WORKFLOW_RUNS, Store

pytestmark = pytest.mark.mongo
KEY = {"run_id": "r"}


@pytest.fixture
def stored(db: Store) -> Store:
    """A database with one document."""
    db[WORKFLOW_RUNS].insert_one(dict(KEY))
    return db


def fields(db: Store) -> dict[str, object]:
    document = db[WORKFLOW_RUNS].find_one(KEY, {"_id": 0, "run_id": 0})
    assert document is not None
    return dict(document)


def test_is_written_without_being_waited_for(stored: Store) -> None:
    """Nobody closes it, and the newest value of each field is there soon."""
    later = LaterUpdate(stored, WORKFLOW_RUNS, KEY)
    later.set({"a": 1, "b": 1})
    later.set({"a": 2})
    end = time.monotonic() + 30
    while fields(stored) != {"a": 2, "b": 1} and time.monotonic() < end:
        time.sleep(0.01)
    assert fields(stored) == {"a": 2, "b": 1}
    assert later.close() == {}


def test_what_is_not_written_is_the_closers(stored: Store) -> None:
    """Each field is either in the document or returned, with its newest value."""
    later = LaterUpdate(stored, WORKFLOW_RUNS, KEY)
    for number in range(1000):
        later.set({f"f{number % 10}": number})
    rest = later.close()
    assert fields(stored) | rest == {f"f{digit}": 990 + digit for digit in range(10)}


def test_a_failure_is_told_and_what_was_to_be_written_is_kept() -> None:
    """Nobody listens on port 1: one of the next calls raises, the closer gets all."""
    with MongoClient("mongodb://127.0.0.1:1", serverSelectionTimeoutMS=1) as client:
        later = LaterUpdate(client["none"], WORKFLOW_RUNS, KEY)
        told: PyMongoError | None = None
        number, end = 0, time.monotonic() + 30
        while told is None and time.monotonic() < end:
            number += 1
            try:
                later.set({"a": number})
            except PyMongoError as error:
                told = error
            time.sleep(0.01)
        assert isinstance(told, ServerSelectionTimeoutError)
        assert later.close() == {"a": number}
