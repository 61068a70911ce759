"""Looks at whole columns at the speed of memory: texts by Arrow's comparison, steps of numbers piece by piece."""

from bisect import bisect_right
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

_PIECE = 16_384
"""Numbers that are worked on at once, to stay in the processor's cache."""
_LONG_RUN = 10_000
"""Rows; of shorter runs there may be so many that factorize is quicker."""


def long_runs(column: "pd.Series[Any]") -> npt.NDArray[np.int64] | None:
    """Return where each run begins if a text column surely is a few long ones in order; None means not known.

    Most frames of bars are that, and factorize would take as long as the whole backtest. Where runs end is guessed by
    bisection, as in a sorted column, and then proved.
    """
    starts, count = [0], len(column)
    if _texts(column) is None:
        return None
    while True:
        stop = bisect_right(column.array, column.iloc[starts[-1]], lo=starts[-1])
        run = column.iloc[starts[-1] : stop]
        if len(run) < min(_LONG_RUN, count) or not is_one_text(run):
            return None
        if stop == count:
            return np.array(starts, dtype=np.int64)
        starts.append(stop)


def is_one_text(column: "pd.Series[Any]") -> bool:
    """Tell whether a text column surely holds one value only, as each text is its neighbour; false means not known."""
    texts = _texts(column)
    return texts is not None and texts.slice(1).equals(texts.slice(0, len(texts) - 1))


def same_texts(left: "pd.Series[Any]", right: "pd.Series[Any]") -> bool:
    """Tell whether two text columns surely hold the same in each row; false means not known.

    Columns that were made one from the other share their memory, and are not even read.
    """
    one, other = _texts(left), _texts(right)
    return one is not None and other is not None and one.equals(other)


def steps_between(values: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Return the smallest and the largest step between neighbours, of which there must be two at least."""
    room, least, most = np.empty(_PIECE, dtype=np.int64), [], []
    for start in range(0, len(values) - 1, _PIECE):
        piece = values[start : start + _PIECE + 1]
        steps = np.subtract(piece[1:], piece[:-1], out=room[: len(piece) - 1])
        least.append(int(steps.min()))
        most.append(int(steps.max()))
    return min(least), max(most)


def _texts(column: "pd.Series[Any]") -> pa.ChunkedArray | None:
    """Return a column that Arrow holds, in however many pieces, without a missing value; else None."""
    if not (isinstance(column.dtype, pd.StringDtype) and column.dtype.storage == "pyarrow"):
        return None
    held: Any = column.array
    texts: pa.ChunkedArray = held.__arrow_array__()
    return None if texts.null_count or len(texts) == 0 else texts
