"""The heartbeat wakes with the market, catches up after a stall, and lets orders fill where nobody listens."""

import asyncio
import json
from dataclasses import dataclass, field

from venue_tools import MINUTE_MS, NEW_YEAR_MS, market_of, tape_of

from paper_exchange.api.books import Books
from paper_exchange.api.broadcast import Broadcast
from paper_exchange.api.hub import MOST_WAITING, Hub, Outbox, Subscriber
from paper_exchange.clock import RunningClock
from paper_exchange.pulse import Pulse

ROWS = [(m, 5000 + m, 5030 + m, 4990, 5020, 3000 + m) for m in range(60 * 24)]


@dataclass
class Machine:
    """A machine's clock that is moved by hand."""

    now_ns: int = 0

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class Heart:
    """A pulse over a day of bars, with one listener."""

    machine: Machine = field(default_factory=Machine)
    advanced: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.market = market_of(tape_of(ROWS))
        markets = {"BTCUSDT": self.market}
        self.hub = Hub()
        self.subscriber = Subscriber(Outbox())
        clock = RunningClock(NEW_YEAR_MS + 500, 60, time_ns=self.machine)
        self.broadcast = Broadcast(markets, Books(markets), self.hub)
        self.pulse = Pulse(clock, self.broadcast, self.hub, markets, self.advanced.append)

    async def hear(self, heard: list[dict[str, object]]) -> None:
        """Read for ever, as a socket does."""
        while True:
            heard.append(json.loads(await self.subscriber.outbox.take()))


def test_after_a_stall_nothing_of_the_history_is_lost() -> None:
    """A day in one leap is more than an outbox holds; a reader that keeps reading gets all trades and closed klines."""
    heart = Heart()
    trades = heart.market.trades(1, 10**9)
    assert len(trades) > MOST_WAITING

    async def run() -> list[dict[str, object]]:
        heard: list[dict[str, object]] = []
        reading = asyncio.create_task(heart.hear(heard))
        for stream in ("btcusdt@trade", "btcusdt@kline_1m"):
            heart.hub.subscribe(heart.subscriber, stream)
        await heart.pulse.beat()
        heart.machine.now_ns = 24 * 60 * 10**9
        await heart.pulse.beat()
        while len(heart.subscriber.outbox):
            await asyncio.sleep(0)
        reading.cancel()
        return heard

    heard = asyncio.run(run())
    assert not heart.subscriber.outbox.is_given_up
    first = heart.market.first_trade_id(NEW_YEAR_MS + 501)
    assert [event["t"] for event in heard if event["e"] == "trade"] == list(range(first, len(trades) + 1))
    klines = [event["k"] for event in heard if event["e"] == "kline"]
    closed = [kline["t"] for kline in klines if isinstance(kline, dict) and kline["x"]]
    assert closed == [NEW_YEAR_MS + m * MINUTE_MS for m in range(60 * 24)]


def test_the_exchange_is_let_on_at_each_step_though_nobody_listens() -> None:
    """At sixty times the speed a bar of at least six steps passes in a second; orders wait for those steps."""

    async def run(heart: Heart) -> None:
        beating = asyncio.create_task(heart.pulse.run())
        while len(heart.advanced) < 4:
            await asyncio.sleep(0.001)
            following = heart.market.next_change_ms(heart.advanced[-1]) if heart.advanced else None
            if following is not None:
                heart.machine.now_ns = -(-(following - NEW_YEAR_MS - 500) * 10**6 // 60)
        beating.cancel()

    heart = Heart()
    asyncio.run(asyncio.wait_for(run(heart), 30))
    steps = [time for time in heart.advanced[1:] if heart.market.update_id(time) > heart.market.update_id(time - 1)]
    assert len(set(steps)) >= 2
