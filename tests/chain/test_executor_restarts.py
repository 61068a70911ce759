"""What a timeout, a kill at the worst moment and a silent research leave behind: never a second order, never a gap."""

import uuid
from collections.abc import Iterator

import pytest
from executor_bot import MINUTE, STRATEGY_ID, ExecutorBot, executor_bot
from pydantic import SecretStr
from pymongo import MongoClient

from schemas.collections import SIGNAL_EXPORTS
from schemas.mongo import connect
from schemas.settings import Settings

pytestmark = [pytest.mark.chain, pytest.mark.freqtrade, pytest.mark.mongo, pytest.mark.venue]

LIMITS = {"order_types": {"entry": "limit", "exit": "limit", "stoploss": "market", "stoploss_on_exchange": False}}


@pytest.fixture(scope="module")
def running(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExecutorBot]:
    """One bot for all tests of this file, a minute of which takes four seconds: each start costs ten."""
    folder = tmp_path_factory.mktemp("executor")
    settings = Settings.load(mongo_uri=SecretStr(mongo_uri), db=f"test_{uuid.uuid4().hex[:12]}", home=folder)
    with connect(settings) as db, executor_bot(db, settings, folder / "bot", speed=15, config=LIMITS) as bot:
        yield bot
    with MongoClient(mongo_uri) as client:
        client.drop_database(settings.db)


@pytest.fixture
def bot(running: ExecutorBot) -> ExecutorBot:
    """The bot, trading, without a position."""
    if running.process is None:
        running.start()
    if running.positions(state="open"):
        running.leave()
    return running


def test_an_unfilled_entry_is_not_ordered_again(bot: ExecutorBot) -> None:
    """A limit order far from the market runs into `unfilledtimeout` (one minute): the signal is used up by it."""
    before = len(bot.orders())
    bot.flag("far")
    lost = bot.signal(action="enter_long")
    bot.becomes(lost, "entered")
    bot.becomes(lost, "skipped", "order_unfilled")
    bot.pass_bars(1)
    bot.flag("far", on=False)
    assert [order["status"] for order in bot.orders()[before:]] == ["canceled"]
    assert bot.fills(ts=lost) == []


def test_an_unfilled_exit_is_ordered_until_it_fills(bot: ExecutorBot) -> None:
    """Though its signal is long too old for its window, and though the bot was killed in between."""
    bought = bot.enter()
    before = len(bot.orders())
    bot.flag("far")
    sold = bot.signal(action="exit_long")
    bot.wait(lambda: len(bot.orders()) >= before + 2, "a second exit order after the first timed out")
    assert bot.receipt(sold)["decision"] == "exited"
    bot.end(by=9)
    bot.flag("far", on=False)
    bot.pass_bars(2)
    bot.start()
    bot.wait(lambda: bool(bot.positions(ts=bought, exit_ts=sold, state="closed")), "the closed position")
    assert len(bot.fills(ts=sold)) == 1
    assert bot.outcome(sold) == ("exited", None)


def test_a_bot_killed_right_after_its_order_was_noted_goes_on(bot: ExecutorBot) -> None:
    """kill -9 as soon as Freqtrade has the trade; the order, its fill and the position are complete, and single.

    Signals that came while the bot was off are too old when it is back: an entry opens nothing, and says expired; the
    exit that was research's last word closes late.
    """
    orders, trades = len(bot.orders()), len(bot.trades())
    bought = bot.signal(action="enter_long")
    bot.wait(lambda: len(bot.trades()) > trades, "the trade")
    bot.end(by=9)
    missed = bot.signal(action="enter_long")
    word = bot.signal(action="exit_long")
    bot.pass_bars(3)
    bot.start()
    bot.wait(lambda: bool(bot.positions(ts=bought, exit_ts=word, state="closed")), "the closed position")
    bot.becomes(missed, "skipped", "expired")
    assert len(bot.orders()) == orders + 2
    assert len(bot.fills(ts=bought)) == len(bot.fills(ts=word)) == 1
    assert bot.outcome(bought) == ("entered", None)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_bot_killed_around_its_order_does_not_order_again(bot: ExecutorBot, when: str) -> None:
    """kill -9 between the claim and the order, or between the order and Freqtrade's note of it.

    In the first case there is no order, and the receipt says so when the bot is back. In the second the venue has
    one of which Freqtrade knows nothing: its fill is recorded with the signal, and the log asks for a person.
    """
    orders, trades = len(bot.orders()), len(bot.trades())
    bot.flag(f"kill_{when}_order")
    bought = bot.signal(action="enter_long")
    bot.died()
    assert bot.outcome(bought) == ("entered", None)
    assert len(bot.trades()) == trades
    bot.flag(f"kill_{when}_order", on=False)
    bot.start()
    if when == "before":
        bot.becomes(bought, "skipped", "order_lost")
        assert len(bot.orders()) == orders
        return
    bot.wait(lambda: bool(bot.fills(ts=bought)), "the lost order's fill")
    (order,) = bot.orders()[orders:]
    (fill,) = bot.fills(ts=bought)
    assert fill["order_id"] == order["id"]
    assert "trade_id" not in fill
    assert f"The venue has order {order['id']} of BTC/USDT" in bot.log()
    assert bot.outcome(bought) == ("entered", None)


def test_positions_are_closed_when_research_falls_silent(bot: ExecutorBot) -> None:
    """on_silence=exit, two bars: exports without a new signal keep the position, and their end closes it."""
    bot.end()
    bot.signal_settings = {"on_silence": "exit", "silence_bars": "2"}
    bot.start()
    bought = bot.enter()
    for _ in range(3):
        ts = bot.closed_bar()
        mine = {"strategy_id": STRATEGY_ID, "timeframe": "1m", "first_ts": ts, "last_ts": ts, "exported_at": ts}
        bot.db[SIGNAL_EXPORTS].insert_one(dict(mine))
    assert bot.positions(ts=bought)[0]["state"] == "open"
    spoke_last = MINUTE.floor(bot.clock.now())
    bot.wait(lambda: bool(bot.positions(ts=bought, state="closed")), "the end of the position")
    (position,) = bot.positions(ts=bought)
    assert position["exit_reason"] == "research_silent"
    assert "exit_ts" not in position
    assert (position["closed_at"] - spoke_last).total_seconds() > 2 * 60
    assert bot.fills()[-1]["reason"] == "research_silent"
    bot.end()
    bot.signal_settings = {}
