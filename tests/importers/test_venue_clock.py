"""The venue's time: proven by its words only, estimated in between, in a replay at its speed."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from importers.venue_clock import VenueClock
from schemas.clock import Clock

NOON_MS = 1_642_680_000_000


def clock_of(times: list[int], clock: Clock | None = None) -> VenueClock:
    """Return a clock over a venue that tells these times, one after the other."""

    async def ask() -> int:
        return times.pop(0)

    return VenueClock(ask, clock or Clock())


def test_it_asks_only_for_what_is_not_proven() -> None:
    """A time that has been told, by an answer or a message, is not asked for again."""
    times = [NOON_MS, NOON_MS + 60_000]
    clock = clock_of(times)
    assert asyncio.run(clock.proven(NOON_MS)) == NOON_MS
    assert asyncio.run(clock.proven(NOON_MS - 1)) == NOON_MS
    clock.note(NOON_MS + 30_000)
    assert asyncio.run(clock.proven(NOON_MS + 30_000)) == NOON_MS + 30_000
    assert len(times) == 1
    assert asyncio.run(clock.proven(NOON_MS + 30_001)) == NOON_MS + 60_000


def test_a_venue_that_was_set_back_is_believed() -> None:
    """One that plays old bars was started again: a bar that had closed there is forming once more."""
    clock = clock_of([NOON_MS, NOON_MS - 90_000])

    async def both() -> None:
        await clock.read()
        await clock.read()

    asyncio.run(both())
    assert clock.proven_ms == NOON_MS - 90_000
    assert clock.now_ms() < NOON_MS


def test_many_who_ask_at_once_cause_one_request() -> None:
    """The bars of many symbols close at the same moment."""
    times = [NOON_MS, NOON_MS]
    clock = clock_of(times)

    async def many() -> list[int]:
        return list(await asyncio.gather(*(clock.proven(NOON_MS) for _ in range(50))))

    assert asyncio.run(many()) == [NOON_MS] * 50
    assert len(times) == 1


def test_the_estimate_follows_the_venue_and_its_messages() -> None:
    """The machine's clock is years off; a message that is later than the estimate moves it forward."""
    clock = clock_of([NOON_MS])
    asyncio.run(clock.read())
    assert clock.now_ms() == pytest.approx(NOON_MS, abs=500)
    clock.note(NOON_MS + 60_000)
    assert clock.now_ms() == pytest.approx(NOON_MS + 60_000, abs=500)
    clock.note(NOON_MS)
    assert clock.now_ms() >= NOON_MS + 60_000


def test_in_a_replay_time_runs_at_its_speed() -> None:
    """At speed 60 a minute of the venue is a second, and five seconds of patience are five of its minutes."""
    wall = datetime.now(UTC)
    clock = clock_of([NOON_MS], Clock(datetime(2022, 1, 20, 12, tzinfo=UTC), wall - timedelta(seconds=1), 60.0))
    asyncio.run(clock.read())
    now_ms = clock.now_ms()
    assert clock.seconds_until(now_ms + 60_000) == pytest.approx(1.0, abs=0.5)
    assert clock.before_ms(5.0) == pytest.approx(now_ms - 300_000, abs=30_000)
