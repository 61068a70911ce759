"""Small frames for tests of nodes, and a context for nodes that touch no storage."""

from datetime import UTC, datetime

import pandas as pd

from quantflow_nodes.node import RunContext
from quantflow_nodes.ports import Factor, Position
from schemas.settings import Settings
from schemas.timeframes import Timeframe

MINUTE = Timeframe.parse("1m")
DAY = Timeframe.parse("1d")
BTC, ETH = "BINANCE:BTCUSDT", "BINANCE:ETHUSDT"
NAN = float("nan")


def rows(column: str, timeframe: Timeframe, start: str = "2022-01-01", **values: list[float]) -> pd.DataFrame:
    """A frame of one value column; each keyword is a symbol (btc, eth) with its values from `start` on."""
    parts = []
    for name, series in values.items():
        times = pd.date_range(start, periods=len(series), freq=timeframe.delta, tz="UTC")
        symbol = {"btc": BTC, "eth": ETH}[name]
        parts.append(pd.DataFrame({"symbol": symbol, "datetime": times, column: pd.Series(series, dtype="float64")}))
    return pd.concat(parts, ignore_index=True)


def factor(timeframe: Timeframe = MINUTE, start: str = "2022-01-01", **values: list[float]) -> Factor:
    return Factor(rows("factor", timeframe, start, **values), timeframe)


def position(timeframe: Timeframe = MINUTE, start: str = "2022-01-01", **values: list[float]) -> Position:
    return Position(rows("position", timeframe, start, **values), timeframe)


def context(settings: Settings | None = None) -> RunContext:
    return RunContext(settings or Settings.load(), "run-1", "graph", "node", datetime(2026, 1, 1, tzinfo=UTC))
