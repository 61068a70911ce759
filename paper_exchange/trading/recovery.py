"""Puts a journal's state back into the parts of the engine, and takes it out of them again."""

from collections.abc import Mapping

from paper_exchange.trading.house_quote import Eaten
from paper_exchange.trading.ledger import Balance, Ledger
from paper_exchange.trading.listing import Listing
from paper_exchange.trading.order import Side
from paper_exchange.trading.registry import Registry
from paper_exchange.trading.settlement import Settlement
from paper_exchange.trading.state import State


def restore(
    state: State, listings: Mapping[str, Listing], registry: Registry, ledger: Ledger, settlement: Settlement
) -> None:
    """Put everything where it was; all parts must be new."""
    registry.restore((state.orders[number] for number in sorted(state.orders)), state.fills)
    settlement.next_trade_id = max((fill.trade_id for fill in state.fills), default=0) + 1
    for number in state.resting:
        order = state.orders[number]
        listings[order.symbol].resting(order.side).add(order)
    for order in state.orders.values():
        if order.is_open and not order.is_working:
            listings[order.symbol].stops.add(order)
    for (account, asset), balance in state.balances.items():
        ledger.set(account, asset, balance.free, balance.locked)
    for (symbol, _), levels in state.eaten.items():
        for one in levels.values():
            listings[symbol].house.restore(one)


def captured(listings: Mapping[str, Listing], registry: Registry, ledger: Ledger, last_ms: int) -> State:
    """Return copies of everything; `resting` goes through the books one after the other, by price and time."""
    orders, fills = registry.everything()
    resting = {order.id: None for one in listings.values() for side in Side for order in one.resting(side)}
    balances = {
        (account, asset): Balance(one.free, one.locked)
        for account, assets in ledger.accounts().items()
        for asset, one in assets.items()
    }
    eaten: dict[tuple[str, Side], dict[int, Eaten]] = {}
    for listing in listings.values():
        for one in listing.house.eaten():
            eaten.setdefault((one.symbol, one.side), {})[one.price] = one
    return State(orders, resting, fills, balances, eaten, last_ms)
