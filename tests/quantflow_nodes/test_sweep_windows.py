"""The splits of a walk-forward, by hand."""

import numpy as np
import pytest

from quantflow_nodes.sweep.windows import Split, Window, check_backtests, parse_walk_forward
from schemas.errors import InputError

MINUTE = 60_000
OPENS = np.arange(10, dtype=np.int64) * MINUTE


def minutes(split: Split) -> tuple[int, int, int, int]:
    train, test = split.train, split.test
    return tuple(at // MINUTE for at in (train.start_ms, train.end_ms, test.start_ms, test.end_ms))  # type: ignore[return-value]


@pytest.mark.parametrize("text", ["4:2", "4m:2m"])
def test_tests_follow_each_other(text: str) -> None:
    """Ten bars, train 4, test 2: three splits; the test begins where the train ends. In bars as in minutes."""
    splits = parse_walk_forward(text).splits(OPENS, MINUTE)
    assert [minutes(split) for split in splits] == [(0, 4, 4, 6), (2, 6, 6, 8), (4, 8, 8, 10)]


def test_a_longer_step_leaves_bars_out() -> None:
    """Of step 3: two splits."""
    assert [minutes(one) for one in parse_walk_forward("4:2:3").splits(OPENS, MINUTE)] == [(0, 4, 4, 6), (3, 7, 7, 9)]


@pytest.mark.parametrize("text", ["4:2", "4m:2m"])
def test_anchored_trains_begin_with_the_first_bar(text: str) -> None:
    """And grow by the step."""
    splits = parse_walk_forward(text, anchored=True).splits(OPENS, MINUTE)
    assert [minutes(split) for split in splits] == [(0, 4, 4, 6), (0, 6, 6, 8), (0, 8, 8, 10)]


def test_bars_are_counted_over_a_gap_and_time_is_not() -> None:
    """Without the bars of minutes 4 to 7, four bars reach to minute 4, and two minutes of test hold none."""
    opens = OPENS[[0, 1, 2, 3, 8, 9]]
    assert [minutes(one) for one in parse_walk_forward("4:2").splits(opens, MINUTE)] == [(0, 4, 8, 10)]
    with pytest.raises(InputError, match="does not fit into 6 bars from 1970-01-01 00:00 to 1970-01-01 00:10 UTC"):
        parse_walk_forward("4m:2m:6m").splits(opens, MINUTE)


@pytest.mark.parametrize("text", ["4", "4:2:2:2", "4:2m", "0:1", "a:b", "7d:"])
def test_what_is_no_walk_forward_is_a_sentence(text: str) -> None:
    """Two or three lengths of one kind."""
    with pytest.raises(InputError, match="--walk-forward takes TRAIN:TEST"):
        parse_walk_forward(text)


def test_no_bar_is_tested_twice() -> None:
    """A step below the test would."""
    with pytest.raises(InputError, match="the step must not be shorter than the test"):
        parse_walk_forward("4:2:1")


def test_a_window_is_written_as_times() -> None:
    """So that equal windows of different walk-forwards are one."""
    assert str(Window(0, 90 * MINUTE)) == "1970-01-01T00:00Z/1970-01-01T01:30Z"


def test_more_splits_than_can_be_meant_are_refused() -> None:
    """However few the sets: ten years of days are 3,650, and a misspelt unit is many more."""
    split, walk_forward = Split(Window(0, 1), Window(1, 2)), parse_walk_forward("2:1")
    check_backtests(1, walk_forward, [split] * 10_000)
    with pytest.raises(InputError, match="at most 10,000 splits and 2,000,000 backtests, found 10,001 splits"):
        check_backtests(1, walk_forward, [split] * 10_001)
