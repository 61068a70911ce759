"""A symbol's trading rules: each rule writes its own entry in exchangeInfo and checks orders by the same numbers."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from paper_exchange.units import VENUE_DECIMALS, text

_UNIT = 100_000_000


@dataclass(slots=True)
class Draft:
    """What the filters look at, in units of 1e-8.

    Parameters
    ----------
    is_market
        Whether the order takes any price, at once or when its stop is reached.
    price, stop_price, quantity, quote_quantity
        0 for what the order does not have.
    average_price
        The average of the last `AVERAGE_MINUTES`.
    open_orders, open_stops
        How many the account has open in the symbol already; stops count in both.
    """

    is_buy: bool
    is_market: bool
    price: int
    stop_price: int
    quantity: int
    quote_quantity: int
    average_price: int
    open_orders: int
    open_stops: int


AVERAGE_MINUTES = 5


class Filter(Protocol):
    """One rule."""

    name: ClassVar[str]

    def document(self) -> dict[str, Any]:
        """Return the rule as exchangeInfo declares it."""
        ...

    def passes(self, draft: Draft) -> bool:
        """Return whether an order keeps the rule."""
        ...


@dataclass(frozen=True, slots=True)
class PriceFilter:
    """Limits and stop prices lie between bounds, on the tick."""

    minimum: int
    maximum: int
    tick: int
    name: ClassVar[str] = "PRICE_FILTER"

    def document(self) -> dict[str, Any]:
        """Return the entry in exchangeInfo."""
        prices = {"minPrice": self.minimum, "maxPrice": self.maximum, "tickSize": self.tick}
        return {"filterType": self.name} | _written(prices)

    def passes(self, draft: Draft) -> bool:
        """Return whether every price that the order has fits."""
        price, stop = draft.price, draft.stop_price
        return (price == 0 or self._fits(price)) and (stop == 0 or self._fits(stop))

    def _fits(self, price: int) -> bool:
        return self.minimum <= price <= self.maximum and (price - self.minimum) % self.tick == 0


@dataclass(frozen=True, slots=True)
class LotSize:
    """Quantities lie between bounds, on the lot."""

    minimum: int
    maximum: int
    lot: int
    name: ClassVar[str] = "LOT_SIZE"

    def document(self) -> dict[str, Any]:
        """Return the entry in exchangeInfo."""
        sizes = {"minQty": self.minimum, "maxQty": self.maximum, "stepSize": self.lot}
        return {"filterType": self.name} | _written(sizes)

    def passes(self, draft: Draft) -> bool:
        """Return whether the quantity fits; what an order by quote amount fills is rounded to lots anyway."""
        quantity = draft.quantity
        return quantity == 0 or (self.minimum <= quantity <= self.maximum and quantity % self.lot == 0)


@dataclass(frozen=True, slots=True)
class MarketLotSize:
    """Quantities of MARKET orders lie between further bounds; the lot is LOT_SIZE's."""

    minimum: int
    maximum: int
    name: ClassVar[str] = "MARKET_LOT_SIZE"

    def document(self) -> dict[str, Any]:
        """Return the entry in exchangeInfo; a step of 0 declares none."""
        return {"filterType": self.name} | _written({"minQty": self.minimum, "maxQty": self.maximum, "stepSize": 0})

    def passes(self, draft: Draft) -> bool:
        """Return whether a MARKET order's quantity fits."""
        return not draft.is_market or draft.quantity == 0 or self.minimum <= draft.quantity <= self.maximum


@dataclass(frozen=True, slots=True)
class PercentPriceBySide:
    """Limits lie between multiples of the average price; `up` and `down` in units of 1e-8."""

    up: int
    down: int
    name: ClassVar[str] = "PERCENT_PRICE_BY_SIDE"

    def document(self) -> dict[str, Any]:
        """Return the entry in exchangeInfo: one pair of multipliers, for both sides."""
        up, down = _multiplier(self.up), _multiplier(self.down)
        sides = {"bidMultiplierUp": up, "bidMultiplierDown": down, "askMultiplierUp": up, "askMultiplierDown": down}
        return {"filterType": self.name} | sides | {"avgPriceMins": AVERAGE_MINUTES}

    def passes(self, draft: Draft) -> bool:
        """Return whether the limit is near enough to the average price."""
        price, average = draft.price * _UNIT, draft.average_price
        return draft.price == 0 or average * self.down <= price <= average * self.up


@dataclass(frozen=True, slots=True)
class Notional:
    """Orders are worth at least `minimum` and, unless MARKET, at most `maximum` of the quote asset.

    A MARKET order by quantity is valued at the average price, one by quote amount at that amount.
    """

    minimum: int
    maximum: int
    name: ClassVar[str] = "NOTIONAL"

    def document(self) -> dict[str, Any]:
        """Return the entry in exchangeInfo."""
        return {
            "filterType": self.name,
            "minNotional": text(self.minimum, VENUE_DECIMALS),
            "applyMinToMarket": True,
            "maxNotional": text(self.maximum, VENUE_DECIMALS),
            "applyMaxToMarket": False,
            "avgPriceMins": AVERAGE_MINUTES,
        }

    def passes(self, draft: Draft) -> bool:
        """Return whether the order's worth fits."""
        if not draft.is_market:
            return self.minimum <= draft.price * draft.quantity // _UNIT <= self.maximum
        return self.minimum <= (draft.quote_quantity or draft.average_price * draft.quantity // _UNIT)


@dataclass(frozen=True, slots=True)
class MaxNumOrders:
    """An account has at most so many open orders in the symbol, stops included; MARKET orders never stay open."""

    limit: int
    name: ClassVar[str] = "MAX_NUM_ORDERS"

    def document(self) -> dict[str, Any]:
        """Return the entry in exchangeInfo."""
        return {"filterType": self.name, "maxNumOrders": self.limit}

    def passes(self, draft: Draft) -> bool:
        """Return whether there is room for one more."""
        return draft.open_orders < self.limit or (draft.is_market and draft.stop_price == 0)


@dataclass(frozen=True, slots=True)
class MaxNumAlgoOrders:
    """An account has at most so many stops waiting in the symbol."""

    limit: int
    name: ClassVar[str] = "MAX_NUM_ALGO_ORDERS"

    def document(self) -> dict[str, Any]:
        """Return the entry in exchangeInfo."""
        return {"filterType": self.name, "maxNumAlgoOrders": self.limit}

    def passes(self, draft: Draft) -> bool:
        """Return whether there is room for one more stop."""
        return draft.stop_price == 0 or draft.open_stops < self.limit


def _written(amounts: dict[str, int]) -> dict[str, str]:
    return {name: text(amount, VENUE_DECIMALS) for name, amount in amounts.items()}


def _multiplier(units: int) -> str:
    """Return a multiplier as the venue writes it: 5, 0.2."""
    return text(units, VENUE_DECIMALS).rstrip("0").rstrip(".")
