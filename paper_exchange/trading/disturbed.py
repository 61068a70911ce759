"""A house's liquidity through a fault: its quote stands still, or only a part of it is there."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from paper_exchange.trading.liquidity import Level, Liquidity, Step
from paper_exchange.trading.order import Side

_GENERATIONS = 2**20


class Disturbance(Protocol):
    """What is in the way between the engine and the market. All times are the venue's, in ms."""

    def seen_ms(self, symbol: str, at_ms: int) -> int:
        """Return which time's market shows at `at_ms`; it never falls as `at_ms` rises."""
        ...

    def thaw_ms(self, symbol: str, at_ms: int) -> int | None:
        """Return when the freeze ends that lies at `at_ms`; None where there is none."""
        ...

    def share(self, symbol: str) -> tuple[int, int]:
        """Return the percent of the liquidity that is there, and a number that rises whenever that changes."""
        ...


class DisturbedLiquidity:
    """A `Liquidity` that stands still while it is frozen and holds less while it is capped.

    The steps that a freeze has hidden are played at its end, all at once.

    Parameters
    ----------
    inner
        The liquidity without a fault.
    disturbance
        What is in the way.
    lots
        Each symbol's lot, in units of 1e-8: a part of a quantity is cut down to whole ones.
    """

    def __init__(self, inner: Liquidity, disturbance: Disturbance, lots: dict[str, int]) -> None:
        self._inner = inner
        self._disturbance = disturbance
        self._lots = lots

    def quote_id(self, symbol: str, now_ms: int) -> int:
        """Return a number that changes with the quote that can be seen, and with the part of it that is there."""
        inner = self._inner.quote_id(symbol, self._seen(symbol, now_ms))
        return inner * _GENERATIONS + self._disturbance.share(symbol)[1] % _GENERATIONS

    def levels(self, symbol: str, side: Side, now_ms: int, limit: int) -> Sequence[Level]:
        """Return the part of the levels that is there; a level of less than a lot has a quantity of 0."""
        levels = self._inner.levels(symbol, side, self._seen(symbol, now_ms), limit)
        percent = self._disturbance.share(symbol)[0]
        return levels if percent == 100 else [(price, self._part(symbol, size, percent)) for price, size in levels]

    def steps(self, symbol: str, after_ms: int, upto_ms: int) -> Iterator[Step]:
        """Return the price path between what was seen at the two times."""
        for step in self._inner.steps(symbol, self._seen(symbol, after_ms), self._seen(symbol, upto_ms)):
            percent = self._disturbance.share(symbol)[0]
            yield step if percent == 100 else step._replace(quantity=self._part(symbol, step.quantity, percent))

    def next_step_ms(self, symbol: str, now_ms: int) -> int | None:
        """Return when the next step can be seen."""
        thaw = self._disturbance.thaw_ms(symbol, now_ms)
        return self._inner.next_step_ms(symbol, now_ms) if thaw is None else thaw

    def last_price(self, symbol: str, now_ms: int) -> int | None:
        """Return the price that can be seen."""
        return self._inner.last_price(symbol, self._seen(symbol, now_ms))

    def average_price(self, symbol: str, now_ms: int) -> int | None:
        """Return the average of the last minutes that can be seen."""
        return self._inner.average_price(symbol, self._seen(symbol, now_ms))

    def _seen(self, symbol: str, at_ms: int) -> int:
        return self._disturbance.seen_ms(symbol, at_ms)

    def _part(self, symbol: str, quantity: int, percent: int) -> int:
        lot = self._lots[symbol]
        return quantity * percent // 100 // lot * lot
