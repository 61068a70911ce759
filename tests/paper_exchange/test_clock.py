"""The venue's time stands, runs and stops as asked, and never goes back."""

from dataclasses import asdict

import pytest

from paper_exchange.clock import Clock, ClockMapping, RunningClock, StandingClock, WallClock


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
    clock = RunningClock(1000, speed, time_ns=ticks)
    assert clock.now_ms() == 1000
    ticks.now_ns += 2_500_000_000
    assert clock.now_ms() == 1000 + after_ms


def test_running_clock_stops_at_the_end_of_the_data() -> None:
    """Nothing can happen after the last bar has closed."""
    ticks = Ticks()
    clock = RunningClock(1000, 10, stop_ms=5000, time_ns=ticks)
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


def test_a_running_clock_waits_where_the_machines_is_turned_back() -> None:
    """It holds its time until the line over the machine's time has come there again."""
    ticks = Ticks(10**12)
    clock = RunningClock(1000, 60, time_ns=ticks)
    ticks.now_ns += 10**9
    assert clock.now_ms() == 61_000
    ticks.now_ns -= 5 * 10**8
    assert clock.now_ms() == 61_000
    ticks.now_ns += 6 * 10**8
    assert clock.now_ms() == 67_000


def test_a_clock_made_again_from_its_mapping_tells_the_same_time() -> None:
    """A venue that was killed goes on where its time has come to, and so does whoever knows the line."""
    ticks = Ticks(1_700_000_000_000 * 10**6)
    first = RunningClock(1_640_995_200_000, 60, stop_ms=1_640_998_800_000, time_ns=ticks)
    written = asdict(first.mapping)
    assert written == {
        "venue_ms": 1_640_995_200_000,
        "wall_ms": 1_700_000_000_000,
        "speed": 60,
        "stop_ms": 1_640_998_800_000,
    }
    ticks.now_ns += 7_123_000_000
    again = RunningClock.of(ClockMapping(**written), ticks)
    assert again.now_ms() == first.now_ms() == 1_640_995_200_000 + 427_380


@pytest.mark.parametrize(("speed", "ns"), [(1, 60 * 10**9), (60, 10**9), (7, 8_571_428_572)])
def test_the_wall_time_of_a_venue_time_is_the_first_at_which_it_holds(speed: float, ns: int) -> None:
    """One ns earlier the minute has not begun; 60 s / 7 is 8.571428571428.. s, so it is rounded up."""
    mapping = ClockMapping(60_000, 0, speed)
    assert mapping.wall_ns_at(120_000) == ns
    assert mapping.venue_at(ns) == 120_000
    assert mapping.venue_at(ns - 1) == 119_999


def test_how_long_until_a_venue_time_follows_the_speed() -> None:
    """Real seconds; 0 for what has been; None for what will never be."""
    ticks = Ticks(10**18)
    clock = RunningClock(0, 60, stop_ms=600_000, time_ns=ticks)
    assert clock.seconds_until(60_000) == 1.0
    ticks.now_ns += 2 * 10**9
    assert clock.seconds_until(60_000) == 0.0
    assert clock.seconds_until(600_001) is None
    assert WallClock(ticks).seconds_until(10**12 + 2000 + 1500) == 1.5
    assert [StandingClock(5).seconds_until(at) for at in (5, 6)] == [0.0, None]


@pytest.mark.parametrize(
    ("clock", "shown"),
    [
        (StandingClock(1234), 1234),
        (WallClock(Ticks(5 * 10**18)), 5 * 10**12),
        (RunningClock(7, 3, time_ns=Ticks(5 * 10**18)), 7),
    ],
)
def test_a_mapping_tells_the_clocks_own_time(clock: Clock, shown: int) -> None:
    """Whatever the clock, its line leads from the machine's time to what it shows."""
    assert clock.mapping.venue_at(5 * 10**18) == clock.now_ms() == shown


def test_a_mapping_refuses_a_negative_speed() -> None:
    """Time does not run back."""
    with pytest.raises(ValueError, match="speed from 0 up"):
        ClockMapping(0, 0, -1)
