"""Klines open where the venue's do."""

from datetime import UTC, datetime

import numpy as np
import pytest

from paper_exchange.errors import ApiError
from paper_exchange.market.intervals import LENGTH_MS, MONTH, check_interval, next_opens, offset_ms, opens


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("interval", "opened", "following"),
    [
        ("1m", "2022-01-20T12:34", "2022-01-20T12:35"),
        ("5m", "2022-01-20T12:30", "2022-01-20T12:35"),
        ("1h", "2022-01-20T12:00", "2022-01-20T13:00"),
        ("8h", "2022-01-20T08:00", "2022-01-20T16:00"),
        ("1d", "2022-01-20T00:00", "2022-01-21T00:00"),
        ("3d", "2022-01-19T00:00", "2022-01-22T00:00"),  # day 19011 since 1970, which three divides
        ("1w", "2022-01-17T00:00", "2022-01-24T00:00"),  # a Monday
        ("1M", "2022-01-01T00:00", "2022-02-01T00:00"),
    ],
)
def test_a_time_lies_in_the_interval_the_venue_puts_it_in(interval: str, opened: str, following: str) -> None:
    """2022-01-20 12:34:56 UTC, a Thursday."""
    at = np.array([ms("2022-01-20T12:34:56")])
    open_ms = opens(at, interval)
    assert open_ms.tolist() == [ms(opened)]
    assert next_opens(open_ms, interval).tolist() == [ms(following)]


@pytest.mark.parametrize("interval", [*LENGTH_MS, MONTH])
def test_an_open_belongs_to_its_own_interval(interval: str) -> None:
    """The boundary is the new interval's first instant, one ms less is the old one's last."""
    following = next_opens(opens(np.array([ms("2020-02-29T23:59:59")]), interval), interval)
    assert opens(following, interval).tolist() == following.tolist()
    assert opens(following - 1, interval).tolist() < following.tolist()


def test_a_time_zone_moves_days_and_months() -> None:
    """At +08:00 the day of 2022-01-31 17:00 UTC is 1 February, and so is the month."""
    at = np.array([ms("2022-01-31T17:00")])
    assert opens(at, "1d", offset_ms("8")).tolist() == [ms("2022-01-31T16:00")]
    assert opens(at, "1M", offset_ms("+08:00")).tolist() == [ms("2022-01-31T16:00")]
    assert next_opens(opens(at, "1M", offset_ms("8")), "1M", offset_ms("8")).tolist() == [ms("2022-02-28T16:00")]


@pytest.mark.parametrize(
    ("zone", "minutes"), [("0", 0), ("8", 480), ("-1:00", -60), ("05:45", 345), ("-12:00", -720), ("14:00", 840)]
)
def test_time_zones_are_read_as_documented(zone: str, minutes: int) -> None:
    """Hours, or hours and minutes, from -12:00 to +14:00."""
    assert offset_ms(zone) == minutes * 60_000


@pytest.mark.parametrize("zone", ["-12:01", "14:01", "UTC", "1:60", "1:5", "", "99"])
def test_other_time_zones_are_refused(zone: str) -> None:
    """With the venue's code for a value that is not valid."""
    with pytest.raises(ApiError) as refused:
        offset_ms(zone)
    assert refused.value.code == -1130


@pytest.mark.parametrize("name", ["1s", "7m", "1H", "60", "1 m"])
def test_unknown_intervals_are_refused(name: str) -> None:
    """Seconds too, which the bars do not hold."""
    with pytest.raises(ApiError) as refused:
        check_interval(name)
    assert (refused.value.code, refused.value.msg) == (-1120, "Invalid interval.")
