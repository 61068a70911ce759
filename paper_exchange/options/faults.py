"""The option that lets faults be asked for, and what it joins to the venue."""

from collections.abc import Mapping
from typing import Annotated

import typer

from paper_exchange.api.faults import Faults
from paper_exchange.clock import Clock
from paper_exchange.errors import StartError
from paper_exchange.market.disturbed import disturbed
from paper_exchange.market.market import Market
from paper_exchange.trading.disturbed import DisturbedLiquidity
from paper_exchange.trading.house import MarketLiquidity
from paper_exchange.trading.liquidity import Liquidity

WithFaults = Annotated[
    bool, typer.Option("--faults", help="Let programs of this machine ask for faults at /control/faults.")
]


def open_faults(wanted: bool, host: str, loopback: tuple[str, ...], clock: Clock) -> Faults | None:
    """Return the venue's faults, of which there are none yet; None where they are not wanted.

    Raises
    ------
    StartError
        Where other machines could reach the venue.
    """
    if wanted and host not in loopback:
        raise StartError(f"--faults needs a venue that only this machine can reach, found --host {host}.")
    return Faults(clock) if wanted else None


def with_faults(markets: Mapping[str, Market], faults: Faults | None) -> tuple[Mapping[str, Market], Liquidity]:
    """Return the markets and the house's liquidity as the faults let them be seen."""
    liquidity = MarketLiquidity(markets)
    if faults is None:
        return markets, liquidity
    lots = {symbol: market.instrument.lot for symbol, market in markets.items()}
    return disturbed(markets, faults), DisturbedLiquidity(liquidity, faults, lots)
