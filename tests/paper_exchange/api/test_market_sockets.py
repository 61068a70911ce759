"""A market socket's life: it leaves nothing behind, is cut off where it does not read, and ends after its day."""

import asyncio
from typing import Any

import pytest
from starlette.routing import Router

from paper_exchange.api.abort import EXTENSION
from paper_exchange.api.hub import MOST_WAITING, Hub
from paper_exchange.api.streams import MarketSockets, MessageRate, SocketLimits


class Wire:
    """What a server is to the application: a websocket whose other end is held by the test."""

    def __init__(self, path: str = "/ws/btcusdt@trade", *, reads: bool = True) -> None:
        self.reads = reads
        self.sent: list[dict[str, Any]] = []
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.was_cut = False
        self.scope = {
            "type": "websocket", "path": path, "query_string": b"", "headers": [], "subprotocols": [],
            "extensions": {EXTENSION: self.cut},
        }  # fmt: skip

    def cut(self) -> None:
        self.was_cut = True
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if message["type"] == "websocket.send" and not self.reads:
            await asyncio.Event().wait()  # as a server whose client's buffers are full

    async def hold(self, sockets: MarketSockets) -> None:
        await Router(routes=sockets.routes())(self.scope, self.incoming.get, self.send)

    def texts(self) -> list[str]:
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_a_reader_that_does_not_read_is_cut_off() -> None:
    """The other, on the same stream, gets everything."""
    hub = Hub()
    sockets = MarketSockets(hub)
    slow, healthy = Wire(reads=False), Wire()

    async def run() -> None:
        holding = [asyncio.create_task(wire.hold(sockets)) for wire in (slow, healthy)]
        await until(lambda: len(hub.streams) == 1 and len(slow.sent) == len(healthy.sent) == 1)
        for number in range(MOST_WAITING + 3):
            hub.publish("btcusdt@trade", str(number))
            await asyncio.sleep(0)
        await holding[0]
        await until(lambda: len(healthy.texts()) == MOST_WAITING + 3)
        healthy.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await holding[1]

    asyncio.run(asyncio.wait_for(run(), 60))
    assert (slow.was_cut, len(slow.texts())) == (True, 1)
    assert not healthy.was_cut
    assert healthy.texts() == [str(number) for number in range(MOST_WAITING + 3)]
    assert not hub.streams


def test_a_socket_ends_after_its_day() -> None:
    """A day here is a hundredth of a second; the closing frame says so, and nothing is left in the hub."""
    hub, wire = Hub(), Wire()
    sockets = MarketSockets(hub, SocketLimits(lifetime_s=0.01))
    asyncio.run(asyncio.wait_for(wire.hold(sockets), 60))
    assert [message["type"] for message in wire.sent] == ["websocket.accept", "websocket.close"]
    assert wire.sent[1]["code"] == 1001
    assert not hub.streams


def test_who_leaves_is_forgotten() -> None:
    """Neither its subscriptions nor its messages stay."""
    hub, wire = Hub(), Wire("/ws/a@b/c@d/0")
    sockets = MarketSockets(hub)

    async def run() -> None:
        holding = asyncio.create_task(wire.hold(sockets))
        await until(lambda: len(hub.streams) == 2)
        wire.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await holding

    asyncio.run(asyncio.wait_for(run(), 60))
    assert not hub.streams


@pytest.mark.parametrize(
    ("most", "times", "allowed"),
    [
        (2, [0.0, 0.1, 0.2], [True, True, False]),
        (2, [0.0, 0.1, 1.05, 1.06], [True, True, True, False]),
        (0, [0.0] * 50, [True] * 50),
    ],
)
def test_messages_are_counted_in_a_sliding_second(most: int, times: list[float], allowed: list[bool]) -> None:
    """A message stops counting a second after it came; 0 counts none."""
    clock = iter(times)
    rate = MessageRate(most, lambda: next(clock))
    assert [rate.allows() for _ in times] == allowed
