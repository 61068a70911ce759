"""The options about time agree or are refused, and the ready document tells the venue's time for good."""

import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from venue_tools import MINUTE_MS, NEW_YEAR_MS, Venue, market_of, tape_of

from paper_exchange.clock import ClockMapping, RunningClock
from paper_exchange.errors import StartError
from paper_exchange.options.bars import check_present
from paper_exchange.options.time import Timing, make_clock, read_timing

T = "2022-01-01T00:10:30"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_bars_are_moved_by_whole_minutes_onto_wall_time() -> None:
    """The minute of --start becomes the present one, or that of --origin."""
    before = now_ms() // MINUTE_MS
    timing = read_timing(0, T, None, True, all_invented=False)
    moved = (NEW_YEAR_MS + 10 * MINUTE_MS + timing.move_ms) / MINUTE_MS
    assert before <= moved <= now_ms() // MINUTE_MS
    assert replace(timing, move_ms=0) == Timing(1, T, None, on_wall_time=True)
    origin = 1_790_000_012_345
    again = read_timing(1, T, origin, True, all_invented=False)
    assert NEW_YEAR_MS + 10 * MINUTE_MS + again.move_ms == origin // MINUTE_MS * MINUTE_MS


def test_a_moved_tape_has_the_same_bars_later() -> None:
    """Prices and volumes as they were."""
    tape = tape_of([(0, 100, 120, 90, 110, 5), (1, 110, 120, 90, 110, 5)])
    moved = tape.moved(3 * MINUTE_MS)
    assert moved.open_ms.tolist() == (tape.open_ms + 3 * MINUTE_MS).tolist()
    assert moved.high is tape.high
    assert tape.moved(0) is tape


@pytest.mark.parametrize(
    ("speed", "start", "origin", "wall_time", "sentence"),
    [
        (-1, "", None, False, "--speed needs a number from 0 up, found -1"),
        (0, "", None, True, "--wall-time needs the --start T"),
        (0, "now", None, True, "--wall-time needs the --start T"),
        (60, T, None, True, "--wall-time runs at the machine's speed; leave --speed out, found 60"),
        (0, T, 5, False, "--origin says when a running clock was at --start"),
        (1, "now", 5, False, "--origin says when a running clock was at --start"),
        (0, "soon", None, True, "--start needs an ISO time"),
    ],
)
def test_contradictions_are_refused(
    speed: float, start: str, origin: int | None, wall_time: bool, sentence: str
) -> None:
    """With what was needed."""
    with pytest.raises(StartError, match=sentence):
        read_timing(speed, start, origin, wall_time, all_invented=False)


def test_a_clock_with_an_origin_is_where_its_line_has_come_to() -> None:
    """Ten seconds after the origin at six times the speed a minute has passed."""
    markets = {"BTCUSDT": market_of(tape_of([(m, 100, 100, 100, 100, 5) for m in range(60)]))}
    clock = make_clock(markets, 6, "2022-01-01", on_wall_time=False, origin_ms=1_790_000_000_000)
    assert isinstance(clock, RunningClock)
    assert clock.mapping == ClockMapping(NEW_YEAR_MS, 1_790_000_000_000, 6, NEW_YEAR_MS + 60 * MINUTE_MS)
    assert clock.mapping.venue_at(1_790_000_010_000 * 10**6) == NEW_YEAR_MS + MINUTE_MS


@pytest.mark.parametrize("start", ["2021-12-31T23:59", "2022-01-01T01:01", "now"])
def test_a_clock_that_would_stand_outside_of_the_bars_is_refused(start: str) -> None:
    """At its edges it may stand; beyond, nothing could ever be bought or sold, and nobody would know why."""
    markets = {"BTCUSDT": market_of(tape_of([(m, 100, 100, 100, 100, 5) for m in range(60)]))}
    for edge, minute in (("2022-01-01", 0), ("2022-01-01T01:00", 60)):
        assert make_clock(markets, 0, edge, on_wall_time=False).now_ms() == NEW_YEAR_MS + minute * MINUTE_MS
    with pytest.raises(StartError, match="the bars go from 2022-01-01 00:00 UTC to 2022-01-01 01:00 UTC"):
        make_clock(markets, 0, start, on_wall_time=start == "now")


def test_bars_that_do_not_reach_the_present_are_refused() -> None:
    """A venue whose market is over before it opens would be silent without a reason."""
    markets = {"BTCUSDT": market_of(tape_of([(0, 100, 100, 100, 100, 5)]))}
    check_present(markets, NEW_YEAR_MS)
    with pytest.raises(StartError, match="BTCUSDT has no bars then"):
        check_present(markets, NEW_YEAR_MS + MINUTE_MS)


@pytest.mark.venue
def test_other_processes_can_tell_the_venues_time_from_its_ready_document(tmp_path: Path) -> None:
    """At speed 60, to the 60 ms that one ms of the machine is, whenever they look."""
    with Venue(tmp_path, "--bars", "synthetic", "--speed", "60", "--start", "2022-01-15T12:00") as venue:
        line = ClockMapping(*(venue.ready[name] for name in ("time", "wall_time", "speed", "stop")))
        assert (line.venue_ms, line.speed, line.stop_ms) == (1_642_248_000_000, 60, 1_643_673_600_000)
        for _ in range(5):
            before = line.venue_at(time.time_ns())
            told = httpx.get(f"{venue.url}/api/v3/time").json()["serverTime"]
            assert before <= told <= line.venue_at(time.time_ns())


@pytest.mark.venue
def test_a_replayed_stretch_is_the_present_on_wall_time(tmp_path: Path) -> None:
    """Its forming minute is the machine's, with the bar of the minute that was asked for."""
    options = ("--start", "2022-01-15T12:00", "--wall-time")
    with Venue(tmp_path, "--bars", "synthetic", "--seed", "7", *options) as venue:
        ready = venue.ready
        minute = now_ms() // MINUTE_MS * MINUTE_MS
        rows = httpx.get(f"{venue.url}/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=3").json()
        moved = ready["first"] - NEW_YEAR_MS
    assert ready["speed"] == 1
    assert abs(ready["time"] - now_ms()) < 60_000
    assert rows[-1][0] - minute in (0, MINUTE_MS)
    asked_for = NEW_YEAR_MS + (14 * 24 + 12) * 60 * MINUTE_MS
    assert rows[-1][0] - (asked_for + moved) in (0, MINUTE_MS, 2 * MINUTE_MS)
