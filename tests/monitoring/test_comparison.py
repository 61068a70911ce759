"""Live trades are held beside what the stored signals give in research's own backtest, from real documents."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest
from bson.decimal128 import Decimal128
from trade_documents import NOON, at, bars, fill, position, receipt, signal

from monitoring.chain.backtest_trades import merged_bars
from monitoring.chain.comparison import Comparison, compare_with_backtest
from monitoring.chain.signal_chain import Scope
from monitoring.chain.traded_span import read_span
from schemas.collections import FILLS, MINUTE_BARS, POSITIONS, SIGNAL_RECEIPTS, SIGNALS, Store
from schemas.errors import InputError
from schemas.timeframes import Timeframe

pytestmark = pytest.mark.mongo
MINUTE = Timeframe.parse("1m")
SCOPE = Scope("s", "bot", MINUTE, NOON, at(30))
# open of each bar from noon on: the signal of bar 0 is bought at 100, that of bar 5 sold at 110
OPENS = [90, 100, 101, 102, 103, 104, 110, 111, 112, 113, 120, 121, 122, 123, 130, 131]


def write(db: Store, name: str, documents: Iterable[Mapping[str, Any]]) -> None:
    db[name].insert_many([dict(one) for one in documents])


def compared(db: Store, scope: Scope = SCOPE, fee: float | None = 0.001) -> Comparison:
    return compare_with_backtest(read_span(db, scope), fee)


@pytest.fixture
def traded(db: Store) -> Store:
    """One trade on both sides, one signal that the bot skipped, and one trade that only the bot has."""
    write(db, MINUTE_BARS, bars(OPENS))
    actions = {0: "enter_long", 5: "exit_long", 9: "enter_long", 12: "exit_long"}
    write(db, SIGNALS, [signal(minute, action) for minute, action in actions.items()])
    write(db, SIGNAL_RECEIPTS, [
        receipt(0, "entered"), receipt(5, "exited"), receipt(9, "skipped", "risk"),
        receipt(12, "skipped", "no_position"),
    ])  # fmt: skip
    write(db, POSITIONS, [position(0, 5), position(None, trade=2, opened_at=at(7.5), closed_at=at(8), state="closed")])
    write(db, FILLS, [
        fill("buy", "2", "203", 0, quoted="101", fee="0.203"), fill("sell", "2", "217", 5, quoted="109", fee="0.434"),
        fill("buy", "1", "112", None, trade=2, fee="0", filled_at=at(7.5)),
        fill("sell", "1", "112", None, trade=2, fee="0", filled_at=at(8)),
    ])  # fmt: skip
    return db


def test_a_trade_on_both_sides_is_split_by_hand(traded: Store) -> None:
    """Backtest 100 to 110; the bot saw 101 and 109, got 101.5 and 108.5, and paid 10 and 20 basis points."""
    (trade,) = compared(traded).both
    model = Fraction("0.999") / Fraction("1.001")
    steps = [
        Fraction(110, 100) * model,
        Fraction(109, 101) * model,
        Fraction("108.5") / Fraction("101.5") * model,
        Fraction("216.566") / Fraction("203.203"),
    ]
    assert trade.split is not None
    parts = [trade.split.delay, trade.split.price, trade.split.fees]
    assert parts == pytest.approx([float(after - before) for before, after in pairwise(steps)], abs=1e-14)
    assert trade.backtest_ratio == pytest.approx(float(steps[0] - 1), abs=1e-14)
    assert trade.live_ratio == pytest.approx(float(steps[-1] - 1), abs=1e-14)
    assert (trade.ts, trade.split.other_exit) == (at(0), 0.0)


def test_what_only_one_side_has_is_told_with_the_reason(traded: Store) -> None:
    """The bot skipped the signal of bar 9 for want of a free slot; the second trade was a person's."""
    found = compared(traded)
    (skipped,), (only_live,) = found.skipped, found.only_live
    assert (skipped.ts, skipped.reason, skipped.live_ratio) == (at(9), "risk", None)
    assert skipped.backtest_ratio == pytest.approx(123 * 0.999 / (120 * 1.001) - 1, abs=1e-14)
    assert (only_live.ts, only_live.reason, only_live.live_ratio) == (None, "no signal", 0.0)
    assert found.skip_reasons == {"risk": 1}


def test_the_parts_of_all_trades_sum_to_the_difference(traded: Store) -> None:
    """Skipped trades and those of the bot alone included, to 1e-12."""
    totals = compared(traded).totals
    assert totals.parts.keys() == {"delay", "other_exit", "price", "fees", "skipped", "only_live"}
    assert abs(sum(totals.parts.values()) - totals.difference) < 1e-12
    assert totals.live == pytest.approx(216.566 / 203.203 - 1, abs=1e-14)


def test_without_a_fee_the_backtest_pays_what_the_bot_paid(traded: Store) -> None:
    """0.637 of 644 traded, also where some of it paid nothing; then fees are no part of the difference on average."""
    found = compared(traded, fee=None)
    assert found.fee_source == "paid"
    assert found.fee == pytest.approx(0.637 / 644, abs=1e-15)
    traded[FILLS].update_many({}, {"$unset": {"fee": 1}})
    assert (compared(traded, fee=None).fee, compared(traded, fee=None).fee_source) == (0.001, "assumed")


def test_what_both_hold_at_the_end_is_worth_the_last_close(traded: Store) -> None:
    """Until bar 3 nothing was sold: 103, the close of bar 3, is the mark of both, and no exit fee is paid."""
    found = compared(traded, Scope("s", "bot", MINUTE, NOON, at(3)))
    (trade,) = found.trades
    assert trade.split is not None
    assert trade.live is not None
    assert trade.live.closed_at is None
    assert trade.backtest_ratio == pytest.approx(103 / 100.1 - 1, abs=1e-14)
    assert trade.live_ratio == pytest.approx(206 / 203.203 - 1, abs=1e-14)
    assert trade.split.other_exit == 0.0


def test_an_exit_that_the_bot_missed_is_a_part_of_its_own(traded: Store) -> None:
    """The backtest sold at 110; the bot holds on to the end, at 131, and paid for no exit."""
    write_open = {"$set": {"state": "open"}, "$unset": {"exit_ts": 1, "closed_at": 1, "close_rate": 1}}
    traded[POSITIONS].update_one({"trade_id": 1}, write_open)
    traded[FILLS].delete_one({"trade_id": 1, "side": "sell"})
    (trade,) = compared(traded).both
    assert trade.split is not None
    entered = Fraction(110) * Fraction("0.999") / (101 * Fraction("1.001"))
    held = Fraction(131) / (101 * Fraction("1.001"))
    assert trade.split.other_exit == pytest.approx(float(held - entered), abs=1e-14)
    assert abs(trade.split.total - trade.difference) < 1e-12


def test_a_position_from_before_begins_both_sides(traded: Store) -> None:
    """The span begins at bar 3, while the bot holds what it bought on the signal of bar 0: both begin there."""
    found = compared(traded, Scope("s", "bot", MINUTE, at(3), at(30)))
    assert [trade.ts for trade in found.both] == [at(0)]
    assert found.both[0].backtest_ratio == pytest.approx(110 * 0.999 / 100.1 - 1, abs=1e-14)


def test_signals_from_before_the_bot_are_not_skipped_trades(traded: Store) -> None:
    """What was exported an hour before the bot saw a signal was not for it."""
    early = [signal(-60, "enter_long"), signal(-50, "exit_long")]
    write(traded, SIGNALS, early)
    write(traded, MINUTE_BARS, bars([80.0 + n for n in range(60)], start=-60))
    found = compared(traded, Scope("s", "bot", MINUTE, at(-120), at(30)))
    assert found.scope.since == at(-3)  # the first signal was seen in bar 1; four bars before that it was usable
    assert [trade.ts for trade in found.skipped] == [at(9)]


def test_a_trade_that_is_newer_than_the_bars_is_left_out(traded: Store) -> None:
    """The newest bar opened at minute 15: what its signal led to has no bar to be held beside."""
    write(traded, SIGNALS, [signal(15, "enter_long")])
    write(traded, POSITIONS, [position(15, trade=3)])
    write(traded, FILLS, [fill("buy", "1", "140", 15, trade=3)])
    found = compared(traded)
    assert found.too_new == 1
    assert at(15) not in [trade.ts for trade in found.trades]


def test_a_signal_that_is_gone_or_came_in_a_position_is_named(traded: Store) -> None:
    """The entry of bar 3 lies in the backtest's trade; that of bar 8 was retracted since."""
    write(traded, SIGNALS, [signal(3, "enter_long")])
    write(traded, POSITIONS, [position(3, trade=3), position(8, trade=4)])
    write(traded, FILLS, [fill("buy", "1", "103", 3, trade=3), fill("buy", "1", "113", 8, trade=4)])
    reasons = {trade.ts: trade.reason for trade in compared(traded).only_live}
    assert reasons == {
        None: "no signal", at(3): "backtest in position since 2022-01-15 12:00", at(8): "signal retracted",
    }  # fmt: skip


def test_shorts_and_missing_bars_are_counted(traded: Store) -> None:
    """The backtest is long or flat, and fills at the next bar that exists."""
    write(traded, POSITIONS, [position(2, trade=3, side="short")])
    traded[MINUTE_BARS].delete_one({"datetime": at(8)})
    found = compared(traded)
    assert (found.shorts, found.missing_bars) == (1, 1)


def test_several_pairs_are_compared_each_with_its_own_bars(traded: Store) -> None:
    """A second pair whose bars end earlier changes nothing of the first."""
    alone = compared(traded).totals
    eth = {"pair": "ETH/USDT", "symbol": "BINANCE:ETHUSDT"}
    write(traded, SIGNALS, [signal(1, "enter_long") | eth, signal(3, "exit_long") | eth])
    write(traded, MINUTE_BARS, bars([10, 11, 12, 13, 14], "BINANCE:ETHUSDT"))
    found = compared(traded)
    (eth_trade,) = [trade for trade in found.trades if trade.pair == "ETH/USDT"]
    assert (eth_trade.reason, eth_trade.live) == ("no receipt", None)
    assert eth_trade.backtest_ratio == pytest.approx(14 * 0.999 / (12 * 1.001) - 1, abs=1e-14)
    assert found.totals.live == alone.live
    assert found.totals.delay == alone.delay


def test_without_bars_or_bot_there_is_a_sentence(db: Store) -> None:
    """Which bars, from when; which bot."""
    with pytest.raises(InputError, match="bot saw one never"):
        compared(db)
    write(db, SIGNAL_RECEIPTS, [receipt(0, "entered")])
    assert compared(db).trades == ()
    write(db, SIGNALS, [signal(0, "enter_long")])
    with pytest.raises(InputError, match=r"needs the bars of BTC/USDT 1m from 2022-01-15 12:00 UTC"):
        compared(db)


def test_longer_bars_are_made_of_minutes_and_only_whole_ones() -> None:
    """Of 12 minutes from noon on two bars of 5m: the first open and the last close of each."""
    frame = pd.DataFrame(bars([100.0 + n for n in range(12)]))
    merged = merged_bars(frame, Timeframe.parse("5m"))
    assert merged["datetime"].tolist() == [pd.Timestamp(NOON), pd.Timestamp(NOON + timedelta(minutes=5))]
    assert merged[["open", "close"]].to_numpy().tolist() == [[100, 105], [105, 110]]


def test_weights_enter_and_leave_as_freqtrade_reads_them(traded: Store) -> None:
    """Above 0 is an entry, 0 an exit; while it holds, another weight changes nothing."""
    traded[SIGNALS].delete_many({})
    weights = {0: 0.5, 2: 0.9, 5: 0.0}
    write(traded, SIGNALS, [
        {name: value for name, value in signal(minute, "").items() if name != "action"} | {"weight": weight}
        for minute, weight in weights.items()
    ])  # fmt: skip
    traded[POSITIONS].update_one({"trade_id": 1}, {"$set": {"amount": Decimal128("2")}})
    (trade,) = compared(traded).both
    assert trade.backtest_ratio == pytest.approx(110 * 0.999 / 100.1 - 1, abs=1e-14)
