"""The venue's time stands, runs and stops as asked, and never goes back."""

import pytest

from paper_exchange.clock import RunningClock, StandingClock, WallClock


class Ticks:
    """A machine clock moved by hand, in ns."""

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


def test_standing_clock_stands() -> None:
    """It tells the same instant at every call."""
    clock = StandingClock(1000)
    assert [clock.now_ms(), clock.now_ms()] == [1000, 1000]


@pytest.mark.parametrize(("speed", "after_ms"), [(1, 2500), (60, 150_000), (0.5, 1250)])
def test_running_clock_runs_at_its_speed(speed: float, after_ms: int) -> None:
    """After 2.5 real seconds it has moved 2.5 s times its speed."""
    ticks = Ticks(10**12)
    clock = RunningClock(1000, speed, monotonic_ns=ticks)
    assert clock.now_ms() == 1000
    ticks.now_ns += 2_500_000_000
    assert clock.now_ms() == 1000 + after_ms


def test_running_clock_stops_at_the_end_of_the_data() -> None:
    """Nothing can happen after the last bar has closed."""
    ticks = Ticks()
    clock = RunningClock(1000, 10, stop_ms=5000, monotonic_ns=ticks)
    ticks.now_ns += 3_600 * 10**9
    assert clock.now_ms() == 5000


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_running_clock_refuses_a_speed_that_is_none(speed: float) -> None:
    """Zero is what a standing clock is for."""
    with pytest.raises(ValueError, match="speed above 0"):
        RunningClock(0, speed)


def test_wall_clock_never_goes_back() -> None:
    """A corrected machine clock holds the venue's time, it does not turn it back."""
    ticks = Ticks(5_000_000_000)
    clock = WallClock(ticks)
    assert clock.now_ms() == 5000
    ticks.now_ns = 4_000_000_000
    assert clock.now_ms() == 5000
