"""Tells what a stretch of bars did from sums kept of blocks of bars, so that a held stretch is never gone through.

A row of eight numbers describes bars i … j: highest close, lowest close, lowest close over the highest before it, the
sums of r, r², r³ and r⁴, and of min(r, 0)², r being each bar's return from the close before. Rows of neighbours are
joined by maxima, minima and additions of what has one sign; nothing is ever subtracted, so no sum loses digits to
another stretch. Rows of 1, 2, 4 … blocks are kept, those of one width together.
"""

import numpy as np

from research.bars import Floats, Ints
from research.compiled import compiled

BLOCK = 32
"""Bars in the smallest block: the ends of a stretch are gone through bar by bar."""
HIGH, LOW, FALL, FIRST, SECOND, THIRD, FOURTH, DOWN = range(8)


@compiled()
def block_rows(closes: Floats, returns: Floats, starts: Ints, rows: Floats) -> None:
    """Write the rows of all blocks; `starts` says for each width where its rows begin."""
    for block in range(starts[1]):
        row = rows[block]
        clear(row)
        low, high = block * BLOCK, min(closes.size, (block + 1) * BLOCK)
        add_bars(closes[low:high], returns[low:high], row)
        row[FALL] = lowest_ratio(closes[low:high], 0.0)
    for level in range(1, starts.size - 1):
        below = rows[starts[level - 1] : starts[level]]
        for block in range(starts[level + 1] - starts[level]):
            row = rows[starts[level] + block]
            clear(row)
            row[FALL] = 1.0
            for part in below[2 * block : 2 * block + 2]:
                row[FALL] = min(row[FALL], part[FALL], part[LOW] / row[HIGH])
                add_row(part, row)


@compiled()
def add_stretch(
    closes: Floats, returns: Floats, starts: Ints, rows: Floats, begin: int, end: int, total: Floats
) -> None:
    """Join bars begin … end − 1 to `total`, all but its lowest ratio."""
    first, last = -(-begin // BLOCK), end // BLOCK
    if first >= last:
        add_bars(closes[begin:end], returns[begin:end], total)
        return
    add_bars(closes[begin : first * BLOCK], returns[begin : first * BLOCK], total)
    while first < last:
        level = _widest(first, last)
        add_row(rows[starts[level] + (first >> level)], total)
        first += 1 << level
    add_bars(closes[last * BLOCK : end], returns[last * BLOCK : end], total)


@compiled()
def stretch_fall(closes: Floats, starts: Ints, rows: Floats, begin: int, end: int) -> float:
    """Return the lowest close over the highest one before it among bars begin … end − 1."""
    first, last = -(-begin // BLOCK), end // BLOCK
    if first >= last:
        return lowest_ratio(closes[begin:end], 0.0)
    high, fall = 0.0, 1.0
    for bar in range(begin, first * BLOCK):
        high = max(high, closes[bar])
        fall = min(fall, closes[bar] / high)
    while first < last:
        level = _widest(first, last)
        row = rows[starts[level] + (first >> level)]
        fall = min(fall, row[FALL], row[LOW] / high)
        high = max(high, row[HIGH])
        first += 1 << level
    return min(fall, lowest_ratio(closes[last * BLOCK : end], high))


@compiled()
def clear(row: Floats) -> None:
    """Make a row that of no bars."""
    row[:] = 0.0
    row[LOW] = np.inf


@compiled()
def add_row(part: Floats, total: Floats) -> None:
    """Join a row to `total`, all but its lowest ratio."""
    total[HIGH] = max(total[HIGH], part[HIGH])
    total[LOW] = min(total[LOW], part[LOW])
    for index in range(FIRST, DOWN + 1):
        total[index] += part[index]


@compiled()
def add_bars(closes: Floats, returns: Floats, total: Floats) -> None:
    """Join bars to `total`, all but its lowest ratio."""
    high, low = total[HIGH], total[LOW]
    first, second, third, fourth, down = total[FIRST], total[SECOND], total[THIRD], total[FOURTH], total[DOWN]
    for index in range(closes.size):
        high, low = max(high, closes[index]), min(low, closes[index])
        value = returns[index]
        square, fall = value * value, min(value, 0.0)
        first += value
        second += square
        third += square * value
        fourth += square * square
        down += fall * fall
    total[HIGH], total[LOW] = high, low
    total[FIRST], total[SECOND], total[THIRD], total[FOURTH], total[DOWN] = first, second, third, fourth, down


@compiled()
def lowest_ratio(closes: Floats, high: float) -> float:
    """Return the lowest close over the highest so far, which was `high` before."""
    fall = 1.0
    for index in range(closes.size):
        high = max(high, closes[index])
        fall = min(fall, closes[index] / high)
    return fall


@compiled()
def _widest(first: int, last: int) -> int:
    """Return the level of the widest row that begins at block `first` and does not reach beyond `last`."""
    level = 0
    while first & (1 << level) == 0 and first + (2 << level) <= last:
        level += 1
    return level
