"""Trades are told when they are new or changed, however often they are shown."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from bot_books import PAIR, Books, consumer
from freqtrade_shapes import OrderShape, TradeShape, at

from schemas.bot.trade_recorder import TradeRecorder

LEFT = "mine@2022-01-01T00:09Z#1"


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path / "box.sqlite") as given:
        yield given


def recorder(books: Books) -> TradeRecorder:
    return TradeRecorder(consumer(), books.outbox, lambda: None)


def test_what_is_shown_again_is_not_told_again(books: Books) -> None:
    """At each loop; a change of the trade is, and so is all of it by the next process."""
    own, trade = recorder(books), TradeShape()
    for minute in (6, 7, 8):
        own.record([trade], at(minute))
    assert [kind for kind, _ in books.told()] == ["fill", "position"]
    trade.orders.append(OrderShape("2", ft_order_side="sell", ft_order_tag=LEFT))
    trade.close_date_utc, trade.exit_reason = at(10), LEFT
    own.record([trade], at(10))
    assert [kind for kind, _ in books.told()] == ["fill", "position", "fill", "position"]
    assert books.outbox.waiting()[-1].document["state"] == "closed"
    assert own.has_filled(PAIR, LEFT)
    assert not own.has_filled("ETH/USDT", LEFT)
    recorder(books).record([trade], at(11))
    assert len(books.told()) == 7


def test_a_trade_that_can_not_be_read_keeps_no_other_back(books: Books, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, by its number."""
    own, broken = recorder(books), TradeShape([OrderShape("1")], id=8, open_rate=float("nan"))
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            own.record([broken, TradeShape([OrderShape("2")], id=9)], at(6))
    assert [item.document["trade_id"] for item in books.outbox.waiting()] == [8, 9, 9]
    assert len(caplog.messages) == 1
    assert "Trade 8 of BTC/USDT is not recorded." in caplog.text
