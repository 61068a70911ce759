"""Tells what a stretch of bars did from sums kept of blocks of bars, so that a held stretch is never gone through.

A row of eight numbers describes bars i … j: highest close, lowest close, lowest close over the highest before it, the
sums of r, r², r³ and r⁴, and of min(r, 0)², r being each bar's return from the close before. Rows of neighbours are
joined by maxima, minima and additions; nothing is ever subtracted, so no sum loses digits to another stretch. Rows of
1, 2, 4 … blocks are kept, those of one width together.

Functions take whole arrays and bounds: a slice would count its owners, which threads would wait for.
"""

import math

from research.bars import Floats, Ints
from research.compiled import compiled

BLOCK = 32
"""Bars in the smallest block: the ends of a stretch are gone through bar by bar."""
HIGH, LOW, FALL, FIRST, SECOND, THIRD, FOURTH, DOWN = range(8)

Totals = tuple[float, float, float, float, float, float, float]
"""A row without its lowest ratio, which is dear and seldom asked for."""


@compiled()
def block_rows(closes: Floats, returns: Floats, starts: Ints, rows: Floats) -> None:
    """Write the rows of all blocks; `starts` says for each width where its rows begin."""
    for block in range(starts[1]):
        begin, end = block * BLOCK, min(closes.size, (block + 1) * BLOCK)
        _write(rows, block, with_bars(nothing(), closes, returns, begin, end), lowest_ratio(closes, begin, end, 0.0))
    for level in range(1, starts.size - 1):
        for row in range(starts[level], starts[level + 1]):
            left = starts[level - 1] + 2 * (row - starts[level])
            total, fall = with_row(nothing(), rows, left), rows[left, FALL]
            if left + 1 < starts[level]:
                fall = min(fall, rows[left + 1, FALL], rows[left + 1, LOW] / rows[left, HIGH])
                total = with_row(total, rows, left + 1)
            _write(rows, row, total, fall)


@compiled()
def stretch_totals(closes: Floats, returns: Floats, starts: Ints, rows: Floats, begin: int, end: int) -> Totals:
    """Return what bars begin … end − 1 did."""
    first, last = (begin + BLOCK - 1) // BLOCK, end // BLOCK
    if first >= last:
        return with_bars(nothing(), closes, returns, begin, end)
    total = with_bars(nothing(), closes, returns, begin, first * BLOCK)
    while first < last:
        level = _widest(first, last)
        total = with_row(total, rows, starts[level] + (first >> level))
        first += 1 << level
    return with_bars(total, closes, returns, last * BLOCK, end)


@compiled()
def stretch_fall(closes: Floats, starts: Ints, rows: Floats, begin: int, end: int) -> float:
    """Return the lowest close over the highest one before it among bars begin … end − 1."""
    first, last = (begin + BLOCK - 1) // BLOCK, end // BLOCK
    if first >= last:
        return lowest_ratio(closes, begin, end, 0.0)
    high, fall = closes[begin], 1.0
    for bar in range(begin, first * BLOCK):
        high = max(high, closes[bar])
        fall = min(fall, closes[bar] / high)
    while first < last:
        level = _widest(first, last)
        row = starts[level] + (first >> level)
        fall = min(fall, rows[row, FALL], rows[row, LOW] / high)
        high = max(high, rows[row, HIGH])
        first += 1 << level
    return min(fall, lowest_ratio(closes, last * BLOCK, end, high))


@compiled()
def nothing() -> Totals:
    """Return the totals of no bars."""
    return 0.0, math.inf, 0.0, 0.0, 0.0, 0.0, 0.0


@compiled()
def with_row(total: Totals, rows: Floats, row: int) -> Totals:
    """Return the totals with those of a row."""
    high, low, first, second, third, fourth, down = total
    return (
        max(high, rows[row, HIGH]),
        min(low, rows[row, LOW]),
        first + rows[row, FIRST],
        second + rows[row, SECOND],
        third + rows[row, THIRD],
        fourth + rows[row, FOURTH],
        down + rows[row, DOWN],
    )


@compiled()
def with_bars(total: Totals, closes: Floats, returns: Floats, begin: int, end: int) -> Totals:
    """Return the totals with bars begin … end − 1."""
    high, low, first, second, third, fourth, down = total
    for bar in range(begin, end):
        close, value = closes[bar], returns[bar]
        square = value * value
        high = close if close > high else high
        low = close if close < low else low
        first += value
        second += square
        third += square * value
        fourth += square * square
        down += square if value < 0.0 else 0.0
    return high, low, first, second, third, fourth, down


@compiled()
def lowest_ratio(closes: Floats, begin: int, end: int, high: float) -> float:
    """Return the lowest close of bars begin … end − 1 over the highest so far, which was `high` before."""
    fall = 1.0
    for bar in range(begin, end):
        high = max(high, closes[bar])
        fall = min(fall, closes[bar] / high)
    return fall


@compiled()
def _write(rows: Floats, row: int, total: Totals, fall: float) -> None:
    rows[row, HIGH], rows[row, LOW], rows[row, FALL] = total[0], total[1], fall
    rows[row, FIRST], rows[row, SECOND], rows[row, THIRD] = total[2], total[3], total[4]
    rows[row, FOURTH], rows[row, DOWN] = total[5], total[6]


@compiled()
def _widest(first: int, last: int) -> int:
    """Return the level of the widest row that begins at block `first` and does not reach beyond `last`."""
    level = 0
    while first & (1 << level) == 0 and first + (2 << level) <= last:
        level += 1
    return level
