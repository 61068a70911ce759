"""Looks at whole columns at the speed of memory: texts by Arrow's buffers, steps of numbers piece by piece."""

from bisect import bisect_right
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

_PIECE = 16_384
"""Numbers that are worked on at once, to stay in the processor's cache."""
_LONG_RUN = 10_000
"""Rows; of shorter runs there may be so many that factorize is quicker."""


class _Texts(NamedTuple):
    """A text column as Arrow holds it: row i is the bytes from offset i to offset i + 1."""

    offsets: npt.NDArray[np.int64]
    offset_bytes: Any
    text: Any


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
    """Tell whether a text column surely holds one value only; false means not known.

    Equal texts of L bytes lie in Arrow's buffer with period L: all but the first are the bytes of all but the last.
    """
    texts = _texts(column)
    if texts is None:
        return False
    length = int(texts.offsets[1] - texts.offsets[0])
    if length == 0 or steps_between(texts.offsets) != (length, length):
        return False
    others = (len(column) - 1) * length
    return bool(texts.text.slice(0, others).equals(texts.text.slice(length, others)))


def same_texts(left: "pd.Series[Any]", right: "pd.Series[Any]") -> bool:
    """Tell whether two text columns surely hold the same in each row; false means not known.

    Columns that were made one from the other share their buffers, and are not even read.
    """
    one, other = _texts(left), _texts(right)
    if one is None or other is None or one.offsets[0] != other.offsets[0]:
        return False
    return bool(one.offset_bytes.equals(other.offset_bytes) and one.text.equals(other.text))


def steps_between(values: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Return the smallest and the largest step between neighbours, of which there must be two at least."""
    room, least, most = np.empty(_PIECE, dtype=np.int64), [], []
    for start in range(0, len(values) - 1, _PIECE):
        piece = values[start : start + _PIECE + 1]
        steps = np.subtract(piece[1:], piece[:-1], out=room[: len(piece) - 1])
        least.append(int(steps.min()))
        most.append(int(steps.max()))
    return min(least), max(most)


def _texts(column: "pd.Series[Any]") -> _Texts | None:
    """Return the buffers of a column that Arrow holds in one piece and without a missing value, else None."""
    if not (isinstance(column.dtype, pd.StringDtype) and column.dtype.storage == "pyarrow"):
        return None
    array = pa.array(column.array)
    if not isinstance(array, pa.LargeStringArray) or array.null_count or len(array) == 0:
        return None
    _, offset_bytes, text = array.buffers()
    if offset_bytes is None or text is None:
        return None
    offset_bytes = offset_bytes.slice(array.offset * 8, (len(array) + 1) * 8)
    offsets = np.frombuffer(offset_bytes, dtype=np.int64)
    begin = int(offsets[0])
    return _Texts(offsets, offset_bytes, text.slice(begin, int(offsets[-1]) - begin))
