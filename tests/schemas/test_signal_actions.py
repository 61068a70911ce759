"""What chosen signals do, candle by candle: by hand for each rule, and against a plain loop for all of them at once."""

from collections.abc import Mapping
from math import isnan, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.signal_actions import (
    FLAT,
    LONG,
    LONG_AGO,
    SHORT,
    ActionRules,
    Decisions,
    Memory,
    Signals,
    chosen_signals,
    decisions,
    wishes,
)
from schemas.signal_rule import NEVER, NO_SIGNAL, SignalWindow

BAR = 60_000


def signals_at(*rows: Mapping[str, Any]) -> Signals:
    """Signals by bar number: `bar`, and whatever of action, score, weight, until, known, version matters."""

    def column(name: str, absent: Any) -> list[Any]:
        return [row.get(name, absent) for row in rows]

    return Signals(
        ts=np.array([row["bar"] * BAR for row in rows], np.int64),
        valid_until=np.array(column("until", NEVER), np.int64),
        known_from=np.array(column("known", 0), np.int64),
        action=np.array(column("action", ""), np.str_),
        score=np.array(column("score", nan), np.float64),
        weight=np.array(column("weight", nan), np.float64),
        version=np.array(column("version", 1), np.int64),
    )


def decided(signals: Signals, bars: int, tolerance_bars: int = 1, **rules: Any) -> Decisions:
    """Decide candles 0 to bars − 1 at their closes."""
    opens = np.arange(bars, dtype=np.int64) * BAR
    chosen = chosen_signals(signals, opens, opens + BAR, SignalWindow(BAR, tolerance_bars))
    return decisions(signals, chosen, opens, ActionRules(BAR, **rules))


def entries(result: Decisions) -> list[int]:
    return np.flatnonzero(result.enter == LONG).tolist()


def exits(result: Decisions) -> list[int]:
    return np.flatnonzero(result.leave_long).tolist()


def test_an_action_acts_on_its_own_candle_once() -> None:
    """The next candle chooses the same signal too, within the tolerance, but it has acted."""
    result = decided(signals_at({"bar": 2, "action": "enter_long"}, {"bar": 6, "action": "exit_long"}), 10)
    assert (entries(result), exits(result)) == ([2], [6])
    assert result.signal.tolist() == [-1, -1, 0, -1, -1, -1, 1, -1, -1, -1]
    assert result.skipped == {}


def test_a_signal_that_came_late_acts_on_the_first_candle_that_knew_it() -> None:
    """Replayed as known: written 90 s after the open of bar 3, so first known at the close of bar 3."""
    result = decided(signals_at({"bar": 2, "action": "enter_long", "known": 3 * BAR + 30_000}), 6)
    assert entries(result) == [3]


def test_an_expired_signal_opens_nothing() -> None:
    """Void from the close of its own bar on, it is never chosen."""
    result = decided(signals_at({"bar": 2, "action": "enter_long", "until": 3 * BAR}), 6)
    assert entries(result) == []
    assert (result.signal == NO_SIGNAL).all()


def test_the_newer_version_does_not_act_again() -> None:
    """A signal acts once by its key: rewritten one bar later into its opposite, it stays as it acted."""
    result = decided(
        signals_at(
            {"bar": 2, "action": "enter_long", "known": 3 * BAR, "until": 3 * BAR + 1, "version": 1},
            {"bar": 2, "action": "exit_long", "known": 3 * BAR + 1, "version": 2},
        ),
        6,
    )
    assert (entries(result), exits(result)) == ([2], [])


def test_a_candle_uses_the_version_that_was_known_then() -> None:
    """Rewritten between the closes of bars 2 and 3, the second version is what bar 3 sees; the first never acted."""
    signals = signals_at(
        {"bar": 1, "action": "enter_long", "known": 2 * BAR + 1, "until": 2 * BAR + 2, "version": 1},
        {"bar": 1, "action": "exit_long", "known": 2 * BAR + 2, "version": 2},
        {"bar": 3, "action": "enter_long", "known": 4 * BAR, "version": 1},
    )
    opens = np.arange(5, dtype=np.int64) * BAR
    chosen = chosen_signals(signals, opens, opens + BAR, SignalWindow(BAR))
    assert chosen.tolist() == [-1, -1, 1, 2, 2]


def test_a_settled_signal_keeps_older_ones_from_acting() -> None:
    """When a newer signal's validity ends, the rule chooses the older one again; its time has passed."""
    result = decided(
        signals_at(
            {"bar": 1, "action": "enter_long", "known": 3 * BAR}, {"bar": 2, "action": "exit_long", "until": 4 * BAR}
        ),
        6,
        tolerance_bars=3,
    )
    assert (entries(result), exits(result)) == ([], [2])


@pytest.mark.parametrize(
    ("hold", "expected_exits", "skipped"),
    [(0, [3], {}), (2, [3], {}), (3, [4], {}), (4, [], {1: "min_hold"})],
)
def test_the_minimum_hold_keeps_an_exit_back(hold: int, expected_exits: list[int], skipped: dict[int, str]) -> None:
    """Entered on candle 1, an exit of bar 3 waits for candle 4 while the tolerance lets it, and then is skipped."""
    result = decided(
        signals_at({"bar": 1, "action": "enter_long"}, {"bar": 3, "action": "exit_long"}), 8, min_hold_bars=hold
    )
    assert exits(result) == expected_exits
    assert result.skipped == skipped


@pytest.mark.parametrize(
    ("cooldown", "expected_entries", "skipped"),
    [(0, [0, 4], {}), (2, [0, 4], {}), (3, [0, 5], {}), (4, [0], {2: "cooldown"})],
)
def test_the_cooldown_keeps_an_entry_back(cooldown: int, expected_entries: list[int], skipped: dict[int, str]) -> None:
    """Exited on candle 2, an entry of bar 4 waits for candle 5 while the tolerance lets it, and then is skipped."""
    result = decided(
        signals_at(
            {"bar": 0, "action": "enter_long"}, {"bar": 2, "action": "exit_long"}, {"bar": 4, "action": "enter_long"}
        ),
        9,
        cooldown_bars=cooldown,
    )
    assert entries(result) == expected_entries
    assert result.skipped == skipped


def test_repeated_signals_do_not_restart_the_clocks() -> None:
    """With a signal on every bar the minimum hold counts from the first entry, the cooldown from the first exit."""
    sides = ["enter_long"] * 4 + ["exit_long"] * 4 + ["enter_long"] * 3
    result = decided(
        signals_at(*({"bar": bar, "action": action} for bar, action in enumerate(sides))),
        11,
        tolerance_bars=0,
        min_hold_bars=5,
        cooldown_bars=4,
    )
    assert exits(result)[0] == 5
    assert [bar for bar in entries(result) if bar > 5] == [9, 10]
    assert result.skipped[4] == "min_hold"
    assert result.skipped[8] == "cooldown"
    assert result.skipped[10] == "in_position"


def test_a_score_between_the_thresholds_changes_nothing() -> None:
    """Above 0.6 enters, below 0.2 exits; the thresholds themselves and NaN keep what is."""
    scores = [0.6, 0.61, 0.3, nan, 0.2, 0.19, 0.5, 0.7]
    rows = [{"bar": bar, "score": score} for bar, score in enumerate(scores)]
    result = decided(signals_at(*rows), 8, tolerance_bars=0, enter_above=0.6, exit_below=0.2)
    assert (entries(result), exits(result)) == ([1, 7], [5])
    assert {signal for signal, reason in result.skipped.items() if reason == "below_threshold"} == {0, 2, 3, 4, 6}


def test_a_weight_is_the_part_of_the_stake() -> None:
    """Above min_weight it enters with that part; at or below it exits."""
    rows = [{"bar": bar, "weight": weight} for bar, weight in enumerate([0.25, 0.1, 1.0, 0.0, -0.5])]
    result = decided(signals_at(*rows), 5, tolerance_bars=0, min_weight=0.1)
    assert (entries(result), exits(result)) == ([0, 2], [1, 3, 4])
    assert result.stake.tolist() == [0.25, 1.0, 1.0, 1.0, 1.0]


def test_shorts_are_refused_where_they_are_not_allowed() -> None:
    """Short actions are skipped with that reason; a negative weight or score is an exit of the long side only."""
    asked = wishes(
        signals_at({"bar": 0, "action": "enter_short"}, {"bar": 1, "action": "exit_short"}, {"bar": 2, "weight": -1.0}),
        ActionRules(BAR),
    )
    assert asked.enter.tolist() == [FLAT, FLAT, FLAT]
    assert not asked.leave_short.any()
    assert asked.leave_long.tolist() == [False, False, True]
    assert asked.reason == ["short_not_allowed", "short_not_allowed", None]


def test_shorts_mirror_longs_where_they_are_allowed() -> None:
    """A negative weight enters short with its size, a low score too; both leave the other side on the same candle."""
    asked = wishes(
        signals_at(
            {"bar": 0, "action": "enter_short"},
            {"bar": 1, "action": "exit_short"},
            {"bar": 2, "weight": -0.5},
            {"bar": 3, "score": -0.7},
            {"bar": 4, "score": 0.1},
            {"bar": 5, "score": 0.7},
        ),
        ActionRules(BAR, can_short=True),
    )
    assert asked.enter.tolist() == [SHORT, FLAT, SHORT, SHORT, FLAT, LONG]
    assert asked.leave_long.tolist() == [False, False, True, True, True, False]
    assert asked.leave_short.tolist() == [False, True, False, False, True, True]
    assert asked.stake.tolist() == [1.0, 1.0, 0.5, 1.0, 1.0, 1.0]


def test_a_turn_around_within_the_cooldown_only_exits() -> None:
    """Long to short in one signal: with a cooldown the exit acts and the entry is given up."""
    rows = [{"bar": 0, "weight": 1.0}, {"bar": 3, "weight": -1.0}]
    turned = decided(signals_at(*rows), 6, can_short=True)
    assert (turned.enter[3], bool(turned.leave_long[3])) == (SHORT, True)
    cooled = decided(signals_at(*rows), 6, can_short=True, cooldown_bars=2)
    assert (cooled.enter[3], bool(cooled.leave_long[3])) == (FLAT, True)
    assert cooled.enter[4:].tolist() == [FLAT, FLAT]


def test_one_candle_at_a_time_gives_what_all_at_once_gives() -> None:
    """The memory carries everything: a bot that decides candle by candle decides as the backtest did."""
    rng = np.random.default_rng(5)
    rows = [
        {"bar": int(bar), "action": ["enter_long", "exit_long"][rng.integers(2)]}
        for bar in np.flatnonzero(rng.random(300) < 0.4)
    ]
    signals, rules = signals_at(*rows), ActionRules(BAR, cooldown_bars=3, min_hold_bars=4)
    opens = np.arange(300, dtype=np.int64) * BAR
    chosen = chosen_signals(signals, opens, opens + BAR, SignalWindow(BAR, 2))
    whole = decisions(signals, chosen, opens, rules)
    memory, acting = Memory(), []
    for bar in range(300):
        one = decisions(signals, chosen[bar : bar + 1], opens[bar : bar + 1], rules, memory)
        memory = one.memory
        acting.append(int(one.signal[0]))
    assert acting == whole.signal.tolist()
    assert memory == whole.memory


def test_a_score_can_not_both_enter_and_exit() -> None:
    """exit_below above enter_above is refused, with both values in the sentence."""
    with pytest.raises(ValueError, match=r"exit_below 0\.5 and enter_above 0\.4"):
        ActionRules(BAR, enter_above=0.4, exit_below=0.5)
    with pytest.raises(ValueError, match="exit_below must be ≥ 0"):
        ActionRules(BAR, exit_below=-0.1, can_short=True)


def plain_loop(signals: Signals, bars: int, window: SignalWindow, rules: ActionRules) -> list[tuple[int, int, bool]]:
    """The rules for longs as a person would tell them, candle by candle: (candle, entry, exit) of what acts."""
    acts = []
    holding, entered, exited, newest_settled = False, LONG_AGO, LONG_AGO, LONG_AGO
    for bar in range(bars):
        open_ms, now = bar * BAR, (bar + 1) * BAR
        usable = []
        for row in range(signals.ts.size):
            ts, available = int(signals.ts[row]), max(int(signals.ts[row]) + BAR, int(signals.known_from[row]))
            in_time = available <= now <= available + window.max_delay_ms and now < signals.valid_until[row]
            if in_time and abs(ts - open_ms) <= window.tolerance_bars * BAR:
                usable.append((ts, row))
        if not usable:
            continue
        ts, row = max(usable)
        if ts <= newest_settled:
            continue
        action, score, weight = signals.action[row], signals.score[row], signals.weight[row]
        wants_in = action == "enter_long" or score > rules.enter_above or weight > rules.min_weight
        wants_out = action == "exit_long" or score < rules.exit_below or weight <= rules.min_weight
        if wants_out and holding and (open_ms - entered) // BAR < rules.min_hold_bars:
            continue
        if wants_in and not holding and (open_ms - exited) // BAR < rules.cooldown_bars:
            continue
        newest_settled = ts
        if wants_in or wants_out:
            acts.append((bar, LONG if wants_in else FLAT, bool(wants_out)))
        if wants_in and not holding:
            holding, entered = True, open_ms
        elif wants_out and holding:
            holding, exited = False, open_ms
    return acts


@st.composite
def some_signals(draw: st.DrawFn) -> Signals:
    rows: list[dict[str, Any]] = []
    for bar in sorted(draw(st.sets(st.integers(0, 25), max_size=18))):
        content = draw(
            st.one_of(
                st.sampled_from([{"action": "enter_long"}, {"action": "exit_long"}, {"action": "enter_short"}]),
                st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9, nan]).map(lambda value: {"score": value}),
                st.sampled_from([-0.5, 0.0, 0.2, 0.6]).map(lambda value: {"weight": value}),
            )
        )
        until = draw(st.none() | st.integers(0, 6 * BAR).map(lambda late, ts=bar * BAR: ts + BAR + late))
        rewritten = draw(st.none() | st.integers(0, 4 * BAR).map(lambda late, ts=bar * BAR: ts + BAR + late))
        row = {"bar": bar, **content} | ({} if until is None else {"until": until})
        if rewritten is None:
            rows.append(row)
        else:
            rows.append(row | {"until": min(rewritten, row.get("until", NEVER))})
            rows.append({"bar": bar, "action": "exit_long", "known": rewritten, "version": 2})
    return signals_at(*rows)


@settings(deadline=None, max_examples=300)
@given(
    signals=some_signals(),
    tolerance=st.integers(0, 4),
    delay=st.integers(0, 5 * BAR),
    thresholds=st.sampled_from([(0.5, 0.5), (0.6, 0.2), (0.8, 0.8)]),
    min_weight=st.sampled_from([0.0, 0.2]),
    cooldown=st.integers(0, 4),
    hold=st.integers(0, 4),
)
def test_agrees_with_a_plain_loop(
    signals: Signals,
    tolerance: int,
    delay: int,
    thresholds: tuple[float, float],
    min_weight: float,
    cooldown: int,
    hold: int,
) -> None:
    """For any signals and settings, what acts on which candle is what the plain loop says."""
    window = SignalWindow(BAR, tolerance, delay)
    rules = ActionRules(BAR, *thresholds, min_weight, cooldown, hold)
    opens = np.arange(30, dtype=np.int64) * BAR
    result = decisions(signals, chosen_signals(signals, opens, opens + BAR, window), opens, rules)
    acting = np.flatnonzero(result.signal != NO_SIGNAL).tolist()
    got = [(bar, int(result.enter[bar]), bool(result.leave_long[bar])) for bar in acting]
    assert got == plain_loop(signals, 30, window, rules)
    quiet = np.setdiff1d(np.arange(30), acting)
    assert not result.enter[quiet].any()
    assert not result.leave_long[quiet].any()
    assert not any(isnan(stake) for stake in result.stake.tolist())
