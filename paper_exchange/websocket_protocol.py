"""Speaks the websocket protocol for the server, and lets a connection be cut off from inside the application."""

from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from paper_exchange.api.abort import EXTENSION


class CuttableWebSocket(WebSocketsSansIOProtocol):
    """A websocket whose scope holds a function that cuts it off."""

    def handle_connect(self, event: Request) -> None:
        """Open the connection; the application, which starts later, finds the function in its scope."""
        super().handle_connect(event)
        scope = getattr(self, "scope", None)  # none where the handshake was refused
        if scope is not None:
            cast(dict[str, Any], scope["extensions"])[EXTENSION] = self.transport.abort
