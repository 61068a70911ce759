"""The venue as one object, so that every route and stream looks at the same markets, time, limits and orders."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from paper_exchange.api.accounts import Account, Accounts
from paper_exchange.api.books import Books
from paper_exchange.api.order_count import OrderCounts
from paper_exchange.api.request_weight import RequestWeights
from paper_exchange.api.signing import ServerTime
from paper_exchange.api.user_events import UserEvents
from paper_exchange.clock import Clock
from paper_exchange.market.market import Market
from paper_exchange.trading.events import Event
from paper_exchange.trading.exchange import Exchange
from paper_exchange.trading.fees import FeeSchedule
from paper_exchange.trading.house import MarketLiquidity
from paper_exchange.trading.journal import Journal
from paper_exchange.trading.liquidity import Liquidity
from paper_exchange.trading.order import UNIT

_NS_PER_US = 1000


@dataclass(slots=True)
class Venue:
    """Everything that answers are made of; all of it is used from one asyncio loop, so nothing needs a lock.

    Parameters
    ----------
    markets
        What is listed, by symbol; asked for all, the venue answers in this order.
    books
        Their order books.
    clock
        The venue's time. Each request is answered for the one instant at which it is read.
    exchange
        Orders and balances.
    accounts
        Who may trade.
    users
        Who listens to an account.
    counts
        Each account's unfilled orders.
    weights
        The request limits.
    wall_ns
        The machine's time, by which most clients sign.
    goodbyes
        Called at the end of the venue, while clients are still connected.
    """

    markets: Mapping[str, Market]
    books: Books
    clock: Clock
    exchange: Exchange
    accounts: Accounts
    users: UserEvents
    counts: OrderCounts
    weights: RequestWeights
    wall_ns: Callable[[], int] = time.time_ns
    goodbyes: set[Callable[[], None]] = field(default_factory=set)
    opened_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self.opened_ms = self.clock.now_ms()

    def server_times(self) -> tuple[ServerTime, ServerTime]:
        """Return the clocks that a request may be signed by: the machine's, and the venue's own in a replay."""
        venue = ServerTime(self.clock.now_ms() * 1000, self.clock.mapping.speed)
        return ServerTime(self.wall_ns() // _NS_PER_US), venue

    def assets(self) -> set[str]:
        """Return every asset that is listed, and the fee coin."""
        listed = {asset for one in self.markets.values() for asset in (one.instrument.base, one.instrument.quote)}
        return listed | ({self.exchange.fees.coin} if self.exchange.fees.coin else set())


def open_venue(
    markets: Mapping[str, Market],
    clock: Clock,
    *,
    accounts: Iterable[Account] = (),
    fees: FeeSchedule | None = None,
    journal: Journal | None = None,
    weights: RequestWeights | None = None,
    counts: OrderCounts | None = None,
    liquidity: Liquidity | None = None,
    fill_pct: int = 100,
    wall_ns: Callable[[], int] = time.time_ns,
) -> Venue:
    """Return a venue that is ready for requests, with its accounts funded.

    An account's deposit of an asset is made once: a venue that remembers an account does not fund it again.

    Parameters
    ----------
    fees
        What trades cost; 0.1 % in the received asset where None, as at the venue.
    journal
        Where the state is kept and comes from; None: in memory only.
    weights, counts
        The limits; the venue's documented ones where None.
    liquidity
        What the house offers; what follows from the markets where None.
    fill_pct
        The share of each of the market's trades that resting orders may have, in percent.
    """
    known = Accounts(accounts)
    counted = counts or OrderCounts()
    users = UserEvents(counted, first_execution_id=wall_ns() // _NS_PER_US)
    exchange = Exchange(
        {symbol: market.instrument for symbol, market in markets.items()},
        fees or FeeSchedule(),
        liquidity or MarketLiquidity(markets),
        journal,
        fill_share=fill_pct * UNIT // 100,
        on_event=users.on_event,
    )
    _fund(exchange, known, clock.now_ms())
    books = Books(markets, exchange)

    def on_event(event: Event) -> None:
        books.on_event(event)
        users.on_event(event)

    exchange.on_event = on_event
    return Venue(markets, books, clock, exchange, known, users, counted, weights or RequestWeights(), wall_ns)


def _fund(exchange: Exchange, accounts: Iterable[Account], now_ms: int) -> None:
    for account in accounts:
        held = exchange.balances(account.name)
        for asset, amount in account.deposits.items():
            if asset not in held and amount:
                exchange.deposit(account.name, asset, amount, now_ms)
