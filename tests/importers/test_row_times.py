"""What a column of times means."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from import_samples import START_MS

from importers.row_times import RowTimes, TimeUnitError, row_times

START_S = START_MS // 1000


def read(*texts: str) -> RowTimes:
    return row_times(pd.Series(list(texts), dtype="str"))


@pytest.mark.parametrize(
    "text",
    [
        "2022-01-01T00:00:00Z", "2022-01-01T00:00:00+00:00", "2022-01-01 00:00:00", "2022-01-01 00:00:00.000000",
        "2022-01-01T08:00:00+08:00", "2021-12-31T19:00:00-05:00", "2022-01-01", "20220101", " 2022-01-01 00:00 ",
        str(START_S), f"{START_S}.0", str(START_S * 1000), f"{START_S * 1000}.0", str(START_S * 10**6),
        str(START_S * 10**9),
    ],
)  # fmt: skip
def test_each_spelling_of_a_time_is_read(text: str) -> None:
    """ISO with a zone or without one (UTC), a date, and epochs in s, ms, µs and ns all give the same time."""
    times = read(text, text)
    assert times.open_ms.tolist() == [START_MS, START_MS]
    assert times.is_readable.all()
    assert not times.is_off_grid.any()


@given(st.integers(1_230_768_000, 4_102_444_799), st.sampled_from([1, 1000, 10**6, 10**9]))
def test_every_second_of_the_span_has_one_unit(second: int, per_s: int) -> None:
    """Whatever the unit, an epoch from 2009 to 2100 is read as the second that it is."""
    assert read(str(second * per_s)).open_ms.tolist() == [second * 1000]


def test_part_of_a_millisecond_is_told() -> None:
    """Microseconds that are no whole millisecond are not rounded onto the grid."""
    assert read("2022-01-01T00:00:00.000001Z", "2022-01-01T00:01:00Z").is_off_grid.tolist() == [True, False]
    assert read(f"{START_S}000001", f"{START_S}000000").is_off_grid.tolist() == [True, False]


def test_one_unreadable_row_does_not_spoil_the_others() -> None:
    """A text that is no time of the rows' kind is not readable; the rest is."""
    assert read("2022-01-01", "soon", "2022-01-02").is_readable.tolist() == [True, False, True]
    assert read(str(START_S), "soon", str(START_S + 60)).is_readable.tolist() == [True, False, True]
    assert read("2022-01-01", str(START_S), "2022-01-02").is_readable.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("texts", "row", "part"),
    [
        ([str(START_S), str(START_S + 60), str(START_MS)], 2, "most are in s"),
        ([str(START_MS), str(START_MS + 60_000), "12345"], 2, "most are in ms"),
        (["1", "2", "3"], 0, "not a time between 2009 and 2100"),
        (["01/02/2022", "02/02/2022"], 0, "'01/02/2022'"),
        (["1.640995E+12"], 0, "'1.640995E+12'"),  # a spreadsheet has rounded it
    ],
)
def test_what_can_not_be_told_apart_is_refused(texts: list[str], row: int, part: str) -> None:
    """Mixed units, numbers that are no time in any unit, and foreign formats name the first row that shows it."""
    with pytest.raises(TimeUnitError) as caught:
        read(*texts)
    assert caught.value.row == row
    assert part in str(caught.value)
