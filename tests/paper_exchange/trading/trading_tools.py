"""A market whose every level and step is written by hand, and short words for orders in tests."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from paper_exchange.market.instrument import Instrument
from paper_exchange.trading.exchange import Exchange
from paper_exchange.trading.fees import FeeSchedule
from paper_exchange.trading.liquidity import Level, Step
from paper_exchange.trading.order import UNIT, Fill, Order, OrderRequest, OrderType, Side, TimeInForce

FREE = FeeSchedule(maker=0, taker=0)
BTC = Instrument("BTCUSDT", "BTC", "USDT", price_decimals=2, quantity_decimals=3)
ETH = Instrument("ETHUSDT", "ETH", "USDT", price_decimals=2, quantity_decimals=3)
BNB = Instrument("BNBUSDT", "BNB", "USDT", price_decimals=2, quantity_decimals=3)


def u(amount: str | int) -> int:
    """An amount in units of 1e-8."""
    return int(Decimal(amount) * UNIT)


class ScriptedMarket:
    """A `Liquidity` written by hand: the house quotes `depth` levels of `size` each, 1 apart, round the last price.

    At a last price of 100 the asks are 101, 102, ... and the bids 99, 98, ...
    """

    def __init__(
        self, start: str = "100", *steps: tuple[int, str, str], size: str = "1", depth: int = 5, opens_ms: int = 0
    ) -> None:
        self.path = [Step(opens_ms, u(start), 0)] + [Step(at, u(price), u(quantity)) for at, price, quantity in steps]
        self.size, self.depth = u(size), depth
        self.average = u(start)

    def quote_id(self, symbol: str, now_ms: int) -> int:
        return sum(step.time_ms <= now_ms for step in self.path)

    def levels(self, symbol: str, side: Side, now_ms: int, limit: int) -> Sequence[Level]:
        sign = 1 if side is Side.SELL else -1
        last = self.last_price(symbol, now_ms)
        if last is None:
            return []
        return [(last + sign * UNIT * away, self.size) for away in range(1, min(self.depth, limit) + 1)]

    def steps(self, symbol: str, after_ms: int, upto_ms: int) -> Iterator[Step]:
        return (step for step in self.path if after_ms < step.time_ms <= upto_ms)

    def next_step_ms(self, symbol: str, now_ms: int) -> int | None:
        return next((step.time_ms for step in self.path if step.time_ms > now_ms), None)

    def last_price(self, symbol: str, now_ms: int) -> int | None:
        return next((step.price for step in reversed(self.path) if step.time_ms <= now_ms), None)

    def average_price(self, symbol: str, now_ms: int) -> int | None:
        return self.average if self.last_price(symbol, now_ms) is not None else None


class Desk:
    """An exchange with accounts `ann` and `bob`, who have 100,000 USDT and 100 of each coin, and its events."""

    def __init__(self, market: ScriptedMarket | None = None, fees: FeeSchedule = FREE, **options: Any) -> None:
        instruments: Mapping[str, Instrument] = {one.symbol: one for one in (BTC, ETH, BNB)}
        self.events: list[Any] = []
        self.exchange = Exchange(instruments, fees, market or ScriptedMarket(), **options)
        for account in ("ann", "bob"):
            self.exchange.deposit(account, "USDT", u(100_000), 0)
            for coin in ("BTC", "ETH"):
                self.exchange.deposit(account, coin, u(100), 0)
        self.exchange.on_event = self.events.append

    def place(
        self, account: str, side: str, quantity: str = "0", price: str = "0", *, kind: str = "", tif: str = "GTC",
        stop: str = "0", spend: str = "0", name: str = "", symbol: str = "BTCUSDT", at: int = 0,
    ) -> tuple[Order, list[Fill]]:  # fmt: skip
        """Place an order: LIMIT where it has a price, MARKET where it has none."""
        order_type = OrderType(kind or ("LIMIT" if price != "0" else "MARKET"))
        request = OrderRequest(
            symbol, Side(side), order_type, TimeInForce(tif), u(quantity), u(spend), u(price), u(stop), name
        )
        placed = self.exchange.place(account, request, at)
        return placed.order, list(placed.fills)

    def traded(self, account: str, symbol: str = "BTCUSDT") -> list[tuple[int, int]]:
        """Price and quantity of all that an account traded."""
        return [(fill.price, fill.quantity) for fill in self.exchange.fills(account, symbol)]

    def owns(self, account: str, asset: str) -> tuple[int, int]:
        """What an account has of an asset, free and locked."""
        balance = self.exchange.balances(account)[asset]
        return balance.free, balance.locked
