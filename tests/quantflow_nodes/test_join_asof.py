"""A slower factor reaches faster bars only when its own bar has closed."""

from datetime import timedelta

import numpy as np
import pandas as pd
from frames import DAY, MINUTE, NAN, context, factor, position
from hypothesis import given, settings
from hypothesis import strategies as st

from quantflow_nodes.nodes.join_asof import JoinAsof, JoinAsofInputs, JoinAsofParams
from quantflow_nodes.ports import Factor, SymbolFrame
from schemas.timeframes import Timeframe

HOUR = Timeframe.parse("1h")


def join(onto: SymbolFrame, slow: Factor, max_age_bars: int | None = None) -> pd.DataFrame:
    params = JoinAsofParams(max_age_bars=max_age_bars)
    return JoinAsof().run(params, JoinAsofInputs(onto=onto, factor=slow), context()).factor.data


def test_a_days_factor_is_known_from_its_close_on() -> None:
    """The value of 2022-01-01 is used by the minute that closes at midnight, and by none before."""
    onto = position(start="2022-01-01 23:57", btc=[0.0] * 6)
    joined = join(onto, factor(DAY, btc=[7.0, 8.0]))
    times = joined["datetime"].dt.strftime("%H:%M").tolist()
    assert times == ["23:57", "23:58", "23:59", "00:00", "00:01", "00:02"]
    np.testing.assert_array_equal(joined["factor"], [NAN, NAN, 7, 7, 7, 7])


def test_symbols_are_not_mixed() -> None:
    """Each symbol gets its own factor, and NaN where it has none."""
    onto = position(HOUR, "2022-01-02", btc=[0.0], eth=[0.0])
    np.testing.assert_array_equal(join(onto, factor(DAY, eth=[5.0]))["factor"], [NAN, 5])


def test_an_old_value_is_not_known() -> None:
    """With max_age_bars 1 a day's value serves until the close of the next day, both included."""
    onto = position(HOUR, "2022-01-02 22:00", btc=[0.0] * 3)
    np.testing.assert_array_equal(join(onto, factor(DAY, btc=[5.0]), max_age_bars=1)["factor"], [5, 5, NAN])


def test_a_faster_factor_gives_its_newest_value() -> None:
    """An hour's bar closes with its 60th minute."""
    minutes = factor(MINUTE, btc=[float(minute) for minute in range(90)])
    np.testing.assert_array_equal(join(position(HOUR, btc=[0.0, 0.0]), minutes)["factor"], [59, 89])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 3000))
def test_no_value_is_used_before_its_close(days: int, offset: int) -> None:
    """For every row: the bar of the value had closed when the row's bar closed, and no closed one is newer."""
    slow = factor(DAY, btc=[float(day) for day in range(days)])
    start = pd.Timestamp("2022-01-01", tz="UTC") + timedelta(minutes=17 * offset)
    onto = position(HOUR, start.floor("h").isoformat(), btc=[0.0] * 30)
    for row in join(onto, slow).to_dict("records"):
        closed = [
            day for day in range(days)
            if slow.data["datetime"][day] + DAY.delta <= row["datetime"] + HOUR.delta
        ]  # fmt: skip
        np.testing.assert_array_equal(row["factor"], float(closed[-1]) if closed else NAN)
