"""What is told of the markets is what REST answers: each trade and closed kline once, and how things stand now."""

import asyncio
import json
from typing import Any

import orjson
import pytest
from venue_tools import MINUTE_MS, NEW_YEAR_MS, market_of, tape_of

from paper_exchange.api.books import Books
from paper_exchange.api.broadcast import Beats, Broadcast
from paper_exchange.api.hub import Hub, Outbox, Subscriber
from paper_exchange.market.disturbed import DisturbedMarket
from paper_exchange.market.market import Market

# In cents and thousandths; the minutes 20 to 24 are missing, minute 30 trades nothing.
ROWS = [(m, 5000 + m, 5030 + m, 4990, 5020, 0 if m == 30 else 3000 + m) for m in range(60) if not 20 <= m < 25]
END_MS = NEW_YEAR_MS + 60 * MINUTE_MS


class Ear:
    """A subscriber of a broadcast that is driven by hand."""

    def __init__(self, *streams: str, market: Market | None = None) -> None:
        self.market = market or market_of(tape_of(ROWS))
        self.hub = Hub()
        self.subscriber = Subscriber(Outbox(most_waiting=10**6, most_characters=10**9), combined=True)
        self.books = Books({"BTCUSDT": self.market})
        self.broadcast = Broadcast({"BTCUSDT": self.market}, self.books, self.hub)
        for stream in streams:
            self.hub.subscribe(self.subscriber, stream)

    def heard(self) -> list[tuple[str, Any]]:
        """What was told since the last time, with the stream's name."""

        async def take_all() -> list[str]:
            return [await self.subscriber.outbox.take() for _ in range(len(self.subscriber.outbox))]

        return [(one["stream"], one["data"]) for one in map(json.loads, asyncio.run(take_all()))]

    def walk(self, begin_ms: int, end_ms: int, longest_ms: int = 10**9) -> list[tuple[str, Any]]:
        """Go from change to change, as the venue does; what was told on the way."""
        self.broadcast.follow(begin_ms)
        now: int | None = begin_ms
        while now is not None and now <= end_ms:
            self.broadcast.publish(now, Beats())
            following = self.broadcast.next_ms(now)
            now = None if following is None else min(following, now + longest_ms)
        return self.heard()


def klines_of(market: Market, interval: str, now_ms: int) -> list[list[Any]]:
    rows = orjson.loads(market.klines(now_ms, interval, 1000, NEW_YEAR_MS, None))
    assert isinstance(rows, list)
    return rows


def row_of(kline: dict[str, Any]) -> list[Any]:
    """A kline event as REST writes its row."""
    return [kline[name] for name in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")]


def test_every_trade_is_told_once_in_order() -> None:
    """The ids have no hole, and each field is that of the trade."""
    ear = Ear("btcusdt@trade", "btcusdt@aggTrade")
    told = ear.walk(NEW_YEAR_MS - 5, END_MS)
    trades = ear.market.trades(1, 10**9)
    assert [event["t"] for name, event in told if name == "btcusdt@trade"] == [trade.id for trade in trades]
    assert [event["a"] for name, event in told if name == "btcusdt@aggTrade"] == [trade.id for trade in trades]
    first = trades[0]
    assert told[0] == (
        "btcusdt@trade",
        {
            "e": "trade", "E": NEW_YEAR_MS, "s": "BTCUSDT", "t": 1, "p": "50.00000000",
            "q": f"{first.quantity / 1000:.8f}", "T": NEW_YEAR_MS, "m": first.buyer_is_maker, "M": True,
        },
    )  # fmt: skip
    assert told[1] == (
        "btcusdt@aggTrade",
        {
            "e": "aggTrade", "E": NEW_YEAR_MS, "s": "BTCUSDT", "a": 1, "p": "50.00000000",
            "q": f"{first.quantity / 1000:.8f}", "f": 1, "l": 1, "T": NEW_YEAR_MS, "m": first.buyer_is_maker, "M": True,
        },
    )  # fmt: skip


@pytest.mark.parametrize("interval", ["1m", "3m", "5m", "15m", "1h"])
@pytest.mark.parametrize("stall_ms", [0, 17 * MINUTE_MS])
def test_every_kline_is_told_closed_once_and_as_rest_has_it(interval: str, stall_ms: int) -> None:
    """Over a gap, past the end of the bars, and after a stall of the venue."""
    stream = f"btcusdt@kline_{interval}"
    ear = Ear(stream)
    begin = NEW_YEAR_MS + 90_000
    ear.broadcast.follow(begin)
    told = ear.walk(begin, begin + 5 * MINUTE_MS)
    if stall_ms:
        ear.broadcast.publish(begin + 5 * MINUTE_MS + stall_ms, Beats())
        told += ear.heard()
    told += ear.walk(begin + 5 * MINUTE_MS + stall_ms, END_MS + MINUTE_MS)
    closed = [row_of(event["k"]) for _, event in told if event["k"]["x"]]
    wanted = [row for row in klines_of(ear.market, interval, END_MS) if row[6] >= begin]
    assert closed == wanted


def test_the_new_kline_is_there_at_the_boundary_right_after_the_old_has_closed() -> None:
    """At the very ms: first the old one with its last values, closed, then the trade, then the new one."""
    ear = Ear("btcusdt@kline_1m", "btcusdt@kline_5m", "btcusdt@trade")
    boundary = NEW_YEAR_MS + 5 * MINUTE_MS
    ear.broadcast.follow(boundary - 1)
    ear.broadcast.publish(boundary - 1, Beats())
    ear.heard()
    assert ear.broadcast.next_ms(boundary - 1) == boundary
    ear.broadcast.publish(boundary, Beats())
    told = ear.heard()
    shown = [
        (name.partition("@")[2], event.get("k", event).get("t"), event.get("k", {}).get("x")) for name, event in told
    ]
    trade = ear.market.last_trade(boundary)
    assert trade is not None
    assert shown == [
        ("kline_1m", boundary - MINUTE_MS, True),
        ("kline_5m", NEW_YEAR_MS, True),
        ("trade", trade.id, None),
        ("kline_1m", boundary, False),
        ("kline_5m", boundary, False),
    ]
    assert all(event["E"] == boundary for _, event in told)


def test_a_forming_kline_is_told_as_it_stands_in_rest() -> None:
    """After each step, and with the ids of its own trades."""
    ear = Ear("btcusdt@kline_3m")
    now: int | None = NEW_YEAR_MS + 4 * MINUTE_MS + 7_000
    ear.broadcast.follow(now)
    for _ in range(25):
        assert now is not None
        ear.broadcast.publish(now, Beats())
        kline = ear.heard()[-1][1]["k"]
        assert row_of(kline) == klines_of(ear.market, "3m", now)[-1]
        trades = ear.market.trades(kline["f"], kline["L"] + 1)
        assert len(trades) == kline["n"]
        assert kline["t"] <= trades[0].time_ms <= trades[-1].time_ms <= now
        assert (f"{trades[-1].price / 100:.8f}", kline["x"]) == (kline["c"], False)
        now = ear.market.next_change_ms(now)


def test_in_a_gap_no_kline_is_forming() -> None:
    """The last one before it is told closed when its minute ends, and nothing more until the bars go on."""
    ear = Ear("btcusdt@kline_1m")
    told = ear.walk(NEW_YEAR_MS + 19 * MINUTE_MS + 59_000, NEW_YEAR_MS + 25 * MINUTE_MS)
    shown = [(event["k"]["t"] - NEW_YEAR_MS, event["k"]["x"], event["E"] - NEW_YEAR_MS) for _, event in told]
    assert shown[0] == (19 * MINUTE_MS, False, 19 * MINUTE_MS + 59_000)
    assert shown[-2:] == [
        (19 * MINUTE_MS, True, 20 * MINUTE_MS),
        (25 * MINUTE_MS, False, 25 * MINUTE_MS),
    ]


def test_a_kline_without_trades_has_no_ids() -> None:
    """Both are -1, as the venue writes it."""
    ear = Ear("btcusdt@kline_1m")
    told = ear.walk(NEW_YEAR_MS + 30 * MINUTE_MS, NEW_YEAR_MS + 31 * MINUTE_MS)
    (closed,) = (event["k"] for _, event in told if event["k"]["x"])
    assert (closed["f"], closed["L"], closed["n"], closed["v"]) == (-1, -1, 0, "0.00000000")


@pytest.mark.parametrize("longest_ms", [10**9, 3 * MINUTE_MS])
def test_a_book_kept_from_its_changes_is_the_book(longest_ms: int) -> None:
    """By the documented procedure: each event follows the one before, and quantities of 0 remove a price."""
    ear = Ear("btcusdt@depth@100ms")
    begin = NEW_YEAR_MS + 10 * MINUTE_MS + 30_000
    ear.broadcast.follow(begin)
    start = ear.books.book("BTCUSDT", begin, 5000)
    kept = {"b": dict(start.bids), "a": dict(start.asks)}
    last_id, now = start.update_id, begin
    while now < begin + 12 * MINUTE_MS:
        now = min(ear.market.next_change_ms(now) or END_MS, now + longest_ms)
        ear.broadcast.publish(now, Beats())
        for _, event in ear.heard():
            assert event["U"] == last_id + 1
            last_id = event["u"]
            for side in ("b", "a"):
                for price, quantity in event[side]:
                    units = units_of(price), units_of(quantity)
                    if units[1]:
                        kept[side][units[0]] = units[1]
                    else:
                        del kept[side][units[0]]
        book = ear.books.book("BTCUSDT", now, 5000)
        assert (last_id, kept["b"], kept["a"]) == (book.update_id, dict(book.bids), dict(book.asks))


def test_states_are_told_at_each_step_and_repeated_each_second() -> None:
    """Tickers and partial books are; the best prices only where they have changed."""
    names = ["ticker", "miniTicker", "avgPrice", "bookTicker", "depth5", "kline_1m"]
    ear = Ear(*(f"btcusdt@{name}" for name in names))
    now = NEW_YEAR_MS + 7 * MINUTE_MS + 1
    ear.broadcast.follow(now)

    def told(at_ms: int, beats: Beats) -> set[str]:
        ear.broadcast.publish(at_ms, beats)
        return {name.partition("@")[2] for name, _ in ear.heard()}

    assert told(now, Beats()) == set(names)
    assert told(now + 1, Beats()) == set()
    assert told(now + 1, Beats(second=True)) == {"ticker", "miniTicker", "avgPrice", "depth5"}
    assert told(now + 1, Beats(second=True, two_seconds=True)) == set(names) - {"bookTicker"}
    following = ear.market.next_change_ms(now)
    assert following is not None
    assert told(following, Beats()) == set(names)


def test_all_tickers_come_in_one_array_with_those_that_changed() -> None:
    """Once a second."""
    ear = Ear("!miniTicker@arr", "!ticker@arr")
    now = NEW_YEAR_MS + 7 * MINUTE_MS + 1
    ear.broadcast.follow(now)
    ear.broadcast.publish(now, Beats(second=True))
    told = dict(ear.heard())
    assert [one["e"] for one in told["!miniTicker@arr"]] == ["24hrMiniTicker"]
    assert [one["e"] for one in told["!ticker@arr"]] == ["24hrTicker"]
    ear.broadcast.publish(now + 1, Beats(second=True))
    assert ear.heard() == []


def test_who_comes_late_hears_what_happens_from_then_on() -> None:
    """No trade from before its subscription; and who has gone and come back has missed what was between."""
    ear = Ear("btcusdt@trade")
    ear.walk(NEW_YEAR_MS + 30_000, NEW_YEAR_MS + 2 * MINUTE_MS)
    ear.hub.leave(ear.subscriber)
    ear.broadcast.follow(NEW_YEAR_MS + 2 * MINUTE_MS)
    assert ear.broadcast.is_silent
    ear.hub.subscribe(ear.subscriber, "btcusdt@trade")
    told = ear.walk(NEW_YEAR_MS + 5 * MINUTE_MS, NEW_YEAR_MS + 6 * MINUTE_MS)
    first = ear.market.first_trade_id(NEW_YEAR_MS + 5 * MINUTE_MS + 1)
    assert told[0][1]["t"] == first


def test_a_symbol_that_is_not_listed_stays_silent() -> None:
    """The venue accepts the subscription and never tells anything."""
    ear = Ear("nopeusdt@trade", "btcusdt@nonsense")
    assert ear.walk(NEW_YEAR_MS, END_MS) == []
    assert ear.broadcast.is_silent


def test_a_book_that_somebody_has_seen_is_never_leapt_over() -> None:
    """REST shows a book between two beats: who starts from it gets rid of levels that only it had."""
    ear = Ear("btcusdt@depth")
    begin = NEW_YEAR_MS + 10 * MINUTE_MS + 30_000
    ear.broadcast.follow(begin)
    seen_ms, later_ms = begin + 7 * MINUTE_MS, begin + 45 * MINUTE_MS
    snapshot = ear.books.book("BTCUSDT", seen_ms, 5000)
    ear.broadcast.publish(later_ms, Beats())
    told = [event for _, event in ear.heard()]
    assert [event["u"] for event in told] == [snapshot.update_id, ear.books.update_id("BTCUSDT", later_ms)]
    kept = {units_of(price): units_of(quantity) for price, quantity in told[1]["b"]}
    merged = {price: size for price, size in (dict(snapshot.bids) | kept).items() if size}
    assert merged == dict(ear.books.book("BTCUSDT", later_ms, 5000).bids)


def units_of(text: str) -> int:
    return int(text.replace(".", ""))


class LateView:
    """Klines are twelve seconds late."""

    def seen_ms(self, symbol: str, at_ms: int) -> int:
        return at_ms

    def thaw_ms(self, symbol: str, at_ms: int) -> int | None:
        return None

    def kline_lag_ms(self, symbol: str) -> int:
        return 12_000


def test_a_late_candle_closes_late_by_just_that() -> None:
    """Each closed kline comes twelve seconds after its end, each trade at its time."""
    ear = Ear("btcusdt@kline_1m", "btcusdt@trade", market=DisturbedMarket(market_of(tape_of(ROWS)), LateView()))
    told = ear.walk(NEW_YEAR_MS + 30_000, NEW_YEAR_MS + 5 * MINUTE_MS)
    closed = [event for _, event in told if event["e"] == "kline" and event["k"]["x"]]
    assert [event["E"] - event["k"]["T"] - 1 for event in closed] == [12_000] * 4
    trades = [event for _, event in told if event["e"] == "trade"]
    assert {event["E"] - event["T"] for event in trades} == {0}
