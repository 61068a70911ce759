"""Cuts an equity curve into calendar months and years."""

import numpy as np
import pandas as pd

from research.bars import Floats, Ints


def monthly_returns(equity: "pd.Series[float]") -> pd.DataFrame:
    """Return the return of each month, years down and months 1 to 12 across, with the year's own in column 'year'.

    A month's return is its last equity / the last equity of the month before − 1; the first month is measured from the
    first equity. A bar belongs to the month (UTC) in which it opens. NaN for months without a bar.

    Parameters
    ----------
    equity : Series
        The portfolio equity, indexed by bar open time.
    """
    opens = pd.DatetimeIndex(equity.index)
    values = np.asarray(equity, dtype=np.float64)
    months = opens.year.to_numpy() * 12 + opens.month.to_numpy() - 1
    table = pd.DataFrame(np.nan, index=range(months[0] // 12, months[-1] // 12 + 1), columns=[*range(1, 13), "year"])
    table.index.name = "year"
    for key, change in _changes(values, months).items():
        table.loc[key // 12, key % 12 + 1] = change
    for key, change in _changes(values, months // 12).items():
        table.loc[key, "year"] = change
    return table


def _changes(values: Floats, periods: Ints) -> dict[int, float]:
    last = np.append(np.flatnonzero(np.diff(periods)), len(values) - 1)
    before = np.concatenate([values[:1], values[last[:-1]]])
    return dict(zip(periods[last].tolist(), (values[last] / before - 1.0).tolist(), strict=True))
