"""A loop waits so long for a partner and no longer, whatever the partner does."""

import threading
import time
from collections.abc import Iterator

import pytest

from schemas.bot.bounded_call import BoundedCalls
from schemas.errors import StoreError


@pytest.fixture
def calls() -> Iterator[BoundedCalls]:
    bounded = BoundedCalls(0.2)
    yield bounded
    bounded.close()


def test_an_answer_in_time_is_returned(calls: BoundedCalls) -> None:
    """As if it had been called here."""
    assert calls.call(lambda: 7, 1.0) == 7


def test_an_error_is_raised_where_it_was_asked_for(calls: BoundedCalls) -> None:
    """Also a TimeoutError of the call's own."""

    def refuse() -> None:
        raise TimeoutError("the socket's")

    with pytest.raises(TimeoutError, match="the socket's"):
        calls.call(refuse, 1.0)


def test_no_call_holds_the_loop_and_a_stuck_one_refuses_the_next_at_once(calls: BoundedCalls) -> None:
    """It is given up; while it still runs no other is tried, and when it ends all is well again."""
    release, ended = threading.Event(), threading.Event()

    def stuck() -> str:
        release.wait(30)
        ended.set()
        return "too late"

    with pytest.raises(StoreError, match=r"did not answer within 0\.05 s"):
        calls.call(stuck, 0.05)
    began = time.monotonic()
    with pytest.raises(StoreError, match="an earlier question still waits"):
        calls.call(lambda: 1, 30.0)
    assert time.monotonic() - began < 5
    release.set()
    assert ended.wait(30)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            calls.begin()
            assert calls.call(lambda: 2, 30.0) == 2
            return
        except StoreError:
            time.sleep(0.001)
    pytest.fail("no call was answered again")


def test_the_calls_of_one_loop_share_its_patience(calls: BoundedCalls) -> None:
    """0.2 s in all: the first takes them, the second is refused, and the next loop has them again."""
    with pytest.raises(StoreError, match=r"within 0\.2 s"):
        calls.call(lambda: threading.Event().wait(0.4), 30.0)
    with pytest.raises(StoreError):
        calls.call(lambda: 1, 30.0)
    time.sleep(0.3)
    with pytest.raises(StoreError, match=r"took 0\.2 s of this loop"):
        calls.call(lambda: 1, 30.0)
    calls.begin()
    assert calls.call(lambda: 1, 30.0) == 1
