"""The one place where floats become exact integers, because prices and quantities that move are never floats."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Amounts = npt.NDArray[Any]  # int64, or Python integers (object) where a sum would not fit in 64 bits

VENUE_DECIMALS = 8  # the venue writes every price and quantity with eight decimals
_EXACT_FLOAT = 2**53
_INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Scaled:
    """Integers in units of ``10 ** -decimals``.

    Parameters
    ----------
    values
        The integers.
    decimals
        How many decimals one unit stands for, 0 to 8.
    rounded
        How many values were finer than their unit and had to be rounded.
    """

    values: Ints
    decimals: int
    rounded: int


def scale(values: Floats) -> Scaled:
    """Return `values` as integers with the fewest decimals (at most eight) that hold them all exactly.

    A float x is the decimal ``k / 10**d`` exactly when dividing the two integers gives x back: both are
    exact in a float below 2**53, and IEEE division rounds correctly. Each value is read with its own
    fewest decimals d, and all are then written with the most that any of them needs. A value that needs
    more than eight, or more than 64 bits hold, is rounded and counted.

    Parameters
    ----------
    values
        Finite, not negative.
    """
    finest = VENUE_DECIMALS
    while float(values.max(initial=0.0)) * 10.0**finest > _INT64_MAX / 2:
        finest -= 1
    units = np.zeros(values.shape, dtype=np.int64)
    needed = np.full(values.shape, -1, dtype=np.int64)
    for decimals in range(finest + 1):
        candidate = np.rint(values * 10.0**decimals)
        fits = (needed < 0) & (candidate < _EXACT_FLOAT) & (candidate / 10.0**decimals == values)
        units[fits] = candidate[fits].astype(np.int64)
        needed[fits] = decimals
        if bool(np.all(needed >= 0)):
            break
    inexact = needed < 0
    if bool(inexact.any()):
        units[inexact] = np.rint(values[inexact] * 10.0**finest).astype(np.int64)
        needed[inexact] = finest
    most = int(needed.max(initial=0))
    return Scaled(units * 10 ** (most - needed), most, rounded=int(np.count_nonzero(inexact)))


def product(left: Ints, right: Ints, drop_decimals: int = 0) -> Amounts:
    """Return ``left * right // 10**drop_decimals`` exactly, in 64 bits where it fits, else in Python integers."""
    bound = int(left.max(initial=0)) * int(right.max(initial=0))
    wide: Amounts = left * right if bound <= _INT64_MAX else left.astype(object) * right.astype(object)
    return wide if drop_decimals == 0 else wide // 10**drop_decimals


def summable(values: Amounts) -> Amounts:
    """Return `values` in a type in which the sum of all of them is exact."""
    if values.dtype == object or values.size == 0:
        return values
    bound = int(values.max()) * values.size
    return values if bound <= _INT64_MAX else values.astype(object)


def total(values: Amounts) -> int:
    """Return the exact sum of `values` as a Python integer, whatever its size."""
    return sum(values.tolist())


def text(value: int, decimals: int) -> str:
    """Return one scaled integer as the venue writes it: eight decimals, no exponent.

    >>> text(463190, 1)
    '46319.00000000'
    """
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**decimals)
    return f"{sign}{whole}.{fraction * 10 ** (VENUE_DECIMALS - decimals):08d}"
