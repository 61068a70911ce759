"""Splits how far a live trade's profit lies from the backtest's: into delay, another exit, price and fees."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Rates:
    """All that the profit ratio of a long trade depends on.

    Attributes
    ----------
    open_rate, close_rate : float
        What one unit was bought and sold for, before fees; where it is still held, what it is worth.
    open_factor, close_factor : float
        What fees made of these: 1.001 where the entry paid ten basis points, 0.999 where the exit did, 1 without.
    """

    open_rate: float
    close_rate: float
    open_factor: float = 1.0
    close_factor: float = 1.0

    @property
    def profit_ratio(self) -> float:
        """What came back of what was put in, less 1."""
        return self.close_rate * self.close_factor / (self.open_rate * self.open_factor) - 1.0


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of `live profit ratio - backtest profit ratio`; they sum to it.

    Attributes
    ----------
    delay : float
        The backtest fills at the open of the next bar; by the time the bot ordered, the market stood elsewhere. Half
        the spread is in it, as the bot sees the side of the book that it takes.
    other_exit : float
        As the delay of the exit, where the two sides did not leave by the same signal: a stop, a person, an exit that
        was skipped, or a position that one side still holds.
    price : float
        From the price that the bot saw to what was filled.
    fees : float
        From the fees of the backtest to those that were paid.
    """

    delay: float = 0.0
    other_exit: float = 0.0
    price: float = 0.0
    fees: float = 0.0

    @property
    def total(self) -> float:
        """Their sum."""
        return self.delay + self.other_exit + self.price + self.fees


def split_difference(backtest: Rates, quoted: Rates, live: Rates, *, same_exit: bool) -> Split:
    """Return what makes the difference between two profit ratios of one trade.

    One kind of value after the other is replaced, and each part is what that changes, so that nothing is left over and
    nothing is told twice. The order is that of time: first the market at the order, then the fill, then the fees.

    Parameters
    ----------
    backtest : Rates
        Rates and fees of the backtest.
    quoted : Rates
        The market when the bot ordered, with the fees that the backtest takes of such fills.
    live : Rates
        What was filled, and the fees that were paid.
    same_exit : bool
        Whether both sides left by the same signal, or both still hold the position.
    """
    entered = replace(backtest, open_rate=quoted.open_rate, open_factor=quoted.open_factor)
    filled = replace(quoted, open_rate=live.open_rate, close_rate=live.close_rate)
    entry_delay = entered.profit_ratio - backtest.profit_ratio
    exit_delay = quoted.profit_ratio - entered.profit_ratio
    return Split(
        delay=entry_delay + exit_delay if same_exit else entry_delay,
        other_exit=0.0 if same_exit else exit_delay,
        price=filled.profit_ratio - quoted.profit_ratio,
        fees=live.profit_ratio - filled.profit_ratio,
    )
