"""A process runs by the machine's clock, or by a replay's: a straight line over it, the same in every process."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.clock import Clock, process_clock
from schemas.collections import Store
from schemas.errors import SettingsError
from schemas.mongo import server_time

WALL = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SHOWN = datetime(2022, 1, 15, 12, 0, tzinfo=UTC)
REPLAY = Clock(SHOWN, WALL, 20.0)


def test_a_clock_is_the_machines_by_default() -> None:
    """Without a replay every time is shown as it is, however far away."""
    assert Clock().at(WALL) == WALL
    assert Clock().wall_at(WALL) == WALL
    assert not Clock().is_replay


def test_three_seconds_of_the_machine_are_a_minute_of_a_replay_at_speed_20() -> None:
    """The line goes through its point, forwards and backwards."""
    assert REPLAY.at(WALL + timedelta(seconds=3)) == SHOWN + timedelta(minutes=1)
    assert REPLAY.at(WALL - timedelta(seconds=3)) == SHOWN - timedelta(minutes=1)
    assert REPLAY.wall_at(SHOWN + timedelta(minutes=1)) == WALL + timedelta(seconds=3)


def test_a_clock_survives_being_written_down() -> None:
    """Processes hand it on as text."""
    assert Clock.parse(str(REPLAY)) == REPLAY
    assert Clock.parse("2022-01-15T13:00:00+01:00@2026-11-21T09:00:00Zx20") == REPLAY


@pytest.mark.parametrize("text", ["", "x20", "2022-01-15@2026-11-21x20", f"{SHOWN.isoformat()}@{WALL.isoformat()}x0"])
def test_what_is_no_clock_is_refused_with_an_example(text: str) -> None:
    """A naive time, a missing part and a speed of 0 are no clock."""
    with pytest.raises(SettingsError, match="QUANTFLOW_REPLAY_CLOCK must say which time"):
        Clock.parse(text)


@pytest.mark.mongo
def test_the_servers_time_is_that_of_the_replay(db: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stamped with the server's time in a replay carries the replay's time."""
    monkeypatch.setenv("QUANTFLOW_REPLAY_CLOCK", str(Clock(SHOWN, datetime.now(UTC), 20.0)))
    process_clock.cache_clear()
    try:
        assert timedelta(minutes=-1) < server_time(db) - SHOWN < timedelta(minutes=10)
    finally:
        process_clock.cache_clear()
