"""Raw replies are seen as columns exactly where every document has the wanted shape; the driver is the judge."""

import math
import struct
from typing import Any

import bson
import numpy as np
import pytest
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import given
from hypothesis import strategies as st

from research.stored.raw_columns import DATETIME_MS, DOUBLE, TEXT_OF_8, reply_columns, reply_documents

WANTED = {"datetime": DATETIME_MS, "open": DOUBLE, "close": DOUBLE}


def bar(minute: int = 0, **other: Any) -> dict[str, Any]:
    return {"datetime": DatetimeMS(minute * 60_000), "open": 1.5 + minute, "close": 2.5 + minute} | other


def reply_of(documents: list[dict[str, Any]]) -> bytes:
    cursor = {"firstBatch": documents, "id": Int64(0), "ns": "db.bars"}
    return bson.encode({"cursor": cursor, "ok": 1.0, "operationTime": bson.timestamp.Timestamp(1, 1)})


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 99, 100, 101, 1_000, 2_047, 2_048, 2_049, 10_001])
def test_every_row_is_seen_at_each_change_of_index_digits_and_block(count: int) -> None:
    """The distance between documents changes at index 10, 100, 1,000 and 10,000; no row is lost or doubled there."""
    columns = reply_columns(reply_of([bar(minute) for minute in range(count)]), WANTED)
    assert columns is not None
    np.testing.assert_array_equal(columns["datetime"], np.arange(count) * 60_000)
    np.testing.assert_array_equal(columns["open"], np.arange(count) + 1.5)
    np.testing.assert_array_equal(columns["close"], np.arange(count) + 2.5)


def test_another_order_of_fields_is_seen_where_all_documents_share_it() -> None:
    """The layout is learned from the reply, so any order serves as long as it is one."""
    documents = [{"close": 1.0, "datetime": DatetimeMS(0), "open": 2.0}] * 3
    columns = reply_columns(reply_of(documents), WANTED)
    assert columns is not None
    assert (columns["close"].tolist(), columns["open"].tolist()) == ([1.0] * 3, [2.0] * 3)


def test_days_are_seen_as_bytes() -> None:
    """A text of a constant length is a column of bytes."""
    documents = [{"date": "20220101", "close": 1.0}, {"date": "20220102", "close": 2.0}]
    columns = reply_columns(reply_of(documents), {"date": TEXT_OF_8, "close": DOUBLE})
    assert columns is not None
    assert columns["date"].tolist() == [b"20220101", b"20220102"]


@pytest.mark.parametrize("row", [0, 1, 12, 2_500])
@pytest.mark.parametrize(
    "odd",
    [
        bar(open=1),
        bar(open=Int64(1)),
        bar(open=None),
        bar(open="1.5"),
        bar(open=True),
        bar(open=Decimal128("1.5")),
        bar(open={"value": 1.5}),
        bar(open=[1.5]),
        bar(open=b"12345678"),
        bar(extra=1.0),
        bar(extra="text"),
        {"datetime": DatetimeMS(0), "open": 1.5},
        {"datetime": DatetimeMS(0), "open": 1.5, "clone": 1.5},
        {"datetime": DatetimeMS(0), "close": 1.5, "open": 1.5},
        {"datetime": 60_000.0, "open": 1.5, "close": 1.5},
        {},
    ],
    ids=repr,
)
def test_one_document_of_another_shape_leaves_the_reply_to_the_general_decoder(odd: dict[str, Any], row: int) -> None:
    """Wherever it stands, and also where it has the same length, it is never read as if it had the usual shape."""
    documents = [bar(minute) for minute in range(2_600)]
    documents[row] = odd
    assert reply_columns(reply_of(documents), WANTED) is None


def test_a_document_whose_value_looks_like_a_document_is_not_mistaken() -> None:
    """A double whose bytes spell another length or type does not shift the rows: holes are never compared."""
    strange = [struct.unpack("<d", struct.pack("<q", bits))[0] for bits in (0x0300000000000000, 0x31_00_03, 0x33)]
    columns = reply_columns(reply_of([bar(open=value, close=-value) for value in strange]), WANTED)
    assert columns is not None
    assert columns["open"].tolist() == strange


def test_a_reply_that_is_no_find_reply_is_refused() -> None:
    """Without a batch of documents there is nothing to read."""
    with pytest.raises(ValueError, match="without a batch of documents"):
        reply_columns(bson.encode({"ok": 1.0}), WANTED)


numbers = st.floats() | st.integers(-(2**63), 2**63 - 1) | st.sampled_from([None, "", "abc", True])
shapes = st.dictionaries(st.sampled_from(["datetime", "open", "close", "extra"]), numbers, max_size=4)
usual = st.builds(
    lambda ms, open_, close: {"datetime": DatetimeMS(ms), "open": open_, "close": close},
    st.integers(-(2**55), 2**55),
    st.floats(),
    st.floats(),
)


@given(st.lists(usual, max_size=120))
def test_documents_of_the_usual_shape_are_always_seen(documents: list[dict[str, Any]]) -> None:
    """Whatever the numbers are, the columns hold their exact bits."""
    columns = reply_columns(reply_of(documents), WANTED)
    assert columns is not None
    assert columns["datetime"].tolist() == [int(document["datetime"]) for document in documents]
    for name in ("open", "close"):
        assert columns[name].tobytes() == struct.pack(f"<{len(documents)}d", *(doc[name] for doc in documents))


@given(st.lists(usual | shapes, min_size=1, max_size=40))
def test_what_is_seen_is_what_the_driver_decodes(documents: list[dict[str, Any]]) -> None:
    """Columns are returned only where the driver decodes exactly the same values, of exactly the wanted types."""
    reply = reply_of(documents)
    decoded = reply_documents(reply)
    columns = reply_columns(reply, WANTED)
    all_usual = all(
        document.keys() == WANTED.keys()
        and list(document) == list(decoded[0])
        and isinstance(document["datetime"], DatetimeMS)
        and all(isinstance(document[name], float) for name in ("open", "close"))
        for document in decoded
    )
    assert (columns is not None) == all_usual
    if columns is not None:
        for row, document in enumerate(decoded):
            for name in ("open", "close"):
                seen = float(columns[name][row])
                assert seen == document[name] or (math.isnan(seen) and math.isnan(document[name]))
