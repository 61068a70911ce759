"""The venue's trading: takes orders and cancels, lets the market pass by, and answers what stands where."""

from collections.abc import Callable, Iterator, Mapping
from heapq import merge
from itertools import islice

from paper_exchange.market.instrument import Instrument
from paper_exchange.trading import errors
from paper_exchange.trading.admission import Admission
from paper_exchange.trading.events import BalanceEvent, DepositEvent, Event, Kind
from paper_exchange.trading.fees import FeeSchedule
from paper_exchange.trading.ledger import Balance, Ledger
from paper_exchange.trading.liquidity import Level, Liquidity, Step
from paper_exchange.trading.listing import Listing
from paper_exchange.trading.matching import HOUSE
from paper_exchange.trading.order import (
    STOP_TYPES,
    UNIT,
    Fill,
    Order,
    OrderRequest,
    OrderType,
    Placed,
    Side,
    Status,
    TimeInForce,
)
from paper_exchange.trading.order_log import OrderLog
from paper_exchange.trading.settlement import Settlement
from paper_exchange.trading.trader import Trader
from paper_exchange.trading.transaction import Transaction

HOUSE_FUNDS = 10**12 * UNIT
_TIMED_TYPES = (OrderType.LIMIT, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT)


class Exchange:
    """All accounts, orders and balances of the venue, in one thread.

    A call either does all it says and returns, or raises `Rejected` and has changed nothing. Times never go back: a
    call with an earlier `now_ms` than the one before is taken to be at that one's time.

    Parameters
    ----------
    instruments
        What is listed, by symbol.
    fees
        What trades cost.
    liquidity
        The market behind the house account.
    fill_share
        The part of a step's traded quantity that resting orders get at most, in units of 1e-8 (all of it by default).
    on_event
        Called with each event in order, after the operation is in the journal. It must not call the exchange.
    house_funds
        What the house is given of each asset, once.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        fees: FeeSchedule,
        liquidity: Liquidity,
        *,
        fill_share: int = UNIT,
        on_event: Callable[[Event], None] | None = None,
        house_funds: int = HOUSE_FUNDS,
    ) -> None:
        if not 0 <= fill_share <= UNIT:
            raise ValueError(f"fill_share needs 0 to {UNIT} (units of 1e-8), found {fill_share}.")
        self.fees = fees
        self.on_event = on_event
        self._liquidity = liquidity
        self._ledger = Ledger()
        self._listings = {symbol: Listing(one, liquidity) for symbol, one in instruments.items()}
        self._settlement = Settlement(self._ledger, fees, self._coin_price)
        self._admission = Admission(self._ledger, liquidity)
        self._logs: dict[tuple[str, str], OrderLog] = {}
        self._orders: dict[int, Order] = {}
        self._trader = Trader(self._ledger, self._settlement, fill_share)
        self._next_order_id = 1
        self._cursor_ms: int | None = None
        self._fund_house(house_funds)

    # --- what changes the venue

    def place(self, account: str, request: OrderRequest, now_ms: int) -> Placed:
        """Take an order: trade what it can, keep the rest where its type and time in force say so.

        Raises
        ------
        Rejected
            Where the venue's rules, the account's balance or another open order forbid it.
        """
        now = self._at(now_ms)
        listing, log = self._listing(request.symbol), self._log(account, request.symbol)
        admitted = self._admission.admit(account, request, listing, log, now)
        order = self._new_order(account, request, log, now)
        transaction = self._begin()
        self._ledger.lock(account, admitted.asset, admitted.needed)
        log.add(order)
        self._orders[order.id] = order
        transaction.note(order, Kind.NEW, now)
        if order.is_working:
            self._trader.execute(transaction, listing, order, admitted.plan, admitted.needed, now)
        else:
            listing.stops.add(order)
        self._commit(transaction, now)
        return Placed(order, tuple(fill for fill in transaction.fills if fill.order_id == order.id))

    def check(self, account: str, request: OrderRequest, now_ms: int) -> None:
        """Raise what `place` would raise, and place nothing."""
        now = self._at(now_ms)
        listing, log = self._listing(request.symbol), self._log(account, request.symbol)
        self._admission.admit(account, request, listing, log, now)

    def cancel(
        self, account: str, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None,
        new_client_order_id: str = "", now_ms: int,
    ) -> Order:  # fmt: skip
        """Take an open order out and return it.

        Raises
        ------
        Rejected
            Where the account has no such order open (-2011); it may just have been filled.
        """
        now = self._at(now_ms)
        listing = self._listing(symbol)
        order = self._find(account, symbol, order_id, client_order_id)
        if order is None or not order.is_open:
            raise errors.unknown_order()
        transaction = self._begin()
        self._trader.close(transaction, listing, order, Status.CANCELED, now, new_client_order_id)
        self._commit(transaction, now)
        return order

    def cancel_all(self, account: str, symbol: str, now_ms: int) -> list[Order]:
        """Take all of an account's open orders in a symbol out, as one operation, and return them.

        Raises
        ------
        Rejected
            Where there is none (-2011).
        """
        now = self._at(now_ms)
        listing = self._listing(symbol)
        orders = list(self._log(account, symbol).open.values())
        if not orders:
            raise errors.unknown_order()
        transaction = self._begin()
        for order in orders:
            self._trader.close(transaction, listing, order, Status.CANCELED, now)
        self._commit(transaction, now)
        return orders

    def deposit(self, account: str, asset: str, amount: int, now_ms: int) -> None:
        """Credit an account from outside: the one way in which the venue's total of an asset grows."""
        if amount <= 0:
            raise ValueError(f"A deposit needs an amount above 0, found {amount} of {asset} for {account}.")
        transaction = self._begin()
        self._ledger.add(account, asset, amount)
        if transaction.watched:
            transaction.events.append(DepositEvent(account, asset, amount, now_ms))
        self._commit(transaction, now_ms)

    def advance(self, now_ms: int) -> None:
        """Play the market's steps up to `now_ms`: fill resting orders, wake stops. Costs nothing where none waits."""
        before = self._cursor_ms
        if before is not None and now_ms <= before:
            return
        self._cursor_ms = now_ms
        waiting = [listing for listing in self._listings.values() if listing.is_waiting]
        if not waiting:
            return
        if before is None:
            self._reopen(waiting, now_ms)
            return
        paths = [self._path(place, listing, before, now_ms) for place, listing in enumerate(waiting)]
        for step, place in merge(*paths, key=lambda found: found[0].time_ms):
            listing = waiting[place]
            if not self._trader.is_touched(listing, step.price):
                continue
            transaction = self._begin()
            self._trader.play(transaction, listing, step)
            self._commit(transaction, step.time_ms)
            if not any(one.is_waiting for one in waiting):
                return

    # --- what stands where

    def next_step_ms(self, now_ms: int) -> int | None:
        """Return when the market's next step comes in a symbol where an order waits; None where none waits."""
        times = [
            self._liquidity.next_step_ms(listing.symbol, now_ms)
            for listing in self._listings.values()
            if listing.is_waiting
        ]
        return min((time_ms for time_ms in times if time_ms is not None), default=None)

    def order(
        self, account: str, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None
    ) -> Order:
        """Return one order; the newest of that name where several had it. Rejected (-2013) where there is none."""
        self._listing(symbol)
        found = self._find(account, symbol, order_id, client_order_id)
        if found is None:
            raise errors.no_such_order()
        return found

    def open_orders(self, account: str, symbol: str | None = None) -> list[Order]:
        """Return the account's open orders, of one symbol or of all, the oldest first."""
        if symbol is not None:
            self._listing(symbol)
            return list(self._log(account, symbol).open.values())
        logs = (self._logs.get((account, name)) for name in self._listings)
        return sorted((order for log in logs if log for order in log.open.values()), key=lambda order: order.id)

    def orders(self, account: str, symbol: str) -> list[Order]:
        """Return all orders that the account ever placed in a symbol, the oldest first."""
        self._listing(symbol)
        return list(self._log(account, symbol).orders)

    def fills(self, account: str, symbol: str) -> list[Fill]:
        """Return all that the account ever traded in a symbol, the oldest first."""
        self._listing(symbol)
        return list(self._log(account, symbol).fills)

    def balances(self, account: str) -> dict[str, Balance]:
        """Return an account's balances by asset; the house and the fees are the accounts `@house` and `@fees`."""
        return self._ledger.balances(account)

    def accounts(self) -> list[str]:
        """Return the names of all accounts that ever had a balance, the house's and the fees' included."""
        return list(self._ledger.accounts())

    def resting_levels(self, symbol: str, side: Side, limit: int) -> list[Level]:
        """Return the best `limit` prices of users' resting orders, with the quantity at each."""
        return self._listing(symbol).resting(side).levels(limit)

    def depth(self, symbol: str, now_ms: int, limit: int) -> tuple[list[Level], list[Level]]:
        """Return the bids and asks that a taker would meet: users' orders and what is left of the house's quote."""
        listing = self._listing(symbol)
        return self._side_depth(listing, Side.BUY, now_ms, limit), self._side_depth(listing, Side.SELL, now_ms, limit)

    # --- inner

    def _at(self, now_ms: int) -> int:
        self.advance(now_ms)
        return now_ms if self._cursor_ms is None else self._cursor_ms

    def _path(self, place: int, listing: Listing, after_ms: int, upto_ms: int) -> Iterator[tuple[Step, int]]:
        return ((step, place) for step in self._liquidity.steps(listing.symbol, after_ms, upto_ms))

    def _reopen(self, waiting: list[Listing], now_ms: int) -> None:
        for listing in waiting:
            last_price = self._liquidity.last_price(listing.symbol, now_ms)
            if last_price is not None:
                transaction = self._begin()
                self._trader.reopen(transaction, listing, last_price, now_ms)
                self._commit(transaction, now_ms)

    def _listing(self, symbol: str) -> Listing:
        found = self._listings.get(symbol)
        if found is None:
            raise errors.invalid_symbol()
        return found

    def _log(self, account: str, symbol: str) -> OrderLog:
        key = (account, symbol)
        found = self._logs.get(key)
        if found is None:
            found = self._logs[key] = OrderLog()
        return found

    def _find(self, account: str, symbol: str, order_id: int | None, client_order_id: str | None) -> Order | None:
        """Return the order that both names mean, where both are given."""
        if order_id is None:
            return self._log(account, symbol).named(client_order_id or "")
        found = self._orders.get(order_id)
        if found is None or found.account != account or found.symbol != symbol:
            return None
        return found if client_order_id in (None, found.client_order_id) else None

    def _new_order(self, account: str, request: OrderRequest, log: OrderLog, now_ms: int) -> Order:
        order_id = self._next_order_id
        self._next_order_id += 1
        name = request.client_order_id or f"auto-{order_id}"
        while not request.client_order_id and log.named(name) is not None:
            name += "x"
        waits = request.type in STOP_TYPES
        in_force = request.time_in_force if request.type in _TIMED_TYPES else TimeInForce.GTC
        return Order(
            order_id, name, account, request.symbol, request.side, request.type, in_force, request.quantity,
            request.quote_quantity, request.price, request.stop_price, Status.NEW, 0, 0, now_ms, now_ms,
            -1 if waits else now_ms, not waits,
        )  # fmt: skip

    def _begin(self) -> Transaction:
        return Transaction(self.on_event is not None)

    def _commit(self, transaction: Transaction, now_ms: int) -> None:
        """Close the books of one operation, then tell the listener."""
        for fill in transaction.fills:
            self._log(fill.account, fill.symbol).fills.append(fill)
        for order in transaction.orders.values():
            if not order.is_open:
                self._log(order.account, order.symbol).close(order)
        touched = self._ledger.take_touched()
        if self.on_event is None:
            return
        for event in transaction.events:
            self.on_event(event)
        moved: dict[str, dict[str, Balance]] = {}
        for (account, asset), balance in touched.items():
            moved.setdefault(account, {})[asset] = Balance(balance.free, balance.locked)
        for account, balances in moved.items():
            self.on_event(BalanceEvent(account, balances, now_ms))

    def _fund_house(self, amount: int) -> None:
        for listing in self._listings.values():
            for asset in (listing.base, listing.quote):
                if amount and asset not in self._ledger.balances(HOUSE):
                    self._ledger.add(HOUSE, asset, amount)
        self._ledger.take_touched()

    def _coin_price(self, quote: str, now_ms: int) -> int | None:
        coin = self.fees.coin
        if f"{coin}{quote}" in self._listings:
            return self._liquidity.last_price(f"{coin}{quote}", now_ms)
        return self.fees.coin_prices.get(quote)

    def _side_depth(self, listing: Listing, side: Side, now_ms: int, limit: int) -> list[Level]:
        users = listing.resting(side)
        house = listing.house.offers(side, now_ms, listing.other(side).best_price)
        depth: dict[int, int] = dict(users.levels(limit))
        for price, quantity in islice(house, limit):
            depth[price] = depth.get(price, 0) + quantity
        return sorted(depth.items(), reverse=side is Side.BUY)[:limit]
