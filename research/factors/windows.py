"""Sums and deviations over moving windows, without the error that a running sum carries along.

A running sum that adds the new value and takes off the old one keeps the rounding of everything it ever held: after a
bar with a huge volume a window of zeros no longer sums to zero. Here every window is summed from its own values.
"""

import numpy as np
import numpy.typing as npt

from research.bars import Floats

LONGEST_SUMMED_EACH = 32
"""Windows up to this many bars are summed value by value; longer ones from two partial sums."""


def rolling_sum(values: Floats, window: int) -> Floats:
    """Return the sum of the last `window` values at each bar; NaN for the first window − 1 bars.

    Notes
    -----
    For long windows the bars are cut into blocks of `window`. A window is the end of one block and the beginning of the
    next, so it is a sum from the right in the one and a sum from the left in the other (van Herk 1992, there for
    maxima). That is a fixed number of passes whatever the window.
    """
    count = len(values)
    result = np.full(count, np.nan)
    if count < window:
        return result
    if window <= LONGEST_SUMMED_EACH:
        total = values[window - 1 :].copy()
        for back in range(1, window):
            total += values[window - 1 - back : count - back]
        result[window - 1 :] = total
        return result
    blocks = _blocks(values, window)
    heads = np.cumsum(blocks, axis=1).ravel()[window - 1 : count]  # from a block's first value to the window's last
    tails = np.cumsum(blocks[:, ::-1], axis=1)[:, ::-1].ravel()[: count - window + 1]  # from its first to a block's end
    np.add(heads, tails, out=result[window - 1 :])
    result[window - 1 :: window] = heads[::window]  # these windows are one block, of which both are the sum
    return result


def rolling_mean(values: Floats, window: int) -> Floats:
    """Return the mean of the last `window` values at each bar; NaN for the first window − 1 bars."""
    return rolling_sum(values, window) / window


def rolling_deviation(values: Floats, window: int, ddof: int) -> Floats:
    """Return the standard deviation of the last `window` values; NaN for the first window − 1 bars.

    `ddof` is what is taken off the window in the divisor: 0 for a population, 1 for a sample. Windows of equal values
    give exactly 0.

    Notes
    -----
    Long windows: squares are summed about each block's first value, never about zero, and the two parts of a window
    are joined by the rule of Chan, Golub and LeVeque (1979). What is lost is of the order of 1e-16 × (largest move
    within the block / deviation)².
    """
    count = len(values)
    result = np.full(count, np.nan)
    if count < window:
        return result
    squares = _short_squares(values, window) if window <= LONGEST_SUMMED_EACH else _long_squares(values, window)
    deviation = np.sqrt(np.maximum(squares, 0.0) / (window - ddof))
    result[window - 1 :] = np.where(_is_level(values, window), 0.0, deviation)
    return result


def _is_level(values: Floats, window: int) -> npt.NDArray[np.bool_]:
    """Tell for each whole window whether all its values are equal: whether none of its steps is a change."""
    changes = np.zeros(len(values), dtype=np.int64)
    np.cumsum(values[1:] != values[:-1], out=changes[1:])
    level: npt.NDArray[np.bool_] = changes[window - 1 :] == changes[: len(values) - window + 1]
    return level


def _short_squares(values: Floats, window: int) -> Floats:
    count = len(values)
    mean = rolling_mean(values, window)[window - 1 :]
    squares = np.zeros(len(mean))
    for back in range(window):
        away = values[window - 1 - back : count - back] - mean
        squares += away * away
    return squares


def _long_squares(values: Floats, window: int) -> Floats:
    blocks = _blocks(values, window)
    first = blocks[:, :1]
    away = blocks - first
    sizes = np.arange(1.0, window + 1.0)
    ends, starts = slice(window - 1, len(values)), slice(0, len(values) - window + 1)
    head_mean, head_squares = (part.ravel()[ends] for part in _scan(away, first, sizes))
    tail_mean, tail_squares = (part[:, ::-1].ravel()[starts] for part in _scan(away[:, ::-1], first, sizes))
    # how many values of the window lie in its second block, for windows from the one that starts a block on
    head_size = np.resize(np.concatenate([[0.0], sizes[:-1]]), len(head_mean))
    gap = head_mean - tail_mean
    gap *= gap
    gap *= head_size * (window - head_size) / window
    gap += tail_squares
    gap += np.where(head_size == 0.0, 0.0, head_squares)
    return gap


def _scan(away: Floats, first: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Return for each beginning of each row its mean, and the sum of its squared deviations from that mean."""
    sums, squares = np.cumsum(away, axis=1), np.cumsum(away * away, axis=1)
    means = sums / sizes
    sums *= means
    squares -= sums
    means += first
    return means, squares


def _blocks(values: Floats, window: int) -> Floats:
    """Return the values as rows of `window`, the last one filled up with its last value (it is never read)."""
    rows = -(-len(values) // window)
    padded = np.concatenate([values, np.full(rows * window - len(values), values[-1])])
    return padded.reshape(rows, window)
