"""Bars lie on a grid in UTC: lengths, opens and closes are exact, and a time without a zone is nobody's time."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InputError, TimeError
from schemas.timeframes import Timeframe, aware_utc, parse_time

NAIVE = datetime(2022, 1, 1, 12)  # noqa: DTZ001 - the naive time is the subject


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("1m", 60), ("3m", 180), ("15m", 900), ("1h", 3_600), ("1d", 86_400), ("3d", 259_200), ("1w", 604_800)],
)  # fmt: skip
def test_a_timeframe_is_its_length(name: str, seconds: int) -> None:
    """Minutes, hours, days and weeks, as Freqtrade writes them."""
    timeframe = Timeframe.parse(name)
    assert (timeframe.seconds, timeframe.delta, str(timeframe)) == (seconds, timedelta(seconds=seconds), name)


@pytest.mark.parametrize(
    "name", ["", "m", "1", "0m", "01m", "1M", "1s", "1y", "-1m", "1.5h", "1m ", "m1", "99999m", None, 5]
)
def test_what_names_no_timeframe_is_a_sentence(name: str) -> None:
    """A month has no constant length, and 1M is not 1m."""
    with pytest.raises(InputError, match="A timeframe such as 1m, 15m, 4h or 1d was needed, found"):
        Timeframe.parse(name)


@pytest.mark.parametrize(
    ("name", "time", "open_"),
    [
        ("1m", "2022-01-01T00:00:59.999999", "2022-01-01T00:00"),
        ("1m", "2022-01-01T00:01", "2022-01-01T00:01"),
        ("5m", "2022-01-01T00:04:59", "2022-01-01T00:00"),
        ("4h", "2022-01-01T03:59", "2022-01-01T00:00"),
        ("7h", "1970-01-01T13:59", "1970-01-01T07:00"),
        ("1d", "2024-02-29T23:59:59", "2024-02-29T00:00"),
        # Weeks open on Mondays, as at Binance: 2022-01-03 was one.
        ("1w", "2022-01-03T00:00", "2022-01-03T00:00"),
        ("1w", "2022-01-02T23:59:59", "2021-12-27T00:00"),
        ("1w", "2022-01-09T12:00", "2022-01-03T00:00"),
        # Before 1970 too.
        ("1d", "1969-12-31T12:00", "1969-12-31T00:00"),
        ("1w", "1970-01-01T00:00", "1969-12-29T00:00"),
    ],
)
def test_a_time_belongs_to_the_bar_that_opened_last(name: str, time: str, open_: str) -> None:
    """The open itself belongs to its bar."""
    timeframe = Timeframe.parse(name)
    assert timeframe.floor(utc(time)) == utc(open_)
    assert timeframe.is_on_grid(utc(time)) == (time == open_)


@pytest.mark.parametrize(
    ("now", "open_"),
    [
        ("2022-01-01T00:05:00", "2022-01-01T00:04"),
        ("2022-01-01T00:05:59.999", "2022-01-01T00:04"),
        ("2022-01-01T00:06:00", "2022-01-01T00:05"),
    ],
)
def test_a_bar_is_closed_from_its_last_moment_on(now: str, open_: str) -> None:
    """At 00:05:00 the bar of 00:04 has closed."""
    assert Timeframe.parse("1m").last_closed_open(utc(now)) == utc(open_)


def test_the_grid_knows_no_summer_time() -> None:
    """In the hours around a change of clocks days and hours keep their UTC grid."""
    berlin = ZoneInfo("Europe/Berlin")
    for fold in (0, 1):  # 02:30 came twice on this day
        local = datetime(2022, 10, 30, 2, 30, tzinfo=berlin, fold=fold)
        assert Timeframe.parse("1h").floor(local) == utc(f"2022-10-30T0{fold}:00")
        assert Timeframe.parse("1d").floor(local) == utc("2022-10-30T00:00")
    assert Timeframe.parse("1d").is_on_grid(datetime(2022, 3, 27, 1, tzinfo=berlin))
    assert not Timeframe.parse("1d").is_on_grid(datetime(2022, 3, 27, 0, tzinfo=berlin))


@given(
    st.sampled_from(["1m", "5m", "7m", "1h", "4h", "1d", "3d", "1w", "2w"]),
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()),  # noqa: DTZ001 - bounds of a strategy
)
def test_floor_is_the_last_point_of_the_grid(name: str, time: datetime) -> None:
    """For any zone: on the grid, not after the time, less than one bar before it, and stable."""
    timeframe = Timeframe.parse(name)
    open_ = timeframe.floor(time)
    assert open_.tzinfo is UTC
    assert timedelta(0) <= time.astimezone(UTC) - open_ < timeframe.delta
    assert timeframe.is_on_grid(open_)
    assert timeframe.is_on_grid(open_ + timeframe.delta)
    assert timeframe.floor(open_) == open_
    assert timeframe.last_closed_open(time) + 2 * timeframe.delta > time.astimezone(UTC)


def test_a_naive_time_is_refused_everywhere() -> None:
    """It could be any zone's: the sentence shows how to write it."""
    for use in (Timeframe.parse("1m").floor, Timeframe.parse("1m").is_on_grid, Timeframe.parse("1m").last_closed_open):
        with pytest.raises(TimeError, match=r"must carry a zone, found the naive 2022-01-01T12:00:00\. Write it as"):
            use(NAIVE)
    with pytest.raises(TimeError, match=r"^ts must carry a zone.*Write it as 2022-01-01T12:00:00\+00:00\.$"):
        aware_utc(NAIVE, "ts")


@pytest.mark.parametrize("value", ["2022-01-01", 1_640_995_200, None, date(2022, 1, 1)])
def test_what_is_no_datetime_is_refused(value: object) -> None:
    """A text or a number has no zone either."""
    with pytest.raises(TimeError, match="ts must be a datetime with a zone, found"):
        aware_utc(value, "ts")  # type: ignore[arg-type]


def test_a_time_of_any_zone_becomes_utc() -> None:
    """The instant stays."""
    shanghai = datetime(2022, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))
    assert aware_utc(shanghai, "ts") == shanghai
    assert aware_utc(shanghai, "ts").isoformat() == "2022-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2022-01-01", "2022-01-01T00:00"),
        ("20220101", "2022-01-01T00:00"),
        ("2022-01-01T12:30", "2022-01-01T12:30"),
        ("2022-01-01 12:30:15", "2022-01-01T12:30:15"),
        ("2022-01-01T12:30Z", "2022-01-01T12:30"),
        ("2022-01-01T12:30+08:00", "2022-01-01T04:30"),
    ],
)
def test_what_a_person_types_means_utc_where_it_names_no_zone(text: str, time: str) -> None:
    """A date alone is its midnight."""
    assert parse_time(text, "start") == utc(time)
    assert parse_time(text, "start").tzinfo is UTC


@pytest.mark.parametrize("text", ["", "soon", "2022", "2022-13-01", "2022-02-30", "01.02.2022", "1640995200", None])
def test_what_is_no_time_is_a_sentence(text: str) -> None:
    """It names the argument and shows what would fit."""
    with pytest.raises(TimeError, match="start must be a time such as 2022-01-01 or 2022-01-01T12:00:00Z, found"):
        parse_time(text, "start")
