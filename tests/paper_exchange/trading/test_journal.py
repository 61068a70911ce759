"""What a journal brings back: everything that was told, nothing twice, whatever the moment of the kill."""

import random
import re
import resource
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trading_tools import BNB, BTC, ETH, Desk, ScriptedMarket, u

from paper_exchange.errors import StartError
from paper_exchange.market.instrument import Instrument
from paper_exchange.trading.errors import JournalError, Rejected
from paper_exchange.trading.exchange import Exchange
from paper_exchange.trading.fees import FeeSchedule
from paper_exchange.trading.journal import Header, Journal, read_header
from paper_exchange.trading.order import OrderRequest, OrderType, Side
from paper_exchange.trading.state import State

LISTED = {one.symbol: one for one in (BTC, ETH, BNB)}
HEADER = Header.of(LISTED, {"venue_ms": 5, "wall_ms": 7, "speed": 1.0})
PATH = [(at * 10, price, "0.3") for at, price in enumerate(("101", "98", "99.5", "103", "96", "100"), start=1)]


def reopened(path: Path, market: ScriptedMarket | None = None) -> Exchange:
    """What a venue that is started again knows."""
    journal = Journal(path, HEADER)
    try:
        return Exchange(LISTED, FeeSchedule(), market or ScriptedMarket("100", *PATH), journal)
    finally:
        journal.close()


def state_in(path: Path) -> State:
    return reopened(path).state()


def same(left: State, right: State, quote_id: int) -> bool:
    """Whether two states are the same, the order of the books and what is eaten of the present quote included."""
    for state in (left, right):
        eaten = {key: {price: one for price, one in levels.items() if one.quote_id == quote_id}
                 for key, levels in state.eaten.items()}  # fmt: skip
        state.eaten = {key: levels for key, levels in eaten.items() if levels}
    return left == right and list(left.resting) == list(right.resting)


def trade_at_random(desk: Desk, operations: int, seed: int = 3) -> Iterator[None]:
    """All that can happen to a venue, one operation at a time."""
    toss = random.Random(seed)
    for number in range(operations):
        account, side, at = toss.choice(("ann", "bob")), toss.choice(("BUY", "SELL")), number * 60 // operations
        price, quantity = str(toss.randrange(9600, 10400) / 100), str(toss.randrange(60, 900) / 1000)
        try:
            match toss.randrange(6):
                case 0:
                    desk.place(account, side, quantity, at=at)
                case 1:
                    stop = str(toss.randrange(94, 99)) if side == "SELL" else str(toss.randrange(102, 106))
                    desk.place(account, side, quantity, price, kind="STOP_LOSS_LIMIT", stop=stop, at=at)
                case 2 if desk.exchange.open_orders(account):
                    order = toss.choice(desk.exchange.open_orders(account))
                    desk.exchange.cancel(account, order.symbol, order_id=order.id, now_ms=at)
                case _:
                    desk.place(account, side, quantity, price, at=at, symbol=toss.choice(("BTCUSDT", "ETHUSDT")))
        except Rejected:
            continue
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "venue.journal"


class KeptDesk(Desk):
    """A desk with a journal, in a market that moves at 10, 20, ... 60 ms."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.journal = Journal(path, HEADER, **options)
        super().__init__(ScriptedMarket("100", *PATH), FeeSchedule(), journal=self.journal)


def quote_at(now_ms: int) -> int:
    return ScriptedMarket("100", *PATH).quote_id("BTCUSDT", now_ms)


def test_the_state_comes_back_after_each_operation(path: Path, tmp_path: Path) -> None:
    """Orders, fills, balances, the order of the books, and what is eaten of the house's quote."""
    desk = KeptDesk(path)
    copy = tmp_path / "copy.journal"
    for number, _ in enumerate(trade_at_random(desk, 400)):
        if number % 10 == 0:
            shutil.copy(path, copy)
            now = desk.exchange.state().last_ms
            assert same(state_in(copy), desk.exchange.state(), quote_at(now))
    assert len(desk.exchange.fills("ann", "BTCUSDT")) > 20


def test_a_torn_last_record_is_cut_at_every_byte(path: Path, tmp_path: Path) -> None:
    """The state is that before the operation, until the very last byte is there."""
    desk = KeptDesk(path)
    list(trade_at_random(desk, 30))
    desk.exchange.advance(60)
    before, whole_before = desk.exchange.state(), path.stat().st_size
    desk.place("ann", "BUY", "2.5", at=60)
    after, data = desk.exchange.state(), path.read_bytes()
    copy = tmp_path / "copy.journal"
    for size in range(whole_before, len(data)):
        copy.write_bytes(data[:size])
        assert same(state_in(copy), before, quote_at(60))
    copy.write_bytes(data)
    assert same(state_in(copy), after, quote_at(60))


def test_a_damaged_end_of_a_line_is_cut_as_well(path: Path) -> None:
    """A last line that is complete and has a wrong checksum was never told either."""
    desk = KeptDesk(path)
    desk.place("ann", "BUY", "1")
    data = path.read_bytes()
    path.write_bytes(data[:-3] + b"~" + data[-2:])
    journal = copied(path)
    assert journal.cut_bytes == len(data.splitlines(keepends=True)[-1])
    assert journal.state.orders == {}
    assert journal.state.balances["ann", "USDT"].free == u(100_000)


def copied(path: Path) -> Journal:
    """The journal of a copy, since the file itself may still be in use."""
    copy = path.with_name("copied")
    shutil.copy(path, copy)
    journal = Journal(copy, HEADER)
    journal.close()
    return journal


def test_damage_in_the_middle_is_refused(path: Path) -> None:
    """What follows it was told to somebody, so nothing may be dropped in silence."""
    desk = KeptDesk(path)
    desk.place("ann", "BUY", "1")
    desk.place("ann", "BUY", "1")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[-2] = lines[-2].replace(b"BTC", b"BTX", 1)
    path.write_bytes(b"".join(lines))
    with pytest.raises(StartError, match=rf"is damaged at line {len(lines) - 1}, and more follows"):
        copied(path)


def test_a_new_start_compacts_the_file_and_keeps_the_state(path: Path) -> None:
    """Header and state in two lines, as often as it is started; then it grows again."""
    desk = KeptDesk(path)
    list(trade_at_random(desk, 300))
    expected = desk.exchange.state()
    desk.journal.close()
    grown = path.stat().st_size
    for _ in range(3):
        assert same(state_in(path), expected, quote_at(60))
        assert len(path.read_bytes().splitlines()) == 2
    assert path.stat().st_size < grown


def test_a_woken_stop_stays_behind_orders_that_rested_before_it(path: Path) -> None:
    """Its number is older, its place at the price is not."""
    market = ScriptedMarket("100", (10, "101", "1"))
    desk = Desk(market, FeeSchedule(), journal=Journal(path, HEADER))
    stop, _ = desk.place("ann", "SELL", "1", "103", kind="TAKE_PROFIT_LIMIT", stop="101")
    limit, _ = desk.place("bob", "SELL", "1", "103")
    desk.exchange.advance(10)
    for _ in range(2):
        again = reopened_live(path, market)
        assert list(again.state().resting) == [limit.id, stop.id]
        path = path.with_name("live").rename(path.with_name("compacted"))


def test_numbers_go_on_after_a_restart(path: Path) -> None:
    """No order or trade number is given twice."""
    desk = KeptDesk(path)
    order, fills = desk.place("ann", "BUY", "1")
    desk.journal.close()
    again = Desk(journal=Journal(path, HEADER))
    newer, newer_fills = again.place("ann", "BUY", "1")
    assert (newer.id, newer_fills[0].trade_id) == (order.id + 1, fills[0].trade_id + 1)
    assert [one.id for one in again.exchange.orders("ann", "BTCUSDT")] == [order.id, newer.id]


def test_steps_that_passed_while_the_venue_was_down_are_skipped(path: Path) -> None:
    """The price touched 95 in between, and is back at 100: nothing is filled. Later steps fill."""
    market = ScriptedMarket("100", (10, "95", "9"), (20, "100", "9"), (40, "95", "9"))
    desk = Desk(market, journal=Journal(path, HEADER))
    desk.place("ann", "BUY", "1", "96")
    again = reopened_live(path, market)
    again.advance(30)
    assert again.fills("ann", "BTCUSDT") == []
    again.advance(40)
    assert [(fill.price, fill.time_ms) for fill in again.fills("ann", "BTCUSDT")] == [(u(96), 40)]


def test_what_the_present_price_crosses_is_filled_at_the_restart(path: Path) -> None:
    """At 95 the house asks 96, 97, 98 for one each: ann's 98 gets its three, at her price, and bob's stop wakes."""
    market = ScriptedMarket("100", (10, "95", "0.001"))
    desk = Desk(market, journal=Journal(path, HEADER))
    order, _ = desk.place("ann", "BUY", "4", "98")
    stop, _ = desk.place("bob", "SELL", "1", "97", kind="STOP_LOSS_LIMIT", stop="96")
    again = reopened_live(path, market)
    again.advance(30)
    assert [(fill.price, fill.quantity) for fill in again.fills("ann", "BTCUSDT")] == [
        (u(98), u(1)), (u(98), u(1)), (u(98), u(1)), (u(98), u(1)),
    ]  # fmt: skip
    assert again.order("bob", "BTCUSDT", order_id=stop.id).filled == u(1)
    assert not again.order("ann", "BTCUSDT", order_id=order.id).is_open


def reopened_live(path: Path, market: ScriptedMarket) -> Exchange:
    copy = path.with_name("live")
    shutil.copy(path, copy)
    return Exchange(LISTED, FeeSchedule(maker=0, taker=0), market, Journal(copy, HEADER))


def test_time_does_not_go_back_behind_the_journal(path: Path) -> None:
    """A venue that is started with an earlier clock waits at the journal's last time."""
    desk = KeptDesk(path)
    desk.place("ann", "BUY", "1", at=50)
    again = reopened_live(path, ScriptedMarket())
    again.advance(20)
    placed = again.place("ann", OrderRequest("BTCUSDT", Side.BUY, OrderType.MARKET, quantity=u(1)), 30)
    assert placed.order.created_ms == 50


def test_the_house_is_funded_once(path: Path) -> None:
    """And a symbol that is listed later brings its own asset."""
    only = {"BTCUSDT": BTC}
    journal = Journal(path, Header.of(only, {}))
    first = Exchange(only, FeeSchedule(), ScriptedMarket(), journal, house_funds=u(7))
    assert (first.supply("BTC"), first.supply("USDT")) == (u(7), u(7))
    journal.close()
    more = {"BTCUSDT": BTC, "ETHUSDT": ETH}
    second = Exchange(more, FeeSchedule(), ScriptedMarket(), Journal(path, Header.of(more, {})), house_funds=u(7))
    assert [second.supply(asset) for asset in ("BTC", "USDT", "ETH")] == [u(7)] * 3


def test_amounts_beyond_64_bits_come_back_exactly(path: Path) -> None:
    """10^15 USDT and one unit of 1e-8, of which bob gets 10^11 at once for what ann pays dearly."""
    desk = KeptDesk(path)
    desk.exchange.deposit("ann", "USDT", u(10**15) + 1, 0)
    desk.exchange.deposit("bob", "BTC", u(10**9), 0)
    for _ in range(120):
        desk.place("bob", "SELL", "80000", "100.5")
    order, _ = desk.place("ann", "BUY", "9000000")
    assert order.filled_quote > u(9 * 10**8)
    order, _ = desk.place("ann", "BUY", spend=str(10**14))
    journal = copied(path)
    assert order.quote_quantity > 2**63
    assert journal.state.orders[order.id] == order
    assert journal.state.balances["ann", "USDT"] == desk.exchange.balances("ann")["USDT"]


def test_the_header_can_be_read_before_the_venue_starts(path: Path) -> None:
    """The clock's mapping goes on from it."""
    assert read_header(path) is None
    KeptDesk(path)
    header = read_header(path)
    assert header is not None
    assert header.clock == {"venue_ms": 5, "wall_ms": 7, "speed": 1.0}
    assert header == HEADER


def test_a_journal_of_another_market_is_refused(path: Path) -> None:
    """By a sentence that tells what differs."""
    Journal(path, HEADER).close()
    fewer = Header.of({"BTCUSDT": BTC}, {})
    with pytest.raises(StartError, match="ETHUSDT is not among this one's BTCUSDT"):
        Journal(path, fewer)
    finer = Header.of(LISTED | {"BTCUSDT": Instrument("BTCUSDT", "BTC", "USDT", 3, 3)}, {})
    with pytest.raises(StartError, match=re.escape("['BTC', 'USDT', 1000000, 100000], and this venue's bars give")):
        Journal(path, finer)
    assert len(path.read_bytes().splitlines()) == 2


@pytest.mark.parametrize("content", [b"hello\n", b"\0" * 100, b"00000000 {}\n"])
def test_another_file_is_no_journal(path: Path, content: bytes) -> None:
    """And it is left as it was."""
    path.write_bytes(content)
    with pytest.raises(StartError, match="is no journal of paper-exchange"):
        Journal(path, HEADER)
    with pytest.raises(StartError, match="is no journal of paper-exchange"):
        read_header(path)
    assert path.read_bytes() == content


def test_an_empty_file_is_a_new_journal(path: Path) -> None:
    """As a person or `mktemp` leaves it."""
    path.touch()
    assert Journal(path, HEADER).state == State()


def test_a_journal_serves_one_venue_at_a_time(path: Path) -> None:
    """Two would write over each other."""
    first = Journal(path, HEADER)
    with pytest.raises(StartError, match="is in use by another venue"):
        Journal(path, HEADER)
    first.close()
    Journal(path, HEADER).close()


def test_a_place_that_can_not_be_written_is_a_sentence(tmp_path: Path) -> None:
    """A folder, or a folder that is not there."""
    for wrong in (tmp_path, tmp_path / "missing" / "venue.journal"):
        with pytest.raises(StartError, match=r"--journal .* can not be used"):
            Journal(wrong, HEADER)


def test_a_journal_of_another_version_is_refused(path: Path) -> None:
    """Rather than misread."""
    text = b'{"format":"paper-exchange journal","version":2,"clock":{},"symbols":{}}'
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    with pytest.raises(StartError, match="has version 2, and this paper-exchange reads version 1"):
        Journal(path, HEADER)


def test_each_record_can_be_forced_to_the_disk(path: Path) -> None:
    """With `fsync` the same is written."""
    desk = KeptDesk(path, fsync=True)
    desk.place("ann", "BUY", "1")
    assert copied(path).state.fills == desk.exchange.state().fills


def test_a_full_disk_stops_the_venue_and_keeps_what_it_told(path: Path) -> None:
    """The operation fails, all later ones too, and the file holds all before it and nothing of it."""
    desk = KeptDesk(path)
    desk.place("ann", "BUY", "1")
    told = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(told) + 100, limits[1]))
    try:
        with pytest.raises(JournalError, match=r"could not be written: .* make room and start it again"):
            desk.place("ann", "BUY", "1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    for ask in (lambda: desk.place("ann", "BUY", "1"), lambda: desk.exchange.balances("ann")):
        with pytest.raises(JournalError):
            ask()
    assert path.read_bytes() == told
