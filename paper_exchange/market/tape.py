"""One symbol's bars as exact integer columns: everything the venue tells is derived from this and the clock."""

from dataclasses import dataclass, replace

import numpy as np

from paper_exchange.units import Ints

MINUTE_MS = 60_000


@dataclass(frozen=True, eq=False, slots=True)
class Tape:
    """One-minute bars, oldest first.

    Parameters
    ----------
    open_ms
        Each bar's open in ms since 1970 UTC; on whole minutes, strictly rising. A missing minute is a gap.
    open, high, low, close
        In units of ``10 ** -price_decimals``.
    volume
        Base asset, in units of ``10 ** -quantity_decimals``.
    price_decimals, quantity_decimals
        0 to 8; they are the tick and the lot that the venue declares.

    Raises
    ------
    ValueError
        Where the columns differ in length, there is no bar, or the bars contradict themselves.
    """

    open_ms: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    price_decimals: int
    quantity_decimals: int

    def __post_init__(self) -> None:
        columns = (self.open, self.high, self.low, self.close, self.volume)
        if len(self.open_ms) == 0 or any(len(column) != len(self.open_ms) for column in columns):
            raise ValueError("A tape needs at least one bar, and columns of one length.")
        if bool(np.any(self.open_ms % MINUTE_MS)) or bool(np.any(np.diff(self.open_ms) <= 0)):
            raise ValueError("A tape's bars must open on whole minutes, each after the one before.")
        inside = (self.low <= np.minimum(self.open, self.close)) & (self.high >= np.maximum(self.open, self.close))
        if not bool(np.all(inside & (self.low > 0) & (self.volume >= 0))):
            raise ValueError("A tape needs 0 < low <= open, close <= high and volume >= 0 in every bar.")

    def __len__(self) -> int:
        return len(self.open_ms)

    @property
    def first_ms(self) -> int:
        """The first bar's open."""
        return int(self.open_ms[0])

    @property
    def end_ms(self) -> int:
        """The last bar's close, which is the first instant at which all bars are closed."""
        return int(self.open_ms[-1]) + MINUTE_MS

    def moved(self, by_ms: int) -> "Tape":
        """Return the same bars `by_ms` later (earlier where it is negative), by whole minutes."""
        return self if by_ms == 0 else replace(self, open_ms=self.open_ms + by_ms)

    def opened(self, now_ms: int) -> int:
        """Return how many bars have opened at `now_ms`; a bar that opens at this instant counts."""
        return int(np.searchsorted(self.open_ms, now_ms, side="right"))
