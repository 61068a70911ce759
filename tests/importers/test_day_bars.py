"""Daily bars from stored minutes: complete days only."""

import math

import numpy as np
import pytest
from import_samples import BTC, MINUTE, START_MS

from importers.bars import Bars
from importers.day_bars import day_bars
from importers.writer import write_bars
from schemas.collections import Store
from schemas.errors import InputError

pytestmark = pytest.mark.mongo

DAY_MS = 86_400_000


def random_minutes(count: int) -> Bars:
    """Return minutes of a seeded random walk, with volumes whose plain sum would be rounded."""
    random = np.random.default_rng(7)
    close = 100 + random.normal(0, 0.1, count).cumsum()
    open_ = np.roll(close, 1)
    table = np.column_stack([open_, np.maximum(open_, close) + 1, np.minimum(open_, close) - 1, close])
    volume = random.uniform(0, 1e6, count) + random.choice([0.1, 1e-7], count)
    opens = START_MS + np.arange(count) * 60_000
    return Bars.of(BTC, MINUTE, opens, np.column_stack([table, volume]))


def test_a_day_is_made_of_its_minutes(db: Store) -> None:
    """First open, highest high, lowest low, last close, and the volumes' sum, exactly rounded."""
    minutes = random_minutes(3 * 1440)
    write_bars(db, minutes)
    days = day_bars(db, BTC, None, None).bars
    assert days.open_ms.tolist() == [START_MS, START_MS + DAY_MS, START_MS + 2 * DAY_MS]
    for day in range(3):
        part = minutes.take(slice(day * 1440, (day + 1) * 1440))
        assert days.open[day] == part.open[0]
        assert days.high[day] == max(part.high)
        assert days.low[day] == min(part.low)
        assert days.close[day] == part.close[-1]
        assert days.volume[day] == math.fsum(part.volume)


def test_incomplete_days_are_named_and_left_out(db: Store) -> None:
    """A day that lacks one minute, and those that begin or end the data, are no days."""
    minutes = random_minutes(4 * 1440)
    keep = np.ones(len(minutes), np.bool_)
    keep[[0, 2 * 1440 + 700]] = False
    keep[-5:] = False
    write_bars(db, minutes.take(keep))
    days = day_bars(db, BTC, None, None)
    assert days.bars.open_ms.tolist() == [START_MS + DAY_MS]
    assert days.incomplete == {"2022-01-01": 1439, "2022-01-03": 1439, "2022-01-04": 1435}
    assert "2022-01-03 (1,439 of 1,440 minutes)" in days.note


@pytest.mark.parametrize(
    ("since_days", "until_days", "made"),
    [(None, None, [0, 1, 2]), (1, None, [1, 2]), (0.5, None, [1, 2]), (None, 2, [0, 1]), (1, 2, [1]), (2, 1.5, [])],
)
def test_a_span_chooses_days_by_their_open(
    db: Store, since_days: float | None, until_days: float | None, made: list[int]
) -> None:
    """The start is included, the end is not, and a day that opened before the start is not made."""
    write_bars(db, random_minutes(3 * 1440))
    since, until = (None if days is None else START_MS + int(days * DAY_MS) for days in (since_days, until_days))
    assert day_bars(db, BTC, since, until).bars.open_ms.tolist() == [START_MS + day * DAY_MS for day in made]


def test_more_days_than_one_query_reads_are_complete(db: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The joins between two queries neither lose nor double a day."""
    monkeypatch.setattr("importers.day_bars._DAYS_A_QUERY", 2)
    write_bars(db, random_minutes(5 * 1440))
    days = day_bars(db, BTC, None, None)
    assert days.bars.open_ms.tolist() == [START_MS + day * DAY_MS for day in range(5)]
    assert days.incomplete == {}


def test_no_minutes_give_a_sentence(db: Store) -> None:
    """Without bars of 1m there is nothing to make days from."""
    with pytest.raises(InputError, match="No bars of BINANCE:BTCUSDT 1m are stored"):
        day_bars(db, BTC, None, None)
