"""Traders who do anything an account can do, at random, in a market that swings: for tests of what always holds."""

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate

from trading_tools import BNB, BTC, ETH

from paper_exchange.trading.errors import Rejected
from paper_exchange.trading.exchange import Exchange
from paper_exchange.trading.fees import FeeSchedule
from paper_exchange.trading.journal import Journal
from paper_exchange.trading.liquidity import Level, Step
from paper_exchange.trading.order import UNIT, Order, OrderRequest, OrderType, Side, TimeInForce

LISTED = {one.symbol: one for one in (BTC, ETH, BNB)}
ASSETS = {name: (one.base, one.quote) for name, one in LISTED.items()}
COINS = ("USDT", "BTC", "ETH", "BNB")
TRADERS = ("ann", "bob", "cat", "dan")
HOUSE_FUNDS = 10**9 * UNIT
STEP_MS = 10
TICK, LOT = UNIT // 100, UNIT // 1000
_CENTRE, _PERIOD = 30_000, 211  # ticks, steps
BUY, SELL, IOC, FOK, GTC = Side.BUY, Side.SELL, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTC
_STOPS = (OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT)


class SwingingMarket:
    """Every 10 ms a step of up to 20 ticks, round 300.00; a house with 20 levels of up to 0.1 each."""

    def __init__(self) -> None:
        toss = random.Random(5)
        moves = [toss.randrange(-20, 21) for _ in range(_PERIOD // 2)]
        moves += [-move for move in reversed(moves)]
        self._prices = [(_CENTRE + at) * TICK for at in accumulate(moves)]
        self._quantities = [toss.randrange(0, 300) * LOT for _ in moves]

    def quote_id(self, symbol: str, now_ms: int) -> int:
        return now_ms // STEP_MS

    def levels(self, symbol: str, side: Side, now_ms: int, limit: int) -> Sequence[Level]:
        sign, best = (1 if side is SELL else -1), self.last_price(symbol, now_ms)
        return [(best + sign * away * 3 * TICK, (away * 37 % 100 + 1) * LOT) for away in range(1, min(limit, 20) + 1)]

    def steps(self, symbol: str, after_ms: int, upto_ms: int) -> Iterator[Step]:
        for number in range(after_ms // STEP_MS + 1, upto_ms // STEP_MS + 1):
            place = number % len(self._prices)
            yield Step(number * STEP_MS, self._prices[place], self._quantities[place])

    def next_step_ms(self, symbol: str, now_ms: int) -> int | None:
        return (now_ms // STEP_MS + 1) * STEP_MS

    def last_price(self, symbol: str, now_ms: int) -> int:
        return self._prices[now_ms // STEP_MS % len(self._prices)]

    def average_price(self, symbol: str, now_ms: int) -> int | None:
        return _CENTRE * TICK


class RandomTraders:
    """Four accounts at one exchange; `act` does one random operation."""

    def __init__(self, seed: int, fees: FeeSchedule, *, fill_share: int = UNIT, journal: Journal | None = None) -> None:
        self.market = SwingingMarket()
        self.exchange = Exchange(
            LISTED, fees, self.market, journal, fill_share=fill_share, house_funds=HOUSE_FUNDS
        )  # fmt: skip
        self.deposits = {("@house", coin): HOUSE_FUNDS for coin in COINS}
        self.now_ms = self.exchange.state().last_ms
        self.refused: dict[str, int] = {}
        self.last: Order | None = None
        self._toss = random.Random(seed)
        self._live: list[Order] = []

    def deposit(self, coins: int, usdt: int) -> None:
        """Give each trader `coins` of each coin and `usdt` of USDT."""
        for trader in TRADERS:
            for coin in COINS:
                amount = usdt if coin == "USDT" else coins
                self.exchange.deposit(trader, coin, amount, self.now_ms)
                self.deposits[trader, coin] = self.deposits.get((trader, coin), 0) + amount

    def act(self) -> None:
        """Let time pass or not, then place, cancel or fail to."""
        uniform = self._toss.random
        chance = uniform()
        if chance < 0.08:
            self.now_ms += int(uniform() * 3 * STEP_MS)
        self.last = None
        try:
            if chance < 0.27 and self._live:
                self._cancel()
            else:
                account = TRADERS[int(uniform() * 4)]
                self.last = self.exchange.place(account, self._request(), self.now_ms).order
                if self.last.is_open:
                    self._live.append(self.last)
        except Rejected as refused:
            self.refused[refused.msg] = self.refused.get(refused.msg, 0) + 1

    def _cancel(self) -> None:
        live = self._live
        place = int(self._toss.random() * len(live))
        live[place], live[-1] = live[-1], live[place]
        order = live.pop()
        if self._toss.random() < 0.002:
            self.exchange.cancel_all(order.account, order.symbol, self.now_ms)
        else:
            self.exchange.cancel(order.account, order.symbol, order_id=order.id, now_ms=self.now_ms)

    def _request(self) -> OrderRequest:
        uniform = self._toss.random
        symbol = ("BTCUSDT", "ETHUSDT", "BNBUSDT")[int(uniform() * 3)]
        side = BUY if uniform() < 0.5 else SELL
        quantity, kind = int(20 + uniform() * 300) * LOT, uniform()
        if kind < 0.10:
            return OrderRequest(symbol, side, OrderType.MARKET, quantity=quantity)
        if kind < 0.14:
            return OrderRequest(symbol, side, OrderType.MARKET, quote_quantity=300 * quantity + int(uniform() * 1000))
        away = int(uniform() * 250) - 60  # below 0: through the middle
        price = (_CENTRE - away if side is BUY else _CENTRE + away) * TICK
        if kind < 0.17:
            stop_type = _STOPS[int(uniform() * 4)]
            priced = stop_type in _STOPS[:2]
            stop = (_CENTRE + int((uniform() - 0.5) * 300)) * TICK
            return OrderRequest(symbol, side, stop_type, GTC, quantity, 0, price if priced else 0, stop)
        if kind < 0.22:
            return OrderRequest(symbol, side, OrderType.LIMIT, IOC if kind < 0.2 else FOK, quantity, 0, price)
        if kind < 0.30:
            return OrderRequest(symbol, side, OrderType.LIMIT_MAKER, GTC, quantity, 0, price)
        return OrderRequest(symbol, side, OrderType.LIMIT, GTC, quantity, 0, price)
