"""The few wallet endpoints that clients with keys call before they trade; there is no wallet behind them."""

from typing import Any

from paper_exchange.api.order_documents import trade_fee_document, units
from paper_exchange.api.query import Query
from paper_exchange.api.trading import Answer, Call, SignedEndpoint
from paper_exchange.trading.ledger import Balance

STATUS_PATH = "/sapi/v1/system/status"


def system_status(query: Query) -> Answer:
    """Answer that the venue works."""
    query.finish()
    return {"status": 0, "msg": "normal"}


def all_coins(call: Call, query: Query) -> Answer:
    """Answer with every asset and what the account has of it; nothing can be deposited or withdrawn."""
    query.finish()
    held = call.venue.exchange.balances(call.account.name)
    return [_coin(asset, held.get(asset, Balance())) for asset in sorted(held.keys() | call.venue.assets())]


def no_pairs(_: Call, query: Query) -> Answer:
    """Answer that nothing is traded on margin."""
    query.text("symbols")
    query.finish()
    return []


def trade_fees(call: Call, query: Query) -> Answer:
    """Answer with the rates of one symbol or of all."""
    markets, _ = query.markets(call.venue.markets)
    query.finish()
    return [trade_fee_document(market.instrument.symbol, call.venue.exchange.fees) for market in markets]


def _coin(asset: str, balance: Balance) -> dict[str, Any]:
    nothing = units(0)
    return {
        "coin": asset,
        "depositAllEnable": False,
        "withdrawAllEnable": False,
        "name": asset,
        "free": units(balance.free),
        "locked": units(balance.locked),
        "freeze": nothing,
        "withdrawing": nothing,
        "ipoing": nothing,
        "ipoable": nothing,
        "storage": nothing,
        "isLegalMoney": False,
        "trading": True,
        "networkList": [],
    }


def _flat(_: Query) -> int:
    return 1


ENDPOINTS = (
    SignedEndpoint("GET", "/sapi/v1/capital/config/getall", "", all_coins, lambda _: 10),
    SignedEndpoint("GET", "/sapi/v1/margin/allPairs", "", no_pairs, _flat),
    SignedEndpoint("GET", "/sapi/v1/margin/isolated/allPairs", "", no_pairs, _flat),
    SignedEndpoint("GET", "/sapi/v1/asset/tradeFee", "", trade_fees, _flat),
)
