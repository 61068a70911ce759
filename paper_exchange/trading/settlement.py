"""Moves what a trade moves: base and quote between the two sides, and the fees to the account that collects them."""

from collections.abc import Callable

from paper_exchange.trading.events import Kind
from paper_exchange.trading.fees import QUOTE, RECEIVED, FeeSchedule
from paper_exchange.trading.ledger import Ledger
from paper_exchange.trading.listing import Listing
from paper_exchange.trading.matching import HOUSE
from paper_exchange.trading.order import BUY, FILLED, PARTIALLY_FILLED, SELL, UNIT, Fill, Order
from paper_exchange.trading.transaction import Transaction

FEES = "@fees"
CoinPrice = Callable[[str, int], int | None]  # a quote asset and a time, to the fee coin's price in that asset


class Settlement:
    """Settles trades, each exactly: what one side pays, the other side and the fee account get.

    Every product of a price or a rate is rounded down to 1e-8. So a buyer pays at most the exact value, and the fee is
    at most the exact fee: the remainder stays with who pays.

    Parameters
    ----------
    ledger
        Where the balances are.
    fees
        What trades cost.
    coin_price
        Tells the fee coin's price.
    """

    def __init__(self, ledger: Ledger, fees: FeeSchedule, coin_price: CoinPrice) -> None:
        self._ledger = ledger
        self._fees = fees
        self._coin_price = coin_price
        self.next_trade_id = 1

    def trade(
        self, transaction: Transaction, listing: Listing, maker: Order | None, taker: Order | None,
        price: int, quantity: int, now_ms: int,
    ) -> None:  # fmt: skip
        """Let `maker` and `taker` trade; None is the house. Both pay from what they have locked."""
        quote = price * quantity // UNIT
        trade_id = self.next_trade_id
        self.next_trade_id += 1
        for order, is_maker in ((maker, True), (taker, False)):
            if order is None:
                continue
            self._pay(listing, order, quantity, quote, is_maker)
            order.filled += quantity
            order.filled_quote += quote
            order.status = FILLED if order.filled == order.quantity else PARTIALLY_FILLED
            buys = order.side is BUY
            fee, fee_asset = self._receive(listing, order, price, quantity, quote, is_maker, now_ms)
            fill = Fill(
                trade_id, order.id, order.account, order.symbol, price, quantity, quote, fee, fee_asset, now_ms, buys,
                is_maker,
            )  # fmt: skip
            transaction.note(order, Kind.TRADE, now_ms, fill)
        user = maker or taker
        if user is not None and (maker is None or taker is None):
            sign = 1 if user.side is SELL else -1
            self._ledger.add(HOUSE, listing.base, sign * quantity)
            self._ledger.add(HOUSE, listing.quote, -sign * quote)

    def _pay(self, listing: Listing, order: Order, quantity: int, quote: int, is_maker: bool) -> None:
        """Pay from what the order has locked; what a maker no longer needs (a rounding's unit) becomes free.

        A taker's lock is settled by whoever made it, once all its trades are done.
        """
        if order.side is SELL:
            self._ledger.spend(order.account, listing.base, quantity, quantity)
        elif is_maker:
            left = order.price * (order.remaining - quantity) // UNIT
            released = order.price * order.remaining // UNIT - left
            self._ledger.spend(order.account, listing.quote, released, quote)
        else:
            self._ledger.spend(order.account, listing.quote, quote, quote)

    def _receive(
        self, listing: Listing, order: Order, price: int, quantity: int, quote: int, is_maker: bool, now_ms: int
    ) -> tuple[int, str]:
        """Credit what the order receives and take the fee; return the fee and its asset."""
        ledger, account = self._ledger, order.account
        asset, amount = (listing.base, quantity) if order.side is BUY else (listing.quote, quote)
        ledger.add(account, asset, amount)
        rate = self._fees.maker if is_maker else self._fees.taker
        if rate == 0:
            return 0, asset
        fee = amount * rate // UNIT
        if self._fees.fee_in != RECEIVED:
            other = self._other_fee(listing, price, quote, rate, now_ms)
            if other is not None and ledger.free(account, other[1]) >= other[0]:
                fee, asset = other
        ledger.add(account, asset, -fee)
        ledger.add(FEES, asset, fee)
        return fee, asset

    def _other_fee(self, listing: Listing, price: int, quote: int, rate: int, now_ms: int) -> tuple[int, str] | None:
        coin = self._fees.coin
        if self._fees.fee_in == QUOTE or coin is None or coin == listing.quote:
            return quote * rate // UNIT, listing.quote
        coin_price = price if coin == listing.base else self._coin_price(listing.quote, now_ms)
        return (quote * rate // coin_price, coin) if coin_price else None
