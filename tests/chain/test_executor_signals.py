"""A signal acts once, or says why not: with the real Freqtrade in live mode, on a venue at replay speed."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from executor_bot import CONSUMER, MINUTE, PAIR, STRATEGY_ID, ExecutorBot, executor_bot
from pydantic import SecretStr
from pymongo import MongoClient

from schemas.collections import SIGNAL_RECEIPTS, SIGNALS
from schemas.mongo import connect
from schemas.settings import Settings

pytestmark = [pytest.mark.chain, pytest.mark.freqtrade, pytest.mark.mongo, pytest.mark.venue]

ETH = "ETH/USDT"


@pytest.fixture(scope="module")
def bot(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExecutorBot]:
    """One bot of two pairs and one slot, for all tests of this file; each leaves it without a position."""
    folder = tmp_path_factory.mktemp("executor")
    settings = Settings.load(mongo_uri=SecretStr(mongo_uri), db=f"test_{uuid.uuid4().hex[:12]}", home=folder)
    config = {"pairs": [PAIR, ETH], "max_open_trades": 1}
    with (
        connect(settings) as db,
        executor_bot(db, settings, folder / "bot", speed=15, symbols="BTCUSDT,ETHUSDT", config=config) as started,
    ):
        started.start()
        yield started
    with MongoClient(mongo_uri) as client:
        client.drop_database(settings.db)


def test_a_weight_sets_the_stake_and_order_fill_and_position_carry_the_signal(bot: ExecutorBot) -> None:
    """A quarter of 1000 USDT is bought once, over several candles, and sold by the next signal."""
    bought = bot.signal(weight=0.25)
    bot.becomes(bought, "entered")
    bot.pass_bars(2)
    sold = bot.signal(weight=0.0)
    bot.wait(lambda: bool(bot.positions(ts=bought, state="closed")), "the closed position")
    (entry,), (leave,) = bot.fills(ts=bought), bot.fills(ts=sold)
    assert 245 < float(entry["cost"].to_decimal()) <= 250
    assert (entry["side"], leave["side"]) == ("buy", "sell")
    (position,) = bot.positions(ts=bought)
    assert (position["exit_ts"], position["entry_order_id"]) == (sold, entry["order_id"])
    assert position["trade_id"] == entry["trade_id"] == leave["trade_id"]
    assert bot.outcome(sold) == ("exited", None)
    assert {order["id"] for order in bot.orders()} >= {entry["order_id"], leave["order_id"]}
    assert bot.receipt(bought)["latency_ms"] > 0


def test_signals_that_do_not_act_say_why(bot: ExecutorBot) -> None:
    """No order for any of them, and each reason where it belongs."""
    orders = len(bot.orders())
    old = bot.signal(MINUTE.floor(bot.clock.now()) - 20 * MINUTE.delta, action="enter_long")
    closed = bot.closed_bar()
    bot.signal(closed - MINUTE.delta, ETH, action="enter_long", valid_until=closed + timedelta(seconds=30))
    bot.signal(closed, score=0.5)
    bot.signal(closed, ETH, action="exit_long")
    bot.becomes(closed, "skipped", "below_threshold")
    bot.becomes(closed, "skipped", "no_position", ETH)
    bot.becomes(closed - MINUTE.delta, "skipped", "expired", ETH)
    bot.becomes(bot.signal(action="enter_short"), "skipped", "short_not_allowed")
    assert len(bot.orders()) == orders
    # An old one is accounted for from the bot's start on only: this bot had not begun when it was usable.
    assert bot.receipt(old) == {}


def test_a_second_entry_a_full_wallet_and_a_lock_are_told_apart(bot: ExecutorBot) -> None:
    """While BTC is held its next entry is in_position, ETH finds no slot; an exit locks the pair for a candle."""
    bot.enter()
    second = bot.signal(action="enter_long")
    bot.signal(second, ETH, action="enter_long")
    bot.becomes(second, "skipped", "in_position")
    bot.becomes(second, "skipped", "risk", ETH)
    bot.pass_bars(2)
    sold = bot.leave()
    late = bot.signal(sold + MINUTE.delta, action="enter_long")  # of the candle that is still forming
    bot.becomes(late, "skipped", "pair_locked")
    bot.becomes(late, "entered")
    bot.leave()


def test_what_another_bot_of_the_same_name_entered_is_not_entered_again(bot: ExecutorBot) -> None:
    """Its receipt stands under the unique key: the claim is refused, and nothing is ordered."""
    orders = len(bot.orders())
    ts = bot.closed_bar()
    other = {
        "consumer": CONSUMER, "strategy_id": STRATEGY_ID, "pair": PAIR, "timeframe": "1m", "ts": ts, "version": 1,
        "decision": "entered", "seen_at": ts, "candle": ts, "latency_ms": 0.0, "run_id": "other", "updated_at": ts,
    }  # fmt: skip
    bot.db[SIGNAL_RECEIPTS].insert_one(dict(other))
    bot.signal(ts, action="enter_long")
    bot.wait(lambda: "another process named executor used it" in bot.log(), "the refusal")
    bot.pass_bars(1)
    assert len(bot.orders()) == orders
    assert bot.receipt(ts)["run_id"] == "other"


def test_a_rewritten_signal_does_not_act_again(bot: ExecutorBot) -> None:
    """Version 2 of what entered is known to have acted; its trade goes on until a newer signal ends it."""
    bought = bot.enter()
    bot.db[SIGNALS].update_one({"ts": bought, "pair": PAIR}, {"$set": {"version": 2, "action": "exit_long"}})
    bot.pass_bars(2)
    assert bot.positions(ts=bought)[0]["state"] == "open"
    assert len(bot.fills(ts=bought)) == 1
    bot.leave()
