"""One bot's day in memory: signals in a real MongoDB, trades as Freqtrade would have them, one loop after the other."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from freqtrade_shapes import MINUTE_MS, OrderShape, T, TradeShape, at, ms
from pydantic import SecretStr

from schemas.bot.live_signals import CandleFlags
from schemas.bot.live_trading import LiveTrading, outbox_name
from schemas.bot.outbox import Outbox
from schemas.bot.trade_facts import Consumer
from schemas.collections import FILLS, POSITIONS, SIGNAL_EXPORTS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.settings import ExternalSignalSettings, Settings
from schemas.signal_actions import LONG, ActionRules
from schemas.signal_rule import SignalWindow

pytestmark = pytest.mark.mongo

PAIR = "BTC/USDT"
SIGNAL = {"strategy_id": "mine", "symbol": "BINANCE:BTCUSDT", "pair": PAIR, "timeframe": "1m", "version": 1}


class Bot:
    """A process of the bot, its trades, and the time."""

    def __init__(self, settings: ExternalSignalSettings, folder: Path, trades: list[TradeShape], minute: float) -> None:
        self.trades, self.minute, self.db = trades, minute, settings.db
        consumer = Consumer("bot", "mine", "1m", MINUTE_MS, f"run at {minute}")
        self.live = LiveTrading(
            settings,
            consumer,
            SignalWindow(MINUTE_MS, max_delay_ms=3 * MINUTE_MS),
            ActionRules(MINUTE_MS),
            folder=folder,
            venue="binance",
            now=lambda: at(self.minute),
        )
        self.live.start(self.since)

    def since(self, time: datetime) -> list[TradeShape]:
        return [one for one in self.trades if one.close_date_utc is None or one.close_date_utc > time]

    def loop(self, minute: float) -> CandleFlags:
        self.minute = minute
        self.live.loop([PAIR], self.since, self)
        return self.live.decide(PAIR, ms(minute) // MINUTE_MS * MINUTE_MS - MINUTE_MS)

    # What is asked of Freqtrade.

    def entered(self, pair: str, tag: str) -> TradeShape | None:
        return next((one for one in self.trades if one.enter_tag == tag), None)

    def lost_orders(self, pair: str, since: datetime) -> Sequence[Mapping[str, Any]] | None:
        return []

    def is_locked(self, pair: str, candle: datetime, side: str) -> bool:
        return False


@pytest.fixture
def given(settings: Settings) -> ExternalSignalSettings:
    assert settings.mongo_uri is not None
    return ExternalSignalSettings(
        mongo_uri=settings.mongo_uri, db=settings.db, strategy_id="mine", mongo_timeout_ms=30_000, retry_after_s=0.0
    )


Start = Callable[..., Bot]


@pytest.fixture
def start(given: ExternalSignalSettings, tmp_path: Path) -> Iterator[Start]:
    """Start a process of the bot; all are closed in the end."""
    started: list[Bot] = []

    def make(minute: float, trades: list[TradeShape] | None = None, **settings: Any) -> Bot:
        bot = Bot(given.model_copy(update=settings), tmp_path, [] if trades is None else trades, minute)
        started.append(bot)
        return bot

    yield make
    for bot in started:
        bot.live.close()


def write(db: Store, minute: int, **content: Any) -> str:
    """Store a signal, and return its tag."""
    db[SIGNALS].insert_one(SIGNAL | {"ts": at(minute), **content})
    return f"mine@2022-01-01T00:{minute:02}Z#1"


def test_each_refused_order_of_an_exit_is_counted(start: Start, db: Store) -> None:
    """Two orders leave of which the trade has none; the third one is taken, and is no refusal."""
    entry = write(db, 5, action="enter_long")
    trade = TradeShape([OrderShape("1", ft_order_tag=entry)], enter_tag=entry, open_date_utc=at(6.05))
    bot = start(6, [trade])
    bot.loop(6.1)
    leave = write(db, 7, action="exit_long")
    for minute in (8.05, 8.1, 8.15):
        assert bot.loop(minute).tag == leave
        bot.live.exiting(PAIR, leave)
    trade.orders.append(OrderShape("2", ft_order_side="sell", ft_order_tag=leave))
    trade.close_date_utc, trade.exit_reason = at(8.16), leave
    bot.loop(8.2)
    bot.live.close()
    (receipt,) = db[SIGNAL_RECEIPTS].find({"ts": at(7)})
    assert (receipt["decision"], receipt["rejected_orders"]) == ("exited", 2)


def test_from_a_signal_to_a_closed_position(start: Start, db: Store) -> None:
    """Receipts, fills and positions of one round, all with the signals' keys."""
    bot = start(5)
    tag = write(db, 5, weight=0.5)
    assert bot.loop(6.05) == CandleFlags(enter=LONG, tag=tag, stake=0.5)
    assert bot.live.may_enter(PAIR, tag)
    assert not bot.live.may_enter(PAIR, tag)
    trade = TradeShape([OrderShape("1", ft_order_tag=tag)], enter_tag=tag, open_date_utc=at(6.05))
    bot.trades.append(trade)
    bot.live.filled(trade)
    assert bot.loop(6.1) == CandleFlags()
    leave = write(db, 7, action="exit_long")
    assert bot.loop(8.05) == CandleFlags(leave_long=True, tag=leave)
    bot.live.exiting(PAIR, leave)
    trade.orders.append(OrderShape("2", ft_order_side="sell", ft_order_tag=leave))
    trade.close_date_utc, trade.exit_reason = at(8.06), leave
    assert bot.loop(8.1) == CandleFlags()
    bot.live.close()
    assert [(one["ts"], one["decision"]) for one in db[SIGNAL_RECEIPTS].find(sort=[("ts", 1)])] == [
        (at(5), "entered"), (at(7), "exited"),
    ]  # fmt: skip
    assert [(one["order_id"], one["ts"]) for one in db[FILLS].find(sort=[("order_id", 1)])] == [
        ("1", at(5)),
        ("2", at(7)),
    ]
    (position,) = db[POSITIONS].find()
    assert (position["state"], position["ts"], position["exit_ts"]) == ("closed", at(5), at(7))


def test_a_bot_that_runs_for_days_forgets_settled_claims(start: Start, db: Store, tmp_path: Path) -> None:
    """In its file too, while it runs: a week after the signal's bar, and not an hour before."""
    bot = start(5)
    tag = write(db, 5, action="enter_long")
    assert bot.loop(6.05).enter == LONG
    assert bot.live.may_enter(PAIR, tag)
    bot.trades.append(TradeShape([OrderShape("1", ft_order_tag=tag)], enter_tag=tag, open_date_utc=at(6.05)))
    week = 7 * 24 * 60
    bot.loop(5 + week - 1)
    own = Outbox(tmp_path / outbox_name("bot", bot.db))
    assert [one.state for one in own.claims("mine", "1m")] == ["settled"]
    bot.loop(5 + week + 60)
    deadline = time.monotonic() + 20
    while own.claims("mine", "1m") and time.monotonic() < deadline:
        time.sleep(0.02)  # the thread that writes does it
    assert own.claims("mine", "1m") == []
    own.close()


def test_a_persons_orders_pass_and_are_recorded_without_a_signal(start: Start, db: Store) -> None:
    """No claim, no receipt; a fill and a position without a key."""
    bot = start(5)
    assert bot.live.may_enter(PAIR, "force_entry")
    assert bot.live.may_enter(PAIR, None)
    bot.live.exiting(PAIR, "force_exit")
    bot.live.filled(TradeShape(enter_tag="force_entry"))
    bot.live.close()
    assert db[SIGNAL_RECEIPTS].count_documents({}) == 0
    assert [("ts" in one, one["reason"]) for one in db[FILLS].find()] == [(False, "force_entry")]


def test_a_signal_that_ran_out_between_its_reading_and_its_order_opens_nothing(start: Start, db: Store) -> None:
    """Its valid_until, or the longest delay, passed while Freqtrade was busy."""
    bot = start(5)
    tag = write(db, 5, action="enter_long", valid_until=at(6.1))
    assert bot.loop(6.05).enter == LONG
    bot.minute = 6.1
    assert not bot.live.may_enter(PAIR, tag)
    other = write(db, 6, action="enter_long")
    assert bot.loop(7.05).tag == other
    bot.minute = 10.01
    assert not bot.live.may_enter(PAIR, other)
    bot.live.close()
    assert {one["reason"] for one in db[SIGNAL_RECEIPTS].find()} == {"expired"}


@pytest.mark.parametrize("late_exits", [True, False])
def test_an_exit_of_the_time_before_closes_at_the_next_start(start: Start, db: Store, late_exits: bool) -> None:
    """It came while the bot was off; looked for once, and by default."""
    trade = TradeShape()
    leave = write(db, 10, action="exit_long")
    bot = start(60, [trade], late_exits=late_exits)
    assert bot.loop(60.1) == (CandleFlags(leave_long=True, tag=leave) if late_exits else CandleFlags())
    later = write(db, 20, action="exit_long")
    assert bot.loop(60.2).tag != later


def test_trades_of_the_time_before_are_told_at_the_next_start(start: Start, db: Store) -> None:
    """All of them the first time; later those since the bot was last seen alive."""
    trades = [TradeShape(close_date_utc=at(1), exit_reason="stop_loss")]
    start(5, trades).live.close()
    assert db[POSITIONS].count_documents({"state": "closed"}) == 1


@pytest.mark.parametrize(
    ("on_silence", "flags"), [("hold", CandleFlags()), ("exit", CandleFlags(leave_long=True, tag="research_silent"))]
)
def test_silence_is_met_by_the_policy(
    start: Start, db: Store, caplog: pytest.LogCaptureFixture, on_silence: str, flags: CandleFlags
) -> None:
    """Two bars after the newest export's bar closed; an export ends the silence."""
    bot = start(5, [TradeShape()], on_silence=on_silence, silence_bars=2)
    exported = {"strategy_id": "mine", "timeframe": "1m", "exported_at": T}
    db[SIGNAL_EXPORTS].insert_one(exported | {"last_ts": at(5)})
    assert bot.loop(8) == CandleFlags()
    with caplog.at_level(logging.WARNING):
        assert [bot.loop(8.02), bot.loop(8.04)] == [flags, flags]
        db[SIGNAL_EXPORTS].insert_one(exported | {"last_ts": at(8)})
        assert bot.loop(9.02) == CandleFlags()
    assert (
        caplog.text.count("Research of mine is silent") == caplog.text.count("speaks again") == (on_silence == "exit")
    )


def test_silence_counts_from_the_start_where_nothing_is_known(start: Start) -> None:
    """MongoDB away from the beginning: the position is closed all the same."""
    nobody = SecretStr("mongodb://127.0.0.1:9/")
    bot = start(5, [TradeShape()], on_silence="exit", silence_bars=2, mongo_uri=nobody, mongo_timeout_ms=50)
    assert bot.loop(7) == CandleFlags()
    assert bot.loop(7.02) == CandleFlags(leave_long=True, tag="research_silent")


def test_a_loop_that_fails_forgets_the_signals_of_the_one_before(start: Start, db: Store) -> None:
    """Freqtrade goes on to decide after an error of the loop's begin; old signals must not act then."""
    bot = start(5)
    write(db, 5, action="enter_long")
    assert bot.loop(6.05).enter == LONG

    def broken(_: datetime) -> list[TradeShape]:
        raise RuntimeError("database is locked")

    with pytest.raises(RuntimeError):
        bot.live.loop([PAIR], broken, bot)
    assert bot.live.decide(PAIR, ms(5)) == CandleFlags()


def test_each_bot_has_a_file_of_its_own() -> None:
    """By its name and the database; names that look alike as files are told apart."""
    names = {outbox_name(name, db) for name, db in (("a/b", "x"), ("a b", "x"), ("a/b", "y"), ("ü" * 300, "x"))}
    assert len(names) == 4
    assert all("/" not in name and len(name) < 80 for name in names)


def test_the_end_is_soon_though_mongodb_is_away(start: Start) -> None:
    """What waits stays in the file."""
    bot = start(5, [TradeShape()], mongo_uri=SecretStr("mongodb://127.0.0.1:9/"), mongo_timeout_ms=50)
    began = datetime.now(T.tzinfo)
    bot.live.close()
    assert datetime.now(T.tzinfo) - began < timedelta(seconds=20)
