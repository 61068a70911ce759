"""The endpoints that ask for a signature: orders, fills and the account, the same for REST and for messages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from paper_exchange.api import order_documents as documents
from paper_exchange.api.accounts import Account
from paper_exchange.api.order_request import read_client_id, read_order
from paper_exchange.api.query import Query
from paper_exchange.api.user_events import default_cancel_id
from paper_exchange.api.venue import Venue
from paper_exchange.errors import ApiError, bad_combination
from paper_exchange.trading.errors import JournalError, Rejected
from paper_exchange.trading.ledger import Balance
from paper_exchange.trading.order import Fill, Order, Status

_DEFAULT_LIMIT, _MAX_LIMIT = 500, 1000
_DAY_MS = 86_400_000
_RESTRICTIONS = {"ONLY_NEW": Status.NEW, "ONLY_PARTIALLY_FILLED": Status.PARTIALLY_FILLED}
_TRADE_FILTERS: tuple[set[str], ...] = (
    set(),
    {"orderId"},
    {"startTime"},
    {"endTime"},
    {"fromId"},
    {"startTime", "endTime"},
    {"orderId", "fromId"},
)
_Timed = TypeVar("_Timed")

Answer = Any  # whatever JSON can hold


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose sender is known, at one instant of the venue."""

    venue: Venue
    account: Account
    now_ms: int


@dataclass(frozen=True, slots=True)
class SignedEndpoint:
    """What can be asked for with a signature.

    Parameters
    ----------
    method, path
        Of the REST request.
    message
        The method of the websocket API; '' where it has none.
    answer, weight
        What answers it, and the weight of a request to it.
    trades
        The code with which an account that may not trade is refused; None where it may ask.
    counts_orders
        Whether it places an order, which is counted.
    """

    method: str
    path: str
    message: str
    answer: Callable[[Call, Query], Answer]
    weight: Callable[[Query], int]
    trades: int | None = None
    counts_orders: bool = False

    def respond(self, venue: Venue, account: Account, query: Query) -> Answer:
        """Let the market pass up to now, then answer at that instant.

        Raises
        ------
        ApiError
            Where the request or the order is refused.
        """
        if self.trades is not None and not account.can_trade:
            raise ApiError(self.trades, "This account may not place or cancel orders.")
        if self.counts_orders:
            venue.counts.check(account.name)
        now_ms = venue.clock.now_ms()
        try:
            venue.exchange.advance(now_ms)
            return self.answer(Call(venue, account, now_ms), query)
        except Rejected as refusal:
            raise ApiError(refusal.code, refusal.msg) from None
        except JournalError:
            raise ApiError(-1016, "This service is no longer available.", status=503) from None


def place_order(call: Call, query: Query) -> Answer:
    """Place an order."""
    order = read_order(query, call.venue.markets)
    query.finish()
    placed = call.venue.exchange.place(call.account.name, order.request, call.now_ms)
    return documents.placed_document(placed, order.respond)


def place_test_order(call: Call, query: Query) -> Answer:
    """Check an order as if it were placed; tell its rates where they are asked for."""
    order = read_order(query, call.venue.markets)
    with_rates = query.boolean("computeCommissionRates")
    query.finish()
    call.venue.exchange.check(call.account.name, order.request, call.now_ms)
    return documents.order_commission_document(call.venue.exchange.fees) if with_rates else {}


def cancel_order(call: Call, query: Query) -> Answer:
    """Cancel one order."""
    symbol, order_id, client_order_id = _order_names(call, query)
    cancel_id = read_client_id(query, "newClientOrderId")
    bad = ApiError(-1145, "Invalid cancelRestrictions")
    restriction = query.choice("cancelRestrictions", tuple(_RESTRICTIONS), bad)
    query.finish()
    exchange, name = call.venue.exchange, call.account.name
    if restriction is not None:
        found = next(
            (one for one in exchange.open_orders(name, symbol) if _is_meant(one, order_id, client_order_id)), None
        )
        if found is not None and found.status is not _RESTRICTIONS[restriction]:
            raise ApiError(-2011, "Order was not canceled due to cancel restrictions.")
    order = exchange.cancel(
        name, symbol, order_id=order_id, client_order_id=client_order_id, new_client_order_id=cancel_id,
        now_ms=call.now_ms,
    )  # fmt: skip
    return documents.cancelled_document(order, cancel_id or default_cancel_id(order))


def cancel_open_orders(call: Call, query: Query) -> Answer:
    """Cancel all orders of a symbol."""
    symbol = query.market(call.venue.markets).instrument.symbol
    query.finish()
    orders = call.venue.exchange.cancel_all(call.account.name, symbol, call.now_ms)
    return [documents.cancelled_document(order, default_cancel_id(order)) for order in orders]


def order_status(call: Call, query: Query) -> Answer:
    """Answer with one order."""
    symbol, order_id, client_order_id = _order_names(call, query)
    query.finish()
    order = call.venue.exchange.order(call.account.name, symbol, order_id=order_id, client_order_id=client_order_id)
    return documents.order_document(order)


def open_orders(call: Call, query: Query) -> Answer:
    """Answer with the open orders of a symbol or of all."""
    symbol = query.market(call.venue.markets).instrument.symbol if query.has("symbol") else None
    query.finish()
    return [documents.order_document(order) for order in call.venue.exchange.open_orders(call.account.name, symbol)]


def all_orders(call: Call, query: Query) -> Answer:
    """Answer with orders from an id on, or of a time range by their last change, or the newest."""
    symbol = query.market(call.venue.markets).instrument.symbol
    order_id = query.integer("orderId")
    start, end = _time_range(query)
    limit = query.limit(_DEFAULT_LIMIT, _MAX_LIMIT)
    query.finish()
    orders = call.venue.exchange.orders(call.account.name, symbol)
    if start is not None or end is not None:
        page = _page(orders, lambda order: order.updated_ms, start, end, limit)
    elif order_id is not None:
        page = [order for order in orders if order.id >= order_id][:limit]
    else:
        page = orders[-limit:]
    return [documents.order_document(order) for order in page]


def my_trades(call: Call, query: Query) -> Answer:
    """Answer with the account's trades of an order, from an id on, of a time range, or the newest."""
    symbol = query.market(call.venue.markets).instrument.symbol
    order_id, from_id = query.integer("orderId"), query.integer("fromId")
    start, end = _time_range(query)
    limit = query.limit(_DEFAULT_LIMIT, _MAX_LIMIT)
    query.finish()
    if {name for name in ("orderId", "fromId", "startTime", "endTime") if query.has(name)} not in _TRADE_FILTERS:
        raise bad_combination()
    fills: Sequence[Fill] = call.venue.exchange.fills(call.account.name, symbol)
    if order_id is not None:
        fills = [fill for fill in fills if fill.order_id == order_id]
    if from_id is not None:
        page: Sequence[Fill] = [fill for fill in fills if fill.trade_id >= from_id][:limit]
    elif start is not None or end is not None:
        page = _page(fills, lambda fill: fill.time_ms, start, end, limit)
    else:
        page = fills[-limit:]
    return [documents.fill_document(fill) for fill in page]


def account_status(call: Call, query: Query) -> Answer:
    """Answer with the account's rates and balances: of all listed assets, or of those it has."""
    omit_zeros = query.boolean("omitZeroBalances")
    query.finish()
    venue, account = call.venue, call.account
    held = venue.exchange.balances(account.name)
    assets = sorted(held.keys() | venue.assets())
    balances = [(asset, held.get(asset, Balance())) for asset in assets]
    if omit_zeros:
        balances = [(asset, balance) for asset, balance in balances if balance.total]
    return documents.account_document(
        balances,
        venue.exchange.fees,
        can_trade=account.can_trade,
        updated_ms=venue.users.changed_ms(account.name) or venue.opened_ms,
        uid=account.uid,
    )


def account_commission(call: Call, query: Query) -> Answer:
    """Answer with the account's rates in a symbol."""
    symbol = query.market(call.venue.markets).instrument.symbol
    query.finish()
    return documents.commission_document(symbol, call.venue.exchange.fees)


def order_counts(call: Call, query: Query) -> Answer:
    """Answer with the account's unfilled orders in each interval."""
    query.finish()
    return call.venue.counts.documents(call.account.name)


def _order_names(call: Call, query: Query) -> tuple[str, int | None, str | None]:
    symbol = query.market(call.venue.markets).instrument.symbol
    order_id, client_order_id = query.integer("orderId"), query.text("origClientOrderId")
    if order_id is None and client_order_id is None:
        raise ApiError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    return symbol, order_id, client_order_id


def _is_meant(order: Order, order_id: int | None, client_order_id: str | None) -> bool:
    return order_id in (None, order.id) and client_order_id in (None, order.client_order_id)


def _time_range(query: Query) -> tuple[int | None, int | None]:
    start, end = query.time_ms("startTime"), query.time_ms("endTime")
    if start is not None and end is not None and end - start > _DAY_MS:
        raise ApiError(-1127, "More than 24 hours between startTime and endTime.")
    return start, end


def _page(
    found: Sequence[_Timed], time_ms: Callable[[_Timed], int], start: int | None, end: int | None, limit: int
) -> Sequence[_Timed]:
    """Return what lies between two times, both inclusive: with a start the oldest of it, else the newest."""
    inside = [one for one in found if (start is None or time_ms(one) >= start) and (end is None or time_ms(one) <= end)]
    return inside[:limit] if start is not None else inside[-limit:]


def _flat(weight: int) -> Callable[[Query], int]:
    return lambda _: weight


def _test_weight(query: Query) -> int:
    return 20 if query.peek("computeCommissionRates") == "true" else 1


def _open_weight(query: Query) -> int:
    return 6 if query.peek("symbol") else 80


def _trades_weight(query: Query) -> int:
    return 5 if query.peek("orderId") else 20


_NO_ORDER, _NO_CANCEL = -2010, -2011

ENDPOINTS = (
    SignedEndpoint("POST", "/api/v3/order", "order.place", place_order, _flat(1), _NO_ORDER, counts_orders=True),
    SignedEndpoint("POST", "/api/v3/order/test", "order.test", place_test_order, _test_weight, _NO_ORDER),
    SignedEndpoint("DELETE", "/api/v3/order", "order.cancel", cancel_order, _flat(1), _NO_CANCEL),
    SignedEndpoint("DELETE", "/api/v3/openOrders", "openOrders.cancelAll", cancel_open_orders, _flat(1), _NO_CANCEL),
    SignedEndpoint("GET", "/api/v3/order", "order.status", order_status, _flat(4)),
    SignedEndpoint("GET", "/api/v3/openOrders", "openOrders.status", open_orders, _open_weight),
    SignedEndpoint("GET", "/api/v3/allOrders", "allOrders", all_orders, _flat(20)),
    SignedEndpoint("GET", "/api/v3/myTrades", "myTrades", my_trades, _trades_weight),
    SignedEndpoint("GET", "/api/v3/account", "account.status", account_status, _flat(20)),
    SignedEndpoint("GET", "/api/v3/account/commission", "account.commission", account_commission, _flat(20)),
    SignedEndpoint("GET", "/api/v3/rateLimit/order", "account.rateLimits.orders", order_counts, _flat(40)),
)
