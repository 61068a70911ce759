"""What a live session exports bar by bar is, signal by signal, what one run over the whole history gives."""

import pytest
from live_market import live, run_over_history, signals_of, store, walk

from schemas.collections import Store
from schemas.settings import Settings

pytestmark = pytest.mark.mongo
BTC, ETH = "BINANCE:BTCUSDT", "BINANCE:ETHUSDT"
ONE, TWO = f'["{BTC}"]', f'["{BTC}", "{ETH}"]'
MINUTES, WARM = 220, 61


def graph(nodes: str, symbols: str = ONE) -> str:
    """A graph whose bars are the walk's; `factor` feeds a position, unless the nodes say otherwise."""
    return f"""
name: g
nodes:
  bars: {{type: read_bars, params: {{symbols: {symbols}, timeframe: 1m, start: 2022-01-01, end: 2022-01-03}}}}
{nodes}"""


def factor(params: str, source: str = "bars.bars") -> str:
    return f"  factor: {{type: factor, params: {params}, inputs: {{bars: {source}}}}}\n"


def position(above: float = 0.0, below: float = 0.0, source: str = "factor.factor") -> str:
    params = f"{{enter_above: {above}, exit_below: {below}}}"
    return f"  position: {{type: threshold_position, params: {params}, inputs: {{factor: {source}}}}}\n"


def export(params: str = "strategy_id: s", source: str = "position: position.position") -> str:
    return f"  export: {{type: export_signals, params: {{{params}}}, inputs: {{{source}}}}}\n"


SCORES = export("strategy_id: s, value: score, emit: every_bar", "factor: factor.factor")
RANK = "  rank: {type: cross_sectional_rank, inputs: {factor: factor.factor}}\n"
GRAPHS = {
    "momentum": graph(factor("{name: momentum, lookback_bars: 20}") + position() + export()),
    "rare crossings": graph(factor("{name: zscore, lookback_bars: 20}") + position(1.9, -1.9) + export()),
    "recursion": graph(factor("{name: rsi, lookback_bars: 14}") + position(58, 42) + export()),
    "scores of a recursion": graph(factor("{name: ema, lookback_bars: 30}") + SCORES),
    "a long summed window": graph(factor("{name: zscore, lookback_bars: 60}") + SCORES),
    "scores": graph(factor("{name: volatility, lookback_bars: 30}") + SCORES),
    "ranks": graph(
        factor("{name: momentum, lookback_bars: 15}") + RANK + position(0.75, 0.25, "rank.factor") + export(), TWO
    ),
    "weights": graph(
        factor("{name: momentum, lookback_bars: 10}") + position() + export("strategy_id: s, value: weight"), TWO
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_bar_by_bar_equals_one_run(name: str, settings: Settings, db: Store) -> None:
    """From the first bars that suffice on, each close by itself."""
    text = GRAPHS[name]
    closes = walk(db, MINUTES, BTC, *([ETH] if ETH in text else []))
    store(db, [bar for bars in closes[:WARM] for bar in bars])
    with live(settings, db, text) as drive:
        drive.closes(closes[WARM:])
    assert signals_of(db) == run_over_history(settings, text, closes)
    assert len(signals_of(db)) > 3
