"""Stretches of time that a backtest is confined to, and the splits of a walk-forward."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from quantflow_nodes.ports import SymbolFrame
from quantflow_nodes.sweep.grid import counted
from research.bars import Ints
from schemas.errors import InputError
from schemas.timeframes import Timeframe

ALL = "all"
MOST_SPLITS = 10_000
MOST_BACKTESTS = 2_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """Bars that open at `start_ms` or later and close at `end_ms` or before, milliseconds since 1970, UTC.

    A backtest in it begins flat with all its cash. What earlier bars have decided is known in it, what later ones hold
    is not there at all.
    """

    start_ms: int
    end_ms: int

    @property
    def start(self) -> datetime:
        """Open of the first bar."""
        return _EPOCH + timedelta(milliseconds=self.start_ms)

    @property
    def end(self) -> datetime:
        """Close of the last bar."""
        return _EPOCH + timedelta(milliseconds=self.end_ms)

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%dT%H:%MZ}/{self.end:%Y-%m-%dT%H:%MZ}"


@dataclass(frozen=True, slots=True)
class Split:
    """One step of a walk-forward: the set that was best in `train` is traded in `test`."""

    train: Window
    test: Window


@dataclass(frozen=True, slots=True)
class WalkForward:
    """How a walk-forward cuts time: lengths in bars, or as durations.

    Attributes
    ----------
    text : str
        As it was given.
    train, test, step : int
        Length of the two windows, and how far the next split lies ahead: bars, or milliseconds.
    in_bars : bool
    anchored : bool
        Every train window begins with the first bar and so grows.
    """

    text: str
    train: int
    test: int
    step: int
    in_bars: bool
    anchored: bool = False

    def __str__(self) -> str:
        return f"{self.text} anchored" if self.anchored else self.text

    def splits(self, opens_ms: Ints, bar_ms: int) -> list[Split]:
        """Return the splits that lie in full within the bars, in order.

        Parameters
        ----------
        opens_ms : array
            The open times of the bars, increasing, each once.
        bar_ms : int
            Length of a bar.

        Raises
        ------
        InputError
            Where there is no split.
        """
        found = list(self._by_bars(opens_ms, bar_ms) if self.in_bars else self._by_time(opens_ms, bar_ms))
        if not found:
            first, last = Window(int(opens_ms[0]), int(opens_ms[-1]) + bar_ms).start, int(opens_ms[-1]) + bar_ms
            raise InputError(
                f"The walk-forward {self.text} does not fit into {len(opens_ms):,} bars from {first:%Y-%m-%d %H:%M} to "
                f"{Window(last, last).start:%Y-%m-%d %H:%M} UTC. Shorten its windows or read more bars."
            )
        return found

    def _by_bars(self, opens_ms: Ints, bar_ms: int) -> Iterator[Split]:
        train, test = self.train, self.test
        for at in range(0, len(opens_ms) - train - test + 1, self.step):
            begin, cut, end = 0 if self.anchored else at, at + train, at + train + test
            yield Split(
                Window(int(opens_ms[begin]), int(opens_ms[cut - 1]) + bar_ms),
                Window(int(opens_ms[cut]), int(opens_ms[end - 1]) + bar_ms),
            )

    def _by_time(self, opens_ms: Ints, bar_ms: int) -> Iterator[Split]:
        train, test = self.train, self.test
        first, last = int(opens_ms[0]), int(opens_ms[-1]) + bar_ms
        for at in range(first, last - train - test + 1, self.step):
            split = Split(Window(first if self.anchored else at, at + train), Window(at + train, at + train + test))
            if all(bars_in(opens_ms, window) for window in (split.train, split.test)):
                yield split


def parse_walk_forward(text: str, *, anchored: bool = False) -> WalkForward:
    """Return the walk-forward that `TRAIN:TEST[:STEP]` gives: bars such as 10080:1440, or durations such as 7d:1d.

    The step is the length of TEST by default.

    Raises
    ------
    InputError
        Where the text has another form, mixes bars and durations, or tests would count bars twice.
    """
    parts = text.split(":")
    bars = [re.fullmatch(r"[1-9][0-9]{0,8}", part) is not None for part in parts]
    try:
        if len(parts) not in (2, 3) or (any(bars) and not all(bars)):
            raise InputError
        lengths = [int(part) if all(bars) else Timeframe.parse(part).seconds * 1000 for part in parts]
    except InputError:
        raise InputError(
            "--walk-forward takes TRAIN:TEST or TRAIN:TEST:STEP, all bars (10080:1440) or all durations (7d:1d), found "
            f"{text!r}."
        ) from None
    train, test, step = lengths[0], lengths[1], lengths[-1]
    if step < test:
        raise InputError(
            f"--walk-forward {text}: the step must not be shorter than the test, whose bars would be counted twice."
        )
    return WalkForward(text, train, test, step, all(bars), anchored)


def check_backtests(sets: int, walk_forward: WalkForward | None, splits: Sequence[Split]) -> None:
    """Refuse a walk-forward in which there is more to do than can be meant.

    Raises
    ------
    InputError
        Where there are more than `MOST_SPLITS`, or all sets in all windows, and the tests, are more than
        `MOST_BACKTESTS`.
    """
    if walk_forward is None:
        return
    count = sets * (1 + len({split.train for split in splits})) + len(splits)
    if len(splits) <= MOST_SPLITS and count <= MOST_BACKTESTS:
        return
    hint = " Lengths without a unit are bars; 7d:1d are days and 12h:6h hours." if walk_forward.in_bars else ""
    raise InputError(
        f"A walk-forward takes at most {MOST_SPLITS:,} splits and {MOST_BACKTESTS:,} backtests, found "
        f"{counted(len(splits), 'split')} and {count:,} backtests: {counted(sets, 'set')} in the windows of "
        f"{walk_forward.text}.{hint} Lengthen its windows or its step, or take fewer sets."
    )


def rows_until(frame: SymbolFrame, end_ms: int) -> SymbolFrame:
    """Return the rows whose bars close at a time or before; of one symbol they are not copied."""
    if len(frame.symbol_starts) == 1:
        return frame.with_rows(frame.data.iloc[: int(np.searchsorted(frame.closes_ms, end_ms, side="right"))])
    return frame.with_rows(frame.data[frame.closes_ms <= end_ms].reset_index(drop=True))


def rows_from(frame: SymbolFrame, start_ms: int) -> SymbolFrame:
    """Return the rows whose bars open at a time or later."""
    return frame.with_rows(frame.data[frame.times_ms >= start_ms].reset_index(drop=True))


def bars_in(opens_ms: Ints, window: Window) -> int:
    """Return how many of the bars lie in a window."""
    first, last = np.searchsorted(opens_ms, [window.start_ms, window.end_ms])
    return int(last - first)
