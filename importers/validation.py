"""Decides which rows are bars: what is stored has to be closed, on the grid, finite and in order."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from importers.bars import OHLCV, Bars, Reason, RejectedRow, is_possible_ms

_REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class Checked:
    """Bars that may be stored, ascending and each time once; the rows refused; how many rows said the same twice."""

    bars: Bars
    rejected: list[RejectedRow]
    doubles: int


def checked(bars: Bars, now_ms: int) -> Checked:
    """Return the bars that may be stored and the rows that may not, each with the first reason that applies.

    Parameters
    ----------
    bars : Bars
        Rows as a source gave them.
    now_ms : int
        The clock of the venue (or of the database, for files): a bar that closes later is still forming.

    Returns
    -------
    Checked
        The first of several rows of one time is kept. A later one with the same values is a double, counted; one with
        other values is refused, since nobody can tell which of the two is right.
    """
    reasons = _row_reasons(bars, now_ms)
    good = np.flatnonzero(reasons < 0)
    order = good[np.argsort(bars.open_ms[good], kind="stable")]
    times = bars.open_ms[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = times[1:] != times[:-1]
    firsts = order[is_first][np.cumsum(is_first) - 1]  # for each row, the first row of its time
    differs = np.zeros(len(order), np.bool_)
    for column in bars.ohlcv:
        differs |= column[order] != column[firsts]
    reasons[order[differs]] = _REASONS.index("duplicate_with_other_values")
    refused = np.flatnonzero(reasons >= 0)
    return Checked(
        bars.take(order[is_first]),
        [_rejected_row(bars, int(row), _REASONS[reasons[row]]) for row in refused],
        int(np.count_nonzero(~is_first & ~differs)),
    )


def _row_reasons(bars: Bars, now_ms: int) -> NDArray[np.intp]:
    """Return, for each row, the position of its first reason in `_REASONS`, or -1 where the row is good."""
    open_, high, low, close, volume = bars.ohlcv
    finite = np.isfinite(open_) & np.isfinite(high) & np.isfinite(low) & np.isfinite(close) & np.isfinite(volume)
    lowest, highest = np.minimum(open_, close), np.maximum(open_, close)
    checks: dict[Reason, NDArray[np.bool_]] = {
        "time_out_of_range": ~is_possible_ms(bars.open_ms),
        "not_finite": ~finite,
        "off_grid": bars.open_ms % bars.bar_ms != 0,
        "not_closed": bars.open_ms > now_ms - bars.bar_ms,
        # A price of nothing is a missing price: every return over it would be wrong.
        "price_not_positive": np.minimum(low, lowest) <= 0,
        "prices_out_of_order": ~((low <= lowest) & (highest <= high)),
        "negative_volume": volume < 0,
    }
    return np.select(list(checks.values()), [_REASONS.index(reason) for reason in checks], default=-1)


def _rejected_row(bars: Bars, row: int, reason: Reason) -> RejectedRow:
    values = {name: repr(float(column[row])) for name, column in zip(OHLCV, bars.ohlcv, strict=True)}
    time = np.datetime64(int(bars.open_ms[row]), "ms")  # of any year, which a datetime is not
    return RejectedRow("" if np.isnat(time) else f"{time}Z", reason, values)
