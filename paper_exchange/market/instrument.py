"""A symbol's names and trading rules, in the form that exchangeInfo declares them."""

import re
from dataclasses import dataclass
from typing import Any

from paper_exchange.errors import StartError
from paper_exchange.units import text

# Longest first, so that BTCFDUSD splits before USD is tried.
QUOTES = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USDP", "BIDR", "USD", "EUR", "GBP", "TRY", "BRL", "JPY",
          "DAI", "BTC", "ETH", "BNB", "XRP", "TRX")  # fmt: skip
_ORDER_TYPES = (
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
)
_MAX_PRICE, _MAX_QUANTITY, _MIN_NOTIONAL, _MAX_NOTIONAL = "1000000.00000000", 9_000_000_000, 5, 9_000_000


@dataclass(frozen=True, slots=True)
class Instrument:
    """What can be traded under one symbol.

    Parameters
    ----------
    symbol, base, quote
        The venue's spelling (BTCUSDT) and its two assets.
    price_decimals, quantity_decimals
        The tick is ``10 ** -price_decimals`` of the quote, the lot ``10 ** -quantity_decimals`` of the base.
    """

    symbol: str
    base: str
    quote: str
    price_decimals: int
    quantity_decimals: int

    def document(self) -> dict[str, Any]:
        """Return the symbol's entry in exchangeInfo."""
        return {
            "symbol": self.symbol,
            "status": "TRADING",
            "baseAsset": self.base,
            "baseAssetPrecision": 8,
            "quoteAsset": self.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": list(_ORDER_TYPES),
            "icebergAllowed": False,
            "ocoAllowed": False,
            "otoAllowed": False,
            "opoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": False,
            "amendAllowed": False,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self.filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
        }

    def filters(self) -> list[dict[str, Any]]:
        """Return the rules an order must pass; every price and quantity on the tape passes them too."""
        tick, lot = text(1, self.price_decimals), text(1, self.quantity_decimals)
        largest = text(_MAX_QUANTITY, 0)
        return [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": _MAX_PRICE, "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": largest, "stepSize": lot},
            {"filterType": "ICEBERG_PARTS", "limit": 10},
            {"filterType": "MARKET_LOT_SIZE", "minQty": text(0, 0), "maxQty": largest, "stepSize": text(0, 0)},
            {"filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000,
             "minTrailingBelowDelta": 10, "maxTrailingBelowDelta": 2000},
            {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2",
             "askMultiplierUp": "5", "askMultiplierDown": "0.2", "avgPriceMins": 5},
            {"filterType": "NOTIONAL", "minNotional": text(_MIN_NOTIONAL, 0), "applyMinToMarket": True,
             "maxNotional": text(_MAX_NOTIONAL, 0), "applyMaxToMarket": False, "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        ]  # fmt: skip


def split_symbol(name: str) -> tuple[str, str]:
    """Return base and quote of ``BTCUSDT`` (by its ending) or of ``BTC/USDT`` (as written).

    Raises
    ------
    StartError
        Where the name has other characters or ends in no quote asset that is known.
    """
    if re.fullmatch(r"[A-Z0-9]{1,20}/[A-Z0-9]{1,20}", name):
        base, quote = name.split("/")
        return base, quote
    if re.fullmatch(r"[A-Z0-9]{2,40}", name) is None:
        raise StartError(f"A symbol such as BTCUSDT or BTC/USDT was needed, found {name!r}.")
    for quote in QUOTES:
        if name.endswith(quote) and len(name) > len(quote):
            return name.removesuffix(quote), quote
    raise StartError(
        f"The symbol {name} ends in no quote asset that is known ({', '.join(QUOTES)}); "
        "write it with a slash, such as BTC/USDT."
    )
