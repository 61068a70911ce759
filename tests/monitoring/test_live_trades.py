"""A live trade is what its fills say that was paid and got, fees of whatever asset included."""

from decimal import Decimal
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from trade_documents import at, fill, position

from monitoring.chain.live_trades import LastMark, LiveTrade, live_trade, paid_fee_rate

END = LastMark(at(30), at(31), Decimal("107"))
FEE = 0.001


def trade(of: dict[str, Any], *fills: dict[str, Any], end: LastMark = END) -> LiveTrade:
    return live_trade(of, fills, end, FEE)


def test_fees_in_the_quote_asset_make_it_dearer_and_worth_less() -> None:
    """203 and 0.203 were paid, 217 less 0.434 came back."""
    made = trade(
        position(0, 5),
        fill("buy", "2", "203", 0, quoted="101", fee="0.203"),
        fill("sell", "2", "217", 5, quoted="109", fee="0.434"),
    )
    assert made.rates.profit_ratio == pytest.approx(216.566 / 203.203 - 1, abs=1e-15)
    assert (made.open_rate, made.close_rate, made.open_quoted, made.close_quoted) == (
        Decimal("101.5"), Decimal("108.5"), Decimal(101), Decimal(109)
    )  # fmt: skip
    assert float(made.profit_quote) == pytest.approx(216.566 - 203.203, abs=1e-12)
    assert (made.fees, made.exit_ts, made.is_quoted) == ("paid", at(5), True)


def test_a_fee_in_the_base_asset_leaves_less_to_sell_and_dust_counts_as_sold() -> None:
    """Of 2 bought 0.002 were taken; 1.99 were sold for 215.915, and the 0.008 that stayed count at that price."""
    made = trade(
        position(0, 5),
        fill("buy", "2", "203", 0, fee="0.002", asset="BTC"),
        fill("sell", "1.99", "215.915", 5, fee="0.215915"),
    )
    got_a_unit = (215.915 - 0.215915) / 1.99
    assert made.rates.profit_ratio == pytest.approx(got_a_unit * 1.998 / 203 - 1, abs=1e-15)


def test_several_fills_of_a_side_are_averaged_by_amount() -> None:
    """1 at 100 and 3 at 104 are 4 at 103; the market that was seen likewise."""
    made = trade(
        position(0, 5),
        fill("buy", "1", "100", 0, quoted="99", fee="0", order="a"),
        fill("buy", "3", "312", 0, quoted="103", fee="0", order="b"),
        fill("sell", "4", "440", 5, fee="0"),
    )
    assert (made.open_rate, made.open_quoted, made.close_rate, made.close_quoted) == (103, 102, 110, None)
    assert not made.is_quoted


def test_a_fee_coin_is_worth_what_the_bot_says() -> None:
    """BNB has no price here: the profit that Freqtrade tells, 4 % of 200 paid, gives the fees."""
    rates = {"open_rate": Decimal128("100"), "close_rate": Decimal128("105"), "profit_ratio": 0.04}
    made = trade(
        position(0, 5, **rates), fill("buy", "2", "200", 0), fill("sell", "2", "210", 5, fee="0.001", asset="BNB")
    )
    assert made.fees == "told"
    assert made.rates.profit_ratio == pytest.approx(0.04, abs=1e-15)


def test_fees_that_nobody_knows_are_those_of_the_backtest() -> None:
    """Ten basis points a side."""
    made = trade(position(0, 5), fill("buy", "2", "200", 0), fill("sell", "2", "210", 5))
    assert made.fees == "assumed"
    assert made.rates.profit_ratio == pytest.approx(210 * 0.999 / (200 * 1.001) - 1, abs=1e-15)


def test_what_is_held_at_the_end_is_worth_the_last_close_and_pays_no_exit_fee() -> None:
    """Bought at 101.5 with a fee, worth 107."""
    made = trade(position(0), fill("buy", "2", "203", 0, quoted="101", fee="0.203"))
    assert (made.closed_at, made.exit_ts, made.close_rate, made.close_factor) == (None, None, 107, 1)
    assert made.rates.profit_ratio == pytest.approx(214 / 203.203 - 1, abs=1e-15)
    assert made.is_quoted
    assert made.quoted_rates(FEE).close_factor == 1


@pytest.mark.parametrize("sold", ["1.5", None], ids=["a part was sold", "all was sold after the end"])
def test_an_exit_after_the_end_has_not_happened_yet(sold: str | None) -> None:
    """The sale by a signal of the last bar's time is left out, a part that was sold before is not."""
    fills = [fill("buy", "2", "203", 0, fee="0"), fill("sell", sold or "2", "300", 31, fee="0", order="late")]
    if sold is not None:
        fills.append(fill("sell", "0.5", "54", 5, fee="0", order="early"))
    made = trade(position(0, 31), *fills)
    assert (made.closed_at, made.exit_ts) == (None, None)
    assert made.close_rate == (Decimal(107) if sold is None else (Decimal(54) + Decimal("1.5") * 107) / 2)


def test_a_stop_before_the_end_is_an_exit_without_a_signal() -> None:
    """Its fill has no `ts`; its time decides."""
    stopped = position(0) | {"state": "closed", "closed_at": at(7), "exit_reason": "stop_loss"}
    sale = fill("sell", "2", "190", None, fee="0.19") | {"filled_at": at(7)}
    made = trade(stopped, fill("buy", "2", "203", 0, fee="0.203"), sale)
    assert (made.closed_at, made.exit_ts, made.exit_reason, made.close_rate) == (at(7), None, "stop_loss", 95)


def test_lost_fills_are_made_up_for_by_the_position() -> None:
    """Its own rates; nothing is known of what was quoted or paid."""
    made = trade(position(0, 5))
    assert (made.open_rate, made.close_rate, made.fees) == (Decimal("101.5"), Decimal("108.5"), "assumed")
    assert not made.is_quoted


def test_the_paid_rate_is_that_of_all_known_fees() -> None:
    """0.2 USDT and 0.002 BTC at 100 of 400 traded; a coin's fee says nothing."""
    fills = [
        fill("buy", "2", "200", 0, fee="0.002", asset="BTC"),
        fill("sell", "2", "200", 5, fee="0.2"),
        fill("sell", "2", "200", 5, fee="0.1", asset="BNB"),
    ]
    assert paid_fee_rate(fills) == pytest.approx(0.4 / 400, abs=1e-15)
    assert paid_fee_rate(fills[2:]) is None
