"""Decides what an order would trade, without trading it: one plan serves placing, testing and refusing."""

from dataclasses import dataclass, field
from typing import NamedTuple

from paper_exchange.trading.ledger import Ledger
from paper_exchange.trading.listing import Listing
from paper_exchange.trading.order import BUY, SELL, UNIT, Order, Side

HOUSE = "@house"  # no user's name starts with @


class Want(NamedTuple):
    """What a taker wants, in units of 1e-8.

    Parameters
    ----------
    limit
        The worst price; 0 for any.
    quantity
        At most so much of the base; None for as much as `budget` gives.
    budget
        At most so much of the quote, spent or earned; None for no such bound.
    """

    account: str
    side: Side
    limit: int
    quantity: int | None
    budget: int | None = None


@dataclass(slots=True)
class Plan:
    """What a taker gets.

    Parameters
    ----------
    trades
        The maker (None is the house), price and quantity of each trade, in order.
    own
        The account's own orders in the way, which expire.
    quantity, cost
        What the trades add up to in the base and in the quote.
    is_complete
        Whether the taker gets all it wants; False where the liquidity ends or its limit is reached.
    """

    trades: list[tuple[Order | None, int, int]] = field(default_factory=list)
    own: list[Order] = field(default_factory=list)
    quantity: int = 0
    cost: int = 0
    is_complete: bool = False


def plan_taking(listing: Listing, ledger: Ledger, now_ms: int, want: Want) -> Plan:
    """Return the trades of a taker with users' orders and the house, best price first.

    At one price users come before the house, since their orders are older than its quote, and older users before
    younger. The house offers no more than it can pay.
    """
    buys = want.side is BUY
    sign = 1 if buys else -1
    plan = Plan()
    makers = iter(listing.other(want.side))
    house_side = SELL if buys else BUY
    offers = listing.house.offers(house_side, now_ms, listing.resting(want.side).best_price)
    house_funds = ledger.free(HOUSE, listing.base if buys else listing.quote)
    maker, offer = next(makers, None), next(offers, None)
    while maker is not None or offer is not None:
        if maker is not None and (offer is None or sign * maker.price <= sign * offer[0]):
            price, available, from_user = maker.price, maker.remaining, True
        elif offer is not None:
            price, available, from_user = offer[0], offer[1], False
        if want.limit and sign * price > sign * want.limit:
            break
        wanted = _wanted(want, plan, price, listing.lot)
        if wanted <= 0:
            plan.is_complete = True
            break
        if from_user and maker is not None and maker.account == want.account:
            plan.own.append(maker)
            maker = next(makers, None)
            continue
        if not from_user:
            available = min(
                available, house_funds if buys else house_funds * UNIT // price // listing.lot * listing.lot
            )
            if available <= 0:
                offer = None
                continue
        taken = min(wanted, available)
        paid = price * taken // UNIT
        plan.trades.append((maker if from_user else None, price, taken))
        plan.quantity += taken
        plan.cost += paid
        if taken == wanted:
            plan.is_complete = True
            break
        if from_user:
            maker = next(makers, None)
        else:
            house_funds -= taken if buys else paid
            offer = next(offers, None)
    return plan


def would_take(listing: Listing, ledger: Ledger, now_ms: int, side: Side, price: int) -> bool:
    """Return whether an order at `price` would trade at once, be it with an order of its own account."""
    buys = side is BUY
    best = listing.other(side).best_price
    if best is not None and (best <= price if buys else best >= price):
        return True
    if ledger.free(HOUSE, listing.base if buys else listing.quote) <= 0:
        return False
    house_side = SELL if buys else BUY
    offer = next(listing.house.offers(house_side, now_ms, listing.resting(side).best_price), None)
    return offer is not None and (offer[0] <= price if buys else offer[0] >= price)


def _wanted(want: Want, plan: Plan, price: int, lot: int) -> int:
    if want.budget is None:
        return (want.quantity or 0) - plan.quantity
    affordable = (want.budget - plan.cost) * UNIT // price // lot * lot
    return affordable if want.quantity is None else min(affordable, want.quantity - plan.quantity)
