"""Compiled factors for large frames: the formulas of the plain ones in one pass, in the same order, to the last bit.

Importing this file starts numba, which takes most of a second; `compute_factors` says when that is worth it. Windows up
to `longest_each` bars are summed value by value, as in `research.factors.windows`, which owns that number.
"""

import math

import numpy as np

from research.bars import Floats
from research.compiled import compiled

# All are compiled exactly as they stand: that no kernel reorders what it adds keeps it equal to the plain factor.
_CHUNK = 1024
_SUMS, _SQUARES, _TAIL_SUMS, _TAIL_MEANS, _TAIL_SQUARES, _HEADS, _HEAD_SQUARES = range(7)
_ROWS = 7


@compiled()
def change(values: Floats, bars: int, out: Floats) -> None:
    """Write value_t / value_t−bars − 1, NaN for the first bars; sweeps take their momentum from here too."""
    out[:bars] = math.nan
    later, target = values[bars:], out[bars:]
    for j in range(len(later)):
        target[j] = later[j] / values[j] - 1.0


@compiled()
def ratio(values: Floats, bars: int, out: Floats) -> None:
    """Write value_t / value_t−bars."""
    out[:bars] = math.nan
    later, target = values[bars:], out[bars:]
    for j in range(len(later)):
        target[j] = later[j] / values[j]


@compiled()
def place_in_range(values: Floats, floor: Floats, top: Floats, out: Floats) -> None:
    """Write (value − floor) / (top − floor), NaN where the range has no height."""
    for i in range(len(values)):
        height = top[i] - floor[i]
        out[i] = (values[i] - floor[i]) / height if height != 0.0 else math.nan


@compiled()
def kept_while_level(close: Floats, rsi: Floats, bars: int, out: Floats) -> None:
    """Write the RSI of the last bar that moved; NaN before the first move. Up to bar `bars` each bar has its own."""
    first = 1
    while first < len(close) and close[first] == close[first - 1]:
        first += 1
    out[:first] = math.nan
    value = math.nan
    for i in range(first, len(close)):
        if i <= bars or close[i] != close[i - 1]:
            value = rsi[i]
        out[i] = value


@compiled()
def mean(values: Floats, window: int, longest_each: int, out: Floats) -> None:
    """Write the mean of the last `window` values."""
    size = _chunk_size(window, longest_each)
    scratch = np.empty((_ROWS, size))
    for first in range(0, len(values), size):
        last = min(first + size, len(values))
        _sums(values, first, last, window, longest_each, scratch)
        sums, target = scratch[_SUMS], out[first:last]
        for j in range(len(target)):
            target[j] = sums[j] / window


@compiled()
def beside_mean_before(values: Floats, window: int, longest_each: int, out: Floats) -> None:
    """Write value_t / mean(value_t−window … value_t−1), NaN where that mean is 0."""
    size = _chunk_size(window, longest_each)
    scratch = np.empty((_ROWS, size))
    out[0] = math.nan
    for first in range(0, len(values), size):
        last = min(first + size, len(values))
        _sums(values, first, last, window, longest_each, scratch)
        sums, later, target = scratch[_SUMS], values[first + 1 : last + 1], out[first + 1 : last + 1]
        for j in range(len(later)):
            before = sums[j] / window
            target[j] = later[j] / before if before != 0.0 else math.nan


@compiled()
def deviation(values: Floats, window: int, divisor: int, longest_each: int, out: Floats) -> None:
    """Write the standard deviation of the last `window` values: √(sum of squares / divisor)."""
    size = _chunk_size(window, longest_each)
    scratch = np.empty((_ROWS, size))
    for first in range(0, len(values), size):
        last = min(first + size, len(values))
        _moments(values, first, last, window, divisor, longest_each, scratch)
        out[first:last] = scratch[_SQUARES, : last - first]


@compiled()
def standard_score(values: Floats, window: int, longest_each: int, out: Floats) -> None:
    """Write (value − mean) / s over the last `window` values, s with window − 1 in its divisor; NaN where s is 0."""
    size = _chunk_size(window, longest_each)
    scratch = np.empty((_ROWS, size))
    for first in range(0, len(values), size):
        last = min(first + size, len(values))
        _moments(values, first, last, window, window - 1, longest_each, scratch)
        chunk, target, middle, away = values[first:last], out[first:last], scratch[_SUMS], scratch[_SQUARES]
        for j in range(len(chunk)):
            target[j] = (chunk[j] - middle[j]) / away[j] if away[j] != 0.0 else math.nan


@compiled()
def bands(
    values: Floats,
    window: int,
    width: float,
    longest_each: int,
    percent_b: Floats,
    bandwidth: Floats,
    upper: Floats,
    lower: Floats,
) -> None:
    """Write those figures of the Bollinger bands whose array is not empty."""
    size = _chunk_size(window, longest_each)
    scratch = np.empty((_ROWS, size))
    for first in range(0, len(values), size):
        last = min(first + size, len(values))
        _moments(values, first, last, window, window, longest_each, scratch)
        chunk, middle, half = values[first:last], scratch[_SUMS, : last - first], scratch[_SQUARES, : last - first]
        for j in range(len(half)):
            half[j] *= width
        if len(percent_b):
            target = percent_b[first:last]
            for j in range(len(half)):
                span = 2.0 * half[j]
                above = chunk[j] - (middle[j] - half[j])
                target[j] = above / span if span != 0.0 else math.nan
        if len(bandwidth):
            target = bandwidth[first:last]
            for j in range(len(half)):
                target[j] = 2.0 * half[j] / middle[j]
        if len(upper):
            target = upper[first:last]
            for j in range(len(half)):
                target[j] = middle[j] + half[j]
        if len(lower):
            target = lower[first:last]
            for j in range(len(half)):
                target[j] = middle[j] - half[j]


# ---- windows, a chunk of bars at a time; a long window's chunks are the blocks of research.factors.windows


@compiled()
def _chunk_size(window: int, longest_each: int) -> int:
    return _CHUNK if window <= longest_each else window


@compiled()
def _moments(
    values: Floats, first: int, last: int, window: int, divisor: int, longest_each: int, scratch: Floats
) -> None:
    """Fill the means and deviations of the windows that end in the chunk, where the sums and squares stood."""
    sums, squares = scratch[_SUMS, : last - first], scratch[_SQUARES, : last - first]
    _sums(values, first, last, window, longest_each, scratch)
    for j in range(len(sums)):
        sums[j] /= window
    _squares(values, first, last, window, longest_each, scratch)
    for j in range(len(squares)):
        square = 0.0 if squares[j] <= 0.0 else squares[j]  # a NaN stays
        squares[j] = math.sqrt(square / divisor)
    moved = max(first - 1, 0)  # the last bar that changed, or one before the first window of the chunk
    while moved > max(first - window, 0) and values[moved] == values[moved - 1]:
        moved -= 1
    for i in range(max(first, 1), last):
        if values[i] != values[i - 1]:
            moved = i
        elif moved <= i - window + 1:
            squares[i - first] = 0.0


@compiled()
def _sums(values: Floats, first: int, last: int, window: int, longest_each: int, scratch: Floats) -> None:
    """Fill the sums of the windows that end in the chunk, NaN where there are too few bars."""
    sums, tails = scratch[_SUMS], scratch[_TAIL_SUMS]
    count = last - first
    if window <= longest_each:
        begin = max(first, window - 1)
        sums[: max(begin - first, 0)] = math.nan
        part = sums[begin - first : count]
        part[:] = values[begin:last]
        for back in range(1, window):
            earlier = values[begin - back : last - back]
            for j in range(len(part)):
                part[j] += earlier[j]
        return
    chunk, total = values[first:last], 0.0
    for j in range(count):
        total += chunk[j]
        sums[j] = total
    for j in range(min(count, window - 1)):
        sums[j] = sums[j] + tails[j + 1] if first else math.nan
    if count == window:
        total = 0.0
        for j in range(window - 1, -1, -1):
            total += chunk[j]
            tails[j] = total


@compiled()
def _squares(values: Floats, first: int, last: int, window: int, longest_each: int, scratch: Floats) -> None:
    """Fill the sums of squared deviations from each window's own mean."""
    count, squares = last - first, scratch[_SQUARES]
    if window <= longest_each:
        begin = max(first, window - 1)
        squares[: max(begin - first, 0)] = math.nan
        part, middle = squares[begin - first : count], scratch[_SUMS, begin - first : count]
        part[:] = 0.0
        for back in range(window):
            earlier = values[begin - back : last - back]
            for j in range(len(part)):
                away = earlier[j] - middle[j]
                part[j] += away * away
        return
    heads, head_squares = scratch[_HEADS], scratch[_HEAD_SQUARES]
    tails, tail_squares = scratch[_TAIL_MEANS], scratch[_TAIL_SQUARES]
    start = values[first]
    _scan(values, first, count, 1, heads, head_squares)
    for j in range(min(count, window - 1)):
        size = float(j + 1)
        gap = heads[j] + start - tails[j + 1]
        gap *= gap
        gap *= size * (window - size) / window
        squares[j] = gap + tail_squares[j + 1] + head_squares[j] if first else math.nan
    if count == window:
        _scan(values, first, count, -1, tails, tail_squares)
        for j in range(window):
            tails[j] += start
        gap = heads[window - 1] + start - tails[0]
        gap *= gap
        squares[window - 1] = gap * 0.0 + tail_squares[0]  # this window is the block


@compiled()
def _scan(values: Floats, first: int, count: int, step: int, means: Floats, squares: Floats) -> None:
    """Fill, for each beginning of a block (step 1) or each end of it (−1), mean and squares about the first value."""
    start, total, total_squares = values[first], 0.0, 0.0
    block = values[first : first + count]
    j = 0 if step == 1 else count - 1
    for _ in range(count):
        away = block[j] - start
        total += away
        total_squares += away * away
        means[j], squares[j] = total, total_squares
        j += step
    for k in range(count):
        size = float(k + 1) if step == 1 else float(count - k)
        middle = means[k] / size
        squares[k] -= means[k] * middle
        means[k] = middle
