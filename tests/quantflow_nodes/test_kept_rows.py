"""Kept rows are what a plain list of rows would be, by symbol, whatever is added, dropped and trimmed."""

from datetime import UTC, datetime
from itertools import pairwise

import pandas as pd
from frames import BTC, ETH, MINUTE, factor
from hypothesis import given
from hypothesis import strategies as st

from quantflow_nodes.live.kept_rows import KeptRows
from quantflow_nodes.ports import Factor

START_MS = int(datetime(2022, 1, 1, tzinfo=UTC).timestamp()) * 1000


def close(minute: int) -> int:
    """Close of the bar that opened in a minute."""
    return START_MS + (minute + 1) * 60_000


def frame(rows: list[tuple[str, int]]) -> Factor:
    """A row for each symbol and minute; the value is the minute."""
    data = pd.DataFrame(sorted(rows), columns=["symbol", "minute"]).astype({"symbol": "str", "minute": "int64"})
    opens = pd.to_datetime(data["minute"] * 60_000 + START_MS, unit="ms", utc=True).dt.as_unit("ms")
    return Factor(pd.DataFrame({"symbol": data["symbol"], "datetime": opens, "factor": data["minute"] * 1.0}), MINUTE)


def rows_of(given: Factor) -> list[tuple[str, int]]:
    return [(row.symbol, int(row.factor)) for row in given.data.itertuples()]


MINUTES = st.sets(st.integers(0, 30), max_size=20)


@given(st.fixed_dictionaries({BTC: MINUTES, ETH: MINUTES}), st.integers(-1, 31), st.integers(0, 5))
def test_a_window_is_what_came_after_and_some_rows_before(kept: dict[str, set[int]], since: int, before: int) -> None:
    """Counted for each symbol by itself, in minutes that the other symbol may lack."""
    rows = [(symbol, minute) for symbol, minutes in kept.items() for minute in minutes]
    window, cut = KeptRows(frame(rows), {}).window(close(since), before)
    expected, left_out = [], set()
    for symbol in sorted(kept):
        old = sorted(minute for minute in kept[symbol] if minute <= since)
        new = sorted(minute for minute in kept[symbol] if minute > since)
        expected += [(symbol, minute) for minute in [*old[max(len(old) - before, 0) :], *new]]
        left_out |= {symbol} if len(old) > before else set()
    assert (rows_of(window), cut) == (expected, left_out)  # type: ignore[arg-type]


@given(st.fixed_dictionaries({BTC: MINUTES, ETH: MINUTES}), st.lists(st.integers(0, 30), max_size=4))
def test_rows_that_are_added_stand_where_they_belong(kept: dict[str, set[int]], cuts: list[int]) -> None:
    """Added stretch by stretch, the rows are the same as all at once; a symbol may appear later than the other."""
    rows = [(symbol, minute) for symbol, minutes in kept.items() for minute in minutes]
    bounds = [-1, *sorted(cuts), 31]
    built = KeptRows(frame([row for row in rows if row[1] <= bounds[1]]), {})
    for start, stop in pairwise(bounds[1:]):
        built.append(frame([row for row in rows if start < row[1] <= stop]))
    assert rows_of(built.frame) == sorted(rows)  # type: ignore[arg-type]
    built.drop_after(close(10))
    assert rows_of(built.frame) == sorted(row for row in rows if row[1] <= 10)  # type: ignore[arg-type]


def test_a_window_is_deep_enough_while_its_rows_are_there() -> None:
    """From the start of the history any depth is enough; a symbol without new rows does not matter."""
    kept = KeptRows(frame([(BTC, minute) for minute in range(10)] + [(ETH, minute) for minute in range(3)]), {})
    assert kept.is_deep_enough(close(8), None)
    kept.drop_before(BTC, close(5))
    assert kept.is_deep_enough(close(8), 4)
    assert not kept.is_deep_enough(close(8), 5)
    assert not kept.is_deep_enough(close(8), None)
    kept.drop_before(ETH, close(2))
    assert kept.is_deep_enough(close(8), 4)


def test_trimming_leaves_slack_for_late_bars() -> None:
    """Only far more rows than needed are forgotten, and what is left is known to begin later."""
    kept = KeptRows(factor(btc=[float(minute) for minute in range(1_000)]), {})
    kept.trim(300)
    assert (len(kept), kept.known_from) == (1_000, {})
    kept.trim(10)
    assert (len(kept), kept.known_from) == (266, {BTC: close(734)})


def test_a_row_is_found_by_its_close() -> None:
    """The bar that closed then, of that symbol; None where there is none."""
    kept = KeptRows(frame([(BTC, 1), (ETH, 1), (ETH, 3)]), {})
    row = kept.row_at(ETH, close(3))
    assert row is not None
    assert row["factor"] == 3.0
    assert kept.row_at(BTC, close(3)) is None
    assert kept.row_at("BINANCE:SOLUSDT", close(3)) is None
