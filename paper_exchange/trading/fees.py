"""What a trade costs: exact rates for maker and taker, and the asset in which they are taken."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from paper_exchange.trading.order import UNIT

RECEIVED, QUOTE = "received", "quote"
_PER_BPS = UNIT // 10_000


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """The rates, in units of 1e-8 of the traded amount (100,000 is 0.1 %), and what they are paid in.

    Parameters
    ----------
    maker, taker
        From 0 up to 1e8.
    fee_in
        ``received``: the asset that the account gets, as at the venue by default. ``quote``: the quote asset on both
        sides. Anything else is the name of a fee coin. Where the account has too little of a quote or coin that it
        does not receive, the fee is taken from what it receives.
    coin_prices
        The coin's price by quote asset, in units of 1e-8, for quotes against which the coin is not listed.
    """

    maker: int = 10 * _PER_BPS
    taker: int = 10 * _PER_BPS
    fee_in: str = RECEIVED
    coin_prices: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, rate in (("maker", self.maker), ("taker", self.taker)):
            if not 0 <= rate <= UNIT:
                raise ValueError(f"The {name} fee must lie between 0 and {UNIT} (1e-8 of the amount), found {rate}.")

    @classmethod
    def of_bps(
        cls, maker_bps: Decimal | str, taker_bps: Decimal | str, fee_in: str = RECEIVED,
        coin_prices: Mapping[str, int] | None = None,
    ) -> "FeeSchedule":  # fmt: skip
        """Return the schedule for rates in basis points, which may have up to four decimals.

        Raises
        ------
        ValueError
            Where a rate is finer than 0.0001 bps or outside 0 to 10,000.
        """
        maker, taker = (_rate(name, Decimal(bps)) for name, bps in (("maker", maker_bps), ("taker", taker_bps)))
        return cls(maker, taker, fee_in, dict(coin_prices or {}))

    @property
    def coin(self) -> str | None:
        """The fee coin's name, if fees are taken in one."""
        return None if self.fee_in in (RECEIVED, QUOTE) else self.fee_in


def _rate(name: str, bps: Decimal) -> int:
    rate = bps * _PER_BPS
    if rate != rate.to_integral_value() or not 0 <= rate <= UNIT:
        raise ValueError(f"The {name} fee needs 0 to 10000 bps with at most four decimals, found {bps}.")
    return int(rate)
