"""Thins long curves and bars for the eye without hiding a high or a low."""

import numpy as np
import pandas as pd

from research.bars import Floats, Ints


def telling_rows(values: Floats, most: int) -> Ints:
    """Return the rows to draw of a curve: the first, lowest, highest and last of each of `most` / 4 stretches.

    A line through these rows covers the same pixels as one through all of them, so no extreme is lost (M4: Jugel et
    al. 2014). All rows where there are no more than `most`.
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    starts = np.linspace(0, count, max(most // 4, 1), endpoint=False).astype(np.int64)
    ends = np.append(starts[1:], count)
    rows = [starts, ends - 1]
    for pick in (np.argmin, np.argmax):
        found = [start + int(pick(values[start:end])) for start, end in zip(starts, ends, strict=True)]
        rows.append(np.array(found, dtype=np.int64))
    return np.unique(np.concatenate(rows))


def merged_bars(bars: pd.DataFrame, most: int) -> tuple[pd.DataFrame, int]:
    """Return the bars of one symbol merged to at most `most`, and how many went into each.

    A merged bar has the first open time and open, the highest high, the lowest low and the last close of its bars.
    """
    size = max(-(-len(bars) // most), 1)
    if size == 1:
        return bars, 1
    starts = np.arange(0, len(bars), size)
    last = np.minimum(starts + size, len(bars)) - 1
    return pd.DataFrame(
        {
            "datetime": bars["datetime"].iloc[starts].reset_index(drop=True),
            "open": bars["open"].to_numpy(dtype=np.float64)[starts],
            "high": np.maximum.reduceat(bars["high"].to_numpy(dtype=np.float64), starts),
            "low": np.minimum.reduceat(bars["low"].to_numpy(dtype=np.float64), starts),
            "close": bars["close"].to_numpy(dtype=np.float64)[last],
        }
    ), size
