"""Puts the endpoints behind HTTP: weighs each request, answers it at one instant, and writes refusals."""

from collections.abc import Awaitable, Callable

import orjson
from fastapi import FastAPI, Request, Response

from paper_exchange.api.market_data import ENDPOINTS, Endpoint, Moment
from paper_exchange.api.query import Query
from paper_exchange.api.venue import Venue
from paper_exchange.errors import ApiError

_JSON = "application/json;charset=UTF-8"
_WEIGHT_HEADERS = ("x-mbx-used-weight", "x-mbx-used-weight-1m")


def create_app(venue: Venue) -> FastAPI:
    """Return the venue as an ASGI application."""
    app = FastAPI(title="paper-exchange", docs_url=None, redoc_url=None, openapi_url=None)
    for endpoint in ENDPOINTS:
        app.add_api_route(endpoint.path, _route(endpoint, venue), methods=["GET"], response_model=None)
    app.add_exception_handler(404, _nothing)
    app.add_exception_handler(405, _nothing)
    app.add_exception_handler(Exception, _unknown)
    return app


def _route(endpoint: Endpoint, venue: Venue) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        address = request.client.host if request.client else ""
        try:
            query = Query(request.scope["query_string"])
            venue.weights.charge(address, endpoint.weight(query))
            body = endpoint.answer(Moment(venue.markets, venue.clock.now_ms(), venue.weights.limit), query)
            response = Response(body if isinstance(body, bytes) else orjson.dumps(body), media_type=_JSON)
        except ApiError as error:
            response = _refusal(error)
        used = str(venue.weights.used(address))
        for name in _WEIGHT_HEADERS:
            response.headers[name] = used
        return response

    return answer


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
