"""The one rule that says which signal a candle may use: the same in live, in dry-run and in backtests.

All times are whole milliseconds since the epoch (MongoDB's own resolution), as integers or NumPy arrays of them, so
that one function answers for one live candle and for a year of candles alike.

A value of `ts` is the open of the bar whose close gave the signal. It is available from `ts + timeframe` on. Nothing
here reads a clock: `now` is handed in, the wall clock in live, the candle's close in a backtest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Milliseconds = NDArray[np.int64]
NO_SIGNAL = -1
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class SignalWindow:
    """How far from a candle a signal may lie, and how old it may be.

    Attributes
    ----------
    timeframe_ms : int
        Length of a bar, ms.
    tolerance_bars : int
        A signal matches candle D where |ts − D| is at most this many bars.
    max_delay_ms : int
        A signal may be used until this long after it became available, inclusive.
    skew_ms : int
        How far ahead of `now` a signal may become available: the clocks of two machines differ. Zero in a backtest.
    """

    timeframe_ms: int
    tolerance_bars: int = 1
    max_delay_ms: int = -1
    skew_ms: int = 0

    def __post_init__(self) -> None:
        if self.timeframe_ms <= 0 or self.tolerance_bars < 0 or self.skew_ms < 0:
            raise ValueError(
                "A signal window needs timeframe_ms > 0, tolerance_bars ≥ 0 and skew_ms ≥ 0, found "
                f"{self.timeframe_ms}, {self.tolerance_bars} and {self.skew_ms}."
            )
        if self.max_delay_ms < 0:
            object.__setattr__(self, "max_delay_ms", 3 * self.timeframe_ms)


@dataclass(frozen=True, slots=True)
class SignalTimes:
    """The times of some signals of one strategy, pair and timeframe, in ascending order of `ts`.

    Attributes
    ----------
    ts : int64 array, shape (n,)
        Open of the bar that gave the signal; strictly ascending.
    valid_until : int64 array, shape (n,)
        The signal is void from this time on; `NEVER` where it has no end.
    known_from : int64 array, shape (n,)
        When the signal was written, for a replay of what was known at the time; 0 where that does not matter.
    """

    ts: Milliseconds
    valid_until: Milliseconds
    known_from: Milliseconds

    @classmethod
    def of(
        cls, ts: Milliseconds, valid_until: Milliseconds | None = None, known_from: Milliseconds | None = None
    ) -> "SignalTimes":
        """Return the times, with no end and no writing time where those are not given.

        Raises
        ------
        ValueError
            Where `ts` is not strictly ascending, or lengths differ.
        """
        ts = np.asarray(ts, dtype=np.int64)
        until = np.full(ts.shape, NEVER) if valid_until is None else np.asarray(valid_until, dtype=np.int64)
        known = np.zeros(ts.shape, np.int64) if known_from is None else np.asarray(known_from, dtype=np.int64)
        if not ts.shape == until.shape == known.shape or ts.ndim != 1:
            raise ValueError(f"Times of one length were needed, found {ts.shape}, {until.shape} and {known.shape}.")
        if (ts[1:] <= ts[:-1]).any():
            raise ValueError("Signals must be sorted by ts, each ts once.")
        return cls(ts, until, known)


def available_at(ts: Milliseconds, window: SignalWindow) -> Milliseconds:
    """Return when signals of bars that opened at `ts` can first be known: at those bars' close."""
    return ts + window.timeframe_ms


def usable(signals: SignalTimes, now: Milliseconds, window: SignalWindow) -> NDArray[np.bool_]:
    """Tell, element by element, whether a signal may be used at `now`.

    It may where it is available (with the skew allowed), not older than the maximum delay, and not expired.
    """
    available = np.maximum(available_at(signals.ts, window), signals.known_from)
    not_early = available <= now + window.skew_ms
    not_late = now - available <= window.max_delay_ms
    return not_early & not_late & (now < signals.valid_until)


def matches(ts: Milliseconds, candle_open: Milliseconds, window: SignalWindow) -> NDArray[np.bool_]:
    """Tell, element by element, whether a signal of `ts` lies within the tolerance of the candle."""
    distance: Milliseconds = np.abs(ts - candle_open)
    return distance <= window.tolerance_bars * window.timeframe_ms


def choose(
    signals: SignalTimes, candle_open: Milliseconds, now: Milliseconds, window: SignalWindow
) -> NDArray[np.int64]:
    """Return, for each candle, the position of the newest signal that is usable and matches, or `NO_SIGNAL`.

    Parameters
    ----------
    signals : SignalTimes
        n signals of one strategy, pair and timeframe, on the timeframe's grid.
    candle_open : int64 array, shape (m,)
        Open times D of the last closed candles.
    now : int64 array, shape (m,)
        The time at which each is decided: the clock in live, D + timeframe in a backtest.
    window : SignalWindow
        Tolerance, maximum delay and skew.

    Returns
    -------
    int64 array, shape (m,)
        Positions in `signals`; `NO_SIGNAL` (-1) where none may be used.

    Notes
    -----
    With `now = D + timeframe` and no skew a signal of a later bar is never usable, whatever the tolerance: the forward
    half of the window exists in live only, where the venue's candles may lag behind the research side.
    """
    candle_open, now = np.asarray(candle_open, np.int64), np.asarray(now, np.int64)
    chosen = np.full(candle_open.shape, NO_SIGNAL, np.int64)
    if signals.ts.size == 0:
        return chosen
    newest = np.searchsorted(signals.ts, candle_open + window.tolerance_bars * window.timeframe_ms, side="right") - 1
    open_rows = np.flatnonzero(newest >= 0)
    position = newest[open_rows]
    while open_rows.size:
        candidate = SignalTimes(signals.ts[position], signals.valid_until[position], signals.known_from[position])
        in_reach = matches(candidate.ts, candle_open[open_rows], window)
        taken = in_reach & usable(candidate, now[open_rows], window)
        chosen[open_rows[taken]] = position[taken]
        # An older signal is worth a look only while this one lay in reach and there is an older one.
        again = in_reach & ~taken & (position > 0)
        open_rows, position = open_rows[again], position[again] - 1
    return chosen
