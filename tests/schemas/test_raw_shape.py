"""Documents of one shape: filled as the encoder would, and found again in any reply."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import numpy as np
from bson.objectid import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.raw_reply import RawReply
from schemas.raw_shape import DocumentShape, equal_bytes, shaped_rows

START = datetime(2022, 1, 1, tzinfo=UTC)


def reply(documents: list[dict[str, Any]]) -> RawReply:
    return RawReply.parse(bson.encode({"cursor": {"firstBatch": documents, "id": 0, "ns": "db.c"}, "ok": 1.0}))


def test_rows_are_what_the_encoder_gives() -> None:
    """Dates, doubles, integers, ids and texts of one length, each document with its own values."""
    documents = [
        {
            "_id": ObjectId(),
            "ts": START + timedelta(minutes=row),
            "text": f"{row:03}",
            "x": row / 7,
            "n": row,
            "same": 1,
        }
        for row in range(20)
    ]
    encoded = [bson.encode(document) for document in documents]
    shape = DocumentShape.of(encoded[0], ("_id", "ts", "text", "x", "n"))
    columns = {
        "_id": np.array([document["_id"].binary for document in documents], "V12"),
        "ts": np.array([round(document["ts"].timestamp() * 1000) for document in documents]),
        "text": np.array([document["text"].encode() for document in documents]),
        "x": np.array([document["x"] for document in documents]),
        "n": np.array([document["n"] for document in documents]),
    }
    rows = shape.rows(columns, 20)
    assert [row.tobytes() for row in rows] == encoded
    assert shape.fits(rows).all()
    for name, column in columns.items():
        assert (shape.column(rows, name) == column).all()


def test_a_byte_outside_of_the_holes_is_seen() -> None:
    """Whichever it is."""
    encoded = np.frombuffer(bson.encode({"a": 1.5, "name": "abcdefghijk", "b": 2.5}), np.uint8)
    shape = DocumentShape.of(encoded.tobytes(), ("a", "b"))
    changed = np.repeat(encoded.reshape(1, -1), encoded.size, axis=0)
    changed[np.arange(encoded.size), np.arange(encoded.size)] ^= 1
    in_holes = {place for hole in shape.holes.values() for place in range(hole.at, hole.end)}
    assert shape.fits(changed).tolist() == [place in in_holes for place in range(encoded.size)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30), st.integers(1, 23))
def test_equal_bytes_are_equal_rows(places: list[tuple[int, int]], width: int) -> None:
    """Any width, copied or not."""
    some = np.random.default_rng(0).integers(0, 2, (4, width + 3), dtype=np.uint8)
    one, other = some[[left for left, _ in places]][:, 2:], some[[right for _, right in places]][:, 2:]
    expected = [left.tobytes() == right.tobytes() for left, right in zip(one, other, strict=True)]
    assert equal_bytes(one, other).tolist() == expected


WORDS = st.sampled_from(["enter_long", "exit_long", ""])
VALUES = st.one_of(st.floats(allow_nan=False), st.integers(-5, 5), WORDS, st.none(), st.just(re.compile("x")))
DOCUMENTS = st.fixed_dictionaries(
    {"ts": st.integers(0, 10**6)}, optional={"score": VALUES, "action": WORDS, "e": VALUES}
)


@settings(deadline=None)
@given(st.lists(DOCUMENTS, max_size=150))
def test_every_document_of_a_reply_comes_once(documents: list[dict[str, Any]]) -> None:
    """Of whatever shape: a group holds documents that are alike but for the holes, and all groups hold all."""
    given_ = [document | {"ts": START + timedelta(seconds=document["ts"])} for document in documents]
    found = []
    for group in shaped_rows(reply(given_), ("ts", "score")):
        decoded = [row.tobytes() for row in group.rows]
        found += decoded
        constant = [
            {name: value for name, value in bson.decode(row).items() if name not in group.shape.holes}
            for row in decoded
        ]
        assert constant == [constant[0]] * len(constant)
    assert sorted(found) == sorted(bson.encode(document) for document in given_)


def test_many_shapes_of_one_length_come_one_by_one() -> None:
    """A remark of its own in each document: all are found, without comparing each with all others."""
    documents = [{"ts": START, "note": f"{number:05}"} for number in range(500)]
    groups = list(shaped_rows(reply(documents), ("ts",)))
    assert sorted(bson.decode(group.document)["note"] for group in groups) == [one["note"] for one in documents]


def test_documents_of_two_lengths_are_found_at_every_number_of_index_digits() -> None:
    """Where lengths differ each document is looked for by itself, behind an index of one to four digits."""
    documents = [{"ts": START, "note": "long" * (number % 2), "n": number} for number in range(1_100)]
    found = [bson.decode(row.tobytes())["n"] for group in shaped_rows(reply(documents), ("n",)) for row in group.rows]
    assert sorted(found) == list(range(1_100))
