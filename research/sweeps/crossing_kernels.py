"""Finds where a factor crosses thresholds, looking only into blocks of bars that hold a crossing; compiled."""

import numpy as np

from research.bars import Floats, Ints
from research.compiled import compiled

BLOCK = 64
"""Bars of a factor whose highest and lowest value are kept: most blocks hold no crossing."""
_LOWEST_KEY, _HIGHEST_KEY = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@compiled()
def factor_extremes(factor: Floats, bits: Ints, highs: Ints, lows: Ints) -> None:
    """Write the highest and lowest value of each block of a factor, leaving NaN out.

    `bits` is the factor seen as integers. The extremes are found among keys, integers in the order of the values, as
    the compiler compares eight of those at once, and given as bits again; a block without a value has those of NaN.
    """
    for block in range(highs.size):
        start, end = block * BLOCK, min(factor.size, (block + 1) * BLOCK)
        high, low = _key_extremes(factor[start:end], bits[start:end])
        highs[block], lows[block] = _keyed(high), _keyed(low)


@compiled()
def crossings(factor: Floats, highs: Floats, lows: Floats, enter_above: float, exit_below: float, at: Ints) -> int:
    """Write the bars at which a position starts and ends, turn by turn; return how many.

    `highs` and `lows` are the extremes of the factor's blocks; one without a value has NaN.
    """
    count, block, bar, size = 0, 0, 0, factor.size
    while True:
        flat = count % 2 == 0
        end = min(size, (block + 1) * BLOCK)
        if flat:
            while bar < end and not factor[bar] > enter_above:
                bar += 1
        else:
            while bar < end and not factor[bar] < exit_below:
                bar += 1
        if bar < end:
            at[count] = bar
            count += 1
            bar += 1
            continue
        block += 1
        if flat:
            while block < highs.size and not highs[block] > enter_above:
                block += 1
        else:
            while block < lows.size and not lows[block] < exit_below:
                block += 1
        bar = block * BLOCK
        if block >= highs.size:
            return count


@compiled()
def _key_extremes(values: Floats, bits: Ints) -> tuple[int, int]:
    high, low = _LOWEST_KEY, _HIGHEST_KEY
    for index in range(values.size):
        key = _keyed(bits[index])
        known = values[index] == values[index]
        high = max(high, key if known else _LOWEST_KEY)
        low = min(low, key if known else _HIGHEST_KEY)
    return high, low


@compiled()
def _keyed(bits: int) -> int:
    """Return a number's bits as an integer that is ordered as the numbers are; the same again undoes it."""
    return bits ^ ((bits >> 63) & _HIGHEST_KEY)
