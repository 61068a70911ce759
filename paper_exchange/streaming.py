"""Joins what the venue needs to tell its markets over websockets: the books, who listens, and the heartbeat."""

from dataclasses import dataclass

from starlette.routing import WebSocketRoute

from paper_exchange.api.broadcast import Broadcast
from paper_exchange.api.hub import Hub
from paper_exchange.api.streams import MarketSockets, SocketLimits
from paper_exchange.api.venue import Venue
from paper_exchange.pulse import Pulse


@dataclass(frozen=True, slots=True)
class Streaming:
    """The venue's websockets and the task behind them."""

    venue: Venue
    sockets: MarketSockets
    pulse: Pulse

    def routes(self) -> list[WebSocketRoute]:
        """Return the paths of the market's websockets."""
        return self.sockets.routes()

    async def run(self) -> None:
        """Let the venue live until cancelled: orders fill and streams speak as its time goes on."""
        await self.pulse.run()

    def market_changed(self, books_changed: bool) -> None:
        """Look at the markets anew: something has changed that does not follow from their bars."""
        if books_changed:
            self.venue.books.note_change()
        self.pulse.wake()

    def say_goodbye(self) -> None:
        """Tell the sockets that the venue is about to end."""
        self.sockets.announce_shutdown(self.venue.clock.now_ms())
        for say in tuple(self.venue.goodbyes):
            say()


def open_streaming(venue: Venue, limits: SocketLimits | None = None) -> Streaming:
    """Return the streams of a venue."""
    hub = Hub()
    broadcast = Broadcast(venue.markets, venue.books, hub)
    pulse = Pulse(venue.clock, broadcast, hub, venue.markets, venue.exchange.advance)
    return Streaming(venue, MarketSockets(hub, limits or SocketLimits()), pulse)
