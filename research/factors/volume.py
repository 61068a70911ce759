"""Factors of the traded volume."""

import numpy.typing as npt

from research.bars import Floats
from research.factors.arrays import divided, finite, shifted
from research.factors.windows import rolling_mean


def volume_ratio(volume: npt.ArrayLike, lookback_bars: int = 20) -> Floats:
    """Return volume_t / mean(volume_t−L … volume_t−1): this bar's volume beside that of the L bars before it.

    NaN for the first L bars, and where those bars had no volume. (Relative volume; Karpoff 1987 for its use)
    """
    values = finite(volume, "volume")
    return divided(values, shifted(rolling_mean(values, lookback_bars), 1))
