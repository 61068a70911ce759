"""Months are cut at their last bar, and chain to the year and to the whole."""

import numpy as np
import pandas as pd
import pytest

from research.pages.monthly import monthly_returns


def test_months_by_hand():
    """100 → 110 in January, → 99 in March, → 198 in the next January; February has no bar."""
    times = ["2022-01-05", "2022-01-31 23:59", "2022-03-01", "2022-03-31", "2023-01-01"]
    opens = pd.to_datetime(times, utc=True, format="ISO8601")
    table = monthly_returns(pd.Series([100.0, 110, 120, 99, 198], index=opens))
    assert table.loc[2022, 1] == pytest.approx(0.1)
    assert np.isnan(table.loc[2022, 2])
    assert table.loc[2022, 3] == pytest.approx(-0.1)
    assert table.loc[2022, "year"] == pytest.approx(-0.01)
    assert table.loc[2023, 1] == table.loc[2023, "year"] == pytest.approx(1.0)


def test_months_chain_to_the_whole_return():
    """The product over all months is the whole, years with no bar between included."""
    opens = pd.date_range("2020-11-03", "2024-02-10", freq="7h", tz="UTC")
    keep = (opens.year != 2022) & (opens.month != 7)
    equity = pd.Series(np.exp(np.random.default_rng(1).normal(0, 0.01, len(opens)).cumsum()), index=opens)[keep]
    table = monthly_returns(equity)
    whole = equity.iloc[-1] / equity.iloc[0]
    assert np.nanprod(1 + table[list(range(1, 13))].to_numpy()) == pytest.approx(whole, rel=1e-12)
    assert np.nanprod(1 + table["year"].to_numpy()) == pytest.approx(whole, rel=1e-12)
    assert table.loc[2022].isna().all()
