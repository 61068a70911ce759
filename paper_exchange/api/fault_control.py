"""The control endpoint at which faults are switched on, watched and cleared; for this machine alone."""

import ipaddress
from collections.abc import Awaitable, Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paper_exchange.api.fault_kinds import FaultError, read_fault
from paper_exchange.api.faults import Faults

PATH = "/control/faults"
_Endpoint = Callable[[Request], Awaitable[Response]]


def control_routes(faults: Faults) -> list[Route]:
    """Return the endpoints: GET lists, POST adds, DELETE clears all; DELETE with an id clears one."""

    async def show(_: Request) -> Response:
        return _answer(faults.listed())

    async def add(request: Request) -> Response:
        try:
            fault = read_fault(await request.body())
        except FaultError as error:
            return _answer({"error": str(error)}, 400)
        return _answer(faults.add(fault), 201)

    async def clear(_: Request) -> Response:
        return _answer(faults.clear())

    async def clear_one(request: Request) -> Response:
        cleared = faults.clear(request.path_params["fault"])
        if not cleared:
            message = f"No fault has the id {request.path_params['fault']}; GET {PATH} lists those that there are."
            return _answer({"error": message}, 404)
        return _answer(cleared[0])

    return [
        Route(PATH, _from_here(show), methods=["GET"]),
        Route(PATH, _from_here(add), methods=["POST"]),
        Route(PATH, _from_here(clear), methods=["DELETE"]),
        Route(PATH + "/{fault:int}", _from_here(clear_one), methods=["DELETE"]),
    ]


def _from_here(endpoint: _Endpoint) -> _Endpoint:
    """Return `endpoint` for requests of this machine; a page in a browser, which sends its Origin, is refused too."""

    async def guarded(request: Request) -> Response:
        if not _is_loopback(request.client.host if request.client else "") or "origin" in request.headers:
            return _answer({"error": "Faults can be controlled by programs of this machine only."}, 403)
        return await endpoint(request)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _answer(document: object, status: int = 200) -> Response:
    return Response(orjson.dumps(document) + b"\n", status, media_type="application/json")
