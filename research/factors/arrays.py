"""Checks the arrays that factors work on: one NaN would spread through a recursion to the end."""

import numpy as np
import numpy.typing as npt

from research.bars import Floats
from schemas.errors import InputError


def finite(values: npt.ArrayLike, what: str) -> Floats:
    """Return `values` as a contiguous float64 array.

    Raises
    ------
    InputError
        Where they are no numbers in one row, or one of them is NaN or infinite.
    """
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{what} must hold numbers, found {type(values).__name__}.") from None
    if array.ndim != 1:
        raise InputError(f"{what} must be one row of numbers, found {array.ndim} dimensions.")
    if len(array) and not (array.min() > -np.inf and array.max() < np.inf):
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InputError(f"{what} must hold finite numbers, found {array[row]} in row {row}. Leave such bars out.")
    return array


def shifted(values: Floats, bars: int) -> Floats:
    """Return each bar's value of `bars` bars before; NaN for the first `bars`."""
    earlier = np.full(len(values), np.nan)
    earlier[bars:] = values[: len(values) - bars] if bars < len(values) else values[:0]
    return earlier


def divided(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient, NaN where the denominator is 0 or not known: x / 0 is no number here."""
    result = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0.0)
    return result
