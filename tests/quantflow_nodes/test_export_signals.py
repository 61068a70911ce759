"""A position becomes signals: at its changes or at every bar, as actions, weights or scores."""

from datetime import UTC, datetime, timedelta

import pytest
from frames import BTC, DAY, MINUTE, NAN, context, factor, position
from hypothesis import given
from hypothesis import strategies as st

from quantflow_nodes.nodes.export_signals import (
    ExportSignals,
    ExportSignalsInputs,
    ExportSignalsParams,
    make_batch,
)
from quantflow_nodes.ports import SymbolFrame
from quantflow_nodes.publish import Batch
from schemas.collections import SIGNALS, Store
from schemas.errors import InputError, SignalError
from schemas.settings import Settings

START = datetime(2022, 1, 1, tzinfo=UTC)


def batch(frame: SymbolFrame, **params: object) -> Batch:
    column = "factor" if params.get("value") == "score" else "position"
    return make_batch(frame, frame.data[column], ExportSignalsParams(strategy_id="s", **params), "test")  # type: ignore[arg-type]


def decided(made: Batch) -> list[tuple[int, object]]:
    """Minute and opinion of each signal."""
    return [
        (int((one.ts - START) / timedelta(minutes=1)), one.action or (one.weight if one.score is None else one.score))
        for one in made.signals
    ]


def test_actions_stand_where_the_position_changes() -> None:
    """In at 1, out at 3; before the first opinion a symbol is flat."""
    made = batch(position(btc=[0.0, 1.0, 1.0, 0.0, 0.0]))
    assert decided(made) == [(1, "enter_long"), (3, "exit_long")]


def test_no_opinion_changes_nothing() -> None:
    """1, nothing, 1 is no change; nothing, 0 at the start is no exit."""
    assert decided(batch(position(btc=[NAN, 0.0, 1.0, NAN, 1.0, NAN, 0.0]))) == [(2, "enter_long"), (6, "exit_long")]


def test_every_bar_repeats_the_decision() -> None:
    """One signal a bar with an opinion."""
    made = batch(position(btc=[0.0, 1.0, NAN, 1.0]), emit="every_bar")
    assert decided(made) == [(0, "exit_long"), (1, "enter_long"), (3, "enter_long")]


def test_weights_stand_where_the_part_changes() -> None:
    """An action only knows in and out; a weight says how much."""
    values = [0.0, 0.5, 0.5, 1.0, 0.0]
    assert decided(batch(position(btc=values), value="weight")) == [(1, 0.5), (3, 1.0), (4, 0.0)]
    assert decided(batch(position(btc=values))) == [(1, "enter_long"), (4, "exit_long")]


def test_scores_are_the_factor_at_every_bar() -> None:
    """A NaN gives no score."""
    made = batch(factor(btc=[NAN, 0.25, -1.0]), value="score", emit="every_bar")
    assert decided(made) == [(1, 0.25), (2, -1.0)]


def test_the_opinion_is_about_bars_with_a_value_only() -> None:
    """A NaN in the middle, before or after is no opinion: what is stored for its bar is not touched."""
    (opinion,) = batch(position(btc=[NAN, 0.0, NAN, 1.0, NAN])).opinions
    minutes = (opinion.bars_ms - START.timestamp() * 1000) / 60_000
    assert (opinion.pair, minutes.tolist()) == ("BTC/USDT", [1, 3])


def test_symbols_and_pairs_are_both_written() -> None:
    """The consumer reads the pair, research the symbol."""
    made = batch(position(btc=[1.0], eth=[1.0]))
    assert [(one.symbol, one.pair) for one in made.signals] == [(BTC, "BTC/USDT"), ("BINANCE:ETHUSDT", "ETH/USDT")]


def test_validity_counts_from_the_close() -> None:
    """Bar 0 of 1m closes at 00:01; void 3 bars later."""
    made = batch(position(btc=[1.0]), valid_for_bars=3)
    assert made.signals[0].valid_until == START + timedelta(minutes=4)


def test_a_score_has_no_changes() -> None:
    """A number for each bar is not a decision."""
    with pytest.raises(ValueError, match="set emit to every_bar"):
        ExportSignalsParams(strategy_id="s", value="score")


def test_a_missing_input_is_said() -> None:
    """Scores come from a factor."""
    params = ExportSignalsParams(strategy_id="s", value="score", emit="every_bar")
    with pytest.raises(InputError, match="A score is published from the input factor, which is not connected"):
        ExportSignals().run(params, ExportSignalsInputs(position=position(btc=[1.0])), context())


def test_a_position_off_the_grid_is_refused() -> None:
    """ts is the open of a bar: a frame of 1d at noon has none."""
    with pytest.raises(SignalError, match="is not on the grid of 1d"):
        batch(position(DAY, "2022-01-01 12:00", btc=[1.0]))


@given(st.lists(st.sampled_from([0.0, 1.0, NAN]), max_size=40))
def test_signals_give_the_position_back(values: list[float]) -> None:
    """Whoever follows the signals from flat holds what the position says, at every bar."""
    if not values:
        return
    actions = dict(decided(batch(position(btc=values))))
    held, wanted = 0.0, 0.0
    for minute, value in enumerate(values):
        held = {"enter_long": 1.0, "exit_long": 0.0}.get(str(actions.get(minute)), held)
        wanted = wanted if value != value else value
        assert held == wanted


@pytest.mark.mongo
def test_an_unclosed_bar_is_refused_with_a_sentence(settings: Settings, db: Store) -> None:
    """The closed bars' signals are published all the same."""
    future = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)
    frame = position(MINUTE, future.isoformat(), btc=[1.0, 0.0, 1.0, 0.0, 1.0])
    lent = context(settings)
    with pytest.raises(SignalError, match="of bars that have not closed yet and were refused"):
        ExportSignals().run(ExportSignalsParams(strategy_id="s"), ExportSignalsInputs(position=frame), lent)
    assert 1 <= db[SIGNALS].count_documents({}) <= 3
