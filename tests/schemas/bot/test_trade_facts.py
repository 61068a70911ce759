"""Fills and positions say what Freqtrade's trades say, in exact decimals."""

from decimal import Decimal

import pytest
from freqtrade_shapes import OrderShape, TradeShape, at

from schemas.bot.trade_facts import Consumer, fills_of, lost_fill, money, position_of
from schemas.signal_tag import SignalTag

CONSUMER = Consumer("bot", "mine", "1m", 60_000, "run")
LEFT = "mine@2022-01-01T00:09Z#1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (0.1 + 0.2, "0.3"),
        (40_000.0, "40000"),
        (1e6, "1000000"),
        (123456789.12345678, "123456789.12345678"),
        (1.005e-8, "1E-8"),
        (4e-9, "0"),
        (-0.0, "0"),
        (-12.5, "-12.5"),
    ],
)
def test_a_float_becomes_the_decimal_that_it_stands_for(value: float, text: str) -> None:
    """To the venue's eight places, without the digits that only the binary form has."""
    assert str(money(value)) == str(Decimal(text)) or money(value) == Decimal(text)
    assert "E+" not in str(money(value))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_amount_of_money_is_no_number(value: float) -> None:
    """Refused with a sentence."""
    with pytest.raises(ValueError, match="must be a finite number"):
        money(value)


def test_a_filled_entry_carries_its_signal() -> None:
    """Its tag gives the key and the version; an order in the place of another has the trade's tag."""
    (fill,) = fills_of(TradeShape([OrderShape(filled=0.3, cost=30.3, safe_price=101.0)]), CONSUMER)
    assert (fill.order_id, fill.trade_id, fill.strategy_id, fill.symbol) == ("1", 3, "mine", "BINANCE:BTCUSDT")
    assert (fill.ts, fill.version, fill.reason) == (at(4), 2, "mine@2022-01-01T00:04Z#2")
    assert (fill.side, fill.amount, fill.price, fill.cost) == ("buy", Decimal("0.3"), Decimal(101), Decimal("30.3"))
    assert (fill.ordered_at, fill.filled_at) == (at(5), at(5.5))
    assert (fill.fee, fill.fee_asset) == (None, None)


def test_only_what_was_filled_and_has_ended_is_a_fill() -> None:
    """An open order may fill more; one that was cancelled empty filled nothing; a part of one is what it is."""
    orders = [
        OrderShape("1", filled=0.0),
        OrderShape("2", filled=None),
        OrderShape("3", ft_is_open=True, filled=0.1),
        OrderShape("4", filled=0.2, cost=None),
    ]
    (fill,) = fills_of(TradeShape(orders), CONSUMER)
    assert (fill.order_id, fill.amount, fill.cost) == ("4", Decimal("0.2"), Decimal(20))


@pytest.mark.parametrize(
    ("side", "tag", "reason", "expected"),
    [
        ("sell", LEFT, LEFT, (at(9), LEFT)),
        ("sell", "stop_loss", "stop_loss", (None, "stop_loss")),
        ("sell", None, "force_exit", (None, "force_exit")),
        ("stoploss", None, None, (None, "stoploss_on_exchange")),
        ("sell", "theirs@2022-01-01T00:09Z#1", None, (None, "theirs@2022-01-01T00:09Z#1")),
    ],
)
def test_an_exit_says_why(side: str, tag: str | None, reason: str | None, expected: tuple[object, str]) -> None:
    """A signal of this strategy, or Freqtrade's word; another strategy's tag is no signal of ours."""
    order = OrderShape("9", ft_order_side=side, ft_order_tag=tag)
    fill = fills_of(TradeShape([OrderShape(), order], exit_reason=reason), CONSUMER)[1]
    assert (fill.ts, fill.reason) == expected
    assert fill.side == "sell"


@pytest.mark.parametrize(
    ("side", "tag", "expected"),
    [
        ("buy", "mine@2022-01-01T00:04Z#2", Decimal("99.9")),
        ("sell", LEFT, Decimal("99.9")),
        ("sell", "stop_loss", Decimal("99.9")),
        ("sell", "emergency_exit", None),
        ("stoploss", None, None),
        ("buy", None, None),
    ],
)
def test_the_price_that_the_bot_saw_is_told_where_it_looked(side: str, tag: str | None, expected: object) -> None:
    """A stop at the venue has a trigger, an emergency exit an old price, an order without a tag none of its own."""
    orders = [OrderShape("1", ft_order_side=side, ft_order_tag=tag)]
    (fill,) = fills_of(TradeShape(orders, exit_reason=LEFT), CONSUMER)
    assert fill.quoted == expected


@pytest.mark.parametrize(
    ("trade", "entry", "leave"),
    [
        # taken off what was bought, as the venue said; off the sale's proceeds, as the venue said
        (
            {"fee_open_currency": "BTC", "fee_close_currency": "USDT", "fee_close_cost": 0.0517},
            ("0.0004", "BTC"),
            ("0.0517", "USDT"),
        ),
        # a fee in the quote asset: by the rate, of what was paid
        ({"fee_open_currency": "USDT"}, ("0.05", "USDT"), (None, None)),
        # a fee coin's price is not known here, but the cost of one exit order is
        (
            {"fee_open_currency": "BNB", "fee_close_currency": "BNB", "fee_close_cost": 0.002},
            (None, None),
            ("0.002", "BNB"),
        ),
    ],
)
def test_the_fee_is_told_in_the_asset_it_was_taken_of(
    trade: dict[str, object], entry: tuple[str | None, str | None], leave: tuple[str | None, str | None]
) -> None:
    """What is not known is left out, not guessed."""
    ft_fee_base = 0.0004 if trade["fee_open_currency"] == "BTC" else None
    orders = [OrderShape("1", cost=50.0, ft_fee_base=ft_fee_base), OrderShape("2", ft_order_side="sell", cost=51.7)]
    found = [(fill.fee, fill.fee_asset) for fill in fills_of(TradeShape(orders, **trade), CONSUMER)]  # type: ignore[arg-type]
    assert found == [(None if fee is None else Decimal(fee), asset) for fee, asset in (entry, leave)]


def test_several_exit_orders_share_the_fee_by_what_they_sold() -> None:
    """Freqtrade keeps the cost of one of them."""
    orders = [OrderShape(), *(OrderShape(str(n), ft_order_side="sell", cost=10.0 * n) for n in (2, 3))]
    trade = TradeShape(orders, fee_close_currency="USDT", fee_close_cost=0.02)
    assert [fill.fee for fill in fills_of(trade, CONSUMER)[1:]] == [Decimal("0.02"), Decimal("0.03")]


def test_a_position_is_open_from_its_first_fill_on() -> None:
    """A trade whose order waits is none yet; one that lost its first order to a timeout counts from the next."""
    assert position_of(TradeShape([OrderShape(filled=0.0, ft_is_open=True)]), CONSUMER, at(6)) is None
    orders = [OrderShape("1", filled=0.0), OrderShape("2")]
    position = position_of(TradeShape(orders), CONSUMER, at(6))
    assert position is not None
    assert (position.entry_order_id, position.state, position.ts, position.side) == ("2", "open", at(4), "long")
    assert (position.opened_at, position.updated_at) == (at(5.5), at(6))
    assert (
        position.model_dump(exclude_none=True)
        .keys()
        .isdisjoint({"exit_ts", "close_rate", "profit_quote", "profit_ratio", "exit_reason", "closed_at"})
    )


def test_a_closed_position_says_how_it_ended() -> None:
    """With the exit's signal, rates and profit."""
    trade = TradeShape(
        [OrderShape(), OrderShape("2", ft_order_side="sell")],
        close_date_utc=at(11),
        close_rate=103.3,
        close_profit=0.031,
        close_profit_abs=1.55000000000001,
        exit_reason=LEFT,
        is_short=False,
    )
    position = position_of(trade, CONSUMER, at(12))
    assert position is not None
    assert (position.state, position.exit_ts, position.exit_reason, position.closed_at) == (
        "closed",
        at(9),
        LEFT,
        at(11),
    )
    assert (position.close_rate, position.profit_quote, position.profit_ratio) == (
        Decimal("103.3"),
        Decimal("1.55"),
        0.031,
    )


def test_a_lost_order_is_a_fill_without_a_trade() -> None:
    """From ccxt's own form; nothing where nothing was filled."""
    order = {
        "id": 7, "symbol": "BTC/USDT", "side": "buy", "filled": 0.5, "average": 100.0, "cost": 50.0,
        "timestamp": 1_640_995_500_000, "lastTradeTimestamp": None,
    }  # fmt: skip
    fill = lost_fill(order, "binance", SignalTag("mine", 1_640_995_440_000, 2), CONSUMER)
    assert fill is not None
    assert (fill.trade_id, fill.ts, fill.version, fill.order_id) == (None, at(4), 2, "7")
    assert fill.ordered_at == fill.filled_at == at(5)
    assert lost_fill(order | {"filled": 0.0}, "binance", SignalTag("mine", 0), CONSUMER) is None
