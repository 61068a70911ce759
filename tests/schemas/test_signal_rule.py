"""The one rule for using a signal, at every edge by hand, and against a plain loop that shares no code with it."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.signal_rule import NEVER, NO_SIGNAL, SignalTimes, SignalWindow, available_at, choose, matches, usable

# A bar of 10 ms keeps the arithmetic of the tables in the reader's head.
BAR = 10


def window(tolerance_bars: int = 1, max_delay_ms: int = 30, skew_ms: int = 0) -> SignalWindow:
    return SignalWindow(BAR, tolerance_bars, max_delay_ms, skew_ms)


def chosen_of(signals: list[tuple[int, int, int]], candle_open: int, now: int, rule: SignalWindow | None = None) -> int:
    """The choice for one candle among (ts, valid_until, known_from)."""
    columns = np.array(signals, np.int64).reshape(-1, 3).T
    times = SignalTimes.of(columns[0], columns[1], columns[2])
    return int(choose(times, np.array([candle_open]), np.array([now]), rule or window())[0])


def one(ts: int, until: int = NEVER, known: int = 0) -> list[tuple[int, int, int]]:
    return [(ts, until, known)]


@pytest.mark.parametrize(
    ("ts", "now", "rule", "is_used"),
    [
        # The bar of 100 closes at 110: from then on its signal is available, not one ms earlier.
        (100, 109, window(), False),
        (100, 110, window(), True),
        # Skew is how much earlier the writer's clock may have seen the close.
        (100, 108, window(skew_ms=1), False),
        (100, 109, window(skew_ms=1), True),
        # The maximum delay counts from 110 and is inclusive.
        (100, 140, window(), True),
        (100, 141, window(), False),
        (100, 110, window(max_delay_ms=0), True),
        (100, 111, window(max_delay_ms=0), False),
        # By default it is three bars.
        (100, 140, SignalWindow(BAR), True),
        (100, 141, SignalWindow(BAR), False),
        # Backwards: one bar is within the tolerance of one, two are not, nor is one bar and a ms.
        (90, 110, window(), True),
        (89, 110, window(), False),
        (80, 110, window(), False),
        (80, 110, window(tolerance_bars=2), True),
        (90, 110, window(tolerance_bars=0), False),
        (100, 110, window(tolerance_bars=0), True),
        # Forwards: where the venue's candle 100 is still the last one at 120, the signal of 110 may be used.
        (110, 119, window(), False),
        (110, 120, window(), True),
        (110, 119, window(skew_ms=1), True),
        (110, 120, window(tolerance_bars=0), False),
        (111, 121, window(), False),
        (120, 130, window(), False),
        (120, 130, window(tolerance_bars=2), True),
    ],
)
def test_time_decides_at_each_edge(ts: int, now: int, rule: SignalWindow, is_used: bool) -> None:
    """A signal of `ts` at `now`, where the last closed candle opened at 100."""
    assert chosen_of(one(ts), 100, now, rule) == (0 if is_used else NO_SIGNAL)


def documented_examples() -> list[tuple[str, ...]]:
    """The rows of the table of examples in the docs: ts, valid_until, D, now, tolerance_bars, used."""
    page = (Path(__file__).parents[2] / "docs" / "time-and-signals.md").read_text()
    rows = re.findall(r"^\| (\d\d:\d\d) \| ([\d:]*) ?\| (\S+) \| (\S+) \| (\d) \| (yes|no) \|", page, re.MULTILINE)
    assert len(rows) == 13
    return rows


@pytest.mark.parametrize("row", documented_examples(), ids=" ".join)
def test_the_examples_in_the_docs_are_true(row: tuple[str, ...]) -> None:
    """Timeframe 5m, three bars of delay, no skew."""
    second = 1_000

    def clock(text: str) -> int:
        hours, minutes, seconds = [*map(int, text.split(":")), 0][:3]
        return ((hours * 60 + minutes) * 60 + seconds) * second

    ts, until, candle, now, tolerance_bars, used = row
    rule = SignalWindow(300 * second, int(tolerance_bars))
    signal = one(clock(ts), until=clock(until) if until else NEVER)
    assert chosen_of(signal, clock(candle), clock(now), rule) == (0 if used == "yes" else NO_SIGNAL)


@pytest.mark.parametrize(
    ("until", "now", "is_used"),
    [(111, 110, True), (110, 110, False), (120, 119, True), (120, 120, False), (NEVER, 140, True)],
)
def test_a_signal_is_void_from_valid_until_on(until: int, now: int, is_used: bool) -> None:
    """`now < valid_until`: at the time itself it is void."""
    assert chosen_of(one(100, until=until), 100, now) == (0 if is_used else NO_SIGNAL)


def test_skew_does_not_lengthen_valid_until() -> None:
    """The skew allows for an early writer, it does not revive what has ended."""
    assert chosen_of(one(100, until=110), 100, 110, window(skew_ms=5)) == NO_SIGNAL


@pytest.mark.parametrize(
    ("known", "now", "rule", "is_used"),
    [
        (115, 114, window(), False),
        (115, 115, window(), True),
        (115, 114, window(skew_ms=1), True),
        (115, 113, window(skew_ms=1), False),
        # Written before its bar closed (a skewed clock): the close still counts.
        (50, 109, window(), False),
        (50, 110, window(), True),
        # The delay counts from when it was known.
        (115, 145, window(), True),
        (115, 146, window(), False),
        (50, 140, window(), True),
        (50, 141, window(), False),
    ],
)
def test_as_known_a_signal_is_available_when_it_was_written(
    known: int, now: int, rule: SignalWindow, is_used: bool
) -> None:
    """A replay of what was known uses max(close of the bar, time of writing)."""
    assert chosen_of(one(100, known=known), 100, now, rule) == (0 if is_used else NO_SIGNAL)


@pytest.mark.parametrize(
    ("signals", "now", "chosen"),
    [
        ([(90, NEVER, 0), (100, NEVER, 0)], 110, 1),
        ([(90, NEVER, 0), (100, NEVER, 0), (110, NEVER, 0)], 110, 1),
        ([(90, NEVER, 0), (100, NEVER, 0), (110, NEVER, 0)], 120, 2),
        ([(90, NEVER, 0), (100, 105, 0)], 110, 0),
        ([(90, NEVER, 0), (100, 105, 0), (110, 115, 0)], 120, 0),
        ([(80, NEVER, 0), (100, 105, 0)], 110, NO_SIGNAL),
        ([(90, NEVER, 0), (100, NEVER, 111)], 110, 0),
        ([], 110, NO_SIGNAL),
    ],
)
def test_the_newest_usable_match_is_chosen(signals: list[tuple[int, int, int]], now: int, chosen: int) -> None:
    """An older one is taken only where each newer one within the tolerance may not be used."""
    assert chosen_of(signals, 100, now) == chosen


def test_each_candle_is_decided_by_itself() -> None:
    """A signal serves its own candle and the next one, in ascending or any other order of candles."""
    times = SignalTimes.of(np.array([100, 130]))
    candles = np.array([90, 100, 110, 120, 130, 140, 150])
    expected = [NO_SIGNAL, 0, 0, NO_SIGNAL, 1, 1, NO_SIGNAL]
    assert choose(times, candles, candles + BAR, window()).tolist() == expected
    assert choose(times, candles[::-1], candles[::-1] + BAR, window()).tolist() == expected[::-1]
    assert choose(times, np.array([], np.int64), np.array([], np.int64), window()).tolist() == []


def test_the_parts_of_the_rule_agree_with_their_formulas() -> None:
    """availability, match and use, element by element."""
    times = SignalTimes.of(np.array([80, 90, 100, 110]), np.array([NEVER, 105, NEVER, NEVER]))
    assert available_at(times.ts, window()).tolist() == [90, 100, 110, 120]
    assert matches(times.ts, np.int64(100), window()).tolist() == [False, True, True, True]  # type: ignore[arg-type]
    assert usable(times, np.int64(110), window()).tolist() == [True, False, True, False]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Case:
    """Signals, candles, times and a rule."""

    signals: list[tuple[int, int, int]]
    candles: list[tuple[int, int]]
    rule: SignalWindow


def reference(case: Case, candle_open: int, now: int) -> int:
    """The rule of the contract, signal by signal."""
    best, best_ts = NO_SIGNAL, -1
    for position, (ts, until, known) in enumerate(case.signals):
        available = max(ts + case.rule.timeframe_ms, known)
        if available > now + case.rule.skew_ms:
            continue
        if now - available > case.rule.max_delay_ms:
            continue
        if not now < until:
            continue
        if abs(ts - candle_open) > case.rule.tolerance_bars * case.rule.timeframe_ms:
            continue
        if ts > best_ts:
            best, best_ts = position, ts
    return best


times_ms = st.integers(0, 300)
rules = st.builds(window, st.integers(0, 4), st.integers(0, 60), st.integers(0, 12))
signal_lists = st.lists(
    st.tuples(times_ms, st.one_of(st.just(NEVER), times_ms), st.one_of(st.just(0), times_ms)),
    unique_by=lambda signal: signal[0],
    max_size=25,
).map(sorted)
cases = st.builds(Case, signal_lists, st.lists(st.tuples(times_ms, times_ms), min_size=1, max_size=12), rules)


def chosen_by(case: Case) -> list[int]:
    columns = np.array(case.signals, np.int64).reshape(-1, 3).T
    candles = np.array(case.candles, np.int64)
    chosen: list[int] = choose(SignalTimes.of(*columns), candles[:, 0], candles[:, 1], case.rule).tolist()
    return chosen


@given(cases)
def test_the_rule_is_that_of_a_plain_loop(case: Case) -> None:
    """On and off the grid, for any clock, tolerance, delay, skew, end and time of writing."""
    assert chosen_by(case) == [reference(case, *candle) for candle in case.candles]


@given(signal_lists, st.lists(times_ms, min_size=1, max_size=12), st.integers(0, 10), st.integers(0, 100))
def test_a_backtest_never_sees_the_future(
    signals: list[tuple[int, int, int]], opens: list[int], tolerance_bars: int, max_delay_ms: int
) -> None:
    """With now = D + timeframe and no skew no chosen signal is of a later bar, whatever the tolerance.

    And the choice is the same where all later signals do not exist.
    """
    rule = window(tolerance_bars, max_delay_ms)
    for candle in opens:
        at_close = [(candle, candle + BAR)]
        chosen = chosen_by(Case(signals, at_close, rule))[0]
        assert chosen == NO_SIGNAL or signals[chosen][0] <= candle
        past = [signal for signal in signals if signal[0] <= candle]
        assert chosen_by(Case(past, at_close, rule))[0] == chosen


@given(signal_lists, st.lists(times_ms, min_size=1, max_size=12), rules)
def test_a_replay_never_uses_what_was_not_yet_written(
    signals: list[tuple[int, int, int]], opens: list[int], rule: SignalWindow
) -> None:
    """As known, a chosen signal had been written at the candle's close, or within the skew after it."""
    chosen = chosen_by(Case(signals, [(candle, candle + BAR) for candle in opens], rule))
    for candle, position in zip(opens, chosen, strict=True):
        if position != NO_SIGNAL:
            assert signals[position][2] <= candle + BAR + rule.skew_ms


@pytest.mark.parametrize("arguments", [(0,), (-10,), (10, -1), (10, 1, 5, -1)])
def test_a_window_that_makes_no_sense_is_refused(arguments: tuple[int, ...]) -> None:
    """A bar has a length; tolerance and skew are not negative."""
    with pytest.raises(ValueError, match="A signal window needs"):
        SignalWindow(*arguments)


@pytest.mark.parametrize(
    ("ts", "until", "sentence"),
    [
        ([20, 10], None, "sorted by ts, each ts once"),
        ([10, 10], None, "sorted by ts, each ts once"),
        ([10, 20], [30], "Times of one length"),
        ([[10, 20]], None, "Times of one length"),
    ],
)
def test_times_that_make_no_series_are_refused(ts: list[int], until: list[int] | None, sentence: str) -> None:
    """The choice relies on ascending times."""
    with pytest.raises(ValueError, match=sentence):
        SignalTimes.of(np.array(ts), None if until is None else np.array(until))


def test_times_that_are_not_given_hold_nothing_back() -> None:
    """No end and no time of writing are the defaults."""
    times = SignalTimes.of(np.array([10, 20]))
    assert times.valid_until.tolist() == [NEVER, NEVER]
    assert times.known_from.tolist() == [0, 0]
