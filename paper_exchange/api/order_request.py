"""Reads an order from a request's parameters: which of them a type needs, which it takes, and what they mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from paper_exchange.api.query import Query
from paper_exchange.errors import ApiError, illegal, mandatory, not_valid
from paper_exchange.market.market import Market
from paper_exchange.trading.order import OrderRequest, OrderType, Side, TimeInForce

_LEGAL_ID = "^[a-zA-Z0-9-_]{1,36}$"
_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_LONGEST_ID = 36

_PRICED = ("timeInForce", "quantity", "price")
_NEEDED: Mapping[OrderType, tuple[str, ...]] = {
    OrderType.LIMIT: _PRICED,
    OrderType.LIMIT_MAKER: ("quantity", "price"),
    OrderType.MARKET: (),
    OrderType.STOP_LOSS: ("quantity",),
    OrderType.STOP_LOSS_LIMIT: _PRICED,
    OrderType.TAKE_PROFIT: ("quantity",),
    OrderType.TAKE_PROFIT_LIMIT: _PRICED,
}
_STOPS = (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
_MAY_BE_ICEBERG = (OrderType.LIMIT, OrderType.LIMIT_MAKER, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT)


class ResponseType(StrEnum):
    """How much the answer to a new order tells."""

    ACK = "ACK"
    RESULT = "RESULT"
    FULL = "FULL"


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as it was asked for, and the answer that was asked for."""

    request: OrderRequest
    respond: ResponseType


def read_order(query: Query, markets: Mapping[str, Market]) -> NewOrder:
    """Return the order that a request asks for.

    Raises
    ------
    ApiError
        With the venue's code, for what is missing, malformed, or not taken by the order's type.
    """
    market = query.market(markets)
    side = Side(_choice(query, "side", tuple(Side), ApiError(-1117, "Invalid side.")))
    order_type = OrderType(_choice(query, "type", tuple(OrderType), ApiError(-1116, "Invalid orderType.")))
    _check_taken(query, order_type)
    bad_tif = ApiError(-1115, "Invalid timeInForce.")
    time_in_force = query.choice("timeInForce", tuple(TimeInForce), bad_tif)
    amounts = {name: query.amount(name) for name in ("quantity", "quoteOrderQty", "price", "stopPrice")}
    _check_needed(query, order_type, amounts)
    client_order_id = read_client_id(query, "newClientOrderId")
    _check_unsupported(query, market)
    respond = query.choice("newOrderRespType", tuple(ResponseType), not_valid("newOrderRespType"))
    request = OrderRequest(
        symbol=market.instrument.symbol,
        side=side,
        type=order_type,
        time_in_force=TimeInForce(time_in_force or TimeInForce.GTC),
        quantity=amounts["quantity"] or 0,
        quote_quantity=amounts["quoteOrderQty"] or 0,
        price=amounts["price"] or 0,
        stop_price=amounts["stopPrice"] or 0,
        client_order_id=client_order_id,
    )
    default = ResponseType.FULL if order_type in (OrderType.LIMIT, OrderType.MARKET) else ResponseType.ACK
    return NewOrder(request, ResponseType(respond or default))


def read_client_id(query: Query, name: str) -> str:
    """Return the client's name for an order or a cancel; '' where it was not sent."""
    value = query.text(name)
    if value is None:
        return ""
    if len(value) > _LONGEST_ID or not _ID_LETTERS.issuperset(value):
        raise illegal(name, _LEGAL_ID)
    return value


def _choice(query: Query, name: str, choices: tuple[str, ...], error: ApiError) -> str:
    found = query.choice(name, choices, error)
    if found is None:
        raise mandatory(name)
    return found


def _check_taken(query: Query, order_type: OrderType) -> None:
    """Refuse parameters that were sent and that the type does not take."""
    is_stop = order_type in _STOPS
    takes = {
        "timeInForce": "timeInForce" in _NEEDED[order_type],
        "price": "price" in _NEEDED[order_type],
        "quoteOrderQty": order_type is OrderType.MARKET,
        "stopPrice": is_stop,
        "trailingDelta": is_stop,
        "icebergQty": order_type in _MAY_BE_ICEBERG,
    }
    for name, taken in takes.items():
        if not taken and query.has(name):
            raise ApiError(-1106, f"Parameter '{name}' sent when not required.")


def _check_needed(query: Query, order_type: OrderType, amounts: Mapping[str, int | None]) -> None:
    for name in _NEEDED[order_type]:
        if not query.has(name):
            raise mandatory(name)
    if order_type is OrderType.MARKET:
        if amounts["quantity"] is None and amounts["quoteOrderQty"] is None:
            raise _either("quantity", "quoteOrderQty")
        if amounts["quantity"] is not None and amounts["quoteOrderQty"] is not None:
            raise ApiError(-1106, "Parameter 'quoteOrderQty' sent when not required.")
    if order_type in _STOPS and amounts["stopPrice"] is None and not query.has("trailingDelta"):
        raise _either("stopPrice", "trailingDelta")


def _check_unsupported(query: Query, market: Market) -> None:
    """Refuse what the symbol does not offer, as it says of itself in exchangeInfo."""
    if query.amount("icebergQty"):
        raise ApiError(-2010, "Iceberg orders are not supported for this symbol.")
    if query.integer("trailingDelta"):
        raise ApiError(-2010, "Trailing stop orders are not supported for this symbol.")
    if query.text("pegPriceType") is not None:
        raise ApiError(-2010, "Pegged orders are not supported for this symbol.")
    mode = query.text("selfTradePreventionMode")
    if mode is not None and mode not in market.instrument.document()["allowedSelfTradePreventionModes"]:
        raise ApiError(-1013, "This symbol does not allow the specified self-trade prevention mode.")


def _either(one: str, other: str) -> ApiError:
    return ApiError(-1102, f"Param '{one}' or '{other}' must be sent, but both were empty/null!")
