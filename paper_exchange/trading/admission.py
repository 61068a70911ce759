"""Decides whether an order may enter, by the venue's rules in the venue's order; it changes nothing."""

from typing import NamedTuple

from paper_exchange.market.filters import Draft
from paper_exchange.trading import errors
from paper_exchange.trading.ledger import Ledger
from paper_exchange.trading.liquidity import Liquidity
from paper_exchange.trading.listing import Listing
from paper_exchange.trading.matching import Plan, Want, plan_taking, would_take
from paper_exchange.trading.order import BUY, LIMIT_MAKER, MARKET, SELL, STOP_TYPES, UNIT, UNPRICED_TYPES, OrderRequest
from paper_exchange.trading.order_book import is_reached
from paper_exchange.trading.registry import OrderLog


class Admitted(NamedTuple):
    """An order may enter: what it trades at once, and what it locks before."""

    plan: Plan
    asset: str
    needed: int


class Admission:
    """The door of the venue.

    Parameters
    ----------
    ledger
        Where the balances are.
    liquidity
        Tells the prices that rules refer to.
    """

    def __init__(self, ledger: Ledger, liquidity: Liquidity) -> None:
        self._ledger = ledger
        self._liquidity = liquidity

    def admit(self, account: str, request: OrderRequest, listing: Listing, log: OrderLog, now_ms: int) -> Admitted:
        """Return what the order would trade at once (nothing where it waits for a stop price) and must lock.

        Raises
        ------
        Rejected
            Where the order may not enter.
        """
        _check_shape(request)
        is_stop = request.type in STOP_TYPES
        last = self._liquidity.last_price(request.symbol, now_ms)
        average = self._liquidity.average_price(request.symbol, now_ms)
        if last is None or average is None:
            raise errors.market_closed()
        draft = Draft(
            request.side is BUY, request.type in UNPRICED_TYPES, request.price, request.stop_price,
            request.quantity, request.quote_quantity, average, len(log.open),
            log.waiting_stops() if is_stop else 0,
        )  # fmt: skip
        for rule in listing.filters:
            if not rule.passes(draft):
                raise errors.filter_failure(rule.name)
        if request.client_order_id:
            namesake = log.named(request.client_order_id)
            if namesake is not None and namesake.is_open:
                raise errors.duplicate_order()
        if is_stop and is_reached(request.side, request.type, request.stop_price, last):
            raise errors.would_trigger()
        if request.type is LIMIT_MAKER and would_take(listing, self._ledger, now_ms, request.side, request.price):
            raise errors.would_match()
        plan = Plan() if is_stop else self._plan(account, request, listing, now_ms)
        asset, needed = _needed(request, listing, plan)
        if self._ledger.free(account, asset) < needed:
            raise errors.insufficient_balance()
        return Admitted(plan, asset, needed)

    def _plan(self, account: str, request: OrderRequest, listing: Listing, now_ms: int) -> Plan:
        by_quote = request.quote_quantity > 0
        want = Want(
            account, request.side, request.price, None if by_quote else request.quantity,
            request.quote_quantity if by_quote else None,
        )  # fmt: skip
        plan = plan_taking(listing, self._ledger, now_ms, want)
        if by_quote and plan.is_complete and plan.quantity == 0:
            raise errors.filter_failure("LOT_SIZE")  # the amount does not pay for one lot
        return plan


def _needed(request: OrderRequest, listing: Listing, plan: Plan) -> tuple[str, int]:
    if request.side is SELL:
        return listing.base, request.quantity or plan.quantity
    if request.type is MARKET:
        return listing.quote, request.quote_quantity or plan.cost
    return listing.quote, (request.price or request.stop_price) * request.quantity // UNIT


def _check_shape(request: OrderRequest) -> None:
    """Refuse amounts that the order's type needs and has not, or has and does not take."""
    order_type = request.type
    by_quote = request.quote_quantity != 0
    if by_quote and (order_type is not MARKET or request.quantity != 0):
        raise errors.not_required("quoteOrderQty")
    if request.quantity <= 0 and not by_quote:
        raise errors.invalid_value("quantity")
    if request.quote_quantity < 0:
        raise errors.invalid_value("quantity")
    if order_type in UNPRICED_TYPES:
        if request.price != 0:
            raise errors.not_required("price")
    elif request.price <= 0:
        raise errors.invalid_value("price")
    if order_type in STOP_TYPES:
        if request.stop_price <= 0:
            raise errors.invalid_value("stopPrice")
    elif request.stop_price != 0:
        raise errors.not_required("stopPrice")
