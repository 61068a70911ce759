"""What nodes declare about their look-back is true to the last bit, for every factor and length."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from frames import BTC, MINUTE, NAN, context, factor, position

from quantflow_nodes.node import Params, TooFewBarsError
from quantflow_nodes.nodes.export_signals import ExportSignals, ExportSignalsInputs, ExportSignalsParams
from quantflow_nodes.nodes.factor import FactorInputs, FactorNode, FactorParams
from quantflow_nodes.nodes.threshold_position import (
    ThresholdPosition,
    ThresholdPositionInputs,
    ThresholdPositionParams,
)
from quantflow_nodes.ports import Bars
from quantflow_nodes.registry import built_in_nodes
from research.factors import FACTORS, factor_lookback_bars
from research.factors.windows import LONGEST_SUMMED_EACH

RECURSIONS = {"ema", "rsi", "macd", "atr"}
LENGTHS = [2, 7, 20, 32, 33, 60, 240]


def bars(count: int) -> Bars:
    """A seeded walk on a tick of 0.1, as a venue gives it."""
    random = np.random.default_rng(11)
    close = np.round(40_000 * np.exp(np.cumsum(random.normal(0, 5e-4, count))), 1)
    opened = np.concatenate([[40_000.0], close[:-1]])
    data = pd.DataFrame({
        "symbol": BTC,
        "datetime": pd.date_range("2022-01-01", periods=count, freq="min", tz="UTC"),
        "open": opened,
        "high": np.maximum(opened, close) + 0.5,
        "low": np.minimum(opened, close) - 0.5,
        "close": close,
        "volume": np.round(random.random(count), 3),
    })  # fmt: skip
    return Bars(data, MINUTE)


def computed(params: FactorParams, given: Bars) -> Any:
    return FactorNode().run(params, FactorInputs(bars=given), context()).factor.data["factor"].to_numpy()


def cases() -> list[tuple[str, dict[str, Any]]]:
    choices = {"bollinger": ("output", ["percent_b", "bandwidth", "upper", "lower"]), "returns": ("kind", ["log"])}
    found: list[tuple[str, dict[str, Any]]] = []
    for name in sorted(set(FACTORS) - RECURSIONS):
        option, words = choices.get(name, ("", [""]))
        found += [(name, {"lookback_bars": length} | ({option: word} if word else {}))
                  for length in LENGTHS for word in words]  # fmt: skip
    return found


@pytest.mark.parametrize(("name", "own"), cases())
def test_a_declared_window_gives_the_value_of_the_whole_history(name: str, own: dict[str, Any]) -> None:
    """At 40 places the last value of the window equals that of all bars, bit by bit."""
    params = FactorParams(name=name, **own)
    window = FactorNode().lookback_bars(params)
    if window is None:
        return
    history = bars(900)
    whole = computed(params, history)
    for place in np.random.default_rng(3).integers(window, 900, 40):
        part = history.data.iloc[place - window : place + 1].reset_index(drop=True)
        value = computed(params, Bars(part, MINUTE))[-1]
        np.testing.assert_array_equal(value, whole[place])


def test_recursions_and_long_sums_need_all_bars() -> None:
    """An exponential mean never forgets; blocks of a long sum are counted from the first bar."""
    declared = {name: FactorNode().lookback_bars(FactorParams(name=name)) for name in FACTORS}
    assert {name for name, window in declared.items() if window is None} == RECURSIONS | {"zscore", "volatility"}
    short = {name: FactorNode().lookback_bars(FactorParams(name=name, lookback_bars=30)) for name in ("zscore", "sma")}
    assert short == {"zscore": 29, "sma": 29}
    assert FactorNode().lookback_bars(FactorParams(name="cross_sectional_rank", of="rsi")) is None
    assert FactorNode().lookback_bars(FactorParams(name="cross_sectional_rank", lookback_bars=9)) == 9


@pytest.mark.parametrize("name", ["sma", "bollinger", "zscore", "volatility", "volume_ratio"])
def test_sums_need_a_window_up_to_where_research_sums_each(name: str) -> None:
    """The bound is the formulas' own: one bar beyond it, all bars are needed."""
    at_most, beyond = (
        FactorNode().lookback_bars(FactorParams(name=name, lookback_bars=length))
        for length in (LONGEST_SUMMED_EACH, LONGEST_SUMMED_EACH + 1)
    )
    assert at_most == factor_lookback_bars(name, lookback_bars=LONGEST_SUMMED_EACH)
    assert beyond is None


def test_too_few_bars_are_an_error_of_their_own() -> None:
    """A live session waits for more; another mistake of the bars is none of that kind."""
    params = FactorParams(name="momentum", lookback_bars=10)
    with pytest.raises(TooFewBarsError, match="momentum needs 11 bars of BINANCE:BTCUSDT, found 10"):
        computed(params, bars(10))


def test_every_node_of_ours_says_how_it_looks_back() -> None:
    """Only the backtest, which no live session runs, needs all bars whatever its parameters."""
    silent = {name for name, node in built_in_nodes().items() if node.lookback == "all bars"}
    assert silent == {"backtest"}


def test_a_position_is_settled_from_the_first_crossing_on() -> None:
    """Rows before it depend on what came before the window; rows without a factor do not."""
    params = ThresholdPositionParams(enter_above=1.0, exit_below=-1.0)
    inputs = ThresholdPositionInputs(factor=factor(btc=[0.5, NAN, 0.5, 2.0, 0.5], eth=[-2.0, 0.5]))
    frame = ThresholdPosition().unsettled(params, inputs)
    assert frame.data["datetime"].dt.minute.tolist() == [0, 2]
    assert set(frame.data["symbol"]) == {BTC}


def test_an_export_is_settled_after_the_first_opinion() -> None:
    """Whether the first one is a change is not seen; with every_bar there is nothing to see."""
    inputs = ExportSignalsInputs(position=position(btc=[NAN, 1.0, NAN, 0.0], eth=[NAN, NAN]))
    frame = ExportSignals().unsettled(ExportSignalsParams(strategy_id="s"), inputs)
    assert frame is not None
    assert frame.data["datetime"].dt.minute.tolist() == [1]
    assert ExportSignals().unsettled(ExportSignalsParams(strategy_id="s", emit="every_bar"), inputs) is None


def test_a_node_that_says_nothing_needs_all_bars() -> None:
    """The default is the safe one."""
    from counting_nodes import Counted

    assert Counted().lookback_bars(Params()) is None
