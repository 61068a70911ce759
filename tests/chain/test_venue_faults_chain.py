"""Whatever the venue does to the bot: a signal enters at most once, an exit is not lost, and all books agree."""

import uuid
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import pytest
from live_chain import STAKE_QUOTE, LiveChain, live_chain
from pydantic import SecretStr
from pymongo import MongoClient

from schemas.mongo import connect
from schemas.settings import Settings

pytestmark = [pytest.mark.chain, pytest.mark.freqtrade, pytest.mark.mongo, pytest.mark.venue]


@pytest.fixture(scope="module")
def running(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveChain]:
    """One chain for the tests of this file: Freqtrade takes its time to start."""
    folder = tmp_path_factory.mktemp("chain")
    settings = Settings.load(mongo_uri=SecretStr(mongo_uri), db=f"test_{uuid.uuid4().hex[:12]}", home=folder)
    with connect(settings) as db, live_chain(db, settings, folder) as chain:
        yield chain
    with MongoClient(mongo_uri) as client:
        client.drop_database(settings.db)


@pytest.fixture
def chain(running: LiveChain) -> Iterator[LiveChain]:
    """The chain without a fault and without a position, before and after; at the end all books agree."""
    yield running
    running.clear_faults()
    running.flat()
    assert running.findings() == []


def enter(chain: LiveChain) -> datetime:
    ts = chain.signal("enter_long")
    assert chain.settled(ts) == ("entered", None)
    assert len(chain.fills(ts)) == 1
    return ts


def leave(chain: LiveChain) -> datetime:
    ts = chain.signal("exit_long")
    assert chain.settled(ts) == ("exited", None)
    chain.wait(lambda: not chain.open_positions())
    return ts


def test_signals_become_orders_fills_and_positions(chain: LiveChain) -> None:
    """Without any fault: one order in, one order out, of the same amount but for the fee taken in the base."""
    bought, sold = enter(chain), leave(chain)
    fee = chain.fills(bought)[0]["fee"].to_decimal()
    assert chain.fills(bought)[0]["fee_asset"] == "BTC"
    assert 0 <= chain.amount(bought) - fee - chain.amount(sold) < chain.amount(bought) / 1000


def test_slow_answers_delay_orders_and_double_none(chain: LiveChain) -> None:
    """Each request waits for 300 ms of real time."""
    chain.fault(kind="latency", ms=300)
    enter(chain)
    leave(chain)


def test_an_entry_refused_by_a_failing_server_is_given_up_and_an_exit_goes_on(chain: LiveChain) -> None:
    """503 before an order is read: the entry had its one chance; the exit is tried again."""
    chain.fault(kind="error", status=503, count=1)
    lost = chain.signal("enter_long")
    assert chain.settled(lost) == ("skipped", "order_rejected")
    assert chain.fills(lost) == []
    enter(chain)
    chain.fault(kind="error", status=503, count=2)
    leave(chain)
    assert all(fault["struck"] for fault in chain.clear_faults())


def test_an_order_that_took_effect_behind_an_error_is_found(chain: LiveChain) -> None:
    """The answer is lost after the sale took effect: the bot learns of its fill, and sells nothing twice."""
    bought = enter(chain)
    chain.fault(kind="error", when="after", count=1)
    sold = chain.signal("exit_long")
    chain.wait(lambda: not chain.open_positions())
    chain.settled(sold)
    assert chain.amount(sold) <= chain.amount(bought)


def test_rate_limits_are_waited_out(chain: LiveChain) -> None:
    """429 with Retry-After on every request for two seconds, then 418."""
    chain.fault(kind="rate_limit", status=429, retry_after_s=1, seconds=2)
    enter(chain)
    chain.fault(kind="rate_limit", status=418, retry_after_s=1, seconds=1)
    leave(chain)


def test_a_rejected_entry_opens_nothing_and_a_rejected_exit_is_tried_again(chain: LiveChain) -> None:
    """-2010 for one order each."""
    chain.fault(kind="reject", count=1)
    refused = chain.signal("enter_long")
    assert chain.settled(refused) == ("skipped", "order_rejected")
    enter(chain)
    chain.fault(kind="reject", count=2)
    leave(chain)


def test_a_market_order_that_is_filled_in_part_leaves_a_smaller_position(chain: LiveChain) -> None:
    """One percent of three levels is less than half of the stake; what the bot got, it sells."""
    chain.fault(kind="partial", percent=1)
    bought = enter(chain)
    chain.clear_faults()
    (fill,) = chain.fills(bought)
    assert 0 < fill["cost"].to_decimal() < Decimal(STAKE_QUOTE) / 2
    leave(chain)


def test_a_frozen_book_and_late_candles_change_nothing_about_once(chain: LiveChain) -> None:
    """The market stands still for two real seconds; then candles are told a second of the market late."""
    chain.fault(kind="freeze", seconds=2)
    enter(chain)
    leave(chain)
    chain.fault(kind="late_candle", ms=1_000, seconds=10)
    enter(chain)
    leave(chain)


def test_a_venue_that_is_killed_comes_back_with_every_order(chain: LiveChain) -> None:
    """kill -9 with a position open; from its journal the venue goes on, and the bot sells."""
    enter(chain)
    chain.venue_process.kill()
    chain.venue_process.start()
    leave(chain)
