"""Ranks symbols against each other at one time: the one factor for which other symbols matter."""

import numpy as np
import pandas as pd

from schemas.errors import InputError


def rank_across_symbols(factor: pd.DataFrame) -> pd.DataFrame:
    """Return each value's rank among the values that other symbols have at the same time, in [0, 1].

    (r − 1) / (n − 1), r the rank from the lowest, equal values sharing their mean rank, n the symbols with a value at
    that time: 0 is the lowest, 1 the highest. NaN where the symbol's own value is NaN, or where it is the only one.
    (Grinold and Kahn, Active Portfolio Management 2000; Jegadeesh and Titman 1993 rank momentum so)

    Parameters
    ----------
    factor : DataFrame
        Columns symbol, datetime, factor; any order, kept.

    Raises
    ------
    InputError
        Where a column is missing.
    """
    missing = [name for name in ("symbol", "datetime", "factor") if name not in factor.columns]
    if missing:
        raise InputError(f"A factor frame needs the columns symbol, datetime and factor; {missing} is missing.")
    groups = factor.groupby("datetime", sort=False)["factor"]
    others = groups.transform("count").to_numpy(dtype=np.float64) - 1.0
    rank = groups.rank(method="average").to_numpy(dtype=np.float64) - 1.0
    scaled = np.full(len(factor), np.nan)
    np.divide(rank, others, out=scaled, where=others > 0.0)
    return factor.assign(factor=scaled)
