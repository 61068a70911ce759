"""Bars made by hand, and the store's content in short forms to compare with."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from importers.bars import Bars
from schemas.collections import Store
from schemas.symbols import Symbol
from schemas.timeframes import Timeframe

BTC = Symbol("BINANCE", "BTC", "USDT")
MINUTE = Timeframe.parse("1m")
DAY = Timeframe.parse("1d")
START_MS = 1_640_995_200_000  # 2022-01-01 00:00 UTC
NOW_MS = START_MS + 10**9

COMMAND = [sys.executable, "-c", "from importers.cli import main; main()"]


def rising_bars(count: int, start_ms: int = START_MS, timeframe: Timeframe = MINUTE, symbol: Symbol = BTC) -> Bars:
    """Return bars without holes: bar i opens at 100 + i, closes at 100.5 + i, with volume i."""
    steps = np.arange(count)
    opens = 100.0 + steps
    table = np.column_stack([opens, opens + 1, opens - 1, opens + 0.5, steps.astype(float)])
    return Bars.of(symbol, timeframe, start_ms + steps * timeframe.seconds * 1000, table)


def minutes(*offsets: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return opens so many minutes after the start."""
    return START_MS + np.array(offsets, np.int64) * 60_000


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def counts(self) -> dict[str, Any]:
        """The one symbol of the one object that --json printed."""
        (symbol,) = json.loads(self.out)["symbols"]
        return dict(symbol)


def stored(db: Store, collection: str = "crypto_market_1m") -> list[Mapping[str, Any]]:
    """Return all documents of a collection without their ids, in key order."""
    return list(db[collection].find({}, {"_id": 0}).sort([("symbol", 1), ("datetime", 1), ("date", 1), ("start", 1)]))


def gap_list(db: Store) -> list[tuple[int, int, str]]:
    """Return recorded gaps as (first missing minute, last missing minute, state), counted from the start."""
    found = db["bar_gaps"].find({}).sort("start", 1)
    return [(_offset(gap["start"]), _offset(gap["end"]), gap["state"]) for gap in found]


def _offset(time: Any) -> int:
    return (int(time.timestamp()) * 1000 - START_MS) // 60_000
