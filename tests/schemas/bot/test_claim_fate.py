"""What became of an entry is found out from Freqtrade's trades, and from the venue where these say nothing."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from bot_books import PAIR, Books, consumer
from freqtrade_shapes import OrderShape, TradeShape, ms

from schemas.bot.claim_fate import ClaimFate
from schemas.bot.signal_ledger import SignalLedger
from schemas.bot.trade_recorder import TradeRecorder
from schemas.signal_tag import SignalTag

TAG = SignalTag("mine", ms(4))


@dataclass
class Book:
    """Freqtrade's records and the venue's."""

    trades: dict[str, TradeShape] = field(default_factory=dict)
    orders: list[dict[str, Any]] | None = field(default_factory=list)
    asked: int = 0

    def entered(self, pair: str, tag: str) -> TradeShape | None:
        return self.trades.get(tag)

    def lost_orders(self, pair: str, since: datetime) -> Sequence[Mapping[str, Any]] | None:
        self.asked += 1
        return self.orders

    def is_locked(self, pair: str, candle: datetime, side: str) -> bool:
        return False


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path / "box.sqlite") as given:
        assert given.process("r1").claim_entry(PAIR, TAG, ms(4), ms(5.1))
        yield given


def fate(books: Books, ledger: SignalLedger) -> ClaimFate:
    return ClaimFate(ledger, TradeRecorder(consumer(), books.outbox, lambda: None), "binance")


def lost_order(minute: float, **more: Any) -> dict[str, Any]:
    return {
        "id": "77", "symbol": PAIR, "side": "buy", "amount": 0.5, "filled": 0.5, "average": 100.0, "cost": 50.0,
        "status": "closed", "timestamp": ms(minute), **more,
    }  # fmt: skip


def states(books: Books) -> list[str]:
    return [claim.state for claim in books.outbox.claims("mine", "1m")]


def test_an_entry_that_filled_is_settled_without_a_word(books: Books) -> None:
    """Its receipt says 'entered' already."""
    ledger = books.process("r2")
    book = Book({str(TAG): TradeShape()})
    fate(books, ledger).settle(book, ms(6))
    assert (states(books), books.told(), book.asked) == (["settled"], [], 0)


def test_an_order_that_ended_empty_was_unfilled(books: Books) -> None:
    """Freqtrade has a trade while the order waits, and deletes it after the timeout."""
    ledger = books.process("r1")
    own, book = fate(books, ledger), Book({str(TAG): TradeShape([OrderShape(filled=0.0, ft_is_open=True)])})
    own.settle(book, ms(6))
    own.settle(book, ms(7))
    assert (states(books), books.told()) == (["placed"], [])
    book.trades.clear()
    own.settle(book, ms(8))
    own.settle(book, ms(9))
    assert (states(books), books.told()) == (["settled"], [("no_entry", "order_unfilled")])


@pytest.mark.parametrize(("run_id", "reason"), [("r1", "order_rejected"), ("r2", "order_lost")])
def test_without_a_trade_and_an_order_there_was_none(books: Books, run_id: str, reason: str) -> None:
    """In the process that claimed it the order was refused; one that comes later finds that it was lost."""
    own = fate(books, books.process(run_id))
    own.settle(Book(orders=[lost_order(4.9), lost_order(7)]), ms(6))  # a person's, before and after
    assert (states(books), books.told()) == (["settled"], [("no_entry", reason)])


def test_an_order_that_freqtrade_lost_is_recorded_and_said_once(books: Books, caplog: pytest.LogCaptureFixture) -> None:
    """Its fill carries the signal, and the receipt stays: a person must look after what was bought."""
    own, book = fate(books, books.process("r2")), Book(orders=[lost_order(5.11, status="open", filled=0.2)])
    with caplog.at_level(logging.ERROR):
        own.settle(book, ms(6))
        own.settle(book, ms(6.1))  # it is open: the venue is asked again after a while only
        assert (states(books), books.told(), book.asked) == (["claimed"], [], 1)
        book.orders = [lost_order(5.11)]
        fate_later = fate(books, books.process("r3"))
        fate_later.settle(book, ms(9))
    assert (states(books), [kind for kind, _ in books.told()]) == (["settled"], ["fill"])
    assert books.outbox.waiting()[0].document["order_id"] == "77"
    assert "The venue has order 77 of BTC/USDT (buy 0.5, filled 0.2), made for mine@2022-01-01T00:04Z#1" in caplog.text


def test_a_venue_that_does_not_answer_is_asked_again_later(books: Books) -> None:
    """Until then the signal counts as entered."""
    own, book = fate(books, books.process("r2")), Book(orders=None)
    own.settle(book, ms(6))
    own.settle(book, ms(6.1))
    assert (states(books), book.asked) == (["claimed"], 1)


def test_a_sale_by_hand_is_not_taken_for_the_entry(books: Books) -> None:
    """Somebody sold the same pair in the minute of the claim: an entry buys."""
    own = fate(books, books.process("r2"))
    own.settle(Book(orders=[lost_order(5.2, side="sell")]), ms(6))
    assert (states(books), books.told()) == (["settled"], [("no_entry", "order_lost")])


def test_an_entry_that_mongodb_did_not_answer_in_time_is_given_up_with_its_candle(tmp_path: Path) -> None:
    """MongoDB may say 'entered' all the same, later: what it says in the end is that nothing was ordered."""
    with Books(tmp_path / "box.sqlite") as books:
        books.claims.loses_answers = True
        ledger = books.process("r1")
        assert not ledger.claim_entry(PAIR, TAG, ms(4), ms(5.1))
        own = fate(books, ledger)
        own.settle(Book(), ms(6.9))
        assert states(books) == ["asked"]
        own.settle(Book(), ms(7))
        assert states(books) == ["settled"]
        assert books.told()[-1] == ("no_entry", "mongo_down")
