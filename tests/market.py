"""Puts a seeded random walk into a database, exactly as an import would, for tests of graphs."""

from datetime import UTC, datetime, timedelta

import numpy as np

from schemas.collections import MINUTE_BARS, Store

START = datetime(2022, 1, 1, tzinfo=UTC)


def write_walk(db: Store, minutes: int, symbol: str = "BINANCE:BTCUSDT", seed: int = 7) -> None:
    """Store `minutes` bars of 1m from 2022-01-01 on; prices lie on a tick of 0.1."""
    random = np.random.default_rng(seed)
    close = np.round(40_000 * np.exp(np.cumsum(random.normal(0, 5e-4, minutes))), 1)
    opened = np.concatenate([[40_000.0], close[:-1]])
    high, low = np.maximum(opened, close) + 0.5, np.minimum(opened, close) - 0.5
    volume = np.round(random.random(minutes), 3)
    db[MINUTE_BARS].insert_many(
        {
            "datetime": START + timedelta(minutes=minute),
            "symbol": symbol,
            "open": float(opened[minute]),
            "high": float(high[minute]),
            "low": float(low[minute]),
            "close": float(close[minute]),
            "volume": float(volume[minute]),
        }
        for minute in range(minutes)
    )


def graph_text(days: int = 2, lookback: int = 60, symbols: str = "BINANCE:BTCUSDT", strategy: str = "walk") -> str:
    """A momentum graph over the walk."""
    end = (START + timedelta(days=days)).date()
    return f"""
name: walk
nodes:
  bars: {{type: read_bars, params: {{symbols: [{symbols}], timeframe: 1m, start: 2022-01-01, end: {end}}}}}
  momentum: {{type: factor, params: {{name: momentum, lookback_bars: {lookback}}}, inputs: {{bars: bars.bars}}}}
  position: {{type: threshold_position, params: {{enter_above: 0, exit_below: 0}}, inputs: {{factor: momentum.factor}}}}
  backtest: {{type: backtest, inputs: {{bars: bars.bars, position: position.position}}}}
  export: {{type: export_signals, params: {{strategy_id: {strategy}}}, inputs: {{position: position.position}}}}
"""
