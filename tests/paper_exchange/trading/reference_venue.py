"""A second engine, slow and plain, that shares no code with the venue's: all orders in one list, searched each time."""

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any

COIN = 10**8
MOST_STOPS = 5


@dataclass
class Line:
    """One order."""

    number: int
    account: str
    buys: bool
    kind: str
    tif: str
    size: int
    limit: int
    stop: int = 0
    status: str = "NEW"
    arrival: int = -1  # since when it rests; -1 while it does not
    asleep: bool = False
    got: int = 0
    paid: int = 0

    @property
    def left(self) -> int:
        return self.size - self.got

    @property
    def is_open(self) -> bool:
        return self.status in ("NEW", "PARTIALLY_FILLED")

    @property
    def need(self) -> int:
        """What it keeps locked, in the quote for a buy."""
        if not self.is_open:
            return 0
        return floor(Fraction((self.limit or self.stop) * self.left, COIN)) if self.buys else self.left


@dataclass
class Trade:
    """What one order got in one trade."""

    order: int
    price: int
    size: int
    fee: int
    is_maker: bool
    at: int


@dataclass
class ReferenceVenue:
    """One symbol; fees in what is received; a house that never runs dry."""

    market: Any
    lot: int
    maker_fee: Fraction
    taker_fee: Fraction
    share: Fraction
    owned: dict[tuple[str, bool], int]  # by account, and True for the base
    sides: dict[str, Any]  # what the market calls its two sides
    lines: list[Line] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    eaten: dict[tuple[int, bool, int], int] = field(default_factory=dict)
    now: int = 0
    arrivals: int = 0

    def free(self, account: str, base: bool) -> int:
        """What an account has, less what its open orders need."""
        mine = [line for line in self.lines if line.account == account and line.buys is not base]
        return self.owned[account, base] - sum(line.need for line in mine)

    def pass_time(self, to: int) -> None:
        """Let each step of the market fill what it reaches, then wake stops."""
        for step in self.market.steps("BTCUSDT", self.now, to):
            pool = floor(step.quantity * self.share)
            pool -= pool % self.lot
            reached = [line for line in self._resting() if reaches(line, step.price)]
            for line in sorted(reached, key=priority):
                size = min(pool, line.left)
                if size > 0:
                    self._trade(line, None, line.limit, size, step.time_ms)
                    pool -= size
            self._wake(step.price, step.time_ms)
        self.now = max(self.now, to)

    def place(self, account: str, order: Any) -> str:
        """Take an order of the venue's kind; return '' or why it is refused."""
        kind, buys = str(order.type), order.side == "BUY"
        line = Line(
            len(self.lines) + 1, account, buys, kind, str(order.time_in_force), order.quantity, order.price,
            order.stop_price,
        )  # fmt: skip
        if line.stop and sum(one.asleep and one.is_open and one.account == account for one in self.lines) == MOST_STOPS:
            return "stops"
        last = self.market.last_price("BTCUSDT", self.now)
        if line.stop:
            if wakes(line, last):
                return "trigger"
            line.asleep = True
        trades, own = self._walk(line)
        if kind == "LIMIT_MAKER" and (trades or own):
            return "match"
        need = line.need
        if kind == "MARKET" and buys:
            need = sum(worth(price, size) for price, size, _ in trades)
        if self.free(account, not buys) < need:
            return "balance"
        self.lines.append(line)
        if not line.asleep:
            self._take(line)
        return ""

    def cancel(self, number: int) -> str:
        """End an order; return '' or why not."""
        line = self.lines[number - 1]
        if not line.is_open:
            return "unknown"
        line.status = "CANCELED"
        return ""

    def _walk(self, line: Line) -> tuple[list[tuple[int, int, Line | None]], list[Line]]:
        """What an order would trade, and which of its own account's orders stand in its way."""
        sign = 1 if line.buys else -1
        users = [one for one in self._resting() if one.buys is not line.buys]
        offers = [(sign * one.limit, 0, one.arrival, one.left, one) for one in users]
        friends = [sign * one.limit for one in self._resting() if one.buys is line.buys]
        side = "SELL" if line.buys else "BUY"
        for price, size in self.market.levels("BTCUSDT", self.sides[side], self.now, 10**4):
            left = size - self.eaten.get((self.market.quote_id("BTCUSDT", self.now), line.buys, price), 0)
            if left and not (friends and sign * price <= max(friends)):
                offers.append((sign * price, 1, 0, left, None))
        trades: list[tuple[int, int, Line | None]] = []
        own, want = [], line.left
        for key, _, _, left, maker in sorted(offers, key=lambda offer: offer[:3]):
            if want == 0 or (line.limit and key > sign * line.limit):
                break
            if maker is not None and maker.account == line.account:
                own.append(maker)
                continue
            trades.append((sign * key, min(left, want), maker))
            want -= min(left, want)
        return trades, own

    def _take(self, line: Line) -> None:
        trades, own = self._walk(line)
        if line.tif == "FOK" and sum(size for _, size, _ in trades) < line.left:
            line.status = "EXPIRED"
            return
        for one in own:
            one.status = "EXPIRED"
        for price, size, maker in trades:
            if maker is None:
                key = (self.market.quote_id("BTCUSDT", self.now), line.buys, price)
                self.eaten[key] = self.eaten.get(key, 0) + size
            self._trade(maker, line, price, size, self.now)
        if line.is_open and (line.kind == "MARKET" or line.tif != "GTC"):
            line.status = "EXPIRED"
        elif line.is_open:
            self.arrivals += 1
            line.arrival = self.arrivals

    def _wake(self, price: int, at: int) -> None:
        before, self.now = self.now, at
        woken = [line for line in self.lines if line.is_open and line.asleep and wakes(line, price)]
        for line in sorted(woken, key=lambda one: (not rises(one), one.stop if rises(one) else -one.stop, one.number)):
            line.asleep = False
            self._take(line)
        self.now = max(before, at)

    def _trade(self, maker: Line | None, taker: Line | None, price: int, size: int, at: int) -> None:
        quote = worth(price, size)
        for line, fee_rate in ((maker, self.maker_fee), (taker, self.taker_fee)):
            if line is None:
                continue
            line.got += size
            line.paid += quote
            line.status = "FILLED" if line.left == 0 else "PARTIALLY_FILLED"
            fee = floor(fee_rate * (size if line.buys else quote))
            self.owned[line.account, True] += size - fee if line.buys else -size
            self.owned[line.account, False] += -quote if line.buys else quote - fee
            self.trades.append(Trade(line.number, price, size, fee, line is maker, at))

    def _resting(self) -> list[Line]:
        return [line for line in self.lines if line.is_open and line.arrival >= 0]


def worth(price: int, size: int) -> int:
    return floor(Fraction(price * size, COIN))


def rises(line: Line) -> bool:
    """Whether a stop waits for a higher price."""
    return line.buys is line.kind.startswith("STOP_LOSS")


def wakes(line: Line, price: int) -> bool:
    return price >= line.stop if rises(line) else price <= line.stop


def reaches(line: Line, price: int) -> bool:
    """Whether a trade at `price` goes to or through a resting order."""
    return price <= line.limit if line.buys else price >= line.limit


def priority(line: Line) -> tuple[int, int]:
    return (-line.limit if line.buys else line.limit, line.arrival)
