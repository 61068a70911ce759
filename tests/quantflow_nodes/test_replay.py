"""A replay compares fill by fill: what happened then and now, only then, or only now."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bson.decimal128 import Decimal128

from quantflow_nodes.replay import compare
from schemas.timeframes import Timeframe

NOON = datetime(2022, 1, 15, 12, tzinfo=UTC)
MINUTE = Timeframe.parse("1m")


def fill(minute: int, side: str, price: str, amount: str = "1", ordered_s: float = 1.0) -> dict[str, Any]:
    ts = NOON + timedelta(minutes=minute)
    ordered_at = ts + MINUTE.delta + timedelta(seconds=ordered_s)
    return {"pair": "BTC/USDT", "ts": ts, "side": side, "price": Decimal128(price), "amount": Decimal128(amount),
            "ordered_at": ordered_at}  # fmt: skip


def test_a_fill_that_happened_both_times_is_compared_by_price_and_delay() -> None:
    """100 then and 100.05 now lie five basis points apart."""
    (one,) = compare([fill(0, "buy", "100", ordered_s=1.1)], [fill(0, "buy", "100.05", ordered_s=2.4)], MINUTE)
    assert one.agrees
    assert one.then is not None
    assert one.replayed is not None
    assert one.difference_bps == 5.0
    assert (one.then.delay_ms, one.replayed.delay_ms) == (1_100.0, 2_400.0)


def test_a_fill_that_happened_once_does_not_agree() -> None:
    """One only then, one only now, in the order of their bars."""
    first, second = compare([fill(0, "buy", "100")], [fill(5, "sell", "101")], MINUTE)
    assert (first.side, first.replayed, first.agrees) == ("buy", None, False)
    assert (second.side, second.then, second.difference_bps) == ("sell", None, None)


def test_an_exit_in_two_orders_has_one_mean_price() -> None:
    """1 at 100 and 3 at 104 are 4 at 103, first ordered half a second after the close."""
    parts = [fill(0, "sell", "100", "1", ordered_s=0.5), fill(0, "sell", "104", "3", ordered_s=9)]
    (one,) = compare(parts, parts, MINUTE)
    assert one.then is not None
    assert (one.then.price, one.then.amount, one.then.delay_ms) == (Decimal(103), Decimal(4), 500.0)
