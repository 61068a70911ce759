"""The websocket API: requests as JSON messages, answered in their order, and user events on the same connection."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
from fastapi import WebSocket, WebSocketDisconnect

from paper_exchange.api import market_data, trading
from paper_exchange.api.abort import abort
from paper_exchange.api.accounts import Account, authenticate
from paper_exchange.api.hub import Outbox
from paper_exchange.api.order_documents import Document
from paper_exchange.api.query import Query
from paper_exchange.api.signing import message_payload
from paper_exchange.api.user_events import Listener
from paper_exchange.api.venue import Venue
from paper_exchange.api.ws_message import Message, read_message
from paper_exchange.errors import ApiError, mandatory

PATH = "/ws-api/v3"
_SESSION_WEIGHT = 2
_MOST_SUBSCRIPTIONS, _MOST_SUBSCRIPTION_IDS = 1000, 65_535
_DAY_S = 86_400
_POLICY_VIOLATION, _GOING_AWAY = 1008, 1001

_MARKET_METHODS = {
    "ping": "/api/v3/ping",
    "time": "/api/v3/time",
    "exchangeInfo": "/api/v3/exchangeInfo",
    "depth": "/api/v3/depth",
    "trades.recent": "/api/v3/trades",
    "trades.historical": "/api/v3/historicalTrades",
    "trades.aggregate": "/api/v3/aggTrades",
    "klines": "/api/v3/klines",
    "uiKlines": "/api/v3/uiKlines",
    "avgPrice": "/api/v3/avgPrice",
    "ticker.24hr": "/api/v3/ticker/24hr",
    "ticker.price": "/api/v3/ticker/price",
    "ticker.book": "/api/v3/ticker/bookTicker",
}


class Session:
    """One connection: what it asks, and which accounts it listens to.

    Parameters
    ----------
    venue
        The venue.
    address
        Whom the requests weigh on.
    put
        Takes a text that is to be sent, after those it took before.
    shows_limits
        Whether answers tell the rate limits, unless a request says otherwise.
    """

    def __init__(self, venue: Venue, address: str, put: Callable[[str], None], *, shows_limits: bool) -> None:
        self._venue = venue
        self._address = address
        self._put = put
        self._shows_limits = shows_limits
        self._connected_ms = _wall_ms(venue)
        self._subscriptions: dict[int, tuple[str, Listener]] = {}
        self._next_subscription = 0
        self._own = {
            "session.status": self._status,
            "session.subscriptions": self._list_subscriptions,
            "userDataStream.subscribe.signature": self._subscribe,
            "userDataStream.unsubscribe": self._unsubscribe,
        }

    def take(self, text: str) -> None:
        """Answer one request."""
        message_id: int | str | None = None
        limits: list[Document] = []
        shows_limits = self._shows_limits
        try:
            message = read_message(text)
            message_id = message.id
            query = Query.of(message.params)
            wish = query.boolean("returnRateLimits")
            shows_limits = self._shows_limits if wish is None else wish
            outcome: Document = {"status": 200, "result": self._result(message, query, limits)}
        except ApiError as error:
            outcome = {"status": error.status, "error": self._error(error)}
        answer: Document = {"id": message_id} | outcome
        if shows_limits:
            answer["rateLimits"] = limits + self._weight_limit()
        self._send(answer)

    def say_goodbye(self) -> None:
        """Tell the client that the venue is about to end."""
        self._send({"event": {"e": "serverShutdown", "E": self._venue.clock.now_ms()}})

    def close(self) -> None:
        """Listen to nothing any more."""
        for account, listener in self._subscriptions.values():
            self._venue.users.unsubscribe(account, listener)
        self._subscriptions.clear()

    def _send(self, document: Document) -> None:
        self._put(orjson.dumps(document).decode())

    def _result(self, message: Message, query: Query, limits: list[Document]) -> Any:
        venue = self._venue
        public, signed = _PUBLIC.get(message.method), _SIGNED.get(message.method)
        own = self._own.get(message.method)
        if public is not None:
            venue.weights.charge(self._address, public.weight(query))
            moment = market_data.Moment(venue.books, venue.clock.now_ms(), venue.weights.limit, venue.counts.intervals)
            body = public.answer(moment, query)
            return orjson.Fragment(body) if isinstance(body, bytes) else body
        if signed is not None:
            venue.weights.charge(self._address, signed.weight(query))
            account = self._account(message, query)
            try:
                return signed.respond(venue, account, query)
            finally:
                if signed.counts_orders:
                    limits += [limit for limit in venue.counts.documents(account.name) if limit["limit"]]
        venue.weights.charge(self._address, _SESSION_WEIGHT)
        if own is None:
            raise ApiError(-1020, "This operation is not supported.")
        return own(message, query)

    def _account(self, message: Message, query: Query) -> Account:
        api_key = query.text("apiKey")
        if api_key is None:
            raise mandatory("apiKey")
        payload = message_payload(message.params)
        return authenticate(self._venue.accounts, self._venue.server_times(), api_key, payload, query)

    def _status(self, _: Message, query: Query) -> Document:
        query.finish()
        return {
            "apiKey": None,
            "authorizedSince": None,
            "connectedSince": self._connected_ms,
            "returnRateLimits": self._shows_limits,
            "serverTime": self._venue.clock.now_ms(),
            "userDataStream": bool(self._subscriptions),
        }

    def _list_subscriptions(self, _: Message, query: Query) -> list[Document]:
        query.finish()
        return [{"subscriptionId": number} for number in self._subscriptions]

    def _subscribe(self, message: Message, query: Query) -> Document:
        account = self._account(message, query)
        query.finish()
        if any(name == account.name for name, _ in self._subscriptions.values()):
            raise ApiError(-2035, "User Data Stream subscription already active.")
        if len(self._subscriptions) >= _MOST_SUBSCRIPTIONS or self._next_subscription >= _MOST_SUBSCRIPTION_IDS:
            raise ApiError(-2042, "Maximum subscription ID reached for this connection.")
        number = self._next_subscription
        self._next_subscription += 1

        def listener(event: Document) -> None:
            self._send({"subscriptionId": number, "event": event})

        self._subscriptions[number] = (account.name, listener)
        self._venue.users.subscribe(account.name, listener)
        return {"subscriptionId": number}

    def _unsubscribe(self, _: Message, query: Query) -> Document:
        number = query.integer("subscriptionId")
        query.finish()
        if number is not None and number not in self._subscriptions:
            raise ApiError(-2036, "User Data Stream subscription not active.")
        for one in [number] if number is not None else list(self._subscriptions):
            account, listener = self._subscriptions.pop(one)
            self._venue.users.unsubscribe(account, listener)
            end = {"e": "eventStreamTerminated", "E": self._venue.clock.now_ms()}
            self._send({"subscriptionId": one, "event": end})
        return {}

    def _error(self, error: ApiError) -> Document:
        document: Document = {"code": error.code, "msg": error.msg}
        if error.retry_after_s is not None:
            now_ms = _wall_ms(self._venue)
            document["data"] = {"serverTime": now_ms, "retryAfter": now_ms + error.retry_after_s * 1000}
        return document

    def _weight_limit(self) -> list[Document]:
        weights = self._venue.weights
        if weights.limit == 0:
            return []
        limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weights.limit}
        return [limit | {"count": weights.used(self._address)}]


def route(venue: Venue) -> Callable[[WebSocket], Awaitable[None]]:
    """Return what serves a connection to the websocket API from its beginning to its end."""

    async def serve(socket: WebSocket) -> None:
        address = socket.client.host if socket.client else ""
        try:
            venue.weights.charge(address, _SESSION_WEIGHT)
        except ApiError:
            await socket.close(_POLICY_VIOLATION)  # it was not accepted yet: the client sees HTTP 403
            return
        await socket.accept()
        outbox = Outbox()
        shows_limits = socket.query_params.get("returnRateLimits") != "false"
        session = Session(venue, address, outbox.put, shows_limits=shows_limits)
        venue.goodbyes.add(session.say_goodbye)
        reader = asyncio.create_task(_read(socket, session))
        tasks = (reader, asyncio.create_task(_write(socket, outbox)), asyncio.create_task(outbox.given_up()))
        try:
            done, _ = await asyncio.wait(tasks, timeout=_DAY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            session.close()
            venue.goodbyes.discard(session.say_goodbye)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()  # a fault of our own is to be seen
        if outbox.is_given_up:
            abort(socket.scope)
        elif not done:
            await socket.close(_GOING_AWAY, "A connection is valid for 24 hours")

    return serve


async def _read(socket: WebSocket, session: Session) -> None:
    """Answer requests, one after the other, until the client leaves."""
    while (frame := await socket.receive())["type"] == "websocket.receive":
        session.take(frame.get("text") or (frame.get("bytes") or b"").decode("utf-8", "replace"))


async def _write(socket: WebSocket, outbox: Outbox) -> None:
    """Send what waits until the client has left."""
    with suppress(WebSocketDisconnect):
        while True:
            await socket.send_text(await outbox.take())


def _wall_ms(venue: Venue) -> int:
    return venue.wall_ns() // 1_000_000


_BY_PATH = {endpoint.path: endpoint for endpoint in market_data.ENDPOINTS}
_PUBLIC = {method: _BY_PATH[path] for method, path in _MARKET_METHODS.items()}
_SIGNED = {endpoint.message: endpoint for endpoint in trading.ENDPOINTS if endpoint.message}
