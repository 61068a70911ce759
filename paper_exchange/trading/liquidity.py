"""What the house offers and how the market moves, as the engine sees it; whatever distorts a market wraps this."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from paper_exchange.trading.order import Side


class Step(NamedTuple):
    """One point of a symbol's price path; a step without quantity moves the price and trades nothing."""

    time_ms: int
    price: int
    quantity: int


Level = tuple[int, int]  # price and quantity


class Liquidity(Protocol):
    """The market behind the house account. Prices and quantities in units of 1e-8, times in venue ms.

    Times never go back from one call to the next, but for `steps`, whose range may lie before the latest time.
    """

    def quote_id(self, symbol: str, now_ms: int) -> int:
        """Return a number that changes whenever the house quotes anew; the same number promises the same levels.

        What users took of a quote stays taken until this number changes, so a wrapper that changes `levels` must
        change it too.
        """
        ...

    def levels(self, symbol: str, side: Side, now_ms: int, limit: int) -> Sequence[Level]:
        """Return the house's best `limit` bids (`side` BUY) or asks (SELL), the best first, each price once.

        A larger limit gives the same levels and more. Empty before the symbol's first bar opens.
        """
        ...

    def steps(self, symbol: str, after_ms: int, upto_ms: int) -> Iterator[Step]:
        """Return the price path of ``after_ms < time <= upto_ms``, oldest first."""
        ...

    def next_step_ms(self, symbol: str, now_ms: int) -> int | None:
        """Return the time of the first step after `now_ms`; None at the end of the market."""
        ...

    def last_price(self, symbol: str, now_ms: int) -> int | None:
        """Return the price where the path stands; None before the first bar opens."""
        ...

    def average_price(self, symbol: str, now_ms: int) -> int | None:
        """Return the average price of the last minutes, which the filters use; None before the first bar opens."""
        ...
