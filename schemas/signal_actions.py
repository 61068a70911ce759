"""Turns chosen signals into entries and exits: what each one asks for, and whether it may act on a candle now.

`schemas.signal_rule` says which signal a candle may use; this says what that signal does there. One function,
`decisions`, answers for the whole of a backtest and for the one live candle alike; what it remembers in between is an
argument and a result.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from schemas.bot_documents import SkipReason
from schemas.signal_rule import NEVER, NO_SIGNAL, Milliseconds, SignalTimes, SignalWindow, choose

LONG, SHORT, FLAT = 1, -1, 0
LONG_AGO = -NEVER // 4  # far enough back for any number of bars, far from overflow


@dataclass(frozen=True, slots=True)
class ActionRules:
    """How contents become actions, and how far apart actions must lie.

    Attributes
    ----------
    timeframe_ms : int
        Length of a bar, ms.
    enter_above, exit_below : float
        A score above the first enters, one below the second exits; between them, bounds included, nothing changes.
        Where shorts are allowed the same holds for the negated score and the short side.
    min_weight : float
        A weight above it enters with that part of the stake; at or below it exits.
    cooldown_bars : int
        At least so many bars lie between an exit that acted and the next entry.
    min_hold_bars : int
        At least so many bars lie between an entry that acted and the next exit.
    can_short : bool
        Whether the short side is traded at all.
    """

    timeframe_ms: int
    enter_above: float = 0.5
    exit_below: float = 0.5
    min_weight: float = 0.0
    cooldown_bars: int = 0
    min_hold_bars: int = 0
    can_short: bool = False

    def __post_init__(self) -> None:
        if self.exit_below > self.enter_above:
            raise ValueError(
                "exit_below must not lie above enter_above, or one score would both enter and exit; found exit_below "
                f"{self.exit_below} and enter_above {self.enter_above}."
            )
        if self.can_short and self.exit_below < 0:
            raise ValueError(
                f"Where shorts are allowed exit_below must be ≥ 0, found {self.exit_below}: below zero one score "
                "could keep both sides."
            )


@dataclass(frozen=True, slots=True)
class Signals:
    """Signals of one strategy, pair and timeframe, sorted by ts, then version; one row each, arrays of one length.

    A history of what was known has several rows of one `ts`: the versions, each void (`valid_until`) from the time
    at which the next replaced it.

    Attributes
    ----------
    ts, valid_until, known_from : int64 array
        As in `SignalTimes`, ms.
    action : array of str
        'enter_long', 'exit_long', 'enter_short', 'exit_short', or '' where the signal carries a number instead.
    score, weight : float64 array
        NaN where it carries none.
    version : int64 array
        How often the content was written.
    """

    ts: Milliseconds
    valid_until: Milliseconds
    known_from: Milliseconds
    action: NDArray[np.str_]
    score: NDArray[np.float64]
    weight: NDArray[np.float64]
    version: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What each signal asks for, one row a signal; a signal that asks for nothing has a reason.

    Attributes
    ----------
    enter : int8 array
        LONG, SHORT, or FLAT for no entry.
    leave_long, leave_short : bool array
        Whether a position on that side is to be closed.
    stake : float64 array
        The part of the stake to enter with, in (0, 1].
    reason : list of SkipReason or None
    """

    enter: NDArray[np.int8]
    leave_long: NDArray[np.bool_]
    leave_short: NDArray[np.bool_]
    stake: NDArray[np.float64]
    reason: list[SkipReason | None]


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of earlier candles: the position that signals led to, its last changes, the last signal settled.

    Times are the opens of the candles on which the signals acted, ms.
    """

    side: int = FLAT
    entered_ms: int = LONG_AGO
    exited_ms: int = LONG_AGO
    settled_ts: int = LONG_AGO


@dataclass(frozen=True, slots=True)
class Decisions:
    """What happens on each candle, one row a candle, and what became of the signals that were looked at.

    Attributes
    ----------
    enter, leave_long, leave_short
        As in `Wishes`, set on the candle on which a signal acts, and nowhere else.
    signal : int64 array
        Position of the signal that acts there, `NO_SIGNAL` (-1) elsewhere.
    stake : float64 array
        The part of the stake that an entry there is made with.
    skipped : dict of int to SkipReason
        Signals that were chosen by a candle but changed nothing. One that was `in_position` or had `no_position` by
        the memory alone is set in the columns all the same: Freqtrade's own stop may have closed the position since,
        and Freqtrade ignores what it can not use.
    memory : Memory
        What to hand to the next call.
    """

    enter: NDArray[np.int8]
    leave_long: NDArray[np.bool_]
    leave_short: NDArray[np.bool_]
    signal: NDArray[np.int64]
    stake: NDArray[np.float64]
    memory: Memory
    skipped: dict[int, SkipReason] = field(default_factory=dict)


def chosen_signals(
    signals: Signals, candle_open: Milliseconds, now: Milliseconds, window: SignalWindow
) -> NDArray[np.int64]:
    """Return, for each candle, the position of the signal that the rule chooses, or `NO_SIGNAL`.

    Each version of a rewritten signal is void when the next one is known, so at any time one of them at most is
    usable. The rule wants each `ts` once; it is therefore asked for all first versions, all second ones and so on,
    and the newest answer is the answer for all.
    """
    best = np.full(np.shape(candle_open), NO_SIGNAL, np.int64)
    first_of_ts = np.searchsorted(signals.ts, signals.ts, side="left")
    rank = np.arange(signals.ts.size) - first_of_ts
    for layer in range(int(rank.max(initial=-1)) + 1):
        rows = np.flatnonzero(rank == layer)
        times = SignalTimes.of(signals.ts[rows], signals.valid_until[rows], signals.known_from[rows])
        picks = choose(times, candle_open, now, window)
        found = picks != NO_SIGNAL
        best[found] = np.maximum(best[found], rows[picks[found]])
    return best


def wishes(signals: Signals, rules: ActionRules) -> Wishes:
    """Return what each signal asks for, without regard to any position."""
    action, score, weight = signals.action, signals.score, signals.weight
    enter = np.zeros(signals.ts.size, np.int8)
    # A comparison with NaN is false, so a signal without a score or a weight passes through unchanged.
    enter[(action == "enter_long") | (score > rules.enter_above) | (weight > rules.min_weight)] = LONG
    leave_long = (action == "exit_long") | (score < rules.exit_below) | (weight <= rules.min_weight)
    if rules.can_short:
        enter[(action == "enter_short") | (-score > rules.enter_above) | (-weight > rules.min_weight)] = SHORT
        leave_short = (action == "exit_short") | (-score < rules.exit_below) | (-weight <= rules.min_weight)
    else:
        leave_short = np.zeros(signals.ts.size, np.bool_)
    stake = np.where((enter != FLAT) & ~np.isnan(weight), np.abs(weight), 1.0)
    nothing = (enter == FLAT) & ~leave_long & ~leave_short
    reason: list[SkipReason | None] = [None] * signals.ts.size
    for row in np.flatnonzero(nothing).tolist():
        reason[row] = "short_not_allowed" if str(action[row]).endswith("_short") else "below_threshold"
    return Wishes(enter, leave_long, leave_short, stake, reason)


def decisions(
    signals: Signals,
    chosen: NDArray[np.int64],
    candle_open: Milliseconds,
    rules: ActionRules,
    memory: Memory | None = None,
) -> Decisions:
    """Return what happens on each candle.

    A signal acts once, on the first candle for which it is chosen. One that the cooldown or the minimum hold keeps
    back acts on the first candle after, as long as the rule still chooses it. A signal older than one that is settled
    never acts.

    Parameters
    ----------
    signals : Signals
    chosen : int64 array, shape (m,)
        The rule's choice for each candle, from `chosen_signals`.
    candle_open : int64 array, shape (m,)
        Opens of the candles, ascending, ms.
    rules : ActionRules
    memory : Memory or None
        What earlier candles left; None where there were none.
    """
    asked = wishes(signals, rules)
    enter = np.zeros(chosen.shape, np.int8)
    leave_long, leave_short = np.zeros(chosen.shape, np.bool_), np.zeros(chosen.shape, np.bool_)
    acting = np.full(chosen.shape, NO_SIGNAL, np.int64)
    skipped: dict[int, SkipReason] = {}
    state = memory or Memory()
    times, picks, opens = signals.ts.tolist(), chosen.tolist(), candle_open.tolist()
    for row in np.flatnonzero(chosen != NO_SIGNAL).tolist():
        pick = picks[row]
        if times[pick] <= state.settled_ts:
            continue
        skipped.pop(pick, None)
        wish = _Wish(int(asked.enter[pick]), bool(asked.leave_long[pick]), bool(asked.leave_short[pick]))
        reason = asked.reason[pick]
        if reason is None:
            wish, state, reason = _acted(wish, opens[row], state, rules)
            if wish.is_anything:
                enter[row], leave_long[row], leave_short[row] = wish.enter, wish.leave_long, wish.leave_short
                acting[row] = pick
        if reason is not None:
            skipped[pick] = reason
        if reason not in ("cooldown", "min_hold"):
            state = replace(state, settled_ts=times[pick])
    stake = np.ones(chosen.shape)
    entering = np.flatnonzero(enter)
    stake[entering] = asked.stake[acting[entering]]
    return Decisions(enter, leave_long, leave_short, acting, stake, state, skipped)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What one signal asks for on one candle."""

    enter: int
    leave_long: bool
    leave_short: bool

    @property
    def is_anything(self) -> bool:
        return self.enter != FLAT or self.leave_long or self.leave_short


_NOTHING = _Wish(FLAT, False, False)


def _acted(wish: _Wish, open_ms: int, memory: Memory, rules: ActionRules) -> tuple[_Wish, Memory, SkipReason | None]:
    """Return what of the wish happens on the candle, the memory after it, and why nothing changes, if so."""
    leaves = (memory.side == LONG and wish.leave_long) or (memory.side == SHORT and wish.leave_short)
    if leaves and open_ms - memory.entered_ms < rules.min_hold_bars * rules.timeframe_ms:
        return _NOTHING, memory, "min_hold"
    side, exited_ms = (FLAT, open_ms) if leaves else (memory.side, memory.exited_ms)
    after = replace(memory, side=side, exited_ms=exited_ms)
    if wish.enter == FLAT:
        return wish, after, None if leaves else "no_position"
    if side != FLAT:
        return wish, after, "in_position"
    if open_ms - exited_ms < rules.cooldown_bars * rules.timeframe_ms:
        # A signal that turns a position around has acted by its exit; its entry is given up.
        return (replace(wish, enter=FLAT), after, None) if leaves else (_NOTHING, memory, "cooldown")
    return wish, replace(after, side=wish.enter, entered_ms=open_ms), None
