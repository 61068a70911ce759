"""Commands of documents laid out beforehand: stored as they are, each once, whatever the connection does."""

import bson
import numpy as np
import pytest
from bson.objectid import ObjectId
from cut_connection import cut_once
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, BulkWriteError

from schemas.collections import Store
from schemas.raw_shape import Rows
from schemas.raw_write import insert_rows, packed, replace_rows, with_ids

pytestmark = pytest.mark.mongo


def rows(*values: float, name: str = "a") -> Rows:
    """Documents {name: value}, one a row."""
    return np.array([np.frombuffer(bson.encode({name: float(value)}), np.uint8) for value in values])


def test_groups_of_any_width_are_stored_as_they_are(db: Store) -> None:
    """Each document with an id of its own, before its other fields."""
    assert insert_rows(db, "c", [rows(1, 2), rows(3, name="longer")]) == 3
    found = list(db["c"].find())
    assert [next(iter(document)) for document in found] == ["_id"] * 3
    assert len({document["_id"] for document in found}) == 3
    assert all(isinstance(document["_id"], ObjectId) for document in found)
    assert [{key: document[key] for key in document if key != "_id"} for document in found] == [
        {"a": 1.0}, {"a": 2.0}, {"longer": 3.0},
    ]  # fmt: skip
    assert insert_rows(db, "c", []) == 0


def test_doubles_are_told_and_the_others_stored(db: Store) -> None:
    """As the driver's own insert_many tells them."""
    db["c"].create_index("a", unique=True)
    insert_rows(db, "c", [rows(1, 3)])
    with pytest.raises(BulkWriteError) as caught:
        insert_rows(db, "c", [rows(0, 1, 2, 3)])
    assert [(error["index"], error["code"]) for error in caught.value.details["writeErrors"]] == [
        (1, 11000),
        (3, 11000),
    ]
    assert caught.value.details["nInserted"] == 2
    assert sorted(document["a"] for document in db["c"].find()) == [0.0, 1.0, 2.0, 3.0]


def test_documents_are_replaced_by_their_ids(db: Store) -> None:
    """What has been deleted is not stored again, and not counted."""
    insert_rows(db, "c", [rows(1, 2, 3)])
    stored = list(db["c"].find().sort("a", 1))
    ids = np.array([np.frombuffer(document["_id"].binary, np.uint8) for document in stored])
    db["c"].delete_one({"a": 2.0})
    assert replace_rows(db, "c", ids, rows(10, 20, 30, name="b")) == 2
    assert list(db["c"].find().sort("b", 1)) == [
        {"_id": stored[0]["_id"], "b": 10.0}, {"_id": stored[2]["_id"], "b": 30.0},
    ]  # fmt: skip


def test_an_insert_whose_answer_was_lost_stores_and_counts_each_once(db: Store, mongo_uri: str) -> None:
    """The first try stored them: the second meets its ids, and the double of another writer is one all the same."""
    db["c"].create_index("a", unique=True)
    insert_rows(db, "c", [rows(2)])
    with (
        cut_once(mongo_uri, b"documents") as uri,
        MongoClient(uri, w="majority") as client,
        pytest.raises(BulkWriteError) as caught,
    ):
        insert_rows(client[db.name], "c", [rows(1, 2, 3)])
    assert [error["index"] for error in caught.value.details["writeErrors"]] == [1]
    assert caught.value.details["nInserted"] == 2
    assert sorted(document["a"] for document in db["c"].find()) == [1.0, 2.0, 3.0]


def test_who_forbids_a_second_try_gets_the_error(db: Store, mongo_uri: str) -> None:
    """retryWrites=false holds here as it does in the driver."""
    with (
        cut_once(mongo_uri, b"documents") as uri,
        MongoClient(uri, retryWrites=False) as client,
        pytest.raises(AutoReconnect),
    ):
        insert_rows(client[db.name], "c", [rows(1)])
    assert db["c"].count_documents({}) == 1


def test_packed_lists_keep_within_count_and_size() -> None:
    """No row is lost or moved, no list is longer than asked for, and none is larger than a message should be."""
    wide = np.zeros((5, 7_000_000), np.uint8)
    wide[:, 0] = np.arange(5)
    lists = list(packed([rows(*range(7)), wide, rows(8)], 4))
    assert [[len(part) for part in parts] for parts in lists] == [[4], [3, 1], [2], [2, 1]]
    assert [int(value) for parts in lists for part in parts if part.shape[1] > 100 for value in part[:, 0]] == [
        *range(5)
    ]


def test_a_row_larger_than_a_message_goes_alone() -> None:
    """The server says what it thinks of it."""
    wide = np.zeros((2, 17_000_000), np.uint8)
    assert [[len(part) for part in parts] for parts in packed([wide], 10)] == [[1], [1]]


def test_an_id_stands_behind_the_length() -> None:
    """Byte for byte what the encoder gives."""
    ids = [ObjectId(), ObjectId()]
    whole = with_ids(rows(1, 2), np.array([np.frombuffer(one.binary, np.uint8) for one in ids]))
    assert [row.tobytes() for row in whole] == [
        bson.encode({"_id": ids[0], "a": 1.0}),
        bson.encode({"_id": ids[1], "a": 2.0}),
    ]
