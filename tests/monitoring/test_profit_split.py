"""The parts of a difference are what each replaced value changes, and nothing is left over."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.chain.profit_split import Rates, split_difference

BACKTEST = Rates(100.0, 110.0, 1.001, 0.999)
QUOTED = Rates(101.0, 109.0, 1.001, 0.999)
LIVE = Rates(101.5, 108.5, 1.002, 0.998)


def growth(open_rate: str, close_rate: str, open_factor: str, close_factor: str) -> Fraction:
    """What comes back of 1, as an exact fraction."""
    return Fraction(close_rate) * Fraction(close_factor) / (Fraction(open_rate) * Fraction(open_factor))


def test_each_part_is_what_one_replacement_changes() -> None:
    """Market for the backtest's rate, fill for the market, paid fees for the model's: worked out in fractions."""
    steps = [
        growth("100", "110", "1.001", "0.999"),
        growth("101", "109", "1.001", "0.999"),
        growth("101.5", "108.5", "1.001", "0.999"),
        growth("101.5", "108.5", "1.002", "0.998"),
    ]
    split = split_difference(BACKTEST, QUOTED, LIVE, same_exit=True)
    assert split.delay == pytest.approx(float(steps[1] - steps[0]), abs=1e-14)
    assert split.price == pytest.approx(float(steps[2] - steps[1]), abs=1e-14)
    assert split.fees == pytest.approx(float(steps[3] - steps[2]), abs=1e-14)
    assert split.other_exit == 0.0


def test_where_the_sides_left_by_different_signals_the_exit_is_a_part_of_its_own() -> None:
    """The delay is that of the entry alone; the sum is the same."""
    entered = growth("101", "110", "1.001", "0.999")
    together = split_difference(BACKTEST, QUOTED, LIVE, same_exit=True)
    apart = split_difference(BACKTEST, QUOTED, LIVE, same_exit=False)
    assert apart.delay == pytest.approx(float(entered - growth("100", "110", "1.001", "0.999")), abs=1e-14)
    assert apart.other_exit == pytest.approx(float(growth("101", "109", "1.001", "0.999") - entered), abs=1e-14)
    assert apart.total == pytest.approx(together.total, abs=1e-14)
    assert (apart.price, apart.fees) == (together.price, together.fees)


def test_a_trade_as_in_the_backtest_has_no_parts() -> None:
    """Nothing differs, so all parts are 0."""
    split = split_difference(BACKTEST, BACKTEST, BACKTEST, same_exit=True)
    assert (split.delay, split.other_exit, split.price, split.fees) == (0, 0, 0, 0)


RATE = st.floats(0.05, 20.0)
FACTOR = st.floats(0.9, 1.1)
RATES = st.builds(Rates, RATE, RATE, FACTOR, FACTOR)


@given(RATES, RATES, RATES, st.booleans(), st.floats(1e-6, 1e6))
def test_the_parts_sum_to_the_whole(backtest: Rates, quoted: Rates, live: Rates, same_exit: bool, scale: float) -> None:
    """To 1e-12 of the largest figure that is added up, whatever the prices."""
    scaled = [Rates(one.open_rate * scale, one.close_rate * scale, one.open_factor, one.close_factor)
              for one in (backtest, quoted, live)]  # fmt: skip
    split = split_difference(scaled[0], scaled[1], scaled[2], same_exit=same_exit)
    largest = max(1.0, *(abs(part) for part in (split.delay, split.other_exit, split.price, split.fees)))
    assert abs(split.total - (scaled[2].profit_ratio - scaled[0].profit_ratio)) <= 1e-12 * largest
