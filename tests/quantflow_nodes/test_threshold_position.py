"""A factor becomes a position of 0 or 1 with hysteresis, and no opinion where nothing is known."""

import numpy as np
import pytest
from frames import NAN, context, factor
from hypothesis import given
from hypothesis import strategies as st

from quantflow_nodes.nodes.threshold_position import (
    ThresholdPosition,
    ThresholdPositionInputs,
    ThresholdPositionParams,
)


def decide(enter_above: float, exit_below: float, **values: list[float]) -> list[float]:
    params = ThresholdPositionParams(enter_above=enter_above, exit_below=exit_below)
    outputs = ThresholdPosition().run(params, ThresholdPositionInputs(factor=factor(**values)), context())
    return outputs.position.data["position"].tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, -1.0, 1.0], [1, 0, 1]),
        ([NAN, NAN, 2.0], [NAN, NAN, 1]),
        ([0.0, 0.0, 1.0, 0.0], [NAN, NAN, 1, 1]),
        ([-1.0, 0.0, 0.0], [0, 0, 0]),
        ([1.0, NAN, 0.0], [1, NAN, 1]),
    ],
)
def test_position_follows_the_crossings(values: list[float], expected: list[float]) -> None:
    """Thresholds of 0: above is in, below is out, exactly 0 keeps, NaN says nothing."""
    np.testing.assert_array_equal(decide(0.0, 0.0, btc=values), expected)


def test_between_the_thresholds_the_position_stays() -> None:
    """Enter above 2, exit below 1, by hand."""
    np.testing.assert_array_equal(decide(2.0, 1.0, btc=[1.5, 2.5, 1.5, 0.5, 1.5]), [NAN, 1, 1, 0, 0])


def test_each_symbol_is_decided_by_itself() -> None:
    """What one symbol held at its end is nothing to the next."""
    np.testing.assert_array_equal(decide(0.0, 0.0, btc=[1.0, 1.0], eth=[0.0, 1.0]), [1, 1, NAN, 1])


@given(st.lists(st.one_of(st.floats(-3, 3), st.just(NAN)), max_size=40), st.floats(-1, 1), st.floats(0, 1))
def test_equals_a_plain_loop(values: list[float], exit_below: float, width: float) -> None:
    """The rule, row by row."""
    enter_above, held, expected = exit_below + width, NAN, []
    for value in values:
        if value > enter_above:
            held = 1.0
        elif value < exit_below:
            held = 0.0
        expected.append(NAN if np.isnan(value) else held)
    np.testing.assert_array_equal(decide(enter_above, exit_below, btc=values), expected)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=30), st.data())
def test_never_sees_the_future(values: list[float], data: st.DataObject) -> None:
    """The position at t is the same when all after t is cut off."""
    cut = data.draw(st.integers(1, len(values)))
    np.testing.assert_array_equal(decide(0.5, -0.5, btc=values[:cut]), decide(0.5, -0.5, btc=values)[:cut])
