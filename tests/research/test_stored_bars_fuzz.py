"""Generated documents of every shape that others may store: the reader gives what the driver's decoder gives."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from research.readers import get_crypto_min_data
from schemas.collections import MINUTE_BARS, Store

pytestmark = pytest.mark.mongo

START = datetime(2022, 1, 1, tzinfo=UTC)
FIELDS = ["open", "high", "low", "close", "volume"]
BATCHES = 240
MISSING = object()


def number(random: np.random.Generator) -> Any:
    """One value of a price in any type that holds numbers, null, or none at all."""
    value = float(random.choice([random.normal(), random.random() * 1e9, 0.0, -0.0, math.inf, math.nan, 5e-324]))
    kinds = [value, int(random.integers(-(2**31), 2**31)), Int64(random.integers(-(2**62), 2**62)), None, MISSING]
    kinds.append(Decimal128(f"{random.normal():.18f}"))
    return kinds[random.choice(len(kinds), p=[0.7, 0.06, 0.06, 0.06, 0.06, 0.06])]


def identity(random: np.random.Generator, row: int, symbol: str) -> Any:
    return [ObjectId(), f"{symbol}{row}", {"symbol": symbol, "row": row}][random.integers(3)]


def batch(random: np.random.Generator, symbol: str) -> list[dict[str, Any]]:
    """Some bars of one symbol: all of one shape, or with some odd ones, or all odd."""
    rows, odd = int(random.choice([1, 9, 10, 11, 40, 101])), float(random.choice([0.0, 0.05, 1.0]))
    order = list(random.permutation(["datetime", "symbol", *FIELDS]))
    bars = []
    for row in range(rows):
        bar: dict[str, Any] = {"datetime": START + timedelta(minutes=row), "symbol": symbol}
        bar |= {field: float(random.random()) for field in FIELDS}
        bar = {name: bar[name] for name in order}
        if random.random() < odd:
            bar |= {field: number(random) for field in random.choice(FIELDS, int(random.integers(6)))}
            bar |= {"extra": random.choice(["text", "longer text"]), "more": {"close": 1.0}}
            bar = {str(name): bar[name] for name in random.permutation(list(bar)) if bar[name] is not MISSING}
            bar = {"_id": identity(random, row, symbol)} | bar
        bars.append(bar)
    return bars


def plain(value: Any) -> float:
    """What a price means, by the driver's own types."""
    if value is None:
        return math.nan
    return float(value.to_decimal() if isinstance(value, Decimal128) else value)


@pytest.mark.parametrize("seed", [20220101, 20240229])
def test_generated_batches_are_read_as_the_driver_decodes_them(db: Store, seed: int) -> None:
    """Another order, another type, fields missing or added, any _id: each value equal to the last bit, NaN as NaN."""
    random = np.random.default_rng(seed)
    symbols = [f"BINANCE:F{number}USDT" for number in range(BATCHES)]
    db[MINUTE_BARS].insert_many([bar for symbol in symbols for bar in batch(random, symbol)])
    for symbol in symbols:
        fields = [str(field) for field in random.permutation(FIELDS)[: random.integers(1, 6)]]
        documents = list(db[MINUTE_BARS].find({"symbol": symbol}).sort("datetime", 1))
        frame = get_crypto_min_data(START, "20220103", symbol, fields, db=db)
        assert frame["datetime"].tolist() == [document["datetime"] for document in documents]
        for field in fields:
            expected = np.array([plain(document.get(field)) for document in documents])
            np.testing.assert_array_equal(frame[field].to_numpy(), expected)
            np.testing.assert_array_equal(np.signbit(frame[field]), np.signbit(expected))
