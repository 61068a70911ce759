"""Unfilled orders are counted per account and interval, as faqs/order_count_decrement.md documents it."""

import pytest

from paper_exchange.api.order_count import OrderCounts
from paper_exchange.errors import ApiError


class Seconds:
    """A machine clock moved by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def counted(counts: OrderCounts, account: str = "ann") -> list[int]:
    return [count for _, count in counts.counts(account)]


def test_each_account_is_counted_by_itself() -> None:
    """In 10 seconds and in a day."""
    counts = OrderCounts()
    counts.add("ann")
    assert (counted(counts), counted(counts, "bob")) == ([1, 1], [0, 0])


def test_intervals_begin_on_the_clock() -> None:
    """10 seconds reset at 00, 10, 20; the day goes on."""
    seconds = Seconds(1_000_009.9)
    counts = OrderCounts(time_s=seconds)
    counts.add("ann")
    seconds.now = 1_000_010.0
    assert counted(counts) == [0, 1]


def test_a_traded_order_is_taken_off() -> None:
    """One where it took, five where it waited, and never below zero: the documented examples."""
    counts = OrderCounts()
    for _ in range(6):
        counts.add("ann")
    counts.credit("ann", is_maker=False)
    assert counted(counts) == [5, 5]
    counts.credit("ann", is_maker=True)
    counts.credit("ann", is_maker=True)
    assert counted(counts) == [0, 0]


@pytest.mark.parametrize(("second", "retry_after"), [(0, 10), (9.5, 1)])
def test_one_too_many_is_refused_until_the_interval_ends(second: float, retry_after: int) -> None:
    """-1015 names the limit that is exceeded, and Retry-After the seconds."""
    counts = OrderCounts(2, time_s=Seconds(1_000_000 + second))
    for _ in range(2):
        counts.check("ann")
        counts.add("ann")
    with pytest.raises(ApiError) as caught:
        counts.check("ann")
    assert (caught.value.code, caught.value.status, caught.value.retry_after_s) == (-1015, 429, retry_after)
    assert caught.value.msg == "Too many new orders; current limit is 2 orders per 10 SECOND."
    counts.check("bob")


def test_the_day_has_a_limit_of_its_own() -> None:
    """2,000 times that of 10 seconds, as 200,000 is to the venue's 100."""
    seconds = Seconds(86_400 * 100.0)
    counts = OrderCounts(1, time_s=seconds)
    for number in range(2000):
        seconds.now = 86_400 * 100 + number * 10
        counts.check("ann")
        counts.add("ann")
    seconds.now += 10
    with pytest.raises(ApiError, match="2000 orders per 1 DAY") as caught:
        counts.check("ann")
    assert caught.value.retry_after_s == 86_400 - 20_000


def test_no_limit_counts_and_never_refuses() -> None:
    """For those who measure."""
    counts = OrderCounts(0)
    for _ in range(500):
        counts.check("ann")
        counts.add("ann")
    assert counted(counts)[1] == 500
