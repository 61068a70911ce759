"""The venue's trading: takes orders and cancels, lets the market pass by, and answers what stands where."""

from collections.abc import Callable, Iterator, Mapping
from heapq import merge
from itertools import repeat

from paper_exchange.market.instrument import Instrument
from paper_exchange.trading import errors
from paper_exchange.trading.admission import Admission
from paper_exchange.trading.errors import JournalError
from paper_exchange.trading.events import BalanceEvent, DepositEvent, Event, Kind
from paper_exchange.trading.fees import FeeSchedule
from paper_exchange.trading.journal import Journal
from paper_exchange.trading.ledger import Balance, Ledger
from paper_exchange.trading.liquidity import Level, Liquidity, Step
from paper_exchange.trading.listing import Listing
from paper_exchange.trading.matching import HOUSE
from paper_exchange.trading.order import BUY, SELL, UNIT, Fill, Order, OrderRequest, Placed, Side, Status
from paper_exchange.trading.recovery import captured, restore
from paper_exchange.trading.registry import KEPT_CLOSED, Registry
from paper_exchange.trading.settlement import Settlement
from paper_exchange.trading.state import State, transaction_record
from paper_exchange.trading.trader import Trader
from paper_exchange.trading.transaction import Transaction

HOUSE_FUNDS = 10**12 * UNIT


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
    journal
        Where each operation is kept before it is told, and where a killed state comes from; None: in memory only.
    fill_share
        The part of a step's traded quantity that resting orders get at most, in units of 1e-8 (all of it by default).
    on_event
        Called with each event in order, after the operation is in the journal. It must not call the exchange.
    house_funds
        What the house is given of each asset, once.
    kept_closed
        How many closed orders of an account in a symbol are told, the newest.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        fees: FeeSchedule,
        liquidity: Liquidity,
        journal: Journal | None = None,
        *,
        fill_share: int = UNIT,
        on_event: Callable[[Event], None] | None = None,
        house_funds: int = HOUSE_FUNDS,
        kept_closed: int = KEPT_CLOSED,
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
        self._registry = Registry(kept_closed)
        self._trader = Trader(self._ledger, self._settlement, fill_share)
        self._journal = journal
        self._halted = ""
        self._is_open = False  # until the first call that tells the time
        self._cursor_ms = self._last_ms = 0
        if journal is not None:
            self._cursor_ms = self._last_ms = journal.state.last_ms
            restore(journal.state, self._listings, self._registry, self._ledger, self._settlement)
            journal.state = State()  # it may be large, and is not needed twice
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
        listing, log = self._listing(request.symbol), self._registry.log(account, request.symbol)
        admitted = self._admission.admit(account, request, listing, log, now)
        order = self._registry.create(account, request, log, now)
        with self._begin(now) as transaction:
            self._ledger.lock(account, admitted.asset, admitted.needed)
            transaction.note(order, Kind.NEW, now)
            if order.is_working:
                self._trader.execute(transaction, listing, order, admitted.plan, admitted.needed, now)
            else:
                listing.stops.add(order)
        return Placed(order, tuple([fill for fill in transaction.fills if fill.order_id == order.id]))

    def check(self, account: str, request: OrderRequest, now_ms: int) -> None:
        """Raise what `place` would raise, and place nothing."""
        now = self._at(now_ms)
        listing, log = self._listing(request.symbol), self._registry.log(account, request.symbol)
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
        order = self._registry.find(account, symbol, order_id, client_order_id)
        if order is None or not order.is_open:
            raise errors.unknown_order()
        with self._begin(now) as transaction:
            self._trader.close(transaction, listing, order, Status.CANCELED, now, new_client_order_id)
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
        orders = list(self._registry.log(account, symbol).open.values())
        if not orders:
            raise errors.unknown_order()
        with self._begin(now) as transaction:
            for order in orders:
                self._trader.close(transaction, listing, order, Status.CANCELED, now)
        return orders

    def deposit(self, account: str, asset: str, amount: int, now_ms: int) -> None:
        """Credit an account from outside: the one way in which the venue's total of an asset grows."""
        if account.startswith("@"):
            raise ValueError(f"{account} can have no deposit: names with @ are the venue's own accounts.")
        if amount <= 0:
            raise ValueError(f"A deposit needs an amount above 0, found {amount} of {asset} for {account}.")
        self._check_running()
        with self._begin(now_ms) as transaction:
            self._ledger.add(account, asset, amount)
            if transaction.watched:
                transaction.events.append(DepositEvent(account, asset, amount, now_ms))

    def advance(self, now_ms: int) -> None:
        """Play the market's steps up to `now_ms`: fill resting orders, wake stops. Costs nothing where none waits."""
        before = self._cursor_ms
        if now_ms <= before and self._is_open:
            return
        self._check_running()
        self._cursor_ms = max(now_ms, before)
        waiting = [listing for listing in self._listings.values() if listing.is_waiting]
        if not self._is_open:
            self._is_open = True
            self._reopen(waiting, self._cursor_ms)
            return
        if not waiting:
            return
        for step, listing in self._path(waiting, before, now_ms):
            if not self._trader.is_touched(listing, step.price):
                continue
            with self._begin(step.time_ms) as transaction:
                self._trader.play(transaction, listing, step)
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
        found = self._registry.find(account, symbol, order_id, client_order_id)
        if found is None:
            raise errors.no_such_order()
        return found

    def open_orders(self, account: str, symbol: str | None = None) -> list[Order]:
        """Return the account's open orders, of one symbol or of all, the oldest first."""
        if symbol is not None:
            self._listing(symbol)
            return list(self._registry.log(account, symbol).open.values())
        return self._registry.open_orders(account, self._listings)

    def orders(self, account: str, symbol: str) -> list[Order]:
        """Return the account's orders in a symbol, the oldest first: all open ones, the newest closed."""
        self._listing(symbol)
        return list(self._registry.log(account, symbol).orders)

    def fills(self, account: str, symbol: str) -> list[Fill]:
        """Return what those orders of the account traded in a symbol, the oldest first."""
        self._listing(symbol)
        return list(self._registry.log(account, symbol).fills)

    def balances(self, account: str) -> dict[str, Balance]:
        """Return an account's balances by asset; the house and the fees are the accounts `@house` and `@fees`."""
        self._check_running()
        return self._ledger.balances(account)

    def accounts(self) -> list[str]:
        """Return the names of all accounts that ever had a balance, the house's and the fees' included."""
        return list(self._ledger.accounts())

    def supply(self, asset: str) -> int:
        """Return what all accounts have of an asset together; only a deposit changes it."""
        return self._ledger.supply(asset)

    def resting_levels(self, symbol: str, side: Side, limit: int) -> list[Level]:
        """Return the best `limit` prices of users' resting orders, with the quantity at each."""
        return self._listing(symbol).resting(side).levels(limit)

    def depth(self, symbol: str, now_ms: int, limit: int) -> tuple[list[Level], list[Level]]:
        """Return the bids and asks that a taker would meet: users' orders and what is left of the house's quote."""
        listing = self._listing(symbol)
        return listing.depth(BUY, now_ms, limit), listing.depth(SELL, now_ms, limit)

    def state(self) -> State:
        """Return a copy of everything, as a journal would bring it back."""
        return captured(self._listings, self._registry, self._ledger, self._last_ms)

    # --- inner

    def _at(self, now_ms: int) -> int:
        if now_ms > self._cursor_ms or not self._is_open:
            self.advance(now_ms)
        return self._cursor_ms

    def _path(self, listings: list[Listing], after_ms: int, upto_ms: int) -> Iterator[tuple[Step, Listing]]:
        """Return the steps of several symbols in the order of time, and of the listing where times are equal."""
        paths = [zip(self._liquidity.steps(one.symbol, after_ms, upto_ms), repeat(one)) for one in listings]
        return paths[0] if len(paths) == 1 else merge(*paths, key=lambda found: found[0].time_ms)

    def _reopen(self, waiting: list[Listing], now_ms: int) -> None:
        for listing in waiting:
            last_price = self._liquidity.last_price(listing.symbol, now_ms)
            if last_price is not None:
                with self._begin(now_ms) as transaction:
                    self._trader.reopen(transaction, listing, last_price, now_ms)

    def _check_running(self) -> None:
        """Refuse all work once the journal has failed: what could be said then might be forgotten."""
        if self._halted:
            raise JournalError(self._halted)

    def _listing(self, symbol: str) -> Listing:
        if self._halted:
            raise JournalError(self._halted)
        found = self._listings.get(symbol)
        if found is None:
            raise errors.invalid_symbol()
        return found

    def _begin(self, now_ms: int) -> Transaction:
        return Transaction(now_ms, self.on_event is not None, self._finish)

    def _finish(self, transaction: Transaction, error: BaseException | None) -> None:
        """Keep one operation, then tell the listener of it; one that broke off half-way must never be kept."""
        if error is not None:
            self._halted = (
                f"The venue has stopped trading: an operation broke off half-way ({error!r}), which is a fault of the "
                "venue or of its market. Start it again; with a journal all that was acknowledged comes back."
            )
            return
        self._registry.note(transaction.orders.values(), transaction.fills)
        touched = self._ledger.take_touched()
        if not touched and not transaction.orders:
            return
        self._last_ms = max(self._last_ms, transaction.time_ms)
        if self._journal is not None:
            orders, fills, eaten = transaction.orders.values(), transaction.fills, transaction.eaten
            try:
                self._journal.append(transaction_record(transaction.time_ms, orders, fills, touched, eaten))
            except BaseException as error:  # whatever it was: what is not in the journal must not be built upon
                self._halted = str(error)
                raise
        if self.on_event is None:
            return
        for event in transaction.events:
            self.on_event(event)
        moved: dict[str, dict[str, Balance]] = {}
        for (account, asset), balance in touched.items():
            moved.setdefault(account, {})[asset] = Balance(balance.free, balance.locked)
        for account, balances in moved.items():
            self.on_event(BalanceEvent(account, balances, transaction.time_ms))

    def _fund_house(self, amount: int) -> None:
        funded = self._ledger.balances(HOUSE)
        assets = {asset for one in self._listings.values() for asset in (one.base, one.quote)}
        with self._begin(self._last_ms):
            for asset in sorted(assets - funded.keys()):
                self._ledger.add(HOUSE, asset, amount)

    def _coin_price(self, quote: str, now_ms: int) -> int | None:
        coin = self.fees.coin
        if f"{coin}{quote}" in self._listings:
            return self._liquidity.last_price(f"{coin}{quote}", now_ms)
        return self.fees.coin_prices.get(quote)
