"""Asks the venue, through ccxt, for the orders of an account: the one witness that our own programs can not bend."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from monitoring.chain.reconciliation import VenueOrder
from schemas.errors import InputError, VenueError
from schemas.exchange_address import redirect

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class VenueAccount:
    """Which exchange, by ccxt's name, with which keys; `url` stands in for its real address."""

    exchange: str
    api_key: SecretStr
    secret: SecretStr
    url: str | None = None


def fetch_orders(account: VenueAccount, pairs: Iterable[str], since: datetime, until: datetime) -> list[VenueOrder]:
    """Return all orders placed in [since, until) of which something was executed, oldest first within each pair.

    Raises
    ------
    InputError
        Where ccxt knows no such exchange, or the address is none.
    VenueError
        Where the venue does not answer or refuses.
    """
    import ccxt  # here, not above: it takes over half a second, which other commands need not pay

    if account.exchange not in ccxt.exchanges:
        raise InputError(f"ccxt knows no exchange {account.exchange!r}.")
    options = {"apiKey": account.api_key.get_secret_value(), "secret": account.secret.get_secret_value()}
    exchange = getattr(ccxt, account.exchange)({**options, "enableRateLimit": account.url is None})
    if account.url is not None:
        redirect(exchange, account.url)
    exchange.options["fetchMarkets"] = {"types": ["spot"]}
    try:
        return [order for pair in pairs for order in _orders(exchange, pair, _ms(since), _ms(until))]
    except ccxt.BaseError as error:
        reason = " ".join(str(error).split())[:300]
        raise VenueError(f"{account.exchange} did not give its orders: {type(error).__name__}: {reason}") from None


def _orders(exchange: Any, pair: str, since_ms: int, until_ms: int) -> list[VenueOrder]:
    found: dict[str, VenueOrder] = {}
    while True:
        page = [order for order in exchange.fetch_orders(pair, since_ms, _PAGE) if order["timestamp"] < until_ms]
        fresh = [order for order in page if order["id"] not in found]
        for order in fresh:
            found[order["id"]] = _order(order)
        if len(page) < _PAGE or not fresh:
            return [order for order in found.values() if order.amount > 0]
        since_ms = page[-1]["timestamp"]


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _order(order: dict[str, Any]) -> VenueOrder:
    """Take amounts from the venue's own text where it is known: ccxt's numbers are floats."""
    raw = order["info"]
    return VenueOrder(
        order_id=str(order["id"]),
        pair=order["symbol"],
        side=order["side"],
        amount=Decimal(str(raw.get("executedQty", order["filled"]))).normalize(),
        cost=Decimal(str(raw.get("cummulativeQuoteQty", order["cost"]))).normalize(),
    )
