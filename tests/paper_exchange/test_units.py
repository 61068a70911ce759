"""Floats become exact integers, and come back as the same floats."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paper_exchange.units import product, scale, summable, text, total


@given(st.lists(st.integers(0, 10**15 - 1), min_size=1, max_size=30), st.integers(0, 8))
def test_every_decimal_of_fifteen_digits_comes_back(units: list[int], decimals: int) -> None:
    """A number with up to 15 digits and 8 decimals is written with exactly its digits."""
    written = [Decimal(unit).scaleb(-decimals) for unit in units]
    scaled = scale(np.array([float(value) for value in written]))
    assert scaled.rounded == 0
    assert scaled.decimals <= decimals
    assert [Decimal(text(int(value), scaled.decimals)) for value in scaled.values] == written


def test_the_fewest_decimals_are_used() -> None:
    """1.5 and 2.25 need two decimals."""
    scaled = scale(np.array([1.5, 2.25]))
    assert (scaled.values.tolist(), scaled.decimals, scaled.rounded) == ([150, 225], 2, 0)


def test_large_and_fine_values_stand_side_by_side() -> None:
    """A volume over a hundred million beside one with eight decimals, as the real file has them."""
    scaled = scale(np.array([134918700.1234, 243507.18851251]))
    assert (scaled.values.tolist(), scaled.decimals) == ([13491870012340000, 24350718851251], 8)


def test_noise_behind_the_eighth_decimal_is_rounded_and_counted() -> None:
    """0.1 + 0.2 is 0.30000000000000004; the venue can write 0.30000000 only."""
    scaled = scale(np.array([0.1 + 0.2, 1.0]))
    assert scaled.rounded == 1
    assert text(int(scaled.values[0]), scaled.decimals) == "0.30000000"


def test_sums_and_products_leave_64_bits_when_they_must() -> None:
    """Python integers take over where int64 would wrap."""
    large = np.array([2**62, 2**62, 2**62])
    assert total(np.add.reduceat(summable(large), [0])) == 3 * 2**62
    assert product(large, np.array([4, 4, 4])).tolist() == [2**64] * 3
    assert product(np.array([12345]), np.array([10]), drop_decimals=2).tolist() == [1234]


@pytest.mark.parametrize(
    ("value", "decimals", "written"),
    [
        (463190, 1, "46319.00000000"),
        (1, 8, "0.00000001"),
        (0, 0, "0.00000000"),
        (-15, 1, "-1.50000000"),
        (-1, 2, "-0.01000000"),
    ],
)
def test_text_has_eight_decimals_and_no_exponent(value: int, decimals: int, written: str) -> None:
    """As the venue writes prices and quantities."""
    assert text(value, decimals) == written
