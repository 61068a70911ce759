"""Weight is counted per client and minute; who goes on past the limit is sent away for longer each time."""

import pytest

from paper_exchange.api.request_weight import RequestWeights
from paper_exchange.errors import ApiError


def test_clients_are_counted_apart_and_by_the_minute() -> None:
    """One client's use is not another's, and a new minute starts at zero."""
    now = [600.0]
    weights = RequestWeights(limit=10, time_s=lambda: now[0])
    assert [weights.charge("a", 4), weights.charge("a", 4), weights.charge("b", 10)] == [4, 8, 10]
    now[0] = 660.0
    assert weights.charge("a", 4) == 4


def test_going_on_past_the_limit_bans_for_two_minutes_then_four() -> None:
    """418, and what is left of the ban in Retry-After."""
    now = [600.0]
    weights = RequestWeights(limit=1, time_s=lambda: now[0])

    def status() -> tuple[int, int | None]:
        with pytest.raises(ApiError) as refused:
            weights.charge("a", 1)
        return refused.value.status, refused.value.retry_after_s

    weights.charge("a", 1)
    assert status() == (429, 60)
    statuses = [status()[0] for _ in range(250)]
    assert (statuses[0], statuses[-1]) == (429, 418)
    now[0] += 100
    assert status() == (418, 21)
    now[0] += 21
    assert weights.charge("a", 1) == 1
    assert 418 in [status()[0] for _ in range(250)]
    now[0] += 200
    assert status()[0] == 418


def test_a_limit_of_zero_counts_and_never_refuses() -> None:
    """For tests that ask a lot."""
    weights = RequestWeights(limit=0)
    assert [weights.charge("a", 10**6) > 0 for _ in range(5)] == [True] * 5
