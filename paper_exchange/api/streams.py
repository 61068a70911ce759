"""The market's websockets: raw and combined streams, opened by path or by message, as the venue has them."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from paper_exchange.api.abort import abort
from paper_exchange.api.hub import Hub, Outbox, Subscriber
from paper_exchange.api.stream_commands import MOST_STREAMS, answer
from paper_exchange.api.stream_names import is_well_formed

MESSAGES_PER_SECOND = 5
LIFETIME_S = 86_400.0
_POLICY, _GOING_AWAY = 1008, 1001


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """What one socket may do.

    Parameters
    ----------
    messages_per_second
        Messages that it may send; 0 for any number.
    lifetime_s
        After so many real seconds it is closed, as the venue closes each after a day.
    """

    messages_per_second: int = MESSAGES_PER_SECOND
    lifetime_s: float = LIFETIME_S


@dataclass(eq=False, slots=True)
class MarketSockets:
    """All open market sockets.

    Parameters
    ----------
    hub
        Where the events come from.
    limits
        What each socket may do.
    """

    hub: Hub
    limits: SocketLimits = field(default_factory=SocketLimits)
    _open: set[Subscriber] = field(default_factory=set)

    def routes(self) -> list[WebSocketRoute]:
        """Return the paths that market streams are read at."""
        return [
            WebSocketRoute("/", self._raw),
            WebSocketRoute("/ws", self._raw),
            WebSocketRoute("/ws/{names:path}", self._raw),
            WebSocketRoute("/stream", self._combined),
        ]

    def announce_shutdown(self, now_ms: int) -> None:
        """Tell every socket that the venue is about to end, as the venue documents it."""
        event = orjson.dumps({"e": "serverShutdown", "E": now_ms}).decode()
        for subscriber in self._open:
            subscriber.offer("!serverShutdown", event)

    async def _raw(self, socket: WebSocket) -> None:
        # ccxt connects to /ws/0, /ws/1 and so on: a part that is no stream's name only tells sockets apart.
        names = [name for name in socket.path_params.get("names", "").split("/") if is_well_formed(name)]
        await self._serve(socket, names, combined=False)

    async def _combined(self, socket: WebSocket) -> None:
        names = [name for name in socket.query_params.get("streams", "").split("/") if is_well_formed(name)]
        await self._serve(socket, names, combined=True)

    async def _serve(self, socket: WebSocket, names: list[str], *, combined: bool) -> None:
        await socket.accept()
        subscriber = Subscriber(Outbox(), combined)
        self._open.add(subscriber)
        for name in names[:MOST_STREAMS]:
            self.hub.subscribe(subscriber, name)
        try:
            await self._converse(socket, subscriber)
        finally:
            self._open.discard(subscriber)
            self.hub.leave(subscriber)

    async def _converse(self, socket: WebSocket, subscriber: Subscriber) -> None:
        """Read and write until the client leaves, breaks a limit, is too slow, or the socket's day is over."""
        reading = asyncio.create_task(self._read(socket, subscriber))
        writing = asyncio.create_task(_write(socket, subscriber.outbox))
        giving_up = asyncio.create_task(subscriber.outbox.given_up())
        tasks = (reading, writing, giving_up)
        try:
            await asyncio.wait(tasks, timeout=self.limits.lifetime_s, return_when=asyncio.FIRST_COMPLETED)
            if giving_up.done():
                abort(socket.scope)
            elif reading.done():
                if reading.result():
                    await socket.close(_POLICY, "Too many requests")
            elif not writing.done():
                await socket.close(_GOING_AWAY, "A connection is valid for 24 hours")
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                raise outcome

    async def _read(self, socket: WebSocket, subscriber: Subscriber) -> bool:
        """Answer messages until the client leaves (False) or sends too many (True)."""
        rate = MessageRate(self.limits.messages_per_second)
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return False
            if not rate.allows():
                return True
            text = message.get("text")
            sent = text if text is not None else bytes(message.get("bytes") or b"").decode(errors="replace")
            subscriber.outbox.put(answer(self.hub, subscriber, sent))


async def _write(socket: WebSocket, outbox: Outbox) -> None:
    while True:
        await socket.send_text(await outbox.take())


class MessageRate:
    """Counts messages in a sliding second of real time.

    Parameters
    ----------
    most
        How many are allowed in any second; 0 for any number.
    time_s
        A steady clock.
    """

    def __init__(self, most: int, time_s: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._time_s = time_s
        self._times: deque[float] = deque()

    def allows(self) -> bool:
        """Count one more message; False where it is one too many."""
        if self._most == 0:
            return True
        now = self._time_s()
        while self._times and self._times[0] <= now - 1:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) <= self._most
