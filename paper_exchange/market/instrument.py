"""A symbol's names and trading rules, in the form that exchangeInfo declares them."""

import re
from dataclasses import dataclass
from typing import Any

from paper_exchange.errors import StartError
from paper_exchange.market.filters import (
    Filter,
    LotSize,
    MarketLotSize,
    MaxNumAlgoOrders,
    MaxNumOrders,
    Notional,
    PercentPriceBySide,
    PriceFilter,
)
from paper_exchange.units import VENUE_DECIMALS

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
# The least worth of an order by quote asset, in units of 1e-8; an order of 5 BTC would be no small one.
_MIN_NOTIONAL = {"BTC": 10_000, "ETH": 100_000, "BNB": 1_000_000, "JPY": 100 * 10**8, "TRY": 10 * 10**8,
                 "BRL": 10 * 10**8, "BIDR": 20_000 * 10**8}  # fmt: skip
_USUAL_MIN_NOTIONAL = 5 * 10**8
_MAX_TO_MIN_NOTIONAL = 1_800_000
_MAX_PRICE = 10**9 * 10**8
_MAX_QUANTITY = 9_000_000_000 * 10**8
_MULTIPLIER_UP, _MULTIPLIER_DOWN = 5 * 10**8, 20_000_000
_MAX_ORDERS, _MAX_STOPS = 200, 5


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
            "filters": [rule.document() for rule in self.filters()],
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
        }

    @property
    def tick(self) -> int:
        """The least difference of two prices, in units of 1e-8."""
        return int(10 ** (VENUE_DECIMALS - self.price_decimals))

    @property
    def lot(self) -> int:
        """The least difference of two quantities, in units of 1e-8."""
        return int(10 ** (VENUE_DECIMALS - self.quantity_decimals))

    def filters(self) -> tuple[Filter, ...]:
        """Return the rules an order must keep; every price and quantity on the tape keeps them too."""
        least = _MIN_NOTIONAL.get(self.quote, _USUAL_MIN_NOTIONAL)
        return (
            PriceFilter(self.tick, _MAX_PRICE, self.tick),
            LotSize(self.lot, _MAX_QUANTITY, self.lot),
            MarketLotSize(0, _MAX_QUANTITY),
            PercentPriceBySide(_MULTIPLIER_UP, _MULTIPLIER_DOWN),
            Notional(least, least * _MAX_TO_MIN_NOTIONAL),
            MaxNumOrders(_MAX_ORDERS),
            MaxNumAlgoOrders(_MAX_STOPS),
        )


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
