"""Counts the orders that an account places and that do not trade, and refuses more than the venue allows."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from paper_exchange.errors import ApiError

ORDERS_PER_TEN_SECONDS = 100
_PER_DAY_FACTOR = 2000  # the venue's limits are 100 in 10 s and 200,000 in a day
_TAKER_CREDIT, _MAKER_CREDIT = 1, 5


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time on the machine's clock, with the orders that are allowed in it."""

    name: str
    number: int
    seconds: int
    limit: int

    @property
    def header(self) -> str:
        """The response header that tells the count."""
        return f"x-mbx-order-count-{self.number}{self.name[0].lower()}"

    def document(self) -> dict[str, Any]:
        """Return the limit as exchangeInfo declares it."""
        return {"rateLimitType": "ORDERS", "interval": self.name, "intervalNum": self.number, "limit": self.limit}


@dataclass(slots=True)
class _Count:
    period: int = -1
    orders: int = 0


@dataclass(slots=True)
class OrderCounts:
    """Each account's unfilled orders in the current 10 seconds and day.

    An order that trades is taken off again: one where it took, five where it was waiting, as the venue documents it.

    Parameters
    ----------
    limit
        Orders in 10 seconds; 0 counts and never refuses.
    time_s
        The machine's time. The venue's clock may stand still or race, and a limit must not.
    """

    limit: int = ORDERS_PER_TEN_SECONDS
    time_s: Callable[[], float] = time.time
    intervals: tuple[Interval, ...] = field(init=False)
    _counts: dict[tuple[str, int], _Count] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.intervals = (
            Interval("SECOND", 10, 10, self.limit),
            Interval("DAY", 1, 86_400, self.limit * _PER_DAY_FACTOR),
        )

    def check(self, account: str) -> None:
        """Refuse one more order of an account that has placed its share.

        Raises
        ------
        ApiError
            -1015 with status 429, and the seconds until the interval ends.
        """
        if self.limit == 0:
            return
        now = self.time_s()
        for interval in self.intervals:
            if self._count(account, interval, now).orders >= interval.limit:
                raise ApiError(
                    -1015,
                    f"Too many new orders; current limit is {interval.limit} orders per "
                    f"{interval.number} {interval.name}.",
                    status=429,
                    retry_after_s=interval.seconds - int(now % interval.seconds),
                )

    def add(self, account: str) -> None:
        """Count an order that was accepted."""
        now = self.time_s()
        for interval in self.intervals:
            self._count(account, interval, now).orders += 1

    def credit(self, account: str, *, is_maker: bool) -> None:
        """Take an order off that has traded for the first time."""
        now = self.time_s()
        for interval in self.intervals:
            count = self._count(account, interval, now)
            count.orders = max(0, count.orders - (_MAKER_CREDIT if is_maker else _TAKER_CREDIT))

    def counts(self, account: str) -> list[tuple[Interval, int]]:
        """Return each interval with the account's orders in it."""
        now = self.time_s()
        return [(interval, self._count(account, interval, now).orders) for interval in self.intervals]

    def documents(self, account: str) -> list[dict[str, Any]]:
        """Return limits and counts as the venue writes them."""
        return [interval.document() | {"count": count} for interval, count in self.counts(account)]

    def _count(self, account: str, interval: Interval, now: float) -> _Count:
        count = self._counts.setdefault((account, interval.seconds), _Count())
        period = int(now // interval.seconds)
        if count.period != period:
            count.period, count.orders = period, 0
        return count
