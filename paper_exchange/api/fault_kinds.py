"""The faults that can be asked for, each with what it needs, as they are written in JSON."""

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, TypeAdapter, ValidationError

ORDER_PATHS = ("/api/v3/order", "/ws-api/v3")
ORDER_METHODS = ("POST", "order.place")
_REQUEST_PATHS = ("/api/*", "/sapi/*", "/ws-api/*")
_LONGEST_MS = 600_000


class Limited(BaseModel):
    """What all faults have in common.

    Parameters
    ----------
    count
        It strikes so many times, then it is over; None for no such end.
    seconds
        It is over after so many real seconds; None for no such end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: PositiveInt | None = None
    seconds: PositiveFloat | None = None


class OfRequests(Limited):
    """A fault of requests.

    Parameters
    ----------
    paths
        Of which paths; ``*`` stands for anything. A websocket API has one path for all.
    methods
        Of which HTTP methods, or which methods of the websocket API; none named means all.
    symbols
        Of requests that name one of these symbols; none named means all.
    """

    paths: tuple[str, ...] = _REQUEST_PATHS
    methods: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()

    def fits(self, path: str, method: str) -> bool:
        """Return whether a request is one of those that are meant, its symbol aside."""
        return any(fnmatchcase(path, one) for one in self.paths) and (not self.methods or method in self.methods)


class Latency(OfRequests):
    """Requests wait `ms` before they are read."""

    kind: Literal["latency"]
    ms: Annotated[int, Field(ge=1, le=_LONGEST_MS)]


class ServerError(OfRequests):
    """Requests are answered with an error of the server, before they are read or after they took effect."""

    kind: Literal["error"]
    status: Annotated[int, Field(ge=500, le=599)] = 503
    when: Literal["before", "after"] = "before"
    code: int | None = None
    msg: str | None = None
    paths: tuple[str, ...] = ORDER_PATHS
    methods: tuple[str, ...] = ORDER_METHODS

    @property
    def answer(self) -> tuple[int, str]:
        """The code and message: the venue's own for a failure, or for a state that nobody knows."""
        if self.when == "before":
            usual = (-1001, "Internal error; unable to process your request. Please try again.")
        else:
            usual = (-1007, "Timeout waiting for response from backend server. Send status unknown; "
                            "execution status unknown.")  # fmt: skip
        return usual[0] if self.code is None else self.code, self.msg or usual[1]


class RateLimit(OfRequests):
    """Requests are refused as too many, or as those of a client that is banned."""

    kind: Literal["rate_limit"]
    status: Literal[429, 418] = 429
    retry_after_s: PositiveInt = 5


class Reject(Limited):
    """Orders are rejected."""

    kind: Literal["reject"]
    code: int = -2010
    msg: str = "Account has insufficient balance for requested action."
    symbols: tuple[str, ...] = ()


class Partial(Limited):
    """Only a part of the house's liquidity is there; it counts the orders that meet it."""

    kind: Literal["partial"]
    percent: Annotated[int, Field(ge=0, le=99)]
    symbols: tuple[str, ...] = ()


class Drop(Limited):
    """Websockets are cut off: once and now, or every `every_s`; new ones are refused for `refuse_s` after each time."""

    kind: Literal["drop"]
    every_s: PositiveFloat | None = None
    refuse_s: Annotated[float, Field(ge=0)] = 0.0
    paths: tuple[str, ...] = ("*",)

    def means(self, path: str) -> bool:
        """Return whether a websocket of that path is to be cut off."""
        return any(fnmatchcase(path, one) for one in self.paths)


class Freeze(Limited):
    """Book, trades and klines stand still for some real seconds, while the venue's time goes on."""

    kind: Literal["freeze"]
    count: None = None
    seconds: PositiveFloat
    symbols: tuple[str, ...] = ()


class LateCandle(Limited):
    """Klines are told `ms` late, over REST and streams; trades and book are on time."""

    kind: Literal["late_candle"]
    count: None = None
    ms: Annotated[int, Field(ge=1, le=_LONGEST_MS)]
    symbols: tuple[str, ...] = ()


Fault = Latency | ServerError | RateLimit | Reject | Partial | Drop | Freeze | LateCandle
_FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="kind")])


class FaultError(ValueError):
    """A document describes no fault; the message says why."""


def read_fault(document: bytes) -> Fault:
    """Return the fault that a JSON document describes.

    Raises
    ------
    FaultError
        Where it describes none.
    """
    try:
        return _FAULT.validate_json(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in found["loc"])
        raise FaultError(f"That is no fault: {place + ': ' if place else ''}{found['msg']}.") from None
