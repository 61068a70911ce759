"""Carries events from where they are made to the sockets that listen, and gives up a socket that does not keep pace."""

import asyncio
from collections import deque
from collections.abc import Callable, KeysView
from dataclasses import dataclass, field

MOST_WAITING = 10_000
MOST_CHARACTERS = 32 * 2**20


class Outbox:
    """Texts that wait to be sent over one socket.

    It is bounded: who reads slower than the market writes would have the venue hold ever more for him, and see an ever
    older market. Past a bound the outbox is given up and its texts are dropped; the socket is to be closed.

    Parameters
    ----------
    most_waiting, most_characters
        The bounds.
    """

    def __init__(self, most_waiting: int = MOST_WAITING, most_characters: int = MOST_CHARACTERS) -> None:
        self._texts: deque[str] = deque()
        self._characters = 0
        self._most_waiting = most_waiting
        self._most_characters = most_characters
        self._ready = asyncio.Event()
        self._given_up = asyncio.Event()

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def is_given_up(self) -> bool:
        """Whether its reader was too slow."""
        return self._given_up.is_set()

    def put(self, text: str) -> None:
        """Add a text behind the others; an outbox that is given up takes nothing any more."""
        if self.is_given_up:
            return
        self._texts.append(text)
        self._characters += len(text)
        if len(self._texts) > self._most_waiting or self._characters > self._most_characters:
            self._texts.clear()
            self._given_up.set()
        self._ready.set()

    async def take(self) -> str:
        """Return the oldest text as soon as there is one."""
        while not self._texts:
            self._ready.clear()
            await self._ready.wait()
        text = self._texts.popleft()
        self._characters -= len(text)
        return text

    async def given_up(self) -> None:
        """Return when the reader has been too slow."""
        await self._given_up.wait()


@dataclass(eq=False, slots=True)
class Subscriber:
    """One socket's subscriptions.

    Parameters
    ----------
    outbox
        Where its texts go.
    combined
        Whether each event is wrapped with its stream's name.
    """

    outbox: Outbox
    combined: bool = False
    streams: dict[str, None] = field(default_factory=dict)  # a set that keeps the order

    def offer(self, stream: str, payload: str) -> None:
        """Put an event into the outbox, in the form that the socket asked for."""
        self.outbox.put(f'{{"stream":"{stream}","data":{payload}}}' if self.combined else payload)


class Hub:
    """Who listens to which stream.

    `on_change` is called when a stream gets its first listener or loses its last.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, dict[Subscriber, None]] = {}
        self.on_change: Callable[[], None] = _nothing

    @property
    def streams(self) -> KeysView[str]:
        """The streams that anybody listens to."""
        return self._listeners.keys()

    def subscribe(self, subscriber: Subscriber, stream: str) -> None:
        """Let `subscriber` have the events of `stream` from now on; twice is once."""
        subscriber.streams[stream] = None
        listeners = self._listeners.setdefault(stream, {})
        listeners[subscriber] = None
        if len(listeners) == 1:
            self.on_change()

    def unsubscribe(self, subscriber: Subscriber, stream: str) -> None:
        """End a subscription, if there is one."""
        subscriber.streams.pop(stream, None)
        listeners = self._listeners.get(stream)
        if listeners is None or listeners.pop(subscriber, subscriber) is not None:
            return
        if not listeners:
            del self._listeners[stream]
            self.on_change()

    def leave(self, subscriber: Subscriber) -> None:
        """End all subscriptions of one."""
        for stream in list(subscriber.streams):
            self.unsubscribe(subscriber, stream)

    def publish(self, stream: str, payload: str) -> None:
        """Give an event, as JSON, to whoever listens to its stream."""
        for subscriber in self._listeners.get(stream, ()):
            subscriber.offer(stream, payload)

    def most_waiting(self) -> int:
        """Return how many texts wait in the fullest outbox of all listeners."""
        waiting = (len(one.outbox) for listeners in self._listeners.values() for one in listeners)
        return max(waiting, default=0)


def _nothing() -> None:
    """Nobody wants to know."""
