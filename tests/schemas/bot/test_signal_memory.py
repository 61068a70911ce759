"""What a restarted bot knows again from its trades."""

from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.bot.signal_memory import memory_of
from schemas.signal_actions import FLAT, LONG, LONG_AGO, SHORT, Memory

MINUTE_MS = 60_000


def at(minute: int, second: int = 0) -> datetime:
    return datetime(2022, 1, 1, 0, minute, second, tzinfo=UTC)


def ms(minute: int) -> int:
    return int(at(minute).timestamp() * 1000)


@dataclass
class Trade:
    """A trade as Freqtrade keeps it, as far as it is read."""

    open_date_utc: datetime
    close_date_utc: datetime | None = None
    enter_tag: str | None = None
    exit_reason: str | None = None
    is_short: bool = False

    @property
    def is_open(self) -> bool:
        return self.close_date_utc is None


def test_no_trades_are_no_memory() -> None:
    """A new bot may act on anything that is usable."""
    assert memory_of([], "mine", MINUTE_MS) == Memory()


def test_an_open_trade_is_a_position_since_the_candle_that_caused_it() -> None:
    """Filled at 00:05:01, so the candle of 00:04 acted; its signal is settled."""
    trade = Trade(at(5, 1), enter_tag="mine@2022-01-01T00:03Z#1")
    assert memory_of([trade], "mine", MINUTE_MS) == Memory(LONG, ms(4), LONG_AGO, ms(3))


def test_the_newest_exit_by_a_signal_starts_the_cooldown() -> None:
    """Two closed trades in any order: the later exit counts, and the newest signal of either side is settled."""
    trades = [
        Trade(at(20), at(30, 2), "mine@2022-01-01T00:19Z#1", "mine@2022-01-01T00:29Z#2"),
        Trade(at(5), at(9, 2), "mine@2022-01-01T00:04Z#1", "mine@2022-01-01T00:08Z#1"),
    ]
    assert memory_of(trades, "mine", MINUTE_MS) == Memory(FLAT, LONG_AGO, ms(29), ms(29))


def test_a_stop_starts_no_cooldown() -> None:
    """Closed by Freqtrade's own stop: the entry's signal is settled, no exit has acted."""
    trade = Trade(at(5), at(9), "mine@2022-01-01T00:04Z#1", "stop_loss")
    assert memory_of([trade], "mine", MINUTE_MS) == Memory(FLAT, LONG_AGO, LONG_AGO, ms(4))


def test_trades_of_others_are_positions_and_nothing_more() -> None:
    """A person's short and another strategy's trade: there is a position, but no signal of ours acted."""
    trades = [
        Trade(at(1), at(2), "theirs@2022-01-01T00:00Z#1", "theirs@2022-01-01T00:01Z#1"),
        Trade(at(7), enter_tag="force_entry", is_short=True),
    ]
    assert memory_of(trades, "mine", MINUTE_MS) == Memory(SHORT, ms(6), LONG_AGO, LONG_AGO)
