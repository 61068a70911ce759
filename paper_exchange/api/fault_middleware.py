"""Stands between the network and the venue and does to requests what the faults say."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paper_exchange.api.fault_kinds import Latency, RateLimit, Reject, ServerError
from paper_exchange.api.faults import Faults, Socket, is_order

WS_API = "/ws-api/"
_LIMIT_MESSAGE = (
    "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API."
)


@dataclass(frozen=True, slots=True)
class _Request:
    """What a fault needs to know of a request, over HTTP or the websocket API."""

    path: str
    method: str
    symbol: str


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What is answered in the venue's place."""

    status: int
    code: int
    msg: str
    retry_after_s: int | None = None


class _Strikes:
    """What the faults do to one request after another."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def wait(self, request: _Request) -> None:
        """Let the request wait as long as it is to."""
        waits = self._faults.of(Latency, request.path, request.method, request.symbol)
        for active, _ in waits:
            active.struck += 1
        if waits:
            await asyncio.sleep(sum(fault.ms for _, fault in waits) / 1000)

    def refusal(self, request: _Request) -> _Refusal | None:
        """Return what is answered before the venue has seen the request; None where it is to see it."""
        names = request.path, request.method, request.symbol
        limit = self._faults.strike(RateLimit, *names)
        if limit is not None:
            return _Refusal(limit.status, -1003, _LIMIT_MESSAGE, limit.retry_after_s)
        if is_order(request.path, request.method):
            reject = self._faults.strike(Reject, *names)
            if reject is not None:
                return _Refusal(400, reject.code, reject.msg)
        return self._server_error(request, "before")

    def lost_answer(self, request: _Request) -> _Refusal | None:
        """Return what is answered instead of the venue's answer, after the request took effect."""
        return self._server_error(request, "after")

    def _server_error(self, request: _Request, when: str) -> _Refusal | None:
        for active, error in self._faults.of(ServerError, request.path, request.method, request.symbol):
            if error.when == when:
                active.struck += 1
                return _Refusal(error.status, *error.answer)
        return None

    def count_order(self, request: _Request) -> None:
        """Count an order that the venue has seen."""
        if is_order(request.path, request.method):
            self._faults.count_order(request.symbol)


class FaultMiddleware:
    """An ASGI application that is the venue with its faults.

    Parameters
    ----------
    app
        The venue.
    faults
        What is wrong with it.
    """

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults
        self._strikes = _Strikes(faults)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one websocket."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http" and not scope["path"].startswith("/control/"):
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        values = dict(parse_qsl(body.decode("latin-1"))) | dict(parse_qsl(scope["query_string"].decode("latin-1")))
        request = _Request(scope["path"], scope["method"], values.get("symbol", ""))
        await self._strikes.wait(request)
        refusal = self._strikes.refusal(request)
        if refusal is None:
            lost = self._strikes.lost_answer(request)
            await self._app(scope, _replay(body, receive), _swallow if lost else send)
            self._strikes.count_order(request)
            refusal = lost
        if refusal is not None:
            await _response(refusal)(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._faults.refuses_sockets:
            await receive()
            await Response(status_code=503)(scope, receive, send)
            return
        socket = Socket(scope["path"], dict(scope))
        self._faults.opened(socket)
        try:
            if scope["path"].startswith(WS_API):
                conversation = _Conversation(self._strikes, scope["path"], receive, send)
                await self._app(scope, conversation.receive, conversation.send)
            else:
                await self._app(scope, receive, send)
        finally:
            self._faults.closed(socket)


@dataclass(slots=True)
class _Conversation:
    """One socket of the websocket API: each message on it is a request."""

    strikes: _Strikes
    path: str
    inner_receive: Receive
    inner_send: Send
    _lost: dict[bytes, _Refusal] = field(default_factory=dict)  # by the message's id
    _orders: dict[bytes, _Request] = field(default_factory=dict)

    async def receive(self) -> Message:
        """Return the next message that the venue is to see."""
        while True:
            message = await self.inner_receive()
            asked = _asked(message)
            if asked is None:
                return message
            refusal = await self._meet(asked)
            if refusal is None:
                return message
            await self.inner_send(_reply(asked.get("id"), refusal))

    async def send(self, message: Message) -> None:
        """Send an answer, or what stands in its place."""
        answered = _asked(message) if self._lost or self._orders else None
        if answered is not None:
            key = orjson.dumps(answered.get("id"))
            request = self._orders.pop(key, None)
            if request is not None:
                self.strikes.count_order(request)
            lost = self._lost.pop(key, None)
            if lost is not None:
                message = _reply(answered.get("id"), lost)
        await self.inner_send(message)

    async def _meet(self, asked: dict[str, Any]) -> _Refusal | None:
        params = asked.get("params")
        symbol = params.get("symbol", "") if isinstance(params, dict) else ""
        request = _Request(self.path, str(asked.get("method", "")).removeprefix("v3/"), str(symbol))
        await self.strikes.wait(request)
        refusal = self.strikes.refusal(request)
        if refusal is None:
            key = orjson.dumps(asked.get("id"))
            lost = self.strikes.lost_answer(request)
            if lost is not None:
                self._lost[key] = lost
            if is_order(request.path, request.method):
                self._orders[key] = request
        return refusal


def _asked(message: Message) -> dict[str, Any] | None:
    """Return the JSON object in a message; None where there is none with an id."""
    text = message.get("text") or message.get("bytes")
    if not text:
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and "id" in found else None


def _reply(message_id: object, refusal: _Refusal) -> Message:
    error: dict[str, object] = {"code": refusal.code, "msg": refusal.msg}
    if refusal.retry_after_s is not None:
        error["data"] = {"retryAfter": refusal.retry_after_s * 1000}
    document = {"id": message_id, "status": refusal.status, "error": error, "rateLimits": []}
    return {"type": "websocket.send", "text": orjson.dumps(document).decode()}


def _response(refusal: _Refusal) -> Response:
    body = orjson.dumps({"code": refusal.code, "msg": refusal.msg})
    headers = {} if refusal.retry_after_s is None else {"retry-after": str(refusal.retry_after_s)}
    return Response(body, refusal.status, headers, media_type="application/json;charset=UTF-8")


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body, which has been read already, once more."""
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _swallow(_: Message) -> None:
    """The answer is lost on its way."""
