"""Documents read as bytes: all of them, asked for again as the driver asks for its own finds again."""

import pytest
from cut_connection import cut_once
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from schemas.collections import Store
from schemas.raw_find import documents_of, read_replies

pytestmark = pytest.mark.mongo


def read(db: Store, *, sort: dict[str, int] | None = None) -> list[int]:
    return [
        document["a"] for reply in read_replies(db, "c", {"a": {"$gte": 0}}, sort) for document in documents_of(reply)
    ]


def test_documents_come_in_the_order_asked_for_over_several_replies(db: Store) -> None:
    """A reply ends at 16 MB, and the next one goes on."""
    db["c"].insert_many([{"a": number, "filling": b"0" * 5_000_000} for number in (3, 1, 0, 4, 2, -1)])
    assert len(list(read_replies(db, "c", {}))) > 1
    assert read(db, sort={"a": -1}) == [4, 3, 2, 1, 0]


def test_a_find_whose_answer_was_lost_is_asked_again(db: Store, mongo_uri: str) -> None:
    """Once, on another connection."""
    db["c"].insert_one({"a": 1})
    with cut_once(mongo_uri, b"find") as uri, MongoClient(uri) as client:
        assert read(client[db.name]) == [1]


def test_who_forbids_a_second_try_gets_the_error(db: Store, mongo_uri: str) -> None:
    """retryReads=false holds here as it does in the driver."""
    with (
        cut_once(mongo_uri, b"find") as uri,
        MongoClient(uri, retryReads=False) as client,
        pytest.raises(AutoReconnect),
    ):
        read(client[db.name])
