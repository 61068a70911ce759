"""The scripted market with websockets beside HTTP on one port: candles when a test says so, drops, restarts."""

import asyncio
import json
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from scripted_venue import ScriptedMarket
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


class StreamingVenue(ScriptedMarket):
    """Speaks Binance's market streams: SUBSCRIBE, and kline events as its documentation shows them.

    Its clock stands; `advance_to` moves it, and sends what the venue would. `refused` is the status that a websocket
    handshake is refused with. `extra_volume` is added to the volume of candles in the stream, which REST will correct.
    """

    def __init__(self, start_ms: int) -> None:
        super().__init__(start_ms)
        self.refused: int | None = None
        self.handshakes = 0
        self.subscribed: list[list[str]] = []
        self.extra_volume = 0.0
        self.muted: set[int] = set()
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: Server | None = None
        self._streams: dict[ServerConnection, list[str]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, at the same port as before."""
        self._done(self._start())

    def stop(self) -> None:
        """Close all connections and listen no more."""
        self._done(self._stop())

    def drop(self) -> None:
        """Break every websocket's connection, without a word."""
        self._done(self._drop())

    def is_listened_to(self) -> bool:
        """Tell whether a client has subscribed."""
        return bool(self._streams)

    def advance_to(self, now_ms: int, step: int = 60_000) -> None:
        """Move the clock; send each candle that has closed by then, and the forming one."""
        first = self.now_ms // step * step
        self.now_ms = now_ms
        for open_ms in range(first, now_ms, step):
            if open_ms not in self.missing | self.muted:
                self.send_candle(open_ms, open_ms + step <= now_ms, step)

    def send_candle(self, open_ms: int, is_closed: bool, step: int = 60_000) -> None:
        """Send a candle to all who have subscribed to it."""
        self._done(self._send(open_ms, is_closed, step))

    def send(self, event: dict[str, Any]) -> None:
        """Send an event, whatever it is, to all who listen."""
        self._done(self._send_text(json.dumps(event)))

    def _done(self, work: Coroutine[Any, Any, None]) -> None:
        future: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.result(10)

    async def _start(self) -> None:
        self._server = await serve(self._speak, "127.0.0.1", self._port, process_request=self._answer, close_timeout=0)
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _drop(self) -> None:
        for connection in list(self._streams):
            connection.transport.abort()
        while self._streams:
            await asyncio.sleep(0.001)

    def _answer(self, _: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        if "Upgrade" in request.headers:
            self.handshakes += 1
            return None if self.refused is None else _response(self.refused, {}, "")
        parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}
        return _response(*self.answer(parts.path, parameters))

    async def _speak(self, connection: ServerConnection) -> None:
        try:
            async for text in connection:
                message = json.loads(text)
                assert message["method"] == "SUBSCRIBE"
                self.subscribed.append(message["params"])
                await connection.send(json.dumps({"result": None, "id": message["id"]}))
                self._streams[connection] = message["params"]
        except ConnectionClosed:
            return
        finally:
            self._streams.pop(connection, None)

    async def _send(self, open_ms: int, is_closed: bool, step: int) -> None:
        interval = {60_000: "1m", 86_400_000: "1d"}[step]
        for connection, streams in list(self._streams.items()):
            for stream in streams:
                name, _, kind = stream.partition("@")
                if kind == f"kline_{interval}":
                    await connection.send(json.dumps(self._event(name.upper(), interval, open_ms, is_closed, step)))

    async def _send_text(self, text: str) -> None:
        for connection in list(self._streams):
            await connection.send(text)

    def _event(self, name: str, interval: str, open_ms: int, is_closed: bool, step: int) -> dict[str, Any]:
        row = self.kline(open_ms, step)
        volume = f"{float(row[5]) + self.extra_volume:.8f}"
        kline = {
            "t": open_ms, "T": open_ms + step - 1, "s": name, "i": interval, "f": 100, "L": 200, "o": row[1],
            "c": row[4], "h": row[2], "l": row[3], "v": volume, "n": 100, "x": is_closed, "q": "1.0000", "V": "500",
            "Q": "0.500", "B": "123456",
        }  # fmt: skip
        return {"e": "kline", "E": self.now_ms, "s": name, "k": kline}


def _response(status: int, headers: dict[str, str], body: str) -> Response:
    data = body.encode()
    lines = {"Content-Type": "application/json", "Content-Length": str(len(data)), "Connection": "close"} | headers
    return Response(status, HTTPStatus(status).phrase, Headers(lines), data)
