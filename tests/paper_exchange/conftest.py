"""Markets of January 2022, a way to ask them without a network, and the venue as a real process."""

from collections.abc import Iterator

import pytest
from venue_tools import MINUTE_MS, NEW_YEAR_MS, Ask, Venue, asker, market_of

from paper_exchange.clock import StandingClock
from paper_exchange.market.market import Market
from paper_exchange.market.synthetic import synthetic_tape


@pytest.fixture(scope="session")
def month() -> Market:
    """31 synthetic days, which are January 2022."""
    return market_of(synthetic_tape("BTCUSDT", 7))


@pytest.fixture(scope="session")
def ether() -> Market:
    """A second market, of three days up to the end of January 2022."""
    return market_of(synthetic_tape("ETHUSDT", 7, days=3), "ETHUSDT")


@pytest.fixture
def clock(month: Market) -> StandingClock:
    """A clock that stands in the middle of a minute: 2022-01-20 12:34:30.500 UTC."""
    return StandingClock(NEW_YEAR_MS + ((19 * 24 + 12) * 60 + 34) * MINUTE_MS + 30_500)


@pytest.fixture
def ask(month: Market, ether: Market, clock: StandingClock) -> Ask:
    """Asks a venue with two markets at the moment of `clock`."""
    return asker({"BTCUSDT": month, "ETHUSDT": ether}, clock)


@pytest.fixture(scope="session")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """Two synthetic markets of January 2022, the clock at their end."""
    folder = tmp_path_factory.mktemp("venue")
    with Venue(folder, "--bars", "synthetic", "--symbol", "BTCUSDT,ETHUSDT", "--seed", "7") as started:
        yield started
