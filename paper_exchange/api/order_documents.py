"""Writes orders, fills, balances and fees as the venue's documents."""

from collections.abc import Iterable
from typing import Any

from paper_exchange.api.order_request import ResponseType
from paper_exchange.trading.fees import FeeSchedule
from paper_exchange.trading.ledger import Balance
from paper_exchange.trading.order import (
    STOP_TYPES,
    Fill,
    Order,
    Placed,
    Status,
    TimeInForce,
)
from paper_exchange.units import VENUE_DECIMALS, text

Document = dict[str, Any]
NO_LIST = -1  # the venue's mark of an order that belongs to no order list
SELF_TRADE_MODE = "EXPIRE_MAKER"
_RATE_PER_BPS = 10_000


def units(value: int) -> str:
    """Return an amount in units of 1e-8 as the venue writes it."""
    return text(value, VENUE_DECIMALS)


def placed_document(placed: Placed, respond: ResponseType) -> Document:
    """Return the answer to a new order: its names and time, or all of it, or all of it with what it traded at once."""
    order = placed.order
    document = _names(order) | {"transactTime": order.updated_ms}
    if respond is ResponseType.ACK:
        return document
    document |= _progress(order) | {"workingTime": order.working_ms, "selfTradePreventionMode": SELF_TRADE_MODE}
    if respond is ResponseType.FULL:
        document["fills"] = [
            {
                "price": units(fill.price),
                "qty": units(fill.quantity),
                "commission": units(fill.fee),
                "commissionAsset": fill.fee_asset,
                "tradeId": fill.trade_id,
            }
            for fill in placed.fills
        ]
    return document


def cancelled_document(order: Order, cancel_id: str) -> Document:
    """Return the answer to a cancel: `clientOrderId` names the cancel, `origClientOrderId` the order."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": cancel_id,
        "transactTime": order.updated_ms,
        **_progress(order),
        "selfTradePreventionMode": SELF_TRADE_MODE,
    }


def order_document(order: Order) -> Document:
    """Return an order as queries answer it."""
    document = _names(order) | _progress(order)
    quote_quantity = document.pop("origQuoteOrderQty")
    reason = document.pop("expiryReason", None)
    document |= {
        "stopPrice": units(order.stop_price),
        "icebergQty": units(0),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": order.is_working,
        "workingTime": order.working_ms,
        "origQuoteOrderQty": quote_quantity,
        "selfTradePreventionMode": SELF_TRADE_MODE,
    }
    return document if reason is None else document | {"expiryReason": reason}


def fill_document(fill: Fill) -> Document:
    """Return one trade of an account as ``myTrades`` writes it."""
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": NO_LIST,
        "price": units(fill.price),
        "qty": units(fill.quantity),
        "quoteQty": units(fill.quote),
        "commission": units(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ms,
        "isBuyer": fill.is_buyer,
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }


def account_document(
    balances: Iterable[tuple[str, Balance]], fees: FeeSchedule, *, can_trade: bool, updated_ms: int, uid: int
) -> Document:
    """Return an account with its rates and balances, in the order in which they are given."""
    return {
        "makerCommission": fees.maker // _RATE_PER_BPS,
        "takerCommission": fees.taker // _RATE_PER_BPS,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": _rates(fees) | {"buyer": units(0), "seller": units(0)},
        "canTrade": can_trade,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": updated_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": units(balance.free), "locked": units(balance.locked)}
            for asset, balance in balances
        ],
        "permissions": ["SPOT"],
        "uid": uid,
    }


def commission_document(symbol: str, fees: FeeSchedule) -> Document:
    """Return the rates of an account in a symbol."""
    nobody = {"buyer": units(0), "seller": units(0)}
    none = _no_rates()
    return {
        "symbol": symbol,
        "standardCommission": _rates(fees) | nobody,
        "specialCommission": none | nobody,
        "taxCommission": none | nobody,
        "discount": _discount(fees),
    }


def order_commission_document(fees: FeeSchedule) -> Document:
    """Return the rates that a test order would pay."""
    return {
        "standardCommissionForOrder": _rates(fees),
        "specialCommissionForOrder": _no_rates(),
        "taxCommissionForOrder": _no_rates(),
        "discount": _discount(fees),
    }


def trade_fee_document(symbol: str, fees: FeeSchedule) -> Document:
    """Return the rates in a symbol as the wallet endpoint writes them."""
    return {"symbol": symbol, "makerCommission": units(fees.maker), "takerCommission": units(fees.taker)}


def expiry_reason(order: Order) -> str | None:
    """Return why an order has expired; None where it has not, or where it met an order of its own account."""
    if order.status is not Status.EXPIRED:
        return None
    if order.time_in_force is TimeInForce.IOC:
        return "UNFILLED_IOC_QUANTITY_EXPIRED"
    if order.time_in_force is TimeInForce.FOK:
        return "UNFILLED_FOK_ORDER_EXPIRED"
    return None if order.price else "INSUFFICIENT_LIQUIDITY"


def _names(order: Order) -> Document:
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": order.client_order_id,
    }


def _progress(order: Order) -> Document:
    """Return what was asked for and what has come of it."""
    document = {
        "price": units(order.price),
        "origQty": units(order.quantity),
        "executedQty": units(order.filled),
        "origQuoteOrderQty": units(order.quote_quantity),
        "cummulativeQuoteQty": units(order.filled_quote),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
    }
    if order.type in STOP_TYPES:
        document["stopPrice"] = units(order.stop_price)
    reason = expiry_reason(order)
    if reason is not None:
        document["expiryReason"] = reason
    return document


def _rates(fees: FeeSchedule) -> Document:
    return {"maker": units(fees.maker), "taker": units(fees.taker)}


def _no_rates() -> Document:
    return {"maker": units(0), "taker": units(0)}


def _discount(fees: FeeSchedule) -> Document:
    """Return the terms of paying in a fee coin: the same rates, for this venue grants no discount."""
    return {
        "enabledForAccount": fees.coin is not None,
        "enabledForSymbol": fees.coin is not None,
        "discountAsset": fees.coin or "BNB",
        "discount": units(0),
    }
