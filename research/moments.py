"""Sums up the returns of an equity curve piece by piece, so that they never leave the processor's cache."""

import math
from typing import NamedTuple

import numpy as np

from research.bars import Floats

_PIECE = 16_384


class ReturnMoments(NamedTuple):
    """What mean, deviation and downside deviation of the returns are made of.

    `size` counts the returns; `squared_deviations` is the sum of (r − mean)², `squared_falls` the sum of min(r, 0)².
    """

    size: int
    mean: float
    squared_deviations: float
    squared_falls: float


def return_moments(equity: Floats) -> ReturnMoments:
    """Return the moments of E_i / E_i-1 − 1; `equity` holds positive values. Without a return the mean is NaN.

    Notes
    -----
    Each piece has its own mean, and the pieces are joined by Chan, Golub and LeVeque's rule (1979): squares of
    differences from a mean, never the difference of two large sums. `@` is not used: its threads wait for each other
    on a busy machine.
    """
    count = len(equity) - 1
    buffer, falls = np.empty(_PIECE), np.empty(_PIECE)
    sizes, means, inner, squared_falls = [], [], [], 0.0
    for start in range(0, count, _PIECE):
        size = min(_PIECE, count - start)
        returns, fallen = buffer[:size], falls[:size]
        np.divide(equity[start + 1 : start + 1 + size], equity[start : start + size], out=returns)
        np.subtract(returns, 1.0, out=returns)
        np.minimum(returns, 0.0, out=fallen)
        np.multiply(fallen, fallen, out=fallen)
        squared_falls += float(np.add.reduce(fallen))
        mean = float(np.add.reduce(returns)) / size
        np.subtract(returns, mean, out=returns)
        np.multiply(returns, returns, out=returns)
        sizes.append(size)
        means.append(mean)
        inner.append(float(np.add.reduce(returns)))
    return joined_moments(np.array(sizes, dtype=np.float64), np.array(means), np.array(inner), squared_falls)


def joined_moments(sizes: Floats, means: Floats, squared_deviations: Floats, squared_falls: float) -> ReturnMoments:
    """Return the moments of all pieces together; `squared_deviations` are each piece's from its own mean."""
    count = int(sizes.sum())
    if count == 0:
        return ReturnMoments(0, math.nan, 0.0, 0.0)
    mean = float((sizes * means).sum()) / count
    between = float((sizes * (means - mean) ** 2).sum())
    return ReturnMoments(count, mean, float(squared_deviations.sum()) + between, squared_falls)
