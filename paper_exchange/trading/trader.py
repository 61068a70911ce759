"""Carries out what was decided: executes plans, rests and ends orders, and lets a step of the market touch them."""

from paper_exchange.trading.events import Kind
from paper_exchange.trading.ledger import Ledger
from paper_exchange.trading.liquidity import Step
from paper_exchange.trading.listing import Listing
from paper_exchange.trading.matching import HOUSE, Plan, Want, plan_taking
from paper_exchange.trading.order import BUY, FILLED, FOK, GTC, SELL, UNIT, UNPRICED_TYPES, Order, Status
from paper_exchange.trading.settlement import Settlement
from paper_exchange.trading.transaction import Transaction

_KINDS = {Status.CANCELED: Kind.CANCELED, Status.EXPIRED: Kind.EXPIRED}


class Trader:
    """Changes orders, books and balances, and notes each change in the transaction.

    Parameters
    ----------
    ledger, settlement
        Where amounts are and how they move.
    fill_share
        The part of a step's quantity that resting orders get at most, in units of 1e-8.
    """

    def __init__(self, ledger: Ledger, settlement: Settlement, fill_share: int) -> None:
        self._ledger = ledger
        self._settlement = settlement
        self._fill_share = fill_share

    def execute(
        self, transaction: Transaction, listing: Listing, order: Order, plan: Plan, locked: int, now_ms: int
    ) -> None:
        """Let a working order trade as planned, then rest or expire with what remains; `locked` is its own so far."""
        left = locked
        if order.time_in_force is not FOK or plan.is_complete:
            for own in plan.own:
                self.close(transaction, listing, own, Status.EXPIRED, now_ms)
            if order.quote_quantity and plan.is_complete:
                order.quantity = plan.quantity
            self._trade(transaction, listing, order, plan, now_ms)
            left -= order.filled_quote if order.side is BUY else order.filled
        rests = order.is_open and order.time_in_force is GTC and order.type not in UNPRICED_TYPES
        asset, needed = listing.need(order)
        self._unlock(order, asset, left - needed if rests else left)
        if rests:
            listing.resting(order.side).add(order)
        elif order.is_open:
            if order.quote_quantity:
                order.quantity = order.filled
            order.status = Status.EXPIRED
            transaction.note(order, Kind.EXPIRED, now_ms)

    def close(
        self, transaction: Transaction, listing: Listing, order: Order, status: Status, now_ms: int, cancel_id: str = ""
    ) -> None:
        """End an order that rests or waits for its stop price, and give back what it has locked."""
        asset, needed = listing.need(order)
        self._unlock(order, asset, needed)
        (listing.resting(order.side) if order.is_working else listing.stops).remove(order)
        order.status = status
        transaction.note(order, _KINDS[status], now_ms, cancel_id=cancel_id)

    def is_touched(self, listing: Listing, price: int) -> bool:
        """Return whether a trade at `price` could fill or wake an order."""
        bid, ask = listing.bids.best_price, listing.asks.best_price
        return (
            (bid is not None and bid >= price)
            or (ask is not None and ask <= price)
            or bool(listing.stops and listing.stops.is_reached(price))
        )

    def play(self, transaction: Transaction, listing: Listing, step: Step) -> None:
        """Fill resting orders from a trade of the market, at their own price, then wake the stops that it reaches."""
        pool = step.quantity * self._fill_share // UNIT // listing.lot * listing.lot
        for side, sign in ((BUY, 1), (SELL, -1)):
            book = listing.resting(side)
            while pool > 0 and (maker := book.best()) is not None and sign * maker.price >= sign * step.price:
                quantity = min(pool, maker.remaining, self._house_can(listing, maker))
                if quantity <= 0:
                    break
                self._fill(transaction, listing, maker, None, maker.price, quantity, step.time_ms)
                pool -= quantity
        self._wake(transaction, listing, step.price, step.time_ms)

    def reopen(self, transaction: Transaction, listing: Listing, last_price: int, now_ms: int) -> None:
        """Meet resting orders with the house's present quote, as far as it goes, after a halt of trading."""
        for side, sign in ((BUY, 1), (SELL, -1)):
            book, house_side = listing.resting(side), SELL if side is BUY else BUY
            while (maker := book.best()) is not None:
                offer = next(listing.house.offers(house_side, now_ms), None)
                if offer is None or sign * maker.price < sign * offer[0]:
                    break
                quantity = min(maker.remaining, offer[1], self._house_can(listing, maker))
                if quantity <= 0:
                    break
                transaction.eaten.append(listing.house.take(house_side, offer[0], quantity))
                self._fill(transaction, listing, maker, None, maker.price, quantity, now_ms)
        self._wake(transaction, listing, last_price, now_ms)

    def _wake(self, transaction: Transaction, listing: Listing, price: int, now_ms: int) -> None:
        while (order := listing.stops.pop_reached(price)) is not None:
            order.is_working, order.working_ms = True, now_ms
            transaction.note(order, Kind.NEW, now_ms)
            asset, locked = listing.need(order)
            budget = None
            if order.price == 0 and order.side is BUY:
                # What it costs now may be more than what it locked at its stop price: it may spend what is free too.
                free = self._ledger.free(order.account, asset)
                self._ledger.lock(order.account, asset, free)
                budget = locked = locked + free
            want = Want(order.account, order.side, order.price, order.quantity, budget)
            plan = plan_taking(listing, self._ledger, now_ms, want)
            self.execute(transaction, listing, order, plan, locked, now_ms)

    def _trade(self, transaction: Transaction, listing: Listing, taker: Order, plan: Plan, now_ms: int) -> None:
        house_side = SELL if taker.side is BUY else BUY
        for maker, price, quantity in plan.trades:
            if maker is None:
                transaction.eaten.append(listing.house.take(house_side, price, quantity))
            self._fill(transaction, listing, maker, taker, price, quantity, now_ms)

    def _fill(
        self, transaction: Transaction, listing: Listing, maker: Order | None, taker: Order | None,
        price: int, quantity: int, now_ms: int,
    ) -> None:  # fmt: skip
        if maker is not None:
            listing.resting(maker.side).reduce(maker, quantity)
        self._settlement.trade(transaction, listing, maker, taker, price, quantity, now_ms)
        if maker is not None and maker.status is FILLED:
            listing.resting(maker.side).remove(maker)

    def _house_can(self, listing: Listing, maker: Order) -> int:
        """Return how much the house can sell to, or buy from, a resting order at its price."""
        if maker.side is BUY:
            return self._ledger.free(HOUSE, listing.base)
        return self._ledger.free(HOUSE, listing.quote) * UNIT // maker.price // listing.lot * listing.lot

    def _unlock(self, order: Order, asset: str, amount: int) -> None:
        if amount:
            self._ledger.lock(order.account, asset, -amount)
