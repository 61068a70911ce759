"""Works out every balance anew from the deposits, fills and open orders, without the ledger, and compares."""

from collections import defaultdict
from collections.abc import Mapping

from paper_exchange.trading.exchange import Exchange
from paper_exchange.trading.order import UNIT, Fill, Order, Side

Deposits = Mapping[tuple[str, str], int]


def audit(exchange: Exchange, deposits: Deposits, assets: Mapping[str, tuple[str, str]]) -> None:
    """Fail unless what each account has is what came in, plus what it got, minus what it paid, to the unit.

    Parameters
    ----------
    deposits
        What came in, by account and asset, the house's funds included.
    assets
        Base and quote by symbol.
    """
    users = [name for name in exchange.accounts() if not name.startswith("@")]
    fills = [fill for user in users for symbol in assets for fill in exchange.fills(user, symbol)]
    orders = [order for user in users for order in exchange.open_orders(user)]
    total = defaultdict(int, deposits)
    for fill in fills:
        _book(total, fill.account, fill, assets[fill.symbol])
        total[fill.account, fill.fee_asset] -= fill.fee
        total["@fees", fill.fee_asset] += fill.fee
    for fill in _with_the_house(fills):
        _book(total, "@house", fill._replace(is_buyer=not fill.is_buyer), assets[fill.symbol])
    locked: dict[tuple[str, str], int] = defaultdict(int)
    for order in orders:
        base, quote = assets[order.symbol]
        locked[order.account, base if order.side is Side.SELL else quote] += _need(order)
    found = {
        (account, asset): (one.free + one.locked, one.locked)
        for account in exchange.accounts()
        for asset, one in exchange.balances(account).items()
    }
    expected = {key: (amount, locked[key]) for key, amount in total.items()}
    assert {key: pair for key, pair in found.items() if pair != (0, 0)} == {
        key: pair for key, pair in expected.items() if pair != (0, 0)
    }
    assert min(free for free, _ in found.values()) >= 0
    check_orders(exchange, users, assets)


def check_orders(exchange: Exchange, users: list[str], assets: Mapping[str, tuple[str, str]]) -> None:
    """Fail unless each order has filled what its fills say, and what is open rests in a book that is not crossed."""
    for symbol in assets:
        resting: dict[tuple[Side, int], int] = defaultdict(int)
        for user in users:
            filled: dict[int, int] = defaultdict(int)
            for fill in exchange.fills(user, symbol):
                filled[fill.order_id] += fill.quantity
            for order in exchange.orders(user, symbol):
                assert order.filled == filled.pop(order.id, 0)
                assert order.filled <= order.quantity
                if order.is_open and order.is_working:
                    resting[order.side, order.price] += order.quantity - order.filled
            assert not filled
        bids, asks = (dict(exchange.resting_levels(symbol, side, 10**6)) for side in Side)
        assert {(Side.BUY, price): left for price, left in bids.items()} | {
            (Side.SELL, price): left for price, left in asks.items()
        } == resting
        assert not bids or not asks or max(bids) < min(asks)


def _book(total: dict[tuple[str, str], int], account: str, fill: Fill, pair: tuple[str, str]) -> None:
    sign = 1 if fill.is_buyer else -1
    assert fill.quote == fill.price * fill.quantity // UNIT
    total[account, pair[0]] += sign * fill.quantity
    total[account, pair[1]] -= sign * fill.quote


def _with_the_house(fills: list[Fill]) -> list[Fill]:
    """The fills whose trade has no second side among the users."""
    sides: dict[int, list[Fill]] = defaultdict(list)
    for fill in fills:
        sides[fill.trade_id].append(fill)
    for pair in sides.values():
        assert len(pair) == 1 or (len(pair) == 2 and pair[0].is_buyer != pair[1].is_buyer)
        assert len({(fill.price, fill.quantity) for fill in pair}) == 1
    return [pair[0] for pair in sides.values() if len(pair) == 1]


def _need(order: Order) -> int:
    left = order.quantity - order.filled
    return left if order.side is Side.SELL else (order.price or order.stop_price) * left // UNIT
