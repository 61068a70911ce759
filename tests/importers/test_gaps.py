"""Where bars are missing: recorded, split when filled in part, absent where the venue was asked."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_samples import BTC, DAY, MINUTE, NOW_MS, START_MS, gap_list, minutes, rising_bars

from importers.bars import Batch
from importers.gaps import missing_stretches, read_gaps
from importers.intake import ImportRun, SymbolIntake
from schemas.collections import Store

pytestmark = pytest.mark.mongo

ALL = rising_bars(60)


def send(intake: SymbolIntake, *rows: int, asked: tuple[int, int] | None = None) -> None:
    """Take bars of these minutes, as a file's (no stretch asked) or as the venue's answer for a stretch."""
    stretch = None if asked is None else tuple(int(edge) for edge in minutes(*asked))
    intake.take(Batch(ALL.take(np.array(rows, np.intp)), asked_ms=stretch), NOW_MS)  # type: ignore[arg-type]


def test_bars_without_a_hole_have_no_gap(db: Store, intake: SymbolIntake) -> None:
    """Neither inside, nor before the first or after the last stored bar."""
    send(intake, *range(10))
    send(intake, *range(10, 20))
    assert gap_list(db) == []


def test_a_hole_is_open(db: Store, intake: SymbolIntake) -> None:
    """A gap goes from the first missing open to the last, both included; single bars and stretches alike."""
    send(intake, 0, 1, 3, 7)
    assert gap_list(db) == [(2, 2, "open"), (4, 6, "open")]


def test_a_hole_between_two_imports_is_open(db: Store, intake: SymbolIntake) -> None:
    """The join to bars stored earlier, on both sides, is looked at too."""
    send(intake, 20, 21)
    send(intake, 0, 1)
    send(intake, 30)
    assert gap_list(db) == [(2, 19, "open"), (22, 29, "open")]


def test_a_filled_gap_stays_as_a_fact(db: Store, intake: SymbolIntake) -> None:
    """Bars that come later turn the gap to filled; writing them again changes nothing, not even the time."""
    send(intake, 0, 3)
    send(intake, 1, 2)
    before = list(db["bar_gaps"].find({}))
    assert gap_list(db) == [(1, 2, "filled")]
    send(intake, *range(4))
    assert list(db["bar_gaps"].find({})) == before


def test_a_gap_filled_in_part_is_split(db: Store, intake: SymbolIntake) -> None:
    """The filled middle becomes a gap of its own between two that are still open."""
    send(intake, 0, 9)
    send(intake, 4, 5)
    assert gap_list(db) == [(1, 3, "open"), (4, 5, "filled"), (6, 8, "open")]


def test_what_the_venue_was_asked_for_is_absent(db: Store, intake: SymbolIntake) -> None:
    """A hole within the stretch that the venue answered is absent there, not open."""
    send(intake, 0, 1, 5, asked=(0, 5))
    assert gap_list(db) == [(2, 4, "absent")]


def test_absent_is_not_forgotten_by_a_file(db: Store, intake: SymbolIntake) -> None:
    """A file that has no such bars either leaves the gap absent; one that has them fills it."""
    send(intake, 0, 5, asked=(0, 5))
    send(intake, 0, 5)
    assert gap_list(db) == [(1, 4, "absent")]
    send(intake, 1)
    assert gap_list(db) == [(1, 1, "filled"), (2, 4, "absent")]


def test_asking_turns_open_to_absent(db: Store, intake: SymbolIntake) -> None:
    """Where the venue answers an open gap with nothing, or with bars of a part, the rest is absent."""
    send(intake, 0, 5, 9)
    send(intake, asked=(1, 4))
    assert gap_list(db) == [(1, 4, "absent"), (6, 8, "open")]
    send(intake, 7, asked=(6, 8))
    assert gap_list(db) == [(1, 4, "absent"), (6, 6, "absent"), (7, 7, "filled"), (8, 8, "absent")]


def test_asking_over_stored_bars_does_not_lose_them(db: Store, intake: SymbolIntake) -> None:
    """Bars from a file inside the stretch that the venue was asked for are no gap."""
    send(intake, 0, 3, 9)
    send(intake, asked=(1, 8))
    assert gap_list(db) == [(1, 2, "absent"), (4, 8, "absent")]


def test_a_refused_bar_is_not_absent(db: Store, intake: SymbolIntake) -> None:
    """The venue had a bar there, a wrong one: the gap is open, so that it will be asked for again."""
    bars = ALL.take(np.arange(6))
    bars.high[2] = 0.0
    intake.take(Batch(bars, asked_ms=(START_MS, START_MS + 5 * 60_000)), NOW_MS)
    assert gap_list(db) == [(2, 2, "open")]


def test_nothing_before_the_first_bar_is_a_gap(db: Store, intake: SymbolIntake) -> None:
    """The venue is asked from 1970 on; what lies before its first bar is no gap, nor is what comes after the last."""
    intake.take(Batch(ALL.take(np.array([0, 1])), asked_ms=(0, START_MS + 30 * 60_000)), NOW_MS)
    send(intake, asked=(2, 30))
    assert gap_list(db) == []


def test_days_have_gaps_of_days(db: Store) -> None:
    """Daily bars are held to the grid of days."""
    intake = SymbolIntake(ImportRun(db, "run-1", "test"), BTC, DAY)
    intake.take(Batch(rising_bars(5, timeframe=DAY).take(np.array([0, 1, 4]))), NOW_MS)
    (gap,) = read_gaps(db, None, "1d", ["open"])
    assert (gap.start.date().isoformat(), gap.end.date().isoformat()) == ("2022-01-03", "2022-01-04")


def test_the_summary_counts_the_gaps_that_touch_the_import(db: Store, intake: SymbolIntake) -> None:
    """A gap inside the imported range or at its edge counts, one elsewhere or a filled one does not."""
    send(intake, 0, 2, 3, 9)
    other = SymbolIntake(ImportRun(db, "run-2", "test"), BTC, MINUTE)
    send(other, 20, 22)
    assert other.finish().gaps == 2  # 10 to 19, which joins it to the stored bar, and 21
    assert intake.finish().gaps == 3


def test_a_dry_run_counts_the_gaps_that_there_would_be(db: Store, intake: SymbolIntake) -> None:
    """Holes in what is stored together with what is sent; nothing is recorded."""
    send(intake, 0, 1, 5)
    dry = SymbolIntake(ImportRun(db, "run-2", "test", dry_run=True), BTC, MINUTE)
    send(dry, 3, 8)
    assert dry.finish().gaps == 3  # 2, 4 and 6 to 7
    assert gap_list(db) == [(2, 4, "open")]


def test_rechecking_finds_what_a_killed_run_left(db: Store, intake: SymbolIntake) -> None:
    """Bars that were stored without their gaps, as by a run killed between the two, get them at the next run."""
    send(intake, 0, 1, 5, 6)
    db["bar_gaps"].delete_many({})
    intake.recheck_newest_gaps()
    assert gap_list(db) == [(2, 4, "open")]


def test_a_hole_of_centuries_is_one_gap(db: Store, intake: SymbolIntake) -> None:
    """A bar of another program with a mistyped year makes one long gap, at once: no minute of it is made in memory."""
    others = {"symbol": str(BTC), "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}
    db["crypto_market_1m"].insert_one(others | {"datetime": datetime(222, 1, 1, tzinfo=UTC)})
    send(intake, 0, 1, 4)
    send(intake, 2)
    first, *rest = read_gaps(db, None, "1m", ["open", "filled"])
    assert (first.start, first.end) == (
        datetime(222, 1, 1, 0, 1, tzinfo=UTC),
        datetime(2021, 12, 31, 23, 59, tzinfo=UTC),
    )
    assert gap_list(db)[1:] == [(2, 2, "filled"), (3, 3, "open")]
    assert len(rest) == 2


def test_a_bar_off_the_grid_fills_no_gap(db: Store, intake: SymbolIntake) -> None:
    """Another program's bars between two opens leave both missing, and gaps begin and end on the grid."""
    others = {"symbol": str(BTC), "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1.0}
    for second in (90, 330, 570):
        time = datetime(2022, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
        db["crypto_market_1m"].insert_one(others | {"datetime": time})
    send(intake, 4, 7)
    assert gap_list(db) == [(2, 3, "open"), (5, 6, "open"), (8, 9, "open")]


def test_missing_stretches_are_counted() -> None:
    """A pure count of the holes between ascending opens."""
    assert missing_stretches(minutes(0, 1, 2, 5, 6, 9), 60_000) == 2
    assert missing_stretches(minutes(), 60_000) == 0


_STEP = st.tuples(st.sets(st.integers(0, 20), max_size=6), st.booleans())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_STEP, min_size=1, max_size=5))
def test_gaps_are_exactly_the_minutes_that_are_missing(db: Store, steps: list[tuple[set[int], bool]]) -> None:
    """Whatever came in whatever order: open and absent gaps together are the holes, and no two gaps overlap."""
    for name in ("bar_gaps", "crypto_market_1m"):
        db[name].delete_many({})
    intake = SymbolIntake(ImportRun(db, "run-1", "test"), BTC, MINUTE)
    have: set[int] = set()
    seen_missing: set[int] = set()
    for rows, by_venue in steps:
        send(intake, *sorted(rows), asked=(min(rows), max(rows)) if by_venue and rows else None)
        have |= rows
        seen_missing |= set(range(min(have), max(have) + 1)) - have if have else set()
    listed = [(minute, state) for start, end, state in gap_list(db) for minute in range(start, end + 1)]
    assert len(listed) == len(dict(listed))
    missing = {minute for minute, state in listed if state != "filled"}
    assert missing == (set(range(min(have), max(have) + 1)) - have if have else set())
    assert {minute for minute, state in listed if state == "filled"} == seen_missing - missing
