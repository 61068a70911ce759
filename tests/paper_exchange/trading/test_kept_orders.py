"""A venue that runs for months holds all open orders and the newest closed ones, whatever was traded before."""

from pathlib import Path

import pytest
from test_journal import HEADER, reopened
from trading_tools import Desk, u

from paper_exchange.trading.errors import Rejected
from paper_exchange.trading.journal import Journal


def bought(desk: Desk, count: int) -> list[int]:
    """Buy the smallest amount so many times, and return the orders' numbers."""
    return [desk.place("ann", "BUY", "0.1", name=f"buy-{number}")[0].id for number in range(count)]


def test_the_newest_closed_orders_are_kept() -> None:
    """Four, and one more before the oldest are dropped; their fills and names go with them."""
    desk = Desk(kept_closed=4)
    numbers = bought(desk, 5)
    assert [order.id for order in desk.exchange.orders("ann", "BTCUSDT")] == numbers
    sixth = bought(desk, 1)
    kept = [*numbers[2:], *sixth]
    assert [order.id for order in desk.exchange.orders("ann", "BTCUSDT")] == kept
    assert {fill.order_id for fill in desk.exchange.fills("ann", "BTCUSDT")} == set(kept)
    for gone in ({"order_id": numbers[0]}, {"client_order_id": "buy-1"}):
        with pytest.raises(Rejected, match="Order does not exist"):
            desk.exchange.order("ann", "BTCUSDT", **gone)  # type: ignore[arg-type]
    assert desk.exchange.order("ann", "BTCUSDT", client_order_id="buy-4").id == numbers[4]


def test_open_orders_are_never_dropped() -> None:
    """However old, and with what they traded so far; other accounts and symbols have logs of their own."""
    desk = Desk(kept_closed=4)
    resting, fills = desk.place("ann", "BUY", "1.5", "101", name="waits")
    other = desk.place("bob", "BUY", "0.1")[0]
    bought(desk, 40)
    assert resting.is_open
    assert [fill.quantity for fill in fills] == [u(1)]
    orders = desk.exchange.orders("ann", "BTCUSDT")
    assert orders[0].id == resting.id
    assert 4 <= len(orders) - 1 <= 5
    assert desk.exchange.fills("ann", "BTCUSDT")[0].order_id == resting.id
    assert desk.exchange.orders("bob", "BTCUSDT") == [other]
    assert desk.exchange.open_orders("ann") == [resting]


def test_a_name_that_was_used_again_means_the_newer_order() -> None:
    """The older one of that name is dropped, and the newer one is found."""
    desk = Desk(kept_closed=4)
    desk.place("ann", "BUY", "0.1", name="again")
    bought(desk, 4)
    newer, _ = desk.place("ann", "BUY", "0.1", name="again")
    assert desk.exchange.order("ann", "BTCUSDT", client_order_id="again").id == newer.id
    assert len(desk.exchange.orders("ann", "BTCUSDT")) == 4


def test_a_journal_knows_the_others(tmp_path: Path) -> None:
    """Started again, the venue numbers on, with the balances of all that was ever traded."""
    path = tmp_path / "venue.journal"
    journal = Journal(path, HEADER)
    desk = Desk(journal=journal, kept_closed=4)
    numbers = bought(desk, 12)
    journal.close()
    before = desk.owns("ann", "BTC")
    again = reopened(path)
    assert [order.id for order in again.orders("ann", "BTCUSDT")] == numbers
    assert (again.balances("ann")["BTC"].free, again.balances("ann")["BTC"].locked) == before
