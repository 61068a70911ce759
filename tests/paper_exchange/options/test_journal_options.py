"""A venue that is started again with its journal goes on with its accounts and its time, or says why it can not."""

from pathlib import Path

import pytest
from venue_tools import MINUTE_MS, NEW_YEAR_MS, market_of, tape_of

from paper_exchange.api.accounts import Account
from paper_exchange.api.venue import open_venue
from paper_exchange.clock import Clock, RunningClock, StandingClock, WallClock
from paper_exchange.errors import StartError
from paper_exchange.market.market import Market
from paper_exchange.options.journal import continued_clock, open_journal

ANN = Account("ann", "ann-key", b"s", {"USDT": 10**12})


@pytest.fixture
def markets() -> dict[str, Market]:
    """One market of three minutes."""
    return {"BTCUSDT": market_of(tape_of([(minute, 100, 100, 100, 100, 9) for minute in range(3)]))}


def run(path: Path, markets: dict[str, Market], clock: Clock, account: Account = ANN) -> dict[str, str]:
    """Start a venue, end it, and return what the account had."""
    journal = open_journal(path, markets, clock, fsync=False)
    assert journal is not None
    venue = open_venue(markets, clock, accounts=[account], journal=journal)
    held = {asset: str(balance.free) for asset, balance in venue.exchange.balances(account.name).items()}
    journal.close()
    return held


def test_a_running_clock_keeps_its_line(tmp_path: Path, markets: dict[str, Market]) -> None:
    """Started again later, and with another --start, it is where it would have come to."""
    path = tmp_path / "journal"
    first = RunningClock(NEW_YEAR_MS, 60, wall_ms=1_000_000, time_ns=lambda: 1_000_000 * 10**6)
    run(path, markets, first)
    again = continued_clock(path, RunningClock(NEW_YEAR_MS + MINUTE_MS, 60, stop_ms=NEW_YEAR_MS + 3 * MINUTE_MS))
    assert again.mapping.venue_at(1_001_000 * 10**6) == NEW_YEAR_MS + MINUTE_MS
    assert again.mapping.stop_ms == NEW_YEAR_MS + 3 * MINUTE_MS


def test_another_speed_is_refused(tmp_path: Path, markets: dict[str, Market]) -> None:
    """The line would break."""
    path = tmp_path / "journal"
    run(path, markets, RunningClock(NEW_YEAR_MS, 60))
    with pytest.raises(StartError, match="is of a venue at speed 60, found speed 1"):
        continued_clock(path, WallClock())


def test_a_standing_clock_may_be_set_forward_and_not_back(tmp_path: Path, markets: dict[str, Market]) -> None:
    """What the journal holds can not lie in the future."""
    path = tmp_path / "journal"
    run(path, markets, StandingClock(NEW_YEAR_MS + MINUTE_MS))
    later = StandingClock(NEW_YEAR_MS + 2 * MINUTE_MS)
    assert continued_clock(path, later) is later
    run(path, markets, later)
    with pytest.raises(StartError, match="Give a later --start"):
        open_journal(path, markets, StandingClock(NEW_YEAR_MS), fsync=False)


def test_deposits_are_made_once(tmp_path: Path, markets: dict[str, Market]) -> None:
    """An asset that the account has had before is not funded again, a new one is."""
    path, clock = tmp_path / "journal", StandingClock(NEW_YEAR_MS)
    assert run(path, markets, clock) == {"USDT": "1000000000000"}
    richer = Account("ann", "ann-key", b"s", {"USDT": 5, "BTC": 7})
    assert run(path, markets, clock, richer) == {"USDT": "1000000000000", "BTC": "7"}


def test_mistakes_are_sentences(tmp_path: Path, markets: dict[str, Market]) -> None:
    """A folder that is not there; fsync without a file."""
    clock = StandingClock(NEW_YEAR_MS)
    with pytest.raises(StartError, match="there is no folder"):
        open_journal(tmp_path / "nowhere" / "journal", markets, clock, fsync=False)
    with pytest.raises(StartError, match="--journal-fsync needs --journal FILE"):
        open_journal(None, markets, clock, fsync=True)
    assert open_journal(None, markets, clock, fsync=False) is None
    assert continued_clock(None, clock) is clock


def test_a_torn_record_is_cut_off_and_told(
    tmp_path: Path, markets: dict[str, Market], capsys: pytest.CaptureFixture[str]
) -> None:
    """It was never acknowledged."""
    path, clock = tmp_path / "journal", StandingClock(NEW_YEAR_MS)
    run(path, markets, clock)
    with path.open("ab") as file:
        file.write(b'00000000 {"t":')
    assert run(path, markets, clock) == {"USDT": "1000000000000"}
    assert "is cut off" in capsys.readouterr().err
