"""Puts the endpoints behind HTTP: weighs each request, answers it at one instant, and writes refusals."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response

from paper_exchange.api import market_data, sapi, trading, ws_api
from paper_exchange.api.accounts import authenticate
from paper_exchange.api.query import Query
from paper_exchange.api.signing import request_payload
from paper_exchange.api.venue import Venue
from paper_exchange.errors import ApiError

_JSON = "application/json;charset=UTF-8"
_KEY_HEADER = "x-mbx-apikey"
_WEIGHT_HEADERS = ("x-mbx-used-weight", "x-mbx-used-weight-1m")


def create_app(venue: Venue) -> FastAPI:
    """Return the venue as an ASGI application."""
    app = FastAPI(title="paper-exchange", docs_url=None, redoc_url=None, openapi_url=None)
    for endpoint in market_data.ENDPOINTS:
        route = _route(venue, endpoint.weight, _public(venue, endpoint))
        app.add_api_route(endpoint.path, route, methods=["GET"], response_model=None)
    for signed in (*trading.ENDPOINTS, *sapi.ENDPOINTS):
        route = _route(venue, signed.weight, _signed(venue, signed))
        app.add_api_route(signed.path, route, methods=[signed.method], response_model=None)
    system_status = _route(venue, lambda _: 1, lambda _, query: sapi.system_status(query))
    app.add_api_route(sapi.STATUS_PATH, system_status, methods=["GET"], response_model=None)
    app.add_api_websocket_route(ws_api.PATH, ws_api.route(venue))
    app.add_exception_handler(404, _nothing)
    app.add_exception_handler(405, _nothing)
    app.add_exception_handler(Exception, _unknown)
    return app


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A request with the bytes that its sender may have signed."""

    query: bytes
    body: bytes
    api_key: str | None


_Answering = Callable[[_Incoming, Query], Any]


def _public(venue: Venue, endpoint: market_data.Endpoint) -> _Answering:
    def answer(_: _Incoming, query: Query) -> Any:
        moment = market_data.Moment(venue.books, venue.clock.now_ms(), venue.weights.limit, venue.counts.intervals)
        return endpoint.answer(moment, query)

    return answer


def _signed(venue: Venue, endpoint: trading.SignedEndpoint) -> _Answering:
    def answer(incoming: _Incoming, query: Query) -> Any:
        payload = request_payload(incoming.query, incoming.body)
        account = authenticate(venue.accounts, venue.server_times(), incoming.api_key, payload, query)
        response = _response(endpoint.respond(venue, account, query))
        if endpoint.counts_orders:
            for interval, count in venue.counts.counts(account.name):
                response.headers[interval.header] = str(count)
        return response

    return answer


def _route(
    venue: Venue, weight: Callable[[Query], int], answering: _Answering
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        address = request.client.host if request.client else ""
        raw = request.scope["query_string"]
        body = b"" if request.method == "GET" else await request.body()
        try:
            query = Query(raw, body)
            venue.weights.charge(address, weight(query))
            found = answering(_Incoming(raw, body, request.headers.get(_KEY_HEADER)), query)
            response = found if isinstance(found, Response) else _response(found)
        except ApiError as error:
            response = _refusal(error)
        used = str(venue.weights.used(address))
        for name in _WEIGHT_HEADERS:
            response.headers[name] = used
        return response

    return answer


def _response(body: Any) -> Response:
    return Response(body if isinstance(body, bytes) else orjson.dumps(body), media_type=_JSON)


def _refusal(error: ApiError) -> Response:
    response = Response(
        orjson.dumps({"code": error.code, "msg": error.msg}), status_code=error.status, media_type=_JSON
    )
    if error.retry_after_s is not None:
        response.headers["retry-after"] = str(error.retry_after_s)
    return response


async def _nothing(_: Request, error: Exception) -> Response:
    """Answer an unknown path or method as the venue does: a status, and no body."""
    return Response(status_code=getattr(error, "status_code", 404))


async def _unknown(_: Request, __: Exception) -> Response:
    """Answer a fault of our own as the venue does; the server logs the fault itself with its trace."""
    return _refusal(ApiError(-1000, "An unknown error occurred while processing the request.", status=500))
